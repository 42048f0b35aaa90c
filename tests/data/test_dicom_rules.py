"""What a stored value becomes: bits, signs, rescaling, colours, windows, files without a header."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mcalc.data.dicom import is_mask, read_dicom, read_window, write_dicom
from mcalc.errors import DataError


def ramp(rows: int = 20, columns: int = 30) -> np.ndarray:
    return np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)


def write(path: Path, pixels: np.ndarray, **elements) -> Path:
    """Write `pixels` and set elements of the header."""
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.4", "series_description": "x"}
    write_dicom(path, pixels, patient_id="P", **uids)
    dataset = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def table(entries: list[int], first: int, bits: int = 16) -> Sequence:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    item.ModalityLUTType = "OD"
    return Sequence([item])


# --- bits and signs -----------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [8, 10, 12, 15])
def test_overlay_bits_above_bits_stored_are_no_part_of_a_value(tmp_path, stored):
    values = ramp() % (1 << stored)
    overlaid = values | np.uint16(1 << 15)
    path = write(tmp_path / "a.dcm", overlaid, BitsStored=stored, HighBit=stored - 1)
    read = read_dicom(path)
    assert read.dtype == np.uint16  # even 8 bits stored in 16: the type follows the file
    np.testing.assert_array_equal(read, values)


def test_signed_values_of_twelve_bits_get_their_sign_from_the_twelfth(tmp_path):
    """-600 to -1 with the four spare bits left zero, as some machines write them."""
    signed = ramp().astype(np.int16) - 600
    stored = signed.view(np.uint16) & 0x0FFF
    path = write(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(read_dicom(path), ramp())


def test_values_in_the_upper_bits_are_refused(tmp_path):
    path = write(tmp_path / "a.dcm", ramp() << 4, BitsStored=12, HighBit=15)
    with pytest.raises(DataError, match=r"a\.dcm.*HighBit"):
        read_dicom(path)


def test_few_small_values_of_sixteen_bits_stay_sixteen_bits_wide(tmp_path):
    """The type must not depend on how bright the darkest crop of a shard happens to be."""
    for elements in (
        {},
        {"PixelRepresentation": 1},
        {"RescaleSlope": "1", "RescaleIntercept": "2"},
    ):
        assert read_dicom(write(tmp_path / "a.dcm", ramp(4, 5), **elements)).dtype == np.uint16


# --- rescaling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", ["NaN", "inf", "-inf", "1e999"])
def test_rescaling_by_what_is_no_number_is_refused(tmp_path, name, value):
    with pydicom.config.disable_value_validation():
        path = write(tmp_path / "a.dcm", ramp(), RescaleSlope="1", RescaleIntercept="0")
        content = path.read_bytes()
        tag = b"\x28\0\x53\x10DS" if name == "RescaleSlope" else b"\x28\0\x52\x10DS"
        place = content.index(tag)
        even = value.encode() + b" " * (len(value) % 2)
        length = len(even).to_bytes(2, "little")
        path.write_bytes(content[: place + 6] + length + even + content[place + 10 :])
    with pytest.raises(DataError, match=rf"a\.dcm: the {name} is no finite number"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("slope", "intercept", "words"),
    [
        ("0", "5", "slope of zero"),
        ("0.001", "0", "merges most of the grey levels"),
        ("1", "1e300", "values up to"),
        ("1", "-1e300", "merges most of the grey levels"),
        ("1e308", "0", "beyond all bounds"),
    ],
)
def test_rescaling_that_leaves_no_image_is_refused(tmp_path, slope, intercept, words):
    path = write(tmp_path / "a.dcm", ramp(), RescaleSlope=slope, RescaleIntercept=intercept)
    with pytest.raises(DataError, match=rf"a\.dcm: .*{words}"):
        read_dicom(path)


@pytest.mark.parametrize("missing", ["RescaleSlope", "RescaleIntercept"])
def test_a_missing_half_of_the_rescaling_changes_nothing(tmp_path, missing):
    elements = {"RescaleSlope": "2", "RescaleIntercept": "7", missing: ""}
    path = write(tmp_path / "a.dcm", ramp(), **elements)
    expected = ramp() + 7 if missing == "RescaleSlope" else ramp() * 2
    np.testing.assert_array_equal(read_dicom(path), expected)


def test_a_modality_table_is_applied_before_monochrome1_is_inverted(tmp_path):
    """Stored 0..4 through a table that is no straight line; then black and white swap ends."""
    entries = [0, 1, 4, 9, 1000]
    path = write(tmp_path / "a.dcm", ramp(1, 5), ModalityLUTSequence=table(entries, 0))
    assert read_dicom(path).tolist() == [entries]
    changed = pydicom.dcmread(path)
    changed.PhotometricInterpretation = "MONOCHROME1"
    changed.save_as(path)
    assert read_dicom(path).tolist() == [[1000 - entry for entry in entries]]


def test_values_outside_a_modality_table_take_its_ends(tmp_path):
    path = write(tmp_path / "a.dcm", ramp(1, 6), ModalityLUTSequence=table([500, 600, 900], 2))
    assert read_dicom(path).tolist() == [[500, 500, 500, 600, 900, 900]]


# --- colour -------------------------------------------------------------------------------------


def colour(path: Path, channels: np.ndarray, kind: str = "RGB") -> Path:
    write(path, np.zeros(channels.shape[:2], np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, kind
    dataset.PlanarConfiguration = 0
    dataset.PixelData = channels.tobytes()
    dataset.save_as(path)
    return path


def test_three_equal_channels_are_grey(tmp_path):
    grey = ramp(8, 8).astype(np.uint8)
    path = colour(tmp_path / "a.dcm", np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_dicom(path), grey)


def test_one_coloured_pixel_is_enough_to_refuse(tmp_path):
    channels = np.repeat(ramp(8, 8).astype(np.uint8)[..., None], 3, axis=2)
    channels[7, 7, 2] += 1
    with pytest.raises(DataError, match=r"a\.dcm: a colour image; only grey"):
        read_dicom(colour(tmp_path / "a.dcm", channels))


def test_luminance_without_chrominance_is_grey(tmp_path):
    channels = np.full((8, 8, 3), 128, np.uint8)
    channels[..., 0] = ramp(8, 8)
    path = colour(tmp_path / "a.dcm", channels, "YBR_FULL")
    np.testing.assert_array_equal(read_dicom(path), channels[..., 0])


# --- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"WindowCenter": "300", "WindowWidth": "100"}, (300, 100)),
        ({"WindowCenter": ["300", "50"], "WindowWidth": ["100", "9"]}, (300, 100)),
        ({"WindowCenter": "300", "WindowWidth": "0.5"}, None),
        ({"WindowCenter": "300", "WindowWidth": "-7"}, None),
        ({"WindowCenter": "300"}, None),
        ({"WindowCenter": "", "WindowWidth": ""}, None),
    ],
)
def test_the_first_window_is_read(tmp_path, elements, expected):
    path = write(tmp_path / "a.dcm", ramp(), **elements)
    assert read_window(path) == expected
    assert read_window(str(path)) == expected


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("slope", "intercept"), [("1", "0"), ("1", "-1000"), ("2", "30")])
@pytest.mark.parametrize("signed", [0, 1])
def test_the_window_lies_where_its_value_lies_in_the_pixels(
    tmp_path, kind, slope, intercept, signed
):
    """A pixel at the window's centre before inversion and shift is at the centre after them.

    Inverted, it is one off: of a window's two ends one belongs to it (PS3.3, C.11.2.1.2), and
    inversion swaps the ends.
    """
    stored = ramp().astype(np.int16) - (300 if signed else 0)
    centre = int(stored[10, 15]) * int(slope) + int(intercept)
    elements = {"RescaleSlope": slope, "RescaleIntercept": intercept, "BitsStored": 12}
    elements |= {"HighBit": 11, "PixelRepresentation": signed, "PhotometricInterpretation": kind}
    path = write(tmp_path / "a.dcm", stored.view(np.uint16), **elements)
    dataset = pydicom.dcmread(path)
    dataset.WindowCenter, dataset.WindowWidth = str(centre), "64"
    dataset.save_as(path)
    ends_swap = kind == "MONOCHROME1"
    assert read_window(path) == (read_dicom(path)[10, 15] + ends_swap, 64)


# --- files without a preamble, a meta header or a transfer syntax ---------------------------------


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("preamble", [True, False])
def test_a_bare_data_set_is_read_where_its_length_proves_it(tmp_path, syntax, preamble):
    path = bare(tmp_path / "a.dcm", syntax, preamble)
    np.testing.assert_array_equal(read_dicom(path), ramp())
    assert is_mask(path) is False


@pytest.mark.parametrize("rows", [19, 21, 10])
def test_a_bare_data_set_of_another_length_is_refused(tmp_path, rows):
    path = bare(tmp_path / "a.dcm", ExplicitVRLittleEndian, False)
    content = path.read_bytes()
    old, new = (b"\x28\0\x10\0US\x02\0" + bytes([number, 0]) for number in (20, rows))
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(DataError, match=r"a\.dcm"):
        read_dicom(path)


def test_a_deflated_file_is_read(tmp_path):
    pixels = ramp(200, 300) % 7
    path = write(tmp_path / "a.dcm", pixels)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert path.stat().st_size < pixels.nbytes / 10
    np.testing.assert_array_equal(read_dicom(path), pixels)


def bare(path: Path, syntax: str, preamble: bool) -> Path:
    """Write an image without its meta header, with or without preamble and prefix."""
    dataset = pydicom.dcmread(write(path, ramp()))
    big, implicit = syntax == ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    if big:
        dataset.PixelData = ramp().byteswap().tobytes()
    naked = Dataset(dataset)
    pydicom.dcmwrite(
        path, naked, implicit_vr=implicit, little_endian=not big, enforce_file_format=False
    )
    if preamble:
        path.write_bytes(b"\0" * 128 + b"DICM" + path.read_bytes())
    return path
