"""Reading one image file of any kind that a data set may hold."""

import os
from pathlib import Path

import cv2
import numpy as np

from mcalc.data.dicom import read_dicom
from mcalc.errors import DataError

DICOM_SUFFIXES = (".dcm", ".dicom")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm")

# JPEG files of grey images decode to channels that differ by rounding.
GREY_TOLERANCE = 2


def read_pixels(path: str | os.PathLike) -> np.ndarray:
    """Read a grey image from a DICOM, PNG, JPEG, TIFF or PGM file.

    Returns
    -------
    ndarray, shape (rows, columns), uint8 or uint16

    Raises
    ------
    DataError
        If the file is missing, empty, broken, coloured, or neither 8- nor 16-bit.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return read_dicom(path)
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}).", "missing_file") from error
    if content.size == 0:
        raise DataError(f"{path}: the file is empty; download it again.", "empty_file")
    try:
        image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # such as a header that claims more pixels than OpenCV takes
        raise DataError(f"{path}: the picture cannot be decoded ({error.err}).") from error
    if image is None:
        raise DataError(f"{path}: not a readable {path.suffix[1:].upper()} file.")
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: pixels of type {image.dtype}; 8- or 16-bit images are read.")
    return image if image.ndim == 2 else _grey(image, path)


def _grey(image: np.ndarray, path: Path) -> np.ndarray:
    colours = image[..., :3].astype(np.int32)
    if np.ptp(colours, axis=2).max() > GREY_TOLERANCE:
        raise DataError(f"{path}: a colour image; only grey images are read.")
    return np.ascontiguousarray(image[..., 1])
