"""From the bytes of a DICOM file to a data set, quietly and within bounds.

The file's own meta header is never handed to pydicom: the transfer syntax is read and checked
here, and what is deflated is inflated here. No text of the header leaves this module in an error, a
warning or a log.
"""

import logging
import math
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mcalc.data.image_size import MAX_PIXELS
from mcalc.errors import OF_THE_MACHINE, DataError

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
JPEG = (
    *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
    *(JPEGLSLossless, JPEGLSNearLossless),
)
READ_SYNTAXES = {*NATIVE, DeflatedExplicitVRLittleEndian, RLELossless, *JPEG, *JPEG_2000}

# Only what the pixels need is parsed: nothing that names a person is even decoded.
_TAGS = [
    *(0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011),
    *(0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00281050, 0x00281051),
    *(0x00281052, 0x00281053, 0x00283000, 0x7FE00010),
]
# Bytes read at once: all that stands before the pixels, as a rule.
_BEGINNING = 1 << 14

_META_GROUP = b"\x02\0"
_SYNTAX_TAG = b"\x02\0\x10\0"
# The VRs whose length takes four bytes, behind two that are empty (PS3.5, 7.1.2).
LONG_LENGTHS = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN"}


def parse(
    path: str | os.PathLike, max_pixels: int = MAX_PIXELS, *, more: tuple[int, ...] = ()
) -> tuple[pydicom.Dataset, bool]:
    """Read the elements that describe and hold the pixels, and those of the tags `more`.

    Returns
    -------
    dataset : Dataset
        With a `file_meta` that holds nothing but the transfer syntax (0002,0010).
    certain : bool
        False where the transfer syntax had to be guessed, as the file lacks its preamble, its
        meta header or the element: the caller must check all the more closely.

    Raises
    ------
    DataError
        If the file is missing, empty, too large, no DICOM, or in a syntax that is not read.
    """
    with explained(path, "not a readable DICOM file"):
        limit = 4 * max_pixels + (1 << 20)
        with open_file(path, limit) as file:
            syntax, start, certain = find_syntax(file.peek(), path)
            file.seek(start)
            stream = file
            if syntax == DeflatedExplicitVRLittleEndian:
                stream = BytesIO(_inflated(file.read(), limit, path))
                syntax = ExplicitVRLittleEndian
            dataset = read_dataset(
                stream,
                syntax.is_implicit_VR,
                syntax.is_little_endian,
                specific_tags=[*_TAGS, *more],
            )
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        return dataset, certain


def open_file(path: str | os.PathLike, limit: float = math.inf) -> BufferedReader:
    """Open a file of 1 to `limit` bytes, so that `peek` shows all that stands before the pixels.

    Raises
    ------
    DataError
        If it is empty, larger, or no file at all.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise DataError(f"{path}: not a file; leave it out.")
    if found.st_size > limit:
        raise DataError(
            f"{path}: the file is larger than the {limit} bytes that an image may have; "
            "leave it out or cut the image out of it.",
            "too_large",
        )
    if not found.st_size:
        raise DataError(f"{path}: the file is empty; download it again.", "empty_file")
    return open(path, "rb", buffering=_BEGINNING)


def find_syntax(content: bytes, path: str | os.PathLike) -> tuple[UID, int, bool]:
    """Return the transfer syntax, where the data set begins, and whether the file tells the syntax.

    Parameters
    ----------
    content : bytes
        The file's first bytes, with all of its meta header and the first element behind it.

    Raises
    ------
    DataError
        If the syntax is not one that is read.
    """
    syntax, start = _meta(content)
    found = syntax or _guessed(content[start:])
    if found not in READ_SYNTAXES:
        raise DataError(
            f"{path}: the pixels are encoded in a way that is not read; "
            "convert the file to Explicit VR Little Endian."
        )
    return UID(found), start, bool(syntax)


@contextmanager
def explained(path: str | os.PathLike, problem: str) -> Iterator[None]:
    """Turn whatever a broken file makes a parser or a decoder raise into a `DataError`.

    Their words quote the header, which may name a person, so only the kind of error is told;
    pydicom's warnings and log, which quote it too, are silent meanwhile.
    """
    try:
        with _silence:
            yield
    except (DataError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "missing_file") from None
    except BaseException as error:  # a decoder written in Rust panics past Exception
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise  # the file is not to blame
        raise DataError(f"{path}: {problem} ({type(error).__name__}); download it again.") from None


class _Silence:
    """Keeps Python's warnings and pydicom's log silent while any thread is inside.

    Both are settings of the process: threads that each put back what they found would leave them
    silent for ever, or loud while another still reads.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._logger = logging.getLogger("pydicom")

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._level = self._logger.level
                self._logger.setLevel(logging.CRITICAL + 1)
                self._warnings = warnings.catch_warnings(action="ignore")
                self._warnings.__enter__()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._warnings.__exit__(*error)
                self._logger.setLevel(self._level)


_silence = _Silence()


def _meta(content: bytes) -> tuple[str, int]:
    """Return the transfer syntax ("" where none is told) and where the data set begins.

    The meta header is in Explicit VR Little Endian in every file (PS3.10, 7.1).
    """
    place = 132 if content[128:132] == b"DICM" else 0
    syntax = ""
    while content[place : place + 2] == _META_GROUP and content[place + 4 : place + 6].isupper():
        is_long = content[place + 4 : place + 6] in LONG_LENGTHS
        form, value = ("<I", place + 12) if is_long else ("<H", place + 8)
        end = value + struct.unpack_from(form, content, place + (8 if is_long else 6))[0]
        if content[place : place + 4] == _SYNTAX_TAG:
            syntax = content[value:end].decode("ascii").strip(" \0")
        place = end
    return syntax, place


def _guessed(body: bytes) -> str:
    """Guess the syntax from the first element, which a data set has in group 0008."""
    if body[:2] == b"\x08\0":
        return ExplicitVRLittleEndian if body[4:6].isupper() else ImplicitVRLittleEndian
    if body[:2] == b"\0\x08" and body[4:6].isupper():
        return ExplicitVRBigEndian
    raise ValueError("no DICOM")


def _inflated(body: bytes, limit: int, path: str | os.PathLike) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(body, limit)
    if inflater.unconsumed_tail:
        raise DataError(
            f"{path}: inflates to more than the {limit} bytes an image may have; leave it out.",
            "too_large",
        )
    if not inflater.eof:
        raise ValueError("cut off")
    return content
