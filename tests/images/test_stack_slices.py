"""Slices around the sharpest: which are taken, how they are scaled, and what `convert` takes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.data.dicom_writing import write_slices
from mcalc.data.tomosynthesis import read_slices, sharpest
from mcalc.errors import DataError
from mcalc.images.convert import convert_image
from mcalc.images.resizing import resize_to_square
from mcalc.images.stack import read_slices_stack, read_stack
from mcalc.images.stack_slices import around, prepare_slices, stack_slices

IDS = [f"benign_{number}_dcm" for number in range(3)]
IDS += [f"malignant_{number}_dcm" for number in range(3, 5)]
UIDS = {"patient_id": "P", "study_uid": "1.2", "series_uid": "1.3"}


def draw(number: int) -> np.ndarray:
    """Draw a stack of 3 + `number` slices that is sharp in slice `number` // 2 + 1."""
    rng = np.random.default_rng(number)
    slices = rng.normal(1000, 10, (3 + number, 40, 30))
    slices[number // 2 + 1, 10:30:6, 8:24:5] += 800
    slices[-1] += 500  # bright, and nothing to see there
    return slices.astype(np.uint16)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Five stacks, their catalog, and its table of ROIs set aside."""
    for number, roi_id in enumerate(IDS):
        label = roi_id.split("_")[0]
        path = tmp_path / f"root/{label}/{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_slices(path, draw(number), pixel_mm=0.09, **UIDS)
    write_catalog(
        tmp_path / "root",
        dataset="tomosynthesis",
        catalog=tmp_path / "catalog.csv",
        rejected=tmp_path / "rejected.csv",
    )
    return tmp_path


def stack(folder: Path, name: str = "slices.npy", **options) -> Path:
    given = {"rejected": [folder / "rejected.csv"], "slices": 4, "size": 24} | options
    stack_slices(folder / "catalog.csv", stack=folder / name, **given)
    return folder / name


def convert(mcalc, folder: Path, *more) -> tuple[int, str, str]:
    places = ["--images", folder / "converted", "--rejected", folder / "0.rejected.csv"]
    return mcalc("convert", "--catalog", folder / "catalog.csv", "--shard", 0, *places, *more)


# --- which slices, in which grey levels ---------------------------------------------------------


@pytest.mark.parametrize(
    ("middle", "slices", "count", "taken"),
    [
        (5, 4, 12, [3, 4, 5, 6]),
        (5, 3, 12, [4, 5, 6]),
        (0, 4, 12, [0, 0, 0, 1]),
        (11, 4, 12, [9, 10, 11, 11]),
        (1, 6, 3, [0, 0, 0, 1, 2, 2]),
        (2, 1, 3, [2]),
    ],
)
def test_the_sharpest_is_in_the_middle_and_the_ends_are_repeated(middle, slices, count, taken):
    assert around(middle, slices, count) == taken


def test_black_and_white_are_those_of_the_whole_stack():
    slices = draw(4)
    assert sharpest(slices) == 3
    found = prepare_slices(slices, slices=1, size=24)
    low, high = float(slices.min()), float(slices.max())
    levels = (resize_to_square(slices[3], 24) - low) / (high - low)
    np.testing.assert_array_equal(found[0], np.rint(levels.clip(0, 1) * 255))
    bright = prepare_slices(slices, slices=9, size=24)[-1]
    assert bright.mean() > found.mean() + 40  # not stretched by itself


def test_every_roi_comes_back_in_the_order_of_its_id(folder):
    path = stack(folder)
    images = read_slices_stack(path, IDS)
    assert list(images) == IDS
    assert (images.pixels.shape, images.pixels.dtype) == ((5, 4, 24, 24), np.uint8)
    for number, roi_id in enumerate(IDS):
        expected = prepare_slices(draw(number), slices=4, size=24)
        np.testing.assert_array_equal(images[roi_id], expected)


def test_the_same_stacks_give_the_same_bytes_in_whatever_threads(folder):
    one, three = stack(folder), stack(folder, "again.npy", threads=3)
    assert one.read_bytes() == three.read_bytes()
    assert one.with_suffix(".csv").read_bytes() == three.with_suffix(".csv").read_bytes()


def test_what_was_set_aside_is_left_out(folder):
    row = {"roi_id": IDS[1], "source": "x", "stage": "convert", "reason": "unreadable"}
    records.write([row | {"detail": "x"}], folder / "0.csv", records.REJECTED)
    path = stack(folder, rejected=[folder / "rejected.csv", folder / "0.csv"])
    left = [IDS[0], *IDS[2:]]
    assert list(read_slices_stack(path, left)) == left
    with pytest.raises(DataError, match=rf"1 images .* such as {IDS[1]}; run stack-slices again"):
        read_slices_stack(path, IDS)


# --- refusals -----------------------------------------------------------------------------------


def test_an_image_stack_and_a_slices_stack_are_not_taken_for_each_other(folder):
    path = stack(folder)
    with pytest.raises(DataError, match=r"not the images that .* run stack again"):
        read_stack(path, IDS)
    np.save(path, np.zeros((5, 24, 24), np.uint8))
    with pytest.raises(DataError, match=r"not the images that .* run stack-slices again"):
        read_slices_stack(path, IDS)


def test_a_broken_stack_is_named_and_nothing_is_left(folder):
    path = folder / "root/benign/1.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"benign/1\.dcm: cut off"):
        stack(folder)
    assert not list(folder.glob("*slices*"))


def test_a_constant_stack_is_named(folder):
    path = folder / "root/benign/1.dcm"
    write_slices(path, np.full((3, 9, 9), 7, np.uint16), pixel_mm=0.09, **UIDS)
    with pytest.raises(DataError, match=r"benign/1\.dcm: every pixel is 7; there is nothing"):
        stack(folder)


def test_stacks_that_were_all_set_aside_are_refused(folder):
    row = {"source": "x", "stage": "convert", "reason": "unreadable", "detail": "x"}
    records.write([row | {"roi_id": roi_id} for roi_id in IDS], folder / "0.csv", records.REJECTED)
    with pytest.raises(DataError, match=r"all 5 stacks were set aside; see why in .*0\.csv"):
        stack(folder, rejected=[folder / "0.csv"])


def test_a_catalog_of_single_images_is_refused(own, mcalc):
    tables = ["--catalog", own / "c.csv", "--rejected", own / "r.csv"]
    assert mcalc("catalog", own / "own", "--dataset", "folder", *tables)[0] == 0
    code, _, said = mcalc("stack-slices", *tables, "--stack", own / "s.npy")
    assert code == 3
    assert said == (
        f"mcalc: {own}/c.csv: lists no stacks of slices; set dataset.kind to tomosynthesis and run "
        "catalog again.\n"
    )


def test_windows_of_stacks_are_not_read(folder, mcalc):
    tables = ["--catalog", folder / "catalog.csv", "--rejected", folder / "rejected.csv"]
    places = [*tables, "--stack", folder / "s.npy"]
    code, _, said = mcalc("stack-slices", *places, "--intensity", "dicom_window")
    assert (code, said) == (
        2,
        "mcalc: The windows of stacks are not read; take minmax or percentile.\n",
    )
    assert convert(mcalc, folder, "--intensity", "dicom_window")[0] == 0
    aside = records.read(folder / "0.rejected.csv", records.REJECTED)
    assert set(aside["reason"]) == {"bad_field"}
    assert aside["detail"].str.contains("the windows of stacks are not read; set convert").all()


def test_the_doctor_says_that_it_examines_no_stacks(folder, mcalc):
    code, _, said = mcalc("doctor", folder / "root", "--dataset", "tomosynthesis")
    assert (code, "Stacks of slices are not examined here" in said) == (2, True)


# --- what `convert` takes -----------------------------------------------------------------------


def test_convert_takes_the_sharpest_slice_and_says_so(folder, mcalc):
    code, said, _ = convert(mcalc, folder, "--size", 24)
    assert code == 0
    assert said.endswith(
        "5 ROIs converted, 0 set aside; of each stack of slices the sharpest one\n"
    )
    for number, roi_id in enumerate(IDS):
        image = cv2.imread(str(folder / f"converted/{roi_id}.png"), cv2.IMREAD_UNCHANGED)
        expected = convert_image(draw(number)[number // 2 + 1], size=24)
        np.testing.assert_array_equal(image, expected)


def test_convert_sets_a_single_image_aside(folder, mcalc):
    path = folder / "root/benign/1.dcm"
    write_dicom(path, draw(1)[0], series_description="x", **UIDS)
    code, said, _ = convert(mcalc, folder, "--size", 24)
    assert (code, "4 ROIs converted, 1 set aside" in said) == (0, True)
    aside = records.read(folder / "0.rejected.csv", records.REJECTED).iloc[0]
    assert (aside["roi_id"], aside["reason"]) == (IDS[1], "unreadable")
    assert "a single image where a stack of slices is wanted" in aside["detail"]


def test_the_stack_holds_the_slice_that_convert_took(folder, mcalc):
    convert(mcalc, folder, "--size", 24, "--bits", 8)
    images = read_slices_stack(stack(folder), IDS)
    for roi_id in IDS:
        source = folder / "root" / roi_id.replace("_dcm", ".dcm").replace("_", "/")
        converted = cv2.imread(str(folder / f"converted/{roi_id}.png"), cv2.IMREAD_UNCHANGED)
        middle = images[roi_id][2].astype(float)
        assert np.corrcoef(middle.ravel(), converted.ravel())[0, 1] > 0.999
        assert len(read_slices(source)) >= 3
