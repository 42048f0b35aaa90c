"""A data set of one's own: two folders of pictures, and a table of patients where there is one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.errors import DataError


@pytest.fixture
def root(tmp_path) -> Path:
    """Three benign and two malignant pictures, one deeper down, one DICOM."""
    root = tmp_path / "own"
    for name in ("benign/a.png", "benign/sub/b.PNG", "malignant/a.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(len(name)).integers(0, 256, (20, 20)).astype(np.uint8)
        (root / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    for name in ("benign/c.dcm", "malignant/d.DCM"):
        pixels = np.random.default_rng(1).integers(0, 65536, (20, 20)).astype(np.uint16)
        uids = {"study_uid": "1.2", "series_uid": "1.3"}
        write_dicom(root / name, pixels, patient_id="P", series_description="x", **uids)
    return root


def catalog(root: Path, **options) -> tuple[dict[str, dict], dict[str, dict]]:
    paths = root.parent / "catalog.csv", root.parent / "rejected.csv"
    write_catalog(root, dataset="folder", catalog=paths[0], rejected=paths[1], **options)
    tables = records.read(paths[0], records.CATALOG), records.read(paths[1], records.REJECTED)
    return tuple({row["roi_id"]: row for row in t.to_dict("records")} for t in tables)


def write_patients(root: Path, text: str) -> Path:
    (root.parent / "patients.csv").write_text(text, encoding="utf-8")
    return root.parent / "patients.csv"


def test_a_missing_root_names_the_key(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder; set dataset\.root"):
        catalog(tmp_path / "nowhere")


@pytest.mark.parametrize("label", ["benign", "malignant"])
def test_a_missing_class_folder_is_named(root, label):
    (root / label).rename(root / "Other")
    with pytest.raises(DataError, match=f"own/{label}: no such folder; put the {label} images"):
        catalog(root)


def test_an_empty_class_folder_is_refused(root):
    for path in (root / "malignant").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no malignant ROI can be read among 3"):
        catalog(root)


def test_a_missing_table_of_patients_is_named(root):
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read as a table"):
        catalog(root, patients=root / "nowhere.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as a table"),
        ("file,patient\nbenign/a.png,P\n", "column patient_id is missing"),
        ("file;patient_id\nbenign/a.png;P\n", "column file, patient_id is missing"),
        ("file,patient_id\nx,P\nx,P\n", "file x is named twice; name each file once"),
    ],
)
def test_a_bad_table_of_patients_is_named_with_what_is_wrong(root, text, said):
    with pytest.raises(DataError, match=rf"patients\.csv: {said}"):
        catalog(root, patients=write_patients(root, text))


@pytest.mark.parametrize("cell", [",", ",   ", ""])
def test_a_picture_without_a_patient_is_set_aside_where_patients_are_known(root, cell):
    """Missing in the table, blank there, or a row cut short: never a made-up patient."""
    text = f"file,patient_id\nbenign/a.png{cell}\nmalignant/a.png,P2\nbenign/c.dcm,P3\n"
    found, rejected = catalog(root, patients=write_patients(root, text))
    assert {row["patient_id"] for row in found.values()} == {"P2", "P3"}
    assert {row["reason"] for row in rejected.values()} == {"bad_field"}
    assert len(rejected) == 3
    assert any("no patient_id for benign/a.png" in row["detail"] for row in rejected.values())


def test_patients_come_from_the_table(root):
    text = "patient_id,note,file\n P1 ,x,benign/a.png\nP2,y,malignant/a.png\n"
    found, _ = catalog(root, patients=write_patients(root, text))
    assert {row["source"][-15:]: row["patient_id"] for row in found.values()} == {
        "wn/benign/a.png": "P1",
        "malignant/a.png": "P2",
    }


def test_all_pictures_are_found_with_their_class_and_without_patient(root):
    found, rejected = catalog(root)
    assert not rejected
    labels = {row["source"].removeprefix(f"{root}/"): row["label"] for row in found.values()}
    assert labels == {
        "benign/a.png": "benign",
        "benign/sub/b.PNG": "benign",
        "benign/c.dcm": "benign",
        "malignant/a.png": "malignant",
        "malignant/d.DCM": "malignant",
    }
    assert {row["patient_id"] for row in found.values()} == {""}
    assert {row["dataset"] for row in found.values()} == {"folder"}
    assert {row["official_split"] for row in found.values()} == {""}


def test_the_same_name_in_both_classes_gives_two_rois(root):
    found, _ = catalog(root)
    assert len({row["roi_id"] for row in found.values()}) == 5


def test_other_files_are_set_aside_and_hidden_ones_ignored(root):
    (root / "benign/notes.txt").write_text("x")
    (root / "benign/README").write_text("x")
    (root / "benign/.DS_Store").write_text("x")
    (root / "elsewhere").mkdir()
    (root / "elsewhere/e.png").write_text("x")
    found, rejected = catalog(root)
    assert len(found) == 5
    assert {Path(row["source"]).name: row["reason"] for row in rejected.values()} == {
        "notes.txt": "unreadable",
        "README": "unreadable",
    }
    assert any(".txt is not read; use one of .png" in row["detail"] for row in rejected.values())


def test_names_that_cannot_stand_in_a_file_name_are_changed_and_stay_apart(root):
    """Two names that become one id: the second is set aside, not written over the first."""
    content = (root / "benign/a.png").read_bytes()
    (root / "benign/x y.png").write_bytes(content)
    (root / "benign/x_y.png").write_bytes(content)
    found, rejected = catalog(root)
    ids = [roi_id for roi_id in found if "x" in roi_id]
    assert len(ids) == 1
    assert "/" not in ids[0] and " " not in ids[0]
    (row,) = rejected.values()
    assert row["reason"] == "duplicate_id"
    assert "x y.png has the same id" in row["detail"]


def test_the_same_folder_gives_the_same_table(root):
    catalog(root)
    first = (root.parent / "catalog.csv").read_bytes()
    catalog(root)
    assert (root.parent / "catalog.csv").read_bytes() == first
