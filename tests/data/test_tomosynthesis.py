"""Stacks of slices: read as one array or refused in one sentence, drawn alike, and focused."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage, RLELossless

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.datasets.phantom.patients import draw_patient
from mcalc.data.datasets.phantom.stacks import draw_stack, write_stacks
from mcalc.data.dicom import read_dicom
from mcalc.data.dicom_writing import write_slices
from mcalc.data.tomosynthesis import read_slices, sharpest
from mcalc.errors import DataError, UsageError


def draw(bits: int = 16, shape: tuple = (5, 13, 11)) -> np.ndarray:
    values = np.random.default_rng(bits).integers(0, 1 << bits, shape)
    return values.astype(np.uint8 if bits == 8 else np.uint16)


def write(path: Path, slices: np.ndarray, *, compress: bool = False, **elements) -> Path:
    uids = {"patient_id": "P", "study_uid": "1.2", "series_uid": "1.3"}
    write_slices(path, slices, pixel_mm=0.09, compress=compress, **uids)
    return changed(path, **elements)


def changed(path: Path, **elements) -> Path:
    dataset = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True], ids=["native", "rle"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_slices_come_back_bright_on_dark(tmp_path, bits, interpretation, compress):
    slices = draw(bits)
    path = write(
        tmp_path / "a.dcm",
        slices,
        compress=compress,
        PhotometricInterpretation=interpretation,
        BitsStored=bits,
        HighBit=bits - 1,
    )
    expected = slices if interpretation == "MONOCHROME2" else (1 << bits) - 1 - slices
    found = read_slices(path)
    assert found.dtype == slices.dtype
    np.testing.assert_array_equal(found, expected)


def test_signed_values_are_shifted_alike_in_all_slices(tmp_path):
    slices = np.arange(-40, 80, dtype=np.int16).reshape(4, 5, 6)
    path = write(tmp_path / "a.dcm", slices.view(np.uint16), PixelRepresentation=1)
    np.testing.assert_array_equal(read_slices(path), slices + 40)


def test_bits_above_those_stored_are_no_part_of_a_value(tmp_path):
    slices = draw(12)
    path = write(tmp_path / "a.dcm", slices | 0xA000, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_slices(path), slices)


def test_a_multi_frame_secondary_capture_is_read_alike(tmp_path):
    slices = draw()
    path = write(tmp_path / "a.dcm", slices)
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    del dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(path)
    np.testing.assert_array_equal(read_slices(path), slices)


@pytest.mark.parametrize(
    "kind", ["", "_RLE", "_big_endian", "_jpeg_2k_lossless", "_jpeg_ls_lossless"]
)
def test_every_encoding_of_one_stack_gives_the_same_slices(kind):
    found = read_slices(get_testdata_file(f"emri_small{kind}.dcm", download=False))
    plain = pydicom.dcmread(get_testdata_file("emri_small.dcm", download=False)).pixel_array
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, plain)


def test_a_rescaling_of_the_shared_groups_counts(tmp_path):
    slices = draw(8)
    path = write(tmp_path / "a.dcm", slices)
    dataset = pydicom.dcmread(path)
    item = dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
    item.RescaleSlope, item.RescaleIntercept = 2, -3
    dataset.save_as(path)
    values = slices.astype(int) * 2 - 3
    np.testing.assert_array_equal(read_slices(path), values - min(0, values.min()))


def test_slices_that_are_rescaled_differently_are_refused(tmp_path):
    path = write(tmp_path / "a.dcm", draw())
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item = pydicom.Dataset()
        item.update(shared[0])
        item.RescaleSlope = number + 1
        group.PixelValueTransformationSequence = [item]
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"a\.dcm: slices that are rescaled differently .* convert"):
        read_slices(path)


# --- refusals -----------------------------------------------------------------------------------


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


def without_pixels(path: Path) -> Path:
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    return path


def with_one_frame(path: Path) -> Path:
    return write(path, draw()[:1])


def with_more_frames(path: Path) -> Path:
    return changed(path, NumberOfFrames=3)


def in_colour(path: Path) -> Path:
    return Path(get_testdata_file("SC_rgb_2frame.dcm", download=False))


def of_one_image(path: Path) -> Path:
    return Path(get_testdata_file("MR_small.dcm", download=False))


def cut_rle(path: Path) -> Path:
    dataset = pydicom.dcmread(write(path, draw(), compress=True))
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    dataset.NumberOfFrames = 9
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("damage", "said", "reason"),
    [
        (cut, "cut off, .* where 5 slices of 13 x 11 of them take 1430; download", "unreadable"),
        (without_pixels, "a DICOM file that holds no image; leave it out", "unreadable"),
        (with_one_frame, "a single image where a stack .* kind folder", "unreadable"),
        (of_one_image, "a single image where a stack .* kind folder", "unreadable"),
        (with_more_frames, "pixels for more than 3 slices.*download", "unreadable"),
        (in_colour, "a colour image; only grey images are read", "unreadable"),
        (cut_rle, r"the slices cannot be decoded \(\w+\); download it again", "unreadable"),
        (lambda path: path.with_name("nowhere.dcm"), "no such file", "missing_file"),
        (lambda path: path.write_bytes(b"") or path, "the file is empty; download", "empty_file"),
        (lambda path: path.write_text("<html>") and path, "not a readable DICOM", "unreadable"),
    ],
)
def test_what_is_no_stack_is_refused_in_one_sentence(tmp_path, damage, said, reason):
    path = damage(write(tmp_path / "a.dcm", draw()))
    with pytest.raises(DataError, match=said) as caught:
        read_slices(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.reason == reason


def test_a_stack_of_more_pixels_than_allowed_is_refused_by_its_header(tmp_path):
    path = write(tmp_path / "a.dcm", draw())
    assert read_slices(path, max_pixels=5 * 13 * 11).shape == (5, 13, 11)
    said = r"a\.dcm: 5 slices of 13 x 11 pixels; at most 714 are read; cut the ROI out of it"
    with pytest.raises(DataError, match=said) as caught:
        read_slices(path, max_pixels=714)
    assert caught.value.reason == "too_large"


def test_a_header_that_claims_millions_of_slices_takes_no_memory(tmp_path):
    path = write(tmp_path / "a.dcm", draw(), compress=True, NumberOfFrames=2_000_000_000)
    script = (
        "import resource, sys; from mcalc.data.tomosynthesis import read_slices\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try: read_slices(sys.argv[1])\n"
        "except Exception as error: print((peak() - before) // 1024, error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    used, reason = done.stdout.split()
    assert (int(used) < 50, reason) == (True, "too_large")


def test_a_stack_is_no_single_image(tmp_path):
    with pytest.raises(DataError, match="5 frames; only single images are read"):
        read_dicom(write(tmp_path / "a.dcm", draw()))


# --- the sharpest slice -------------------------------------------------------------------------


def flat_stack(number: int) -> tuple[np.ndarray, int]:
    """Draw a stack whose specks all lie at one depth; return it with that slice's number."""
    rng = np.random.default_rng([11, number])
    patient = draw_patient(rng, number)
    finding = patient.findings[0]
    lesion = finding.lesion
    lesion = dataclasses.replace(lesion, positions_mm=lesion.positions_mm * (1, 1, 0))
    finding = dataclasses.replace(finding, lesion=lesion, subtlety=max(2, finding.subtlety))
    stack, depths = draw_stack(rng, patient, finding, slices=(12, 16))
    return stack, int(depths[0])


def test_the_slice_in_focus_is_found_or_its_neighbour():
    misses = [abs(sharpest(stack) - depth) for stack, depth in map(flat_stack, range(24))]
    assert max(misses) <= 1
    assert sum(misses) <= 4


def test_noise_is_not_taken_for_sharpness():
    for number in range(12):
        stack, depth = flat_stack(number)
        rng = np.random.default_rng(number)
        noisy = stack.astype(float)
        for slice_number in {0, (depth + 4) % len(stack)} - {depth}:
            # Five times the noise that is there.
            noisy[slice_number] += rng.normal(0, 0.4 * stack.std(), stack.shape[1:])
        found = sharpest(np.clip(noisy, 0, 65535).astype(np.uint16))
        assert abs(found - depth) <= 1


def test_a_stack_without_anything_in_it_has_a_first_slice():
    assert sharpest(np.full((4, 20, 20), 7, np.uint8)) == 0


# --- phantom stacks and the catalog -------------------------------------------------------------


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("stacks") / "root"
    write_stacks(root, patients=6, seed=3, slices=(4, 6))
    return root


def catalog(root: Path, folder: Path, **options) -> tuple:
    paths = folder / "catalog.csv", folder / "rejected.csv"
    write_catalog(root, dataset="tomosynthesis", catalog=paths[0], rejected=paths[1], **options)
    return records.read(paths[0], records.CATALOG), records.read(paths[1], records.REJECTED)


def test_the_same_call_draws_the_same_bytes_in_place_of_an_older_one(phantom, tmp_path):
    write_stacks(tmp_path, patients=8, seed=1, slices=(2, 3))
    (tmp_path / "benign/own.txt").write_text("not drawn here")
    write_stacks(tmp_path, patients=6, seed=3, slices=(4, 6))
    assert (tmp_path / "benign/own.txt").exists()
    (tmp_path / "benign/own.txt").unlink()
    assert contents(tmp_path) == contents(phantom)


def test_a_finding_is_a_stack_listed_with_its_patient(phantom, tmp_path):
    found, aside = catalog(phantom, tmp_path, patients=phantom / "patients.csv")
    assert aside.empty
    assert len(found) == len(list(phantom.rglob("*.dcm"))) > 6
    assert found["patient_id"].nunique() == 6
    assert set(found["dataset"]) == {"tomosynthesis"}
    assert (found["label"].str.upper() == found["pathology"]).all()
    for source in found["source"]:
        slices = read_slices(source)
        assert slices.dtype == np.uint16
        assert slices.max() == 65535
        assert 4 <= len(slices) <= 6
        assert pydicom.dcmread(source).SOPClassUID == "1.2.840.10008.5.1.4.1.1.13.1.3"


def test_pictures_are_no_stacks(phantom, tmp_path):
    write_stacks(tmp_path / "root", patients=6, seed=3, slices=(2, 2))
    (tmp_path / "root/benign/a.png").write_bytes(b"picture")
    _, aside = catalog(tmp_path / "root", tmp_path)
    assert aside["detail"].tolist() == [".png is not read; use one of .dcm, .dicom"]


def test_too_few_slices_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Slices 1 to 3: give two numbers from 2 on"):
        write_stacks(tmp_path, patients=6, seed=1, slices=(1, 3))
    assert not list(tmp_path.iterdir())
