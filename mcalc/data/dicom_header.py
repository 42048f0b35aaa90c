"""What a DICOM file says of itself, read without its pixels."""

import os
import zlib
from io import BufferedReader, BytesIO
from struct import Struct
from typing import NamedTuple

from pydicom.filereader import data_element_generator
from pydicom.uid import UID

from mcalc.data.dicom_parsing import LONG_LENGTHS, explained, find_syntax, open_file
from mcalc.errors import DataError

PATIENT_ID, SERIES_UID, FRAMES = 0x00100020, 0x0020000E, 0x00280008
SAMPLES, ROWS, COLUMNS, BITS_ALLOCATED = 0x00280002, 0x00280010, 0x00280011, 0x00280100
TAGS = [PATIENT_ID, SERIES_UID, SAMPLES, FRAMES, ROWS, COLUMNS, BITS_ALLOCATED]
PIXEL_DATA = 0x7FE00010

# Bytes of a deflated data set that are inflated.
_BEGINNING = 1 << 16

_ELEMENT = Struct("<HH2sH").unpack_from
_WANTED = frozenset(TAGS)
_UNDEFINED = 0xFFFFFFFF

Elements = dict[int, bytes]


class Header(NamedTuple):
    """What tells a crop from a mask and one case from another.

    `bits` are those allocated for a pixel (0028,0100); `case` is the PatientID (0010,0020), which
    in CBIS-DDSM is the case's name, and `series` the SeriesInstanceUID (0020,000E).
    """

    rows: int
    columns: int
    bits: int
    case: str
    series: str


def read_header(path: str | os.PathLike) -> Header:
    """Read a DICOM file's header; a tenth of a millisecond for a small one.

    Raises
    ------
    DataError
        If the file is missing, empty, no DICOM, holds no image, or is shorter than the pixels
        that it announces (where these are not compressed).
    """
    with explained(path, "not a readable DICOM image"):
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            elements, syntax, place = _read_elements(file, path)
        order = "little" if syntax.is_little_endian else "big"
        rows, columns, bits = (
            int.from_bytes(elements[tag], order) for tag in (ROWS, COLUMNS, BITS_ALLOCATED)
        )
        samples = int.from_bytes(elements.get(SAMPLES, b"\1"), order)
        case, series, frames = (
            _text(elements.get(tag)) for tag in (PATIENT_ID, SERIES_UID, FRAMES)
        )
        pixels = rows * columns * samples * int(frames or 1)
    # Before the pixels stand their tag, their length and, where it is explicit, their VR.
    left = size - place - (8 if syntax.is_implicit_VR else 12)
    is_plain = not syntax.is_compressed and not syntax.is_deflated
    if is_plain and left < pixels * bits // 8:
        raise DataError(
            f"{path}: cut off, {left} bytes are left for {rows} x {columns} pixels; "
            "download it again."
        )
    return Header(rows, columns, bits, case, series)


def _read_elements(file: BufferedReader, path: str | os.PathLike) -> tuple[Elements, UID, int]:
    """Return the values of `TAGS`, the transfer syntax, and where the pixels' element begins."""
    beginning = file.peek()
    syntax, start, _ = find_syntax(beginning, path)
    if not syntax.is_implicit_VR and syntax.is_little_endian and not syntax.is_deflated:
        scanned = _scan(beginning, start)
        if scanned:
            return scanned[0], syntax, scanned[1]
    file.seek(start)
    source = file
    if syntax.is_deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        source = BytesIO(inflater.decompress(file.read(_BEGINNING), _BEGINNING))
    elements = data_element_generator(
        source,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        lambda tag, vr, length: int.__ge__(tag, PIXEL_DATA),  # pydicom's own >= is slow
        specific_tags=TAGS,
    )
    return {int(element.tag): element.value for element in elements}, syntax, file.tell()


def _scan(content: bytes, place: int) -> tuple[Elements, int] | None:
    """Read elements in Explicit VR Little Endian (PS3.5, 7.1.2), None where pydicom had better.

    A sixth of the time that `data_element_generator` takes: a large catalog is mostly this.
    """
    found: Elements = {}
    while place + 12 <= len(content):
        group, element, vr, length = _ELEMENT(content, place)
        tag = group << 16 | element
        if tag >= PIXEL_DATA:
            return found, place
        place += 8
        if vr in LONG_LENGTHS:
            length = int.from_bytes(content[place : place + 4], "little")
            place += 4
        if not vr.isupper() or length == _UNDEFINED:
            return None
        if tag in _WANTED:
            found[tag] = content[place : place + length]
        place += length
    return None


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip(" \0")
