"""mini-MIAS: the table in prose, places counted from the bottom, films in pairs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.errors import DataError
from mcalc.images.convert import convert_shard

INFO = """\
This file lists the films in the MIAS database and provides
appropriate details as follows:

     1st column: MIAS database reference number.
     4th column: Severity of abnormality;
                 B - Benign
                 M - Malignant

mdb001 G CIRC B 535 425 197
mdb002 G CALC B 522 280 69
mdb003 D NORM
mdb209 G CALC M 647 503 87
mdb211 G CALC M 680 327 13
mdb212 G CALC B 687 882 3
mdb216 D CALC M *NOTE 3*
mdb219 G CALC B 546 756 29
mdb219 G CALC M 400 300 30
mdb223 D CALC B 5 900 29
mdb226 D CALC B 1500 20 29
mdb233 G CALC M
mdb240 D CALC B 643 614 23
"""


@pytest.fixture
def root(tmp_path) -> Path:
    """Films whose right half is tissue, brighter to the top; mdb240 was not downloaded."""
    root = tmp_path / "all-mias"
    root.mkdir()
    (root / "Info.txt").write_text(INFO)
    film = np.random.default_rng(1).integers(0, 8, (1024, 1024)).astype(np.uint8)  # scanner noise
    film[:, 100:1000] = np.linspace(250, 20, 1024)[:, None]
    for line in INFO.splitlines():
        if line.startswith("mdb") and not line.startswith("mdb240"):
            cv2.imwrite(str(root / f"{line[:6]}.pgm"), film)
    return root


def catalog(root: Path):
    paths = {"catalog": root.parent / "c.csv", "rejected": root.parent / "r.csv"}
    write_catalog(root, dataset="mini_mias", **paths)
    found = records.read(paths["catalog"], records.CATALOG).set_index("roi_id")
    return found, records.read(paths["rejected"], records.REJECTED).set_index("roi_id")


def test_calcifications_with_a_place_are_found(root):
    found, rejected = catalog(root)
    rows = ["mdb002_1", "mdb209_1", "mdb211_1", "mdb212_1", "mdb219_1", "mdb219_2"]
    assert list(found.index) == rows
    assert list(found["label"]) == ["benign", "malignant", "malignant"] + ["benign"] * 2 + [
        "malignant"
    ]
    assert set(found["view"]) == {"MLO"}
    assert rejected["reason"].to_dict() == {
        "mdb216_1": "bad_field",
        "mdb223_1": "bad_field",
        "mdb226_1": "bad_field",
        "mdb233_1": "bad_field",
        "mdb240_1": "missing_file",
    }
    assert "*NOTE 3*" in rejected.loc["mdb216_1", "detail"]
    assert "black background" in rejected.loc["mdb223_1", "detail"]
    assert "outside the film" in rejected.loc["mdb226_1", "detail"]


def test_two_clusters_of_a_film_are_numbered(root):
    found, _ = catalog(root)
    assert found.loc[["mdb219_1", "mdb219_2"], "abnormality_id"].tolist() == [1, 2]
    assert found.loc["mdb219_1", "source"] == found.loc["mdb219_2", "source"]


def test_a_film_of_another_size_is_set_aside(root):
    """Its places would be others."""
    cv2.imwrite(str(root / "mdb211.pgm"), np.full((512, 512), 99, np.uint8))
    _, rejected = catalog(root)
    assert rejected.loc["mdb211_1", "reason"] == "bad_field"
    assert "512 x 512 pixels; the places hold for 1024 x 1024" in rejected.loc["mdb211_1", "detail"]


def test_a_film_is_only_looked_up_below_the_folder(root):
    (root / "mdb211.pgm").rename(root.parent / "mdb211.pgm")
    (root / "Info.txt").write_text(INFO + "../mdb213 G CALC M 547 520 45\n")
    found, rejected = catalog(root)
    assert rejected.loc["mdb211_1", "reason"] == "missing_file"
    assert all(Path(source).parent == root for source in found["source"])
    assert not any("213" in roi for roi in [*found.index, *rejected.index])


def test_y_is_counted_from_the_bottom(root):
    found, _ = catalog(root)
    row = found.loc["mdb209_1"]
    assert (row["roi_rows"], row["roi_columns"]) == (218, 218)  # 1.25 x 2 x 87, rounded
    assert row["roi_top"] + row["roi_rows"] / 2 == 1023 - 503
    assert row["roi_left"] + row["roi_columns"] / 2 == 647
    small = found.loc["mdb212_1"]
    assert (small["roi_rows"], small["roi_columns"]) == (64, 64)


def test_films_of_a_pair_are_one_patients_right_and_left(root):
    found, _ = catalog(root)
    patients = found["patient_id"].to_dict()
    assert patients["mdb211_1"] == patients["mdb212_1"] == "mdb211"
    assert patients["mdb002_1"] == "mdb001"
    assert found.loc["mdb211_1", "laterality"] == "RIGHT"
    assert found.loc["mdb212_1", "laterality"] == "LEFT"


def test_the_squares_are_converted(root):
    catalog(root)
    convert_shard(
        root.parent / "c.csv",
        shard=0,
        images=root.parent / "images",
        rejected=root.parent / "0.csv",
        size=64,
    )
    assert len(list((root.parent / "images").glob("*.png"))) == 6


@pytest.mark.parametrize("content", [None, "", "no finding here\n"])
def test_a_missing_or_foreign_table_is_one_sentence(root, content):
    if content is None:
        (root / "Info.txt").unlink()
    else:
        (root / "Info.txt").write_text(content)
    with pytest.raises(DataError, match=r"Info\.txt"):
        catalog(root)
