"""VinDr-Mammo: boxes of suspicious calcifications, labels from the radiologists' assessment."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.data.rois import read_roi
from mcalc.errors import DataError
from mcalc.images.convert import convert_shard

COLUMNS = (
    *("study_id", "series_id", "image_id", "laterality", "view_position", "height", "width"),
    *("breast_birads", "breast_density", "finding_categories", "finding_birads"),
    *("xmin", "ymin", "xmax", "ymax", "split"),
)
SHAPE = (700, 500)
ONE = "['Suspicious Calcification']"
TWO = "['Mass', 'Suspicious Calcification']"
ROWS = [
    ("s1", "a", "L", "CC", ONE, "BI-RADS 4", (200.5, 300.5, 500.0, 420.0), "training"),
    ("s1", "a", "L", "CC", TWO, "BI-RADS 3", (10.0, 20.0, 60.0, 40.0), "training"),
    ("s1", "b", "R", "MLO", "['Mass']", "BI-RADS 5", (10, 10, 90, 90), "training"),
    ("s1", "b", "R", "MLO", "['No Finding']", "", ("", "", "", ""), "training"),
    ("s2", "c", "R", "MLO", ONE, "BI-RADS 5", (100, 100, 200, 180), "test"),
    ("s2", "d", "R", "MLO", ONE, "BI-RADS 2", (100, 100, 200, 180), "test"),
    ("s2", "d", "R", "CC", ONE, "BI-RADS 4", (600, 100, 700, 180), "test"),
    ("s2", "d", "R", "CC", ONE, "BI-RADS 4", (90, 100, 80, 180), "test"),
    ("s2", "../../outside", "R", "CC", ONE, "BI-RADS 4", (90, 100, 180, 180), "test"),
]


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "vindr"
    table = [
        (study, "x", image, side, view, *SHAPE, "BI-RADS 4", "DENSITY C", category, birads)
        + (*box, split)
        for study, image, side, view, category, birads, box, split in ROWS
    ]
    for number, (study, image) in enumerate((("s1", "a"), ("s1", "b"), ("s2", "c"), ("s2", "d"))):
        pixels = np.random.default_rng(number).integers(0, 4096, SHAPE).astype(np.uint16)
        write_dicom(
            root / f"images/{study}/{image}.dicom",
            pixels,
            patient_id="",
            study_uid="1.2",
            series_uid="1.3",
            series_description="",
        )
    (tmp_path / "outside.dicom").write_bytes((root / "images/s1/a.dicom").read_bytes())
    pd.DataFrame(table, columns=COLUMNS).to_csv(root / "finding_annotations.csv", index=False)
    return root


def catalog(root: Path):
    paths = {"catalog": root.parent / "c.csv", "rejected": root.parent / "r.csv"}
    write_catalog(root, dataset="vindr_mammo", **paths)
    found = records.read(paths["catalog"], records.CATALOG).set_index("roi_id", drop=False)
    return found, records.read(paths["rejected"], records.REJECTED).set_index("roi_id")


def test_suspicious_calcifications_are_found_and_the_others_not(root):
    found, rejected = catalog(root)
    assert list(found.index) == ["vindr_a_1", "vindr_a_2", "vindr_c_1"]
    assert list(found["label"]) == ["malignant", "benign", "malignant"]
    assert list(found["pathology"]) == ["BI-RADS 4", "BI-RADS 3", "BI-RADS 5"]
    assert list(found["official_split"]) == ["train", "train", "test"]
    assert list(found["patient_id"]) == ["s1", "s1", "s2"]
    assert found.loc["vindr_c_1", ["laterality", "view"]].tolist() == ["RIGHT", "MLO"]
    reasons = rejected["reason"].to_dict()
    assert reasons.pop("vindr_______outside_1") == "missing_file"
    assert reasons == dict.fromkeys(["vindr_d_1", "vindr_d_2", "vindr_d_3"], "bad_field")
    assert "finding_birads is 'BI-RADS 2'" in rejected.loc["vindr_d_1", "detail"]
    assert "outside the image" in rejected.loc["vindr_d_2", "detail"]
    assert "empty" in rejected.loc["vindr_d_3", "detail"]
    assert found["abnormality_id"].tolist() == [1, 2, 1]
    assert found["breast_density"].tolist() == [3, 3, 3]  # DENSITY C
    assert found["assessment"].tolist() == [4, 3, 5]
    assert all(Path(source).is_relative_to(root) for source in found["source"])


def test_the_square_holds_the_box_with_a_margin(root):
    found, _ = catalog(root)
    row = found.loc["vindr_a_1"]
    assert row["roi_rows"] == row["roi_columns"] == 374  # 1.25 x 299.5, rounded
    assert (row["roi_top"], row["roi_left"]) == (173, 126)  # moved left to lie within the image
    assert read_roi(row).shape == (374, 374)
    assert read_roi(found.loc["vindr_a_2"]).shape == (224, 224)


def change(root: Path, line: int, **cells) -> None:
    table = pd.read_csv(root / "finding_annotations.csv", dtype=str, keep_default_na=False)
    for name, cell in cells.items():
        table.loc[line, name] = str(cell)
    table.to_csv(root / "finding_annotations.csv", index=False)


def test_a_box_that_begins_outside_is_clipped(root):
    """Such as xmin -5.1627 in the published table."""
    change(root, 0, xmin=-300, ymin=100, xmax=300, ymax=350)
    row = catalog(root)[0].loc["vindr_a_1"]
    assert row["roi_rows"] == row["roi_columns"] == 375  # 1.25 x 300, not 600
    assert row["roi_left"] == 0


@pytest.mark.parametrize("cell", ["", "nan", "inf", "wide"])
@pytest.mark.parametrize("column", ["xmin", "ymax", "height", "width"])
def test_a_box_of_no_numbers_is_set_aside(root, column, cell):
    change(root, 0, **{column: cell})
    assert catalog(root)[1].loc["vindr_a_1", "reason"] == "bad_field"


def test_the_squares_are_converted(root, tmp_path):
    catalog(root)
    paths = {"images": tmp_path / "images", "rejected": tmp_path / "0.csv"}
    said = convert_shard(tmp_path / "c.csv", shard=0, size=64, **paths)
    assert "3 ROIs converted, 0 set aside" in said


@pytest.mark.parametrize("column", ["finding_birads", "xmin", "image_id"])
def test_a_missing_table_or_column_is_named(root, column):
    table = root / "finding_annotations.csv"
    pd.read_csv(table).drop(columns=column).to_csv(table, index=False)
    with pytest.raises(DataError, match=rf"finding_annotations\.csv: column {column} is missing"):
        catalog(root)
    table.unlink()
    with pytest.raises(DataError, match=r"vindr: no table finding_annotations\.csv lies here"):
        catalog(root)
