"""What a job's log begins with where the workflow asks for it, and that nobody else sees it."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

import mcalc
from mcalc import cli, log_head


@pytest.fixture
def draw_seed(monkeypatch, capsys, tmp_path):
    """Run `mcalc draw-seed` on a path with a space; return what went to standard error."""

    def run(asked: str | None) -> str:
        monkeypatch.delenv(log_head.VARIABLE, raising=False)
        if asked is not None:
            monkeypatch.setenv(log_head.VARIABLE, asked)
        path = tmp_path / "a seed's.json"
        monkeypatch.setattr(sys, "argv", ["mcalc", "draw-seed", str(path), "--seed", "5"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("asked", [None, ""])
def test_who_calls_by_hand_sees_none_of_it(draw_seed, asked):
    assert draw_seed(asked) == ""


def test_the_first_line_is_the_command_and_can_be_pasted_into_a_shell(draw_seed, tmp_path):
    lines = draw_seed("1").splitlines()
    assert all(line.startswith("# ") for line in lines[1:])
    (tmp_path / "a seed's.json").unlink()
    entry = f'mcalc() {{ "{sys.executable}" -c "from mcalc.cli import main; main()" "$@"; }}\n'
    subprocess.run(["bash", "-c", entry + "\n".join(lines)], check=True, env={**os.environ})
    assert '"seed": 5' in (tmp_path / "a seed's.json").read_text()


def test_the_facts_are_those_of_this_process(draw_seed, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    command, facts, said = log_head.split_head(draw_seed("1"))
    assert command[:2] == ["mcalc", "draw-seed"]
    assert said == ""
    assert facts["host"] == platform.node()
    assert facts["process"] == str(os.getpid())
    assert facts["folder"] == os.getcwd()
    assert facts["SLURM_JOB_ID"] == "17"
    age = datetime.now(UTC) - datetime.fromisoformat(facts["begun"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=5)
    versions = dict(part.split() for part in facts["versions"].split(", "))
    assert versions.pop("mcalc") == mcalc.__version__
    assert versions.pop("Python") == platform.python_version()
    assert versions == {name: importlib.metadata.version(name) for name in log_head.LIBRARIES}


def test_the_head_is_above_what_an_error_says(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv(log_head.VARIABLE, "1")
    missing = str(tmp_path / "missing")
    monkeypatch.setattr(
        sys, "argv", ["mcalc", "clean", missing, *("--cleaned", "c", "--kept", "k")]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 3
    command, _, said = log_head.split_head(capsys.readouterr().err)
    assert command[1] == "clean"
    assert said.startswith("mcalc: ") and said.count("\n") == 1


@pytest.mark.parametrize("text", ["", "one line\n", "mcalc: no head\n", "mcalc x\nno comment\n"])
def test_a_log_without_a_head_is_left_whole(text):
    assert log_head.split_head(text) == ([], {}, text)


def test_a_library_that_is_missing_is_said_to_be(monkeypatch):
    monkeypatch.setattr(log_head, "LIBRARIES", ("no-such-library",))
    assert log_head.describe([])[-1].endswith("no-such-library (not installed)")
