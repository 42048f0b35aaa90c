"""What a DICOM file says of itself, read without its pixels."""

import os
import warnings
from typing import NamedTuple

import pydicom
from pydicom.uid import UID

from mcalc.errors import DataError

PATIENT_ID, SERIES_UID, FRAMES = 0x00100020, 0x0020000E, 0x00280008
SAMPLES, ROWS, COLUMNS, BITS_ALLOCATED = 0x00280002, 0x00280010, 0x00280011, 0x00280100
TAGS = [PATIENT_ID, SERIES_UID, SAMPLES, FRAMES, ROWS, COLUMNS, BITS_ALLOCATED]


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
    """Read a DICOM file's header.

    Raises
    ------
    DataError
        If the file is missing, empty, no DICOM, holds no image, or is shorter than the pixels
        that it announces (where these are not compressed).
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings(action="ignore"):
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise DataError(f"{path}: the file is empty; download it again.", "empty_file")
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=TAGS)
            left = size - file.tell()
            header = Header(
                _number(dataset, ROWS),
                _number(dataset, COLUMNS),
                _number(dataset, BITS_ALLOCATED),
                _text(dataset, PATIENT_ID),
                _text(dataset, SERIES_UID),
            )
            samples = _number(dataset, SAMPLES) if SAMPLES in dataset else 1
            frames = int(_text(dataset, FRAMES) or 1)
            syntax = UID(dataset.file_meta.TransferSyntaxUID)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.", "missing_file") from error
    except DataError:
        raise
    except Exception as error:  # the parser's words quote the header, which may name a person
        raise DataError(
            f"{path}: not a readable DICOM image ({type(error).__name__}); download it again."
        ) from error
    pixels = header.rows * header.columns * samples * frames
    is_plain = not syntax.is_compressed and not syntax.is_deflated
    if is_plain and left < pixels * header.bits // 8:
        raise DataError(
            f"{path}: cut off, {left} bytes are left for {header.rows} x {header.columns} pixels; "
            "download it again."
        )
    return header


# The values are taken as they stand in the file: converting them would take as long as reading.
def _number(dataset: pydicom.Dataset, tag: int) -> int:
    element = dataset.get_item(tag)
    return int.from_bytes(element.value, "little" if element.is_little_endian else "big")


def _text(dataset: pydicom.Dataset, tag: int) -> str:
    if tag not in dataset:
        return ""
    return (dataset.get_item(tag).value or b"").decode("ascii", "replace").strip(" \0")
