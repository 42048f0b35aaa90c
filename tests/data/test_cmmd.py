"""CMMD: whole films of the breasts that the table names, each on the side that it shows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.errors import DataError
from mcalc.images.clean_mammograms import clean_mammograms
from mcalc.images.convert import convert_shard

COLUMNS = ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"]
ROWS = [
    ("D1-0001", "R", 44, 2, "calcification", "Benign", None),
    ("D2-0002", "L", 51, 2, "both", "Malignant", "Luminal B"),
    ("D1-0003", "L", 40, 2, "mass", "Malignant", None),
    ("D1-0004", "L", 40, 2, "calcification", "Benign", None),
    ("D1-0004", "R", 40, 2, "calcification", "Malignant", None),
    ("D1-0005", "L", 63, 2, "calcification", "Malignant", None),
]
TABLE = "CMMD_clinicaldata_revision.xlsx"
SRT = {"CC": ("R-10242", "cranio-caudal"), "MLO": ("R-10226", "medio-lateral oblique")}


def draw_film(side: str) -> np.ndarray:
    """A breast at the left border, mirrored for a right one, on a ground of exactly 0."""
    rows, columns = np.mgrid[:60, :50]
    breast = (rows - 30) ** 2 + columns**2 < 24**2
    noise = np.random.default_rng(len(side)).integers(40, 200, breast.shape)
    film = np.where(breast, noise, 0).astype(np.uint8)
    return film if side == "L" else film[:, ::-1]


class Download:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.write_table(ROWS)
        for patient in ("D1-0001", "D1-0003", "D1-0005"):
            side = "R" if patient == "D1-0001" else "L"
            self.add_films(patient, [(side, "CC"), (side, "MLO")])
        for patient in ("D2-0002", "D1-0004"):
            self.add_films(patient, [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")])

    def write_table(self, rows: list, columns=COLUMNS, name=TABLE) -> None:
        table = pd.DataFrame(rows, columns=columns)
        if name.endswith(".csv"):
            table.to_csv(self.root / name, index=False)
        else:
            table.to_excel(self.root / name, index=False)

    def path(self, patient: str, number: int) -> Path:
        series = "07-18-2010-NA-NA-79377/1.000000-NA-70244"
        return self.root / "CMMD" / patient / series / f"1-{number}.dcm"

    def add_films(self, patient: str, films: list[tuple[str, str]]) -> None:
        for number, (side, view) in enumerate(films, start=1):
            self.add_film(patient, number, named=side, shown=side, view=SRT[view])

    def add_film(self, patient: str, number: int, *, named, shown, view) -> None:
        path = self.path(patient, number)
        uids = {"study_uid": "1.2", "series_uid": "1.3", "series_description": "NA"}
        write_dicom(path, draw_film(shown), patient_id=patient, **uids)
        dataset = pydicom.dcmread(path)
        dataset.ImageLaterality = named
        code = Dataset()
        code.CodeValue, code.CodeMeaning = view
        dataset.ViewCodeSequence = [code]
        dataset.save_as(path)

    def catalog(self, **options) -> tuple[dict[str, dict], dict[str, dict]]:
        paths = self.root.parent / "c.csv", self.root.parent / "r.csv"
        write_catalog(self.root, dataset="cmmd", catalog=paths[0], rejected=paths[1], **options)
        tables = records.read(paths[0], records.CATALOG), records.read(paths[1], records.REJECTED)
        return tuple({row["roi_id"]: row for row in t.to_dict("records")} for t in tables)


@pytest.fixture
def download(tmp_path) -> Download:
    return Download(tmp_path / "manifest-1616439774456")


def test_both_films_of_each_breast_with_calcifications_are_rois(download):
    found, rejected = download.catalog()
    assert not rejected
    assert {roi: (row["laterality"], row["view"], row["label"]) for roi, row in found.items()} == {
        "D1-0001_1-1_1": ("RIGHT", "CC", "benign"),
        "D1-0001_1-2_1": ("RIGHT", "MLO", "benign"),
        "D2-0002_1-1_1": ("LEFT", "CC", "malignant"),  # its right breast has no row, thus no label
        "D2-0002_1-2_1": ("LEFT", "MLO", "malignant"),
        "D1-0004_1-1_1": ("LEFT", "CC", "benign"),
        "D1-0004_1-2_1": ("LEFT", "MLO", "benign"),
        "D1-0004_1-3_1": ("RIGHT", "CC", "malignant"),
        "D1-0004_1-4_1": ("RIGHT", "MLO", "malignant"),
        "D1-0005_1-1_1": ("LEFT", "CC", "malignant"),
        "D1-0005_1-2_1": ("LEFT", "MLO", "malignant"),
    }
    row = found["D2-0002_1-2_1"]
    assert (row["patient_id"], row["pathology"]) == ("D2-0002", "Malignant")
    assert row["abnormality_type"] == "calcification"
    assert row["source"] == row["mammogram"] == str(download.path("D2-0002", 2))
    assert np.isnan(row["roi_top"])


def test_the_whole_film_is_converted(download, tmp_path):
    download.catalog()
    images = tmp_path / "images"
    said = convert_shard(
        tmp_path / "c.csv", shard=0, images=images, rejected=tmp_path / "0.csv", size=64
    )
    assert "10 ROIs converted, 0 set aside" in said
    assert len(list(images.glob("*.png"))) == 10


def test_each_film_is_a_mammogram_of_its_own(download, tmp_path):
    download.catalog()
    paths = {"images": tmp_path / "mammograms", "kept": tmp_path / "mammograms.csv"}
    clean_mammograms(tmp_path / "c.csv", origin="dataset", **paths)
    kept = records.read(paths["kept"], records.MAMMOGRAMS)
    assert list(kept["mammogram_id"])[:2] == ["D1-0001_1-1", "D1-0001_1-2"]
    assert len(kept) == 8


@pytest.mark.parametrize("name", ["CMMD_clinicaldata_revision.csv", TABLE])
def test_the_table_is_read_as_csv_too(download, name):
    (download.root / TABLE).unlink()
    download.write_table(ROWS, name=name)
    assert len(download.catalog()[0]) == 10


def test_swapped_headers_are_put_right_by_the_pixels(download):
    """As in D2-0229: two MLO films under each other's name. The benign breast stays benign."""
    for number, named, shown in ((2, "L", "R"), (4, "R", "L")):
        film = {"named": named, "shown": shown, "view": SRT["MLO"]}
        download.add_film("D1-0004", number, **film)
    found, rejected = download.catalog()
    assert not rejected
    assert (found["D1-0004_1-2_1"]["laterality"], found["D1-0004_1-2_1"]["label"]) == (
        "RIGHT",
        "malignant",
    )
    assert found["D1-0004_1-4_1"]["label"] == "benign"


def test_a_mirrored_film_of_a_single_breast_keeps_its_side(download):
    """As in D1-0690, where the table and the header know of one breast only."""
    download.add_film("D1-0005", 2, named="L", shown="R", view=SRT["MLO"])
    found, rejected = download.catalog()
    assert not rejected
    assert found["D1-0005_1-2_1"]["laterality"] == "LEFT"


def test_two_films_that_show_one_side_are_set_aside(download):
    """As in D2-0112: which of the two is mirrored cannot be known, so no label is risked."""
    download.add_film("D1-0004", 1, named="L", shown="R", view=SRT["CC"])
    found, rejected = download.catalog()
    assert {"D1-0004_1-2_1", "D1-0004_1-4_1"} <= set(found)
    assert {roi: row["reason"] for roi, row in rejected.items()} == {
        "D1-0004_1-1_1": "unclear_side",
        "D1-0004_1-3_1": "unclear_side",
    }
    assert "header says LEFT, the pixels show RIGHT" in rejected["D1-0004_1-1_1"]["detail"]


@pytest.mark.parametrize(
    ("named", "view"),
    [("B", SRT["CC"]), ("", SRT["CC"]), ("L", ("R-10228", "lateral"))],
)
def test_a_header_without_side_or_view_is_set_aside(download, named, view):
    download.add_film("D1-0005", 1, named=named, shown="L", view=view)
    found, rejected = download.catalog()
    assert "D1-0005_1-2_1" in found
    assert rejected["D1-0005_1-1_1"]["reason"] == "bad_field"
    assert "ImageLaterality, ViewCodeSequence" in rejected["D1-0005_1-1_1"]["detail"]
    assert "R-10228" not in rejected["D1-0005_1-1_1"]["detail"]  # a header may hold a name there


def test_a_film_that_claims_more_pixels_than_allowed_is_set_aside(download):
    with pytest.raises(DataError, match=r"12 of them as too_large.*at most 100 are read"):
        download.catalog(max_pixels=100)


def test_snomed_ct_codes_are_known_too(download):
    download.add_film("D1-0005", 1, named="L", shown="L", view=("399368009", "x"))
    assert download.catalog()[0]["D1-0005_1-1_1"]["view"] == "MLO"


def test_broken_and_missing_films_are_set_aside(download):
    download.path("D1-0005", 1).write_bytes(b"")
    for number in (1, 2):
        download.path("D1-0001", number).unlink()
    found, rejected = download.catalog()
    assert "D1-0005_1-2_1" in found
    assert {roi: row["reason"] for roi, row in rejected.items()} == {
        "D1-0005_1-1_1": "empty_file",
        "D1-0001_RIGHT": "missing_file",
    }


@pytest.mark.parametrize(
    ("position", "value", "said"),
    [
        (1, "B", "LeftRight is 'B', not one of L, R"),
        (4, "none", "abnormality is 'none'"),
        (5, None, "classification is ''"),
    ],
)
def test_a_row_with_something_unknown_is_set_aside(download, position, value, said):
    row = list(ROWS[0])
    row[position] = value
    download.write_table([row, *ROWS[1:]])
    found, rejected = download.catalog()
    assert "D1-0001_1-1_1" not in found
    (aside,) = rejected.values()
    assert (aside["reason"], said in aside["detail"]) == ("bad_field", True)


@pytest.mark.parametrize("patient", ["../outside", "/etc", "..", "", "D1-0001/.."])
def test_an_id_leads_nowhere_out_of_the_folder(download, tmp_path, patient):
    outside = tmp_path / "outside" / "1-1.dcm"
    outside.parent.mkdir()
    outside.write_bytes(download.path("D1-0001", 1).read_bytes())
    download.write_table([(patient, *ROWS[0][1:]), *ROWS[1:]])
    found, rejected = download.catalog()
    assert all(Path(row["source"]).is_relative_to(download.root) for row in found.values())
    assert [row["reason"] for row in rejected.values()] == ["missing_file"]


def test_a_missing_table_or_column_is_named(download):
    download.write_table([row[:4] for row in ROWS], COLUMNS[:4])
    pattern = r"revision\.xlsx: column abnormality, classification is missing; use the table"
    with pytest.raises(DataError, match=pattern):
        download.catalog()
    (download.root / TABLE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match=r"revision\.xlsx: cannot be read as a table"):
        download.catalog()
    (download.root / TABLE).unlink()
    with pytest.raises(DataError, match=r"no table cmmd_clinicaldata_revision\.xlsx or"):
        download.catalog()
