"""Outputs are whole or not there: what a reader can find while, and after, something goes wrong."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from mcalc.errors import AbandonedError
from mcalc.files import whole_file, whole_folder, write_text


class TroubleError(Exception):
    """Stands for a full disk, a killed job, a bug."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- files --------------------------------------------------------------------------------------


def test_a_failure_leaves_no_file_and_no_litter(tmp_path):
    with pytest.raises(TroubleError), whole_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("half")
        raise TroubleError
    assert names(tmp_path) == []


def test_a_failure_leaves_the_older_file(tmp_path):
    (tmp_path / "a.csv").write_text("older")
    with pytest.raises(TroubleError), whole_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("half")
        raise TroubleError
    assert (tmp_path / "a.csv").read_text() == "older"
    assert names(tmp_path) == ["a.csv"]


def test_an_interrupt_leaves_the_older_file(tmp_path):
    """Ctrl-C is no Exception, and is treated the same."""
    (tmp_path / "a.csv").write_text("older")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a.csv").read_text() == "older"
    assert names(tmp_path) == ["a.csv"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_text("older")
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.csv"):
        pass
    assert (tmp_path / "a.csv").read_text() == "older"


def test_until_the_end_readers_see_the_older_file(tmp_path):
    (tmp_path / "a.csv").write_text("older")
    with whole_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("newer")
        assert (tmp_path / "a.csv").read_text() == "older"
    assert (tmp_path / "a.csv").read_text() == "newer"
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("name", ["a.png", "a.b.safetensors", "a b.csv"])
def test_the_temporary_file_has_the_same_suffix_and_folder(tmp_path, name):
    """Writers choose the format by the suffix; renaming is only safe within one folder."""
    with whole_file(tmp_path / name) as temporary:
        assert temporary.suffix == Path(name).suffix
        assert temporary.parent == tmp_path
        assert temporary.name != name
        temporary.touch()
    assert names(tmp_path) == [name]


def test_folders_on_the_way_are_made(tmp_path):
    write_text(tmp_path / "x/y/z.json", "ä\n")
    assert (tmp_path / "x/y/z.json").read_bytes() == "ä\n".encode()


def test_a_group_can_read_what_a_private_writer_wrote(tmp_path):
    with whole_file(tmp_path / "a") as temporary:
        temporary.touch(mode=0o600)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) & 0o044 == 0o044


# --- folders ------------------------------------------------------------------------------------


def test_a_failure_leaves_no_folder_and_no_litter(tmp_path):
    with pytest.raises(TroubleError), whole_folder(tmp_path / "shard") as temporary:
        (temporary / "a.png").touch()
        raise TroubleError
    assert names(tmp_path) == []


@pytest.mark.parametrize("trouble", [TroubleError, KeyboardInterrupt])
def test_a_failure_leaves_the_older_folder(tmp_path, trouble):
    (tmp_path / "shard").mkdir()
    (tmp_path / "shard/older.png").write_text("older")
    with pytest.raises(trouble), whole_folder(tmp_path / "shard") as temporary:
        (temporary / "a.png").touch()
        raise trouble
    assert names(tmp_path) == ["shard"]
    assert (tmp_path / "shard/older.png").read_text() == "older"


def test_the_new_folder_replaces_the_older_one_entirely(tmp_path):
    (tmp_path / "shard/deep").mkdir(parents=True)
    (tmp_path / "shard/deep/older.png").touch()
    with whole_folder(tmp_path / "shard") as temporary:
        assert names(temporary) == []
        (temporary / "newer.png").touch()
        assert names(tmp_path / "shard") == ["deep"]
    assert names(tmp_path / "shard") == ["newer.png"]
    assert names(tmp_path) == ["shard"]


def test_a_folder_may_be_empty_and_deep(tmp_path):
    with whole_folder(tmp_path / "x/y/shard"):
        pass
    assert names(tmp_path / "x/y") == ["shard"]


def test_a_group_can_read_the_folder(tmp_path):
    with whole_folder(tmp_path / "shard"):
        pass
    assert stat.S_IMODE((tmp_path / "shard").stat().st_mode) & 0o055 == 0o055


def test_two_at_once_do_not_meet(tmp_path):
    """The temporary folders of two jobs for neighbouring shards are different ones."""
    with whole_folder(tmp_path / "0") as one, whole_folder(tmp_path / "1") as other:
        (one / "a").touch()
        (other / "b").touch()
    assert (names(tmp_path / "0"), names(tmp_path / "1")) == (["a"], ["b"])


def test_relative_paths_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("a.txt", "x")
    with whole_folder("shard"):
        pass
    assert sorted(os.listdir()) == ["a.txt", "shard"]


# --- jobs that were killed, and jobs that should have been ----------------------------------------

KILLED = """
import os, signal, sys
from mcalc.files import whole_file, whole_folder
with whole_folder(sys.argv[1]) as folder, whole_file(sys.argv[2]) as file:
    (folder / "a.png").touch()
    file.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_job_left_is_removed_by_the_next_one(tmp_path):
    """And nothing of its neighbours, whose names begin alike."""
    ours, others = (tmp_path / "0", tmp_path / "0.csv"), (tmp_path / "10", tmp_path / "0.a.csv")
    for folder, file in (ours, others):
        done = subprocess.run([sys.executable, "-c", KILLED, folder, file], check=False)
        assert done.returncode == -signal.SIGKILL
    assert len(hidden(tmp_path)) == 4
    with whole_folder(ours[0]):
        pass
    write_text(ours[1], "whole")
    assert [name.split(".")[1:3] for name in hidden(tmp_path)] == [["0", "a"], ["10", ANY]]
    assert {"0", "0.csv"} < set(names(tmp_path))


def hidden(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".")]


def test_the_last_to_begin_owns_a_folder(tmp_path):
    """A job whose Snakemake was killed goes on; the next run's job must not be overwritten."""
    place = tmp_path / "shard"
    with (
        pytest.raises(AbandonedError, match="another job has begun"),
        whole_folder(place) as orphan,
    ):
        (orphan / "older.png").touch()
        with whole_folder(place) as temporary:
            (temporary / "newer.png").touch()
        (orphan / "late.png").touch()
    assert names(place) == ["newer.png"]
    assert names(tmp_path) == ["shard"]


def test_an_orphan_that_ends_first_takes_nothing_from_the_next_job(tmp_path):
    orphan, job = whole_folder(tmp_path / "shard"), whole_folder(tmp_path / "shard")
    orphan.__enter__()
    (job.__enter__() / "newer.png").touch()
    with pytest.raises(AbandonedError):
        orphan.__exit__(None, None, None)
    assert not (tmp_path / "shard").exists()
    job.__exit__(None, None, None)
    assert names(tmp_path / "shard") == ["newer.png"]
    assert names(tmp_path) == ["shard"]


def workflow(process: int, machine: str = socket.gethostname()) -> str:
    return f"{machine} {os.readlink('/proc/self/ns/pid')} {process}"


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@needs_linux
def test_a_job_whose_workflow_is_gone_leaves_outputs_alone(tmp_path, monkeypatch, dead):
    write_text(tmp_path / "a.csv", "older")
    monkeypatch.setenv("MCALC_WORKFLOW", workflow(dead))
    with pytest.raises(AbandonedError, match=r"a\.csv: not written, since the Snakemake"):
        write_text(tmp_path / "a.csv", "newer")
    with pytest.raises(AbandonedError), whole_folder(tmp_path / "shard"):
        pass
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "older"
    with whole_file(tmp_path / "checkpoint.pt", is_output=False) as temporary:
        temporary.touch()
    assert names(tmp_path) == ["a.csv", "checkpoint.pt"]


@needs_linux
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_job_writes_whose_workflow_lives_or_lies_on_another_machine(
    tmp_path, monkeypatch, dead, where
):
    here = workflow(os.getpid())
    monkeypatch.setenv("MCALC_WORKFLOW", here if where == "here" else workflow(dead, "node7"))
    write_text(tmp_path / "a.csv", "newer")
    with whole_folder(tmp_path / "shard"):
        pass
    assert names(tmp_path) == ["a.csv", "shard"]
