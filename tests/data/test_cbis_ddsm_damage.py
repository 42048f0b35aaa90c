"""Damage any files of a download: exactly these rows are set aside, with the right reason."""

import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom

ROWS = 60
COLUMNS = (
    *("patient_id", "breast density", "left or right breast", "image view", "abnormality id"),
    *("abnormality type", "calc type", "calc distribution", "assessment", "pathology", "subtlety"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)


def case_of(number: int) -> str:
    return f"Calc-Training_P_{number:05}_LEFT_CC_1"


def write_tree(root: Path) -> None:
    rows = []
    for number in range(ROWS):
        case = case_of(number)
        paths = (f"{case[:-2]}/1/2.{number}/0.dcm", f"{case}/1/3.{number}/1.dcm\n")
        pathology = "MALIGNANT" if number % 2 else "BENIGN"
        rows.append(
            (f"P_{number:05}", 2, "LEFT", "CC", 1, "calcification", "PUNCTATE", "CLUSTERED", 4)
            + (pathology, 3, *paths, f"{case}/1/3.{number}/0.dcm")
        )
        crop = np.random.default_rng(number).integers(0, 65536, (12, 10)).astype(np.uint16)
        mask = np.zeros((20, 16), np.uint8)
        mask[3:6, 4:8] = 255
        for name, pixels in (("1-1.dcm", crop), ("1-2.dcm", mask)):
            uids = {"study_uid": "1.2", "series_uid": f"3.{number}"}
            path = root / "CBIS-DDSM" / case / "1" / "2" / name
            write_dicom(path, pixels, patient_id=case, series_description="ROI", **uids)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_csv(root / "calc_case_description_train_set.csv", index=False)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


# What is done to the two files of a case, and the reason with which its row is then set aside.
DAMAGE = {
    "crop deleted": (lambda crop, mask: crop.unlink(), "mask_not_crop"),
    "mask deleted": (lambda crop, mask: mask.unlink(), None),
    "both deleted": (lambda crop, mask: shutil.rmtree(crop.parent), "missing_file"),
    "crop emptied": (lambda crop, mask: crop.write_bytes(b""), "empty_file"),
    "crop cut in its header": (lambda crop, mask: cut(crop, 0.2), "unreadable"),
    "crop cut in its pixels": (lambda crop, mask: cut(crop, 0.95), "unreadable"),
    "mask cut": (lambda crop, mask: cut(mask, 0.95), None),
    "crop replaced by a web page": (
        lambda crop, mask: crop.write_text("<html>404</html>"),
        "unreadable",
    ),
    "crop replaced by the mask": (lambda crop, mask: shutil.copyfile(mask, crop), "mask_not_crop"),
    "crop of another case": (
        lambda crop, mask: shutil.copyfile(crop.parents[3] / case_of(0) / "1/2/1-1.dcm", crop),
        "wrong_case",
    ),
    "names exchanged": (
        lambda crop, mask: (crop.rename("x"), mask.rename(crop), Path("x").rename(mask)),
        None,
    ),
    "crop doubled": (lambda crop, mask: shutil.copyfile(crop, crop.with_name("1-3.dcm")), None),
}


@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_damaged_rows_are_set_aside(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "root")
    before, _ = run(tmp_path)
    assert len(before) == ROWS
    generator = random.Random(seed)
    numbers = generator.sample(range(1, ROWS), len(DAMAGE))  # the first case is copied from
    expected = {}
    for number, (damage, reason) in zip(numbers, DAMAGE.values(), strict=True):
        folder = tmp_path / "root/CBIS-DDSM" / case_of(number) / "1/2"
        damage(folder / "1-1.dcm", folder / "1-2.dcm")
        if reason:
            expected[case_of(number)] = reason
    after, rejected = run(tmp_path)
    assert dict(zip(rejected["roi_id"], rejected["reason"], strict=True)) == expected
    assert (rejected["detail"] != "").all()
    whole = before[~before["roi_id"].isin(expected)].reset_index(drop=True)
    places = ["source", "mask"]  # exchanged names and deleted masks
    pd.testing.assert_frame_equal(after.drop(columns=places), whole.drop(columns=places))
    named = case_of(numbers[list(DAMAGE).index("names exchanged")])
    assert after.set_index("roi_id").loc[named, "source"].endswith("1-2.dcm")


def run(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = {"catalog": folder / "catalog.csv", "rejected": folder / "rejected.csv"}
    write_catalog(folder / "root", dataset="cbis_ddsm", **paths)
    found = records.read(paths["catalog"], records.CATALOG)
    return found, records.read(paths["rejected"], records.REJECTED)
