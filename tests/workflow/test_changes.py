"""Changes of files that their times do not tell: workflow/rules/changes.smk."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

RULES = Path(__file__).parents[2] / "workflow/rules"
NAMES = ("data/benign/1.png", "patients.csv", "weights.safetensors")


@pytest.fixture
def fingerprints(tmp_path, monkeypatch):
    """A function that returns what stands for the data set and for the weights."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    names = {
        "workflow": SimpleNamespace(current_basedir=RULES),
        "config": {"dataset": {"patients": "patients.csv"}},
        "ROOT": "data",
        "IS_PHANTOM": False,
        "get_weights_file": lambda wildcards: ["weights.safetensors"],
    }
    exec((RULES / "changes.smk").read_text(), names)

    def get() -> tuple:
        return names["get_tree_fingerprint"](None), names["get_weights_fingerprint"](None)

    return get


def test_what_nobody_touched_has_not_changed(fingerprints):
    assert fingerprints() == fingerprints()


@pytest.mark.parametrize("content", ["first", "second"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_replaced_by_an_older_one_has_changed(fingerprints, tmp_path, name, content):
    before = fingerprints()
    (tmp_path / name).write_text(content)
    os.utime(tmp_path / name, (0, 0))
    after = fingerprints()
    changed = [new != old for new, old in zip(after, before, strict=True)]
    assert changed == [name != "weights.safetensors", name == "weights.safetensors"]


def test_a_file_of_weights_that_is_not_there_yet_stops_no_plan(fingerprints, tmp_path):
    (tmp_path / "weights.safetensors").unlink()
    assert fingerprints()[1] == ["missing"]
