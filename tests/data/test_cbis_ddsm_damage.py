"""Damage any files of a download: exactly these rows are set aside, with the right reason."""

import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog

FIRST = "Calc-Training_P_00000_LEFT_CC_1"


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
        lambda crop, mask: shutil.copyfile(str(crop).replace(crop.parts[-4], FIRST), crop),
        "wrong_case",
    ),
    "names exchanged": (
        lambda crop, mask: (
            crop.rename(crop.with_suffix(".aside")),
            mask.rename(crop),
            crop.with_suffix(".aside").rename(mask),
        ),
        None,
    ),
    "crop doubled": (lambda crop, mask: shutil.copyfile(crop, crop.with_name("1-3.dcm")), None),
}


@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_damaged_rows_are_set_aside(tree, seed):
    before, _ = run(tree.root)
    assert len(before) == tree.rows
    generator = random.Random(seed)
    numbers = generator.sample(range(1, tree.rows), len(DAMAGE))  # the first case is copied from
    expected = {}
    for number, (damage, reason) in zip(numbers, DAMAGE.values(), strict=True):
        damage(tree.crop(number), tree.mask(number))
        if reason:
            expected[tree.case(number)] = reason
    after, rejected = run(tree.root)
    assert dict(zip(rejected["roi_id"], rejected["reason"], strict=True)) == expected
    assert (rejected["detail"] != "").all()
    whole = before[~before["roi_id"].isin(expected)].reset_index(drop=True)
    places = ["source", "mask"]  # exchanged names and deleted masks
    pd.testing.assert_frame_equal(after.drop(columns=places), whole.drop(columns=places))
    named = tree.case(numbers[list(DAMAGE).index("names exchanged")])
    assert after.set_index("roi_id").loc[named, "source"].endswith("1-2.dcm")


def run(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = {"catalog": root.parent / "catalog.csv", "rejected": root.parent / "rejected.csv"}
    write_catalog(root, dataset="cbis_ddsm", **paths)
    found = records.read(paths["catalog"], records.CATALOG)
    return found, records.read(paths["rejected"], records.REJECTED)
