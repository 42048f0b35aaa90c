"""Reading one image file of any kind that a data set may hold."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np

from mcalc.data.dicom import read_dicom
from mcalc.data.dicom_header import read_header
from mcalc.data.image_size import MAX_PIXELS, Size, picture_size
from mcalc.errors import OF_THE_MACHINE, DataError

DICOM_SUFFIXES = (".dcm", ".dicom")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm")

# JPEG files of grey images decode to channels that differ by rounding.
GREY_TOLERANCE = 2


def read_pixels(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a grey image from a DICOM, PNG, JPEG, TIFF or PGM file.

    Parameters
    ----------
    path : path
        The suffix tells pictures from DICOM; the content tells one kind of picture from another.
    max_pixels : int
        An image whose header claims more samples (pixels x channels) is refused undecoded.

    Returns
    -------
    ndarray, shape (rows, columns), uint8 or uint16

    Raises
    ------
    DataError
        If the file is missing, empty, broken, coloured, or neither 8- nor 16-bit; reason
        `too_large` where it holds or claims more than `max_pixels`.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return read_dicom(path, max_pixels=max_pixels)
    content = _content(path, 8 * max_pixels + (1 << 20))
    _check_size(content, path, max_pixels)
    try:
        image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # such as a header that claims more pixels than OpenCV takes
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        raise DataError(f"{path}: the picture cannot be decoded; download it again.") from None
    if image is None:
        raise DataError(
            f"{path}: not a readable {path.suffix[1:].upper()} file; download it again."
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: pixels of type {image.dtype}; 8- or 16-bit images are read.")
    return image if image.ndim == 2 else _grey(image, path)


def read_size(path: str | os.PathLike) -> tuple[int, int]:
    """Read how many rows and columns an image file claims to have; nothing is decoded.

    Raises
    ------
    DataError
        If the file is missing, empty, or its header is broken.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        header = read_header(path)
        return header.rows, header.columns
    size = _claimed_size(_content(path, 8 * MAX_PIXELS + (1 << 20)), path)
    return size.rows, size.columns


def _content(path: Path, limit: int) -> np.ndarray:
    try:
        if path.stat().st_size > limit:
            raise DataError(f"{path}: the file is larger than {limit} bytes.", "too_large")
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        if error.errno in OF_THE_MACHINE:  # the file is not to blame
            raise
        raise DataError(f"{path}: cannot be opened ({error.strerror}).", "missing_file") from error
    if content.size == 0:
        raise DataError(f"{path}: the file is empty; download it again.", "empty_file")
    return content


def _check_size(content: np.ndarray, path: Path, max_pixels: int) -> None:
    """Refuse a picture by what its header claims, before a decoder takes the memory for it."""
    size = _claimed_size(content, path)
    if size.rows * size.columns * size.samples > max_pixels:
        raise DataError(
            f"{path}: {size.rows} x {size.columns} pixels; at most {max_pixels} are read.",
            "too_large",
        )


def _claimed_size(content: np.ndarray, path: Path) -> Size:
    kind = path.suffix[1:].upper()
    try:
        size = picture_size(content.tobytes())
    except (ValueError, LookupError, struct.error):
        size = None
    if size is None:  # OpenCV would read formats whose claims are not checked here
        raise DataError(f"{path}: not a readable {kind} file; download it again.")
    return size


def _grey(image: np.ndarray, path: Path) -> np.ndarray:
    colours = image[..., :3].astype(np.int32)
    if np.ptp(colours, axis=2).max() > GREY_TOLERANCE:
        raise DataError(f"{path}: a colour image; only grey images are read.")
    return np.ascontiguousarray(image[..., 1])
