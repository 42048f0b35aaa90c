"""Reading pictures of any kind: PNG, JPEG, TIFF, PGM and DICOM, grey and whole, or one sentence."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc.data.dicom import write_dicom
from mcalc.data.pixels import read_pixels
from mcalc.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm")


def noise(dtype=np.uint8, shape=(24, 17)) -> np.ndarray:
    top = int(np.iinfo(dtype).max)
    return np.random.default_rng(1).integers(0, top + 1, shape).astype(dtype)


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def png(columns: int, rows: int, depth: int, kind: int, lines: list[bytes]) -> bytes:
    """Return a PNG file made by hand, for what OpenCV does not write (grey with alpha, bits)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", columns, rows, depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


# --- files that cannot be read ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".dcm"])
def test_a_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(DataError, match=f"nowhere{suffix}") as caught:
        read_pixels(tmp_path / f"nowhere{suffix}")
    assert caught.value.reason == "missing_file"


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".dcm"])
def test_an_empty_file_is_named(tmp_path, suffix):
    (tmp_path / f"empty{suffix}").touch()
    with pytest.raises(DataError, match=f"empty{suffix}: the file is empty") as caught:
        read_pixels(tmp_path / f"empty{suffix}")
    assert caught.value.reason == "empty_file"


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".dcm"])
@pytest.mark.parametrize("content", [b"x", b"<!DOCTYPE html>" * 50, b"\x89PNG\r\n\x1a\n", b"P5\n9"])
def test_a_file_that_is_no_picture_is_named(tmp_path, suffix, content):
    (tmp_path / f"page{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=f"page{suffix}") as caught:
        read_pixels(tmp_path / f"page{suffix}")
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_cut_off_is_refused_not_read_in_part(tmp_path, suffix):
    content = write(tmp_path / f"whole{suffix}", noise(shape=(64, 64))).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for tenth in range(1, 10):
        cut.write_bytes(content[: len(content) * tenth // 10])
        with pytest.raises(DataError, match=f"cut{suffix}"):
            read_pixels(cut)


@pytest.mark.parametrize("side", [40_000, 100_000, 2_000_000_000])
def test_a_picture_that_claims_to_be_enormous_is_refused(tmp_path, side):
    """OpenCV's own limits raise its own error; for the user it is one bad file more."""
    (tmp_path / "huge.png").write_bytes(png(side, side, 8, 0, [b"\0" * 99]))
    with pytest.raises(DataError, match=r"huge\.png"):
        read_pixels(tmp_path / "huge.png")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32])
def test_other_pixel_types_are_refused_with_their_name(tmp_path, dtype):
    path = write(tmp_path / "a.tif", noise().astype(dtype))
    with pytest.raises(DataError, match=rf"a\.tif: pixels of type {np.dtype(dtype)}"):
        read_pixels(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_colour_picture_is_refused(tmp_path, suffix):
    image = np.repeat(noise()[..., None], 3, axis=2)
    image[5:15, 5:15, 0] = 255 - image[5:15, 5:15, 0]
    with pytest.raises(DataError, match=f"a{suffix}: a colour image; only grey"):
        read_pixels(write(tmp_path / f"a{suffix}", image))


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".pgm", ".PNG", ".Tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_pictures_are_read_to_the_last_bit(tmp_path, suffix, dtype):
    read = read_pixels(write(tmp_path / f"a{suffix}", noise(dtype)))
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, noise(dtype))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_is_read_nearly(tmp_path, suffix):
    smooth = cv2.GaussianBlur(noise(shape=(48, 40)), (0, 0), 4)
    read = read_pixels(write(tmp_path / f"a{suffix}", smooth))
    assert read.dtype == np.uint8
    np.testing.assert_allclose(read.astype(int), smooth, atol=4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_stored_in_three_channels_is_grey(tmp_path, dtype):
    """As many programs export it; two levels of rounding are forgiven, three are colour."""
    image = np.repeat(noise(dtype)[..., None], 3, axis=2)
    image[3, 4] = (100, 101, 102)
    read = read_pixels(write(tmp_path / "a.png", image))
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image[..., 1])
    image[3, 4] = (100, 101, 103)
    with pytest.raises(DataError, match="a colour image"):
        read_pixels(write(tmp_path / "a.png", image))


def test_an_opaque_alpha_channel_does_not_matter(tmp_path):
    image = np.repeat(noise()[..., None], 4, axis=2)
    image[..., 3] = 255
    np.testing.assert_array_equal(read_pixels(write(tmp_path / "a.png", image)), noise())
    pairs = np.stack([noise(), np.full_like(noise(), 255)], axis=2)
    (tmp_path / "b.png").write_bytes(png(17, 24, 8, 4, [line.tobytes() for line in pairs]))
    np.testing.assert_array_equal(read_pixels(tmp_path / "b.png"), noise())


def test_a_picture_of_single_bits_is_black_and_white(tmp_path):
    (tmp_path / "a.png").write_bytes(png(8, 2, 1, 0, [b"\xf0", b"\x0f"]))
    expected = np.array([[255] * 4 + [0] * 4, [0] * 4 + [255] * 4], np.uint8)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), expected)


def test_a_name_in_any_letters_is_opened(tmp_path):
    path = tmp_path / "Brüste 乳房.png"
    path.write_bytes(cv2.imencode(".png", noise())[1].tobytes())
    np.testing.assert_array_equal(read_pixels(path), noise())


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "a.dicom", "IM0001"])
def test_dicom_is_read_under_its_usual_names(tmp_path, name):
    options = {"patient_id": "P", "study_uid": "1.2", "series_uid": "1.3"}
    write_dicom(tmp_path / name, noise(np.uint16), series_description="x", **options)
    np.testing.assert_array_equal(read_pixels(tmp_path / name), noise(np.uint16))
