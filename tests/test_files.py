"""Outputs are whole or not there: what a reader can find while, and after, something goes wrong."""

import os
import stat
from pathlib import Path

import pytest

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
