"""Reading DICOM images: grey pixels, the window that goes with them, and crop or mask.

Whatever the file holds, the answer is an array or one `DataError`. docs/dicom.md has the rules.
"""

import math
import os

import cv2
import numpy as np
import pydicom

from mcalc.data.dicom_frame import Frame, decode, frame_of
from mcalc.data.dicom_parsing import explained, parse
from mcalc.data.dicom_writing import uid_from, write_dicom
from mcalc.data.image_size import MAX_PIXELS
from mcalc.errors import DataError

__all__ = ["holds_mask", "is_mask", "read_dicom", "read_window", "to_levels"]
__all__ += ["uid_from", "write_dicom"]

_TOP = np.iinfo(np.uint16).max

# What is empty or missing counts as.
_RESCALING = {"RescaleSlope": 1.0, "RescaleIntercept": 0.0}


def read_dicom(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the pixels of a single-frame grey DICOM image, bright tissue on dark ground.

    Parameters
    ----------
    path : path
        A DICOM file, native, deflated, or compressed as RLE, JPEG, JPEG-LS or JPEG 2000.
    max_pixels : int
        An image of more samples (Rows x Columns x SamplesPerPixel) is refused by its header.

    Returns
    -------
    ndarray, shape (rows, columns), uint8 or uint16
        Stored values after the modality LUT (0028,3000; 0028,1052-1053), rounded, shifted to
        start at zero where they would be negative; MONOCHROME1 (0028,0004) is inverted over the
        range that BitsStored (0028,0101) allows, so that larger always means brighter. More than
        8 bits allocated (0028,0100) give uint16, whatever the values are.

    Raises
    ------
    DataError
        If the file is empty, is no DICOM, holds colour or several frames, or cannot be decoded;
        reason `too_large` where it holds or claims more than `max_pixels`.
    """
    return _read(path, *parse(path, max_pixels), max_pixels)[0]


def read_window(
    path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS
) -> tuple[float, float] | None:
    """Read the first VOI window of a DICOM image in the units of what `read_dicom` returns.

    Returns
    -------
    (centre, width) or None
        WindowCenter (0028,1050), inverted and shifted as the pixels were, and WindowWidth
        (0028,1051), at least 1; None where the file has no such window or a senseless one.

    Raises
    ------
    DataError
        As `read_dicom` does, where there is a window.
    """
    dataset, is_certain = parse(path, max_pixels)
    with explained(path, "the header cannot be read"):
        centre, width = (_first_number(dataset, tag) for tag in (0x00281050, 0x00281051))
    if centre is None or width is None or width < 1:
        return None
    _, turn, shift = _read(path, dataset, is_certain, max_pixels)
    if turn is not None:
        # Black and white swap, and with them which end of the window is open (PS3.3, C.11.2.1.2).
        centre = turn - centre + 1
    return centre + shift, width


def is_mask(path: str | os.PathLike) -> bool:
    """Tell by content whether a CBIS-DDSM file is a region mask (True) or an image (False).

    Neither the file's name nor its size decides: the tables and the downloader number the two
    files differently. Sixteen bits allocated (0028,0100) settle an image without decoding; an
    8-bit file is a mask when its pixels take at most two values.
    """
    dataset, is_certain = parse(path)
    with explained(path, "the header cannot be read"):
        if int(dataset.get("BitsAllocated") or 0) > 8:
            return False
    return holds_mask(_read(path, dataset, is_certain, MAX_PIXELS)[0])


def holds_mask(pixels: np.ndarray) -> bool:
    """Tell whether `pixels` take at most two values, as a mask does and a crop of film never."""
    # A few rows tell a crop at once; all are looked at only where these hold two values or one.
    for part in (pixels[::64], pixels):
        low, high = part.min(), part.max()
        if ((low < part) & (part < high)).any():
            return False
    return True


def to_levels(
    stored: np.ndarray, dataset: pydicom.Dataset, frame: Frame, path: str | os.PathLike
) -> tuple[np.ndarray, float | None, float]:
    """Turn stored values into grey levels, as `read_dicom` returns them.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns)
        As `dicom_frame.decode` returns it.
    dataset : Dataset
        With the modality LUT or the rescaling, where there is one.
    frame : Frame
    path : path
        What an error names.

    Returns
    -------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
    turn : float or None
        What the values were subtracted from, where black and white were swapped.
    shift : float
        What was added afterwards.
    """
    codes, values = _levels(stored, frame, path)
    del stored
    if _is_plain(dataset, frame):
        return codes, None, 0.0
    counts = cv2.calcHist([codes], [0], None, [len(values)], [0, len(values)])
    present = counts.ravel() > 0  # OpenCV 4 gives a column
    units = _modality(dataset, values, path)
    turn = None
    if frame.is_inverted:
        turn = float(units.min() + units.max())
        units = turn - units
    table, shift = _whole(units, present, path)
    is_wide = frame.allocated > 8 or table[present].max() > np.iinfo(np.uint8).max
    return table.astype(np.uint16 if is_wide else np.uint8)[codes], turn, shift


def _read(
    path: str | os.PathLike, dataset: pydicom.Dataset, is_certain: bool, max_pixels: int
) -> tuple[np.ndarray, float | None, float]:
    """Return the pixels, and what they were subtracted from (None) and shifted by."""
    with explained(path, "the pixels cannot be decoded"):
        frame = frame_of(dataset, path, is_certain, max_pixels)
        return to_levels(decode(dataset, frame, path), dataset, frame, path)


def _is_plain(dataset: pydicom.Dataset, frame: Frame) -> bool:
    """Tell whether the stored values are what is returned, as they are in most files."""
    is_rescaled = any(name in dataset for name in (*_RESCALING, "ModalityLUTSequence"))
    return not (frame.is_signed or frame.is_inverted or is_rescaled or frame.stored > 16)


def _levels(
    stored: np.ndarray, frame: Frame, path: str | os.PathLike
) -> tuple[np.ndarray, np.ndarray]:
    """Split stored values into codes (uint8, uint16) and the values (float64) they stand for.

    Bits above BitsStored (0028,0101) are no part of a value (PS3.5, 8.1.1): overlays lie there.
    They are cleared, or made copies of the sign.
    """
    if frame.stored > 16:
        spare = frame.allocated - frame.stored
        stored = np.right_shift(np.left_shift(stored, spare), spare)
        low, high = int(stored.min()), int(stored.max())
        if high - low > _TOP:
            raise DataError(f"{path}: values from {low} to {high}; at most 65536 levels are read.")
        return (stored.astype(np.int64) - low).astype(np.uint16), np.arange(low, high + 1.0)
    count = 1 << frame.stored
    unsigned = stored.view(f"u{stored.dtype.itemsize}")
    values = np.arange(float(count))
    if frame.is_signed:
        values[count // 2 :] -= count
    if unsigned.max() >= count:
        unsigned = unsigned & unsigned.dtype.type(count - 1)
    return unsigned.astype(np.uint16 if frame.allocated > 8 else np.uint8, copy=False), values


def _modality(dataset: pydicom.Dataset, values: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """Put stored values through the modality LUT or the rescaling (PS3.3, C.11.1)."""
    if dataset.get("ModalityLUTSequence"):
        table, first = _table_of(dataset)
        return table[np.clip(values - first, 0, len(table) - 1).astype(int)]
    slope, intercept = (_rescaling(dataset, name, path) for name in _RESCALING)
    if slope == 0:
        raise DataError(f"{path}: a rescale slope of zero, which leaves no image; mend the header.")
    with np.errstate(over="ignore", invalid="ignore"):
        return values * slope + intercept


def _table_of(dataset: pydicom.Dataset) -> tuple[np.ndarray, int]:
    """Return the modality LUT's entries (0028,3006), of words or bytes, and the first's value."""
    item = dataset.ModalityLUTSequence[0]
    count, first, bits = item.LUTDescriptor
    count, data = int(count) or 1 << 16, item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, "u1" if bits <= 8 and len(data) < 2 * count else f"{order}u2")
    table = np.atleast_1d(np.asarray(data, np.float64))[:count]
    if len(table) < count or table.min() < 0 or table.max() > _TOP:
        raise ValueError("a table shorter than it says")
    return table, int(first)


def _rescaling(dataset: pydicom.Dataset, name: str, path: str | os.PathLike) -> float:
    value = dataset.get(name)
    number = _RESCALING[name] if value in (None, "") else float(value)
    if not math.isfinite(number):
        raise DataError(f"{path}: the {name} is no finite number; mend the header.")
    return number


def _whole(
    units: np.ndarray, present: np.ndarray, path: str | os.PathLike
) -> tuple[np.ndarray, float]:
    """Round `units` to whole numbers from zero up; say what was added.

    A slope under one merges levels; one that merges more than half of those present would turn
    16 bits into a few grey levels unseen, so it is refused.
    """
    used = units[present]
    if not np.isfinite(used).all():
        raise DataError(f"{path}: values beyond all bounds after rescaling; mend the header.")
    used = np.rint(used)
    shift = -min(0.0, float(used.min()))
    top = float(used.max()) + shift
    if top > _TOP:
        raise DataError(f"{path}: values up to {top:.0f} after rescaling; at most 65535 are read.")
    if len(np.unique(used)) < len(np.unique(units[present])) / 2 or (
        len(used) > 2 and len(np.unique(used)) == 1
    ):
        raise DataError(f"{path}: rescaling merges most of the grey levels; mend the header.")
    return np.clip(np.rint(np.nan_to_num(units)) + shift, 0, _TOP), shift


def _first_number(dataset: pydicom.Dataset, tag: int) -> float | None:
    """Return an element's first value, None where it has none or that is no finite number."""
    try:
        value = dataset[tag].value
        number = float(value if isinstance(value, (str, int, float)) else value[0])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
