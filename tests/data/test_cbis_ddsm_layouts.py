"""CBIS-DDSM in the four trees in which people have it, at full scale, with the real tables."""

import csv
import gzip
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom

MISSING_IN_MIRROR = "Calc-Training_P_01563_RIGHT_MLO_2"
PLACES = ["source", "mask", "mammogram", "sha256"]


def draw_crop() -> np.ndarray:
    return np.random.default_rng(1).integers(20000, 65536, (12, 10)).astype(np.uint16)


def draw_mask() -> np.ndarray:
    mask = np.zeros((40, 32), np.uint8)
    mask[13:26, 14:28] = 255
    return mask


def read_real(shared_data: Path, tables: str) -> list[dict]:
    rows = []
    for table in sorted((shared_data / "cbis_ddsm_csv").glob(tables)):
        with open(table, newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return [{name: value.strip() for name, value in row.items()} for row in rows]


class Templates:
    """One crop, mask and mammogram, linked to wherever the layout wants them."""

    def __init__(self, folder: Path) -> None:
        options = {"patient_id": "x", "study_uid": "1.2", "series_uid": "1.3"}
        options |= {"series_description": "ROI mask images"}
        self.paths = {name: folder / f"{name}.dcm" for name in ("crop", "mask", "mammogram")}
        write_dicom(self.paths["crop"], draw_crop(), **options)
        write_dicom(self.paths["mask"], draw_mask(), **options)
        write_dicom(self.paths["mammogram"], draw_crop().repeat(4, axis=0), **options)
        self.paths |= {"crop.jpg": folder / "crop.jpg", "mask.jpg": folder / "mask.jpg"}
        cv2.imwrite(str(self.paths["crop.jpg"]), (draw_crop() >> 8).astype(np.uint8))
        cv2.imwrite(str(self.paths["mask.jpg"]), draw_mask())

    def put(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self.paths[name], path)


def lay_out(layout: str, root: Path, rows: list[dict], templates: Templates, listing: Path):
    if layout == "kaggle":
        return _lay_out_mirror(root, rows, templates, listing)
    for number, row in enumerate(rows):
        for kind, column, name in (
            ("crop", "cropped image file path", "1-1.dcm"),
            ("mask", "ROI mask file path", "1-2.dcm"),
            ("mammogram", "image file path", "1-1.dcm"),
        ):
            case, study, series, _ = row[column].split("/")
            folder = {
                "tcia": f"CBIS-DDSM/{case}/08-29-2017-DDSM-NA-{study[-5:]}/"
                f"1.000000-{'full mammogram' if kind == 'mammogram' else 'ROI mask'} images-"
                f"{series[-5:]}",
                "tcia_without_na": f"CBIS-DDSM/{case}/07-20-2016-DDSM-{study[-5:]}/"
                f"1.000000-{kind} images-{series[-5:]}",
                "classic": f"{case}/{study}/{series}",
                "flat": series,
            }[layout]
            if layout == "classic":  # here the numbers are the tables' or the other way round
                numbers = ("000000.dcm", "000001.dcm")
                name = numbers[(kind == "crop") ^ (number % 3 == 0)]
            path = root / folder / name
            if not path.exists():
                templates.put(kind, path)


def _lay_out_mirror(root: Path, rows: list[dict], templates: Templates, listing: Path) -> None:
    """The real names of the files; which of a series' two is the crop differs by series."""
    with gzip.open(listing) as file:
        folders = {Path(name).name: found for name, found in json.load(file).items()}
    for number, row in enumerate(rows):
        series = [row[name].split("/")[2] for name in ("cropped image file path",)]
        series += [row["ROI mask file path"].split("/")[2]]
        names = [
            f"{uid}/{name}"
            for uid in dict.fromkeys(series)
            if uid in folders
            for name in sorted(folders[uid]["files"])
        ]
        kinds = ["crop.jpg", "mask.jpg"] if number % 2 else ["mask.jpg", "crop.jpg"]
        if series[0] != series[1]:
            kinds = ["crop.jpg", "mask.jpg"]
        for name, kind in zip(names, kinds, strict=bool(names)):
            templates.put(kind, root / "jpeg" / name)


def catalog(root: Path, **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = {"catalog": root.parent / "catalog.csv", "rejected": root.parent / "rejected.csv"}
    write_catalog(root, dataset="cbis_ddsm", **paths, **options)
    found = records.read(paths["catalog"], records.CATALOG)
    return found, records.read(paths["rejected"], records.REJECTED)


LAYOUTS = ["tcia", "tcia_without_na", "classic", "flat", "kaggle"]


@pytest.mark.parametrize(
    ("tables", "count"),
    [("calc*test*", 326), pytest.param("calc*", 1872, marks=pytest.mark.slow)],
)
def test_every_layout_gives_the_same_rows(shared_data, tmp_path, tables, count):
    """All ROIs in all layouts, no crop taken for a mask, rows alike but for the paths."""
    templates = Templates(tmp_path)
    listing = shared_data / "kaggle_tree/dataset_structure.json.gz"
    rows = read_real(shared_data, tables)
    assert len(rows) == count
    first = None
    for layout in LAYOUTS:
        root = tmp_path / layout / "root"
        lay_out(layout, root, rows, templates, listing)
        for table in (shared_data / "cbis_ddsm_csv").glob(tables):
            shutil.copyfile(table, root / table.name)
        found, rejected = catalog(root, threads=2)
        content = templates.paths["crop.jpg" if layout == "kaggle" else "crop"].read_bytes()
        assert all(Path(path).read_bytes() == content for path in found["source"])
        assert (found["mask"] != "").all()
        assert (found["mammogram"] != "").all() == (layout != "kaggle")
        is_missing = count == 1872 and layout == "kaggle"
        assert list(rejected["roi_id"]) == [MISSING_IN_MIRROR] * is_missing
        assert set(rejected["reason"]) <= {"missing_file"}
        assert len(found) == count - is_missing
        alike = found.drop(columns=PLACES)
        if first is None:
            first = alike
        same = first[first["roi_id"].isin(alike["roi_id"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(alike, same)


@pytest.mark.parametrize("layout", ["tcia", "flat", "classic"])
def test_masses_are_found_with_their_masks_apart(shared_data, tmp_path, layout):
    """In 11 rows of the masses' test table crop and mask have a series each."""
    templates = Templates(tmp_path)
    rows = read_real(shared_data, "mass*test*")
    apart = {
        row["cropped image file path"].split("/")[0]
        for row in rows
        if row["cropped image file path"].split("/")[2] != row["ROI mask file path"].split("/")[2]
    }
    assert len(apart) == 11
    root = tmp_path / "root"
    lay_out(layout, root, rows, templates, tmp_path)
    table = "mass_case_description_test_set.csv"
    shutil.copyfile(shared_data / "cbis_ddsm_csv" / table, root / table)
    found, rejected = catalog(root, abnormalities=("mass",))
    assert rejected.empty
    assert len(found) == 378
    assert (found["mask"] != "").all()
    assert set(found["abnormality_type"]) == {"mass"}
    assert set(found.loc[found["mass_shape"] != "", "mass_shape"]) >= {"OVAL", "ROUND"}
    assert apart <= set(found["roi_id"])


def test_a_renamed_tree_is_found_by_the_headers(tmp_path, shared_data):
    """Someone moved all files into one folder and gave them numbers."""
    rows = read_real(shared_data, "calc*test*")[:40]
    root = tmp_path / "root"
    for number, row in enumerate(rows):
        for kind, pixels in (("cropped image", draw_crop()), ("ROI mask", draw_mask())):
            case, study, series, _ = row[f"{kind} file path"].split("/")
            write_dicom(
                root / f"all/{number:04}{kind[0]}.dcm",
                pixels,
                patient_id=case,
                study_uid=study,
                series_uid=series,
                series_description="ROI mask images",
            )
    table = "calc_case_description_test_set.csv"
    lines = pd.read_csv(shared_data / "cbis_ddsm_csv" / table, dtype=str, keep_default_na=False)
    lines[:40].to_csv(root / table, index=False)
    found, rejected = catalog(root)
    assert rejected.empty
    assert len(found) == 40
    assert all(Path(path).stem[-1] == "c" for path in found["source"])
