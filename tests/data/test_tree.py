"""Files are found in one order, each folder once, and a folder that hides its files is told."""

import os

import pytest

from mcalc.data.tree import list_files
from mcalc.errors import DataError


def test_files_come_folder_by_folder_in_order_links_and_leftovers_aside(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    names = ("b/2.dcm", "b/1.DCM", "b/c/4.dcm", "a/3.dcm", "5.dcm", "a/._3.dcm", "a/note.txt")
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    elsewhere.mkdir()
    (elsewhere / "6.dcm").touch()
    (root / "z").symlink_to(elsewhere)
    (root / "a/again").symlink_to(root / "b")
    (elsewhere / "circle").symlink_to(root)
    (root / "b/gone.dcm").symlink_to("nowhere")
    found = [path.relative_to(root).as_posix() for path in list_files(root, (".dcm",))]
    assert found == [
        *("5.dcm", "a/3.dcm", "a/again/1.DCM", "a/again/2.dcm", "a/again/gone.dcm"),
        *("a/again/c/4.dcm", "z/6.dcm"),
    ]


def test_a_folder_that_cannot_be_listed_is_no_empty_one(tmp_path, monkeypatch):
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(folder):
        if folder.endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=r"shut: cannot be listed \(Permission denied\)"):
        list(list_files(tmp_path, (".dcm",)))
