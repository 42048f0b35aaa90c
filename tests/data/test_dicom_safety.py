"""Files that lie about their size are refused before memory is taken; no sentence quotes a header.

Memory is measured, in a process of its own: what numpy and the decoders take is what counts.
"""

import logging
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)

from mcalc.data.dicom import is_mask, read_dicom, read_window, write_dicom
from mcalc.data.dicom_header import read_header
from mcalc.data.dicom_parsing import explained
from mcalc.data.pixels import read_pixels
from mcalc.errors import DataError

SECRET = "SECRETNAME"


def write(path: Path, pixels: np.ndarray, compress: bool = False, **elements) -> Path:
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.4", "series_description": "x"}
    write_dicom(path, pixels, patient_id="P", compress=compress, **uids)
    dataset = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def compressed(path: Path, syntax: str, stream: bytes, rows: int, columns: int) -> Path:
    """Put a codestream into a DICOM file whose header says `rows` x `columns`."""
    write(path, np.zeros((4, 4), np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path


def stream_of(name: str) -> bytes:
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    return pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)


def memory_of(path: Path) -> int:
    """Return the MiB that reading `path` adds to a fresh process, and check that it is refused."""
    script = (
        "import resource, sys; from mcalc.data.pixels import read_pixels\n"
        "from mcalc.errors import DataError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try: read_pixels(sys.argv[1])\n"
        "except DataError as error: print((peak() - before) // 1024, error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    used, reason = done.stdout.split()
    assert reason == "too_large"
    return int(used)


# --- sizes --------------------------------------------------------------------------------------


def test_an_image_of_more_pixels_than_allowed_is_refused_by_its_header(tmp_path):
    path = write(tmp_path / "a.dcm", np.zeros((20, 30), np.uint16))
    assert read_dicom(path, max_pixels=600).shape == (20, 30)
    with pytest.raises(DataError, match=r"a\.dcm: 20 x 30 pixels; at most 599 are") as caught:
        read_dicom(path, max_pixels=599)
    assert caught.value.reason == "too_large"


def test_a_header_that_claims_four_thousand_million_pixels_takes_no_memory(tmp_path):
    path = write(
        tmp_path / "a.dcm", np.arange(16, dtype=np.uint16).reshape(4, 4), compress=True, Rows=65535
    )
    dataset = pydicom.dcmread(path)
    dataset.Columns = 65535
    dataset.save_as(path)
    assert memory_of(path) < 50


def test_a_file_larger_than_any_image_is_refused_unread(tmp_path):
    path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16))
    with open(path, "ab") as file:
        file.truncate(1 << 36)  # takes no room on the disk
    assert memory_of(path) < 50


def test_a_pipe_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"a\.dcm: not a file"):
        read_dicom(tmp_path / "a.dcm")


def test_a_deflated_file_that_inflates_without_end_is_refused(tmp_path):
    """300 MB of zeros in 1.3 MB, as a private element before the pixels."""
    path = write(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    content = path.read_bytes()
    start = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflater.compress(b"\x09\0\x10\0UN\0\0" + struct.pack("<I", 300_000_000))
    bomb += b"".join(deflater.compress(b"\0" * 1_000_000) for _ in range(300)) + deflater.flush()
    path.write_bytes(content[:start] + bomb)
    assert path.stat().st_size < 3_000_000
    assert memory_of(path) < 700


@pytest.mark.parametrize("side", [9000, 60_000])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".pgm"])
def test_a_picture_that_claims_too_much_takes_no_memory(tmp_path, suffix, side):
    """The size is changed in the header of a small true picture."""
    content = cv2.imencode(suffix, np.zeros((40, 30), np.uint8))[1].tobytes()
    if suffix == ".png":
        head = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
        content = content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]
    elif suffix == ".jpg":
        place = content.index(b"\xff\xc0") + 5
        content = content[:place] + struct.pack(">HH", side, side) + content[place + 4 :]
    elif suffix == ".pgm":
        content = content.replace(b"30 40", f"{side} {side}".encode())
    else:
        for tag, old in ((256, 30), (257, 40)):
            for kind, form in ((3, "H"), (4, "I")):
                entry = struct.pack(f"<HHI{form}", tag, kind, 1, old)
                new = struct.pack(f"<HHI{form}", tag, kind, 1, side)
                content = content.replace(entry, new)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert memory_of(path) < 50


def test_a_picture_of_just_the_allowed_size_is_read(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30), np.uint8))
    assert read_pixels(tmp_path / "a.png", max_pixels=600).shape == (20, 30)
    with pytest.raises(DataError, match=r"20 x 30 pixels; at most 599") as caught:
        read_pixels(tmp_path / "a.png", max_pixels=599)
    assert caught.value.reason == "too_large"


# --- compressed frames of another size than the header says ---------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(48, 36), (47, 36), (48, 37), (36, 48), (1, 1)])
@pytest.mark.parametrize(
    ("suffix", "syntax"), [(".jpg", JPEGBaseline8Bit), (".jp2", JPEG2000Lossless)]
)
def test_a_codestream_of_another_size_is_refused(tmp_path, suffix, syntax, rows, columns):
    stream = cv2.imencode(suffix, np.full((48, 36), 100, np.uint8))[1].tobytes()
    stream = stream[max(0, stream.find(b"\xff\x4f\xff\x51")) :]  # without the file format's boxes
    path = compressed(tmp_path / "a.dcm", syntax, stream, rows, columns)
    if (rows, columns) == (48, 36):
        assert np.abs(read_dicom(path).astype(int) - 100).max() <= 2
        return
    with pytest.raises(DataError, match=rf"48 x 36 x 1, the header says {rows} x {columns} x 1"):
        read_dicom(path)


def test_a_jpeg_ls_stream_of_another_size_is_refused(tmp_path):
    stream = stream_of("MR_small_jpeg_ls_lossless.dcm")
    path = compressed(tmp_path / "a.dcm", JPEGLSLossless, stream, 64, 63)
    with pytest.raises(DataError, match="64 x 64 x 1, the header says 64 x 63 x 1"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("MR_small_jp2klossless.dcm", JPEG2000Lossless),
        ("MR_small_jpeg_ls_lossless.dcm", JPEGLSLossless),
    ],
)
def test_a_codestream_cut_short_is_refused_not_filled_with_grey(tmp_path, name, syntax):
    """The DICOM file around it is whole, as after a conversion of a broken download."""
    stream = stream_of(name)
    for share in (0.3, 0.6, 0.9):
        cut = stream[: int(len(stream) * share)]
        path = changed_to_sixteen(compressed(tmp_path / "a.dcm", syntax, cut, 64, 64))
        with pytest.raises(DataError, match=r"a\.dcm: cut off within the compressed image"):
            read_dicom(path)
    assert read_dicom(changed_to_sixteen(compressed(path, syntax, stream, 64, 64))).max() > 0


def test_a_small_jpeg_that_claims_to_be_large_everywhere_is_refused(tmp_path):
    """Header and stream agree on 8000 x 8000, but 1 KB cannot hold two bits for each 8 x 8."""
    stream = bytearray(cv2.imencode(".jpg", np.full((40, 30), 100, np.uint8))[1].tobytes())
    struct.pack_into(">HH", stream, stream.index(b"\xff\xc0") + 5, 8000, 8000)
    path = compressed(tmp_path / "a.dcm", JPEGBaseline8Bit, bytes(stream), 8000, 8000)
    with pytest.raises(DataError, match="cut off within the compressed image"):
        read_dicom(path)


def changed_to_sixteen(path: Path) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.save_as(path)
    return path


def test_a_jpeg_2000_stream_in_too_many_tiles_is_refused(tmp_path):
    """Every tile takes 7 KB before decoding: 64 x 64 tiles of one pixel would be legal."""
    stream = bytearray(stream_of("MR_small_jp2klossless.dcm"))
    struct.pack_into(">II", stream, 8, 6400, 6400)
    struct.pack_into(">II", stream, 24, 1, 1)
    path = compressed(tmp_path / "a.dcm", JPEG2000Lossless, bytes(stream), 6400, 6400)
    with pytest.raises(DataError, match=r"a\.dcm: the pixels cannot be decoded"):
        read_dicom(path)


def test_eight_bits_in_a_stream_are_not_passed_off_as_sixteen(tmp_path):
    stream = cv2.imencode(".jpg", np.full((40, 30), 100, np.uint8))[1].tobytes()
    path = compressed(tmp_path / "a.dcm", JPEGBaseline8Bit, stream, 40, 30)
    dataset = pydicom.dcmread(path)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.save_as(path)
    with pytest.raises(DataError, match="values have 8 bits, the header says 16"):
        read_dicom(path)


@pytest.mark.parametrize("count", [0, 1, 3, 15, 16, 0xFFFFFFFF])
def test_run_lengths_in_another_number_of_segments_are_refused(tmp_path, count):
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    path = write(tmp_path / "a.dcm", pixels, compress=True)
    content = path.read_bytes()
    place = content.index(b"\x02\0\0\0\x40\0\0\0")
    path.write_bytes(content[:place] + struct.pack("<I", count) + content[place + 4 :])
    with pytest.raises(DataError, match=r"a\.dcm: the pixels cannot be decoded"):
        read_dicom(path)


# --- nothing of the header in a sentence ----------------------------------------------------------


def planted() -> dict[str, bytes]:
    """Return header elements, explicit little endian, that hold a secret where they can."""
    text = SECRET.encode()

    def element(group: int, number: int, kind: bytes, value: bytes = text) -> bytes:
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    return {
        "name": element(0x10, 0x10, b"PN"),
        "colours": element(0x28, 4, b"CS"),
        "frames": element(0x28, 8, b"IS"),
        "rows of text": element(0x28, 0x10, b"LO"),
        "bits of text": element(0x28, 0x100, b"US"),
        "slope": element(0x28, 0x1053, b"DS"),
        "window": element(0x28, 0x1050, b"DS") + element(0x28, 0x1051, b"DS"),
        "window in an unknown type": element(0x28, 0x1050, b"??"),
        "date": element(8, 0x20, b"DA"),
        "uid": element(8, 0x18, b"UI"),
        "number": element(0x20, 0x13, b"IS"),
        "character set": element(8, 5, b"CS"),
        "name of an unknown type": element(0x10, 0x10, b"ZZ"),
        "name as a sequence": element(0x10, 0x10, b"SQ"),
        "pixels as text": element(0x7FE0, 0x10, b"LO"),
        "table": element(0x28, 0x3000, b"LO"),
    }


@pytest.mark.parametrize("name", planted())
@pytest.mark.parametrize("place", ["first", "instead"])
def test_no_sentence_warning_or_log_quotes_the_header(tmp_path, caplog, capfd, name, place):
    secret = planted()[name]
    path = write(tmp_path / "a.dcm", np.arange(64, dtype=np.uint16).reshape(8, 8))
    content = path.read_bytes()
    start = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    at, end = start, start
    if place == "instead" and content.find(secret[:4], start) > 0:
        at = content.index(secret[:4], start)
        end = at + 8 + struct.unpack_from("<H", content, at + 6)[0]
    path.write_bytes(content[:at] + secret + content[end:])
    check_silence(path, caplog, capfd)


def test_no_sentence_quotes_the_transfer_syntax(tmp_path, caplog, capfd):
    path = write(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", SECRET.encode() * 2))
    check_silence(path, caplog, capfd)


def test_no_sentence_quotes_a_broken_codestream(tmp_path, caplog, capfd):
    stream = cv2.imencode(".jpg", np.zeros((40, 30), np.uint8))[1].tobytes()
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(SECRET)) + SECRET.encode()
    stream = stream[:2] + comment + stream[2:200] + SECRET.encode()
    path = compressed(tmp_path / "a.dcm", JPEGBaseline8Bit, stream, 40, 30)
    check_silence(path, caplog, capfd)


def check_silence(path: Path, caplog, capfd) -> None:
    assert SECRET in path.read_bytes().decode("latin-1")
    for call in (read_dicom, is_mask, read_window, read_header):
        with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
            warnings.simplefilter("always")
            try:
                call(path)
            except DataError as error:
                assert SECRET not in str(error)
                assert error.__suppress_context__ or error.__context__ is None
        assert not [warning for warning in caught if SECRET in str(warning.message)]
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


def test_pydicom_speaks_again_afterwards(tmp_path):
    logger = logging.getLogger("pydicom")
    before = logger.level
    with pytest.raises(DataError):
        read_dicom(tmp_path / "nowhere.dcm")
    assert logger.level == before


def test_it_stays_silent_until_the_last_of_several_threads_is_done():
    """Threads that overlap leave the settings as they were, whichever is the last to leave."""
    logger = logging.getLogger("pydicom")
    level, filters = logger.level, list(warnings.filters)
    first, second = explained("a", "b"), explained("c", "d")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not logger.isEnabledFor(logging.CRITICAL)
    second.__exit__(None, None, None)
    assert logger.level == level
    assert warnings.filters == filters


@pytest.mark.slow
def test_three_hundred_damaged_files_are_answered(tmp_path):
    """A short run of fuzz_dicom.py; its own exit code says whether any file crashed or hung."""
    script = Path(__file__).with_name("fuzz_dicom.py")
    command = [sys.executable, script, "--files", "300", "--seed", "3", "--keep", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-500:]
    assert "read, .dcm" in done.stdout
