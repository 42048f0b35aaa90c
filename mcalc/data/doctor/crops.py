"""What can be seen in one crop."""

import hashlib
from typing import NamedTuple

import cv2
import numpy as np

from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.rois import read_roi

# Letters burnt into film are plateaus of one level, at least so many pixels each, of about one
# height, and at least so many beside each other. Specks of calcium are smaller and scattered.
LETTER_PIXELS, LETTERS = 40, 3


class Crop(NamedTuple):
    """A row of the catalog with what its pixels are.

    `shape` is (rows, columns); `is_constant` tells that all pixels are equal; `saturated` is the
    share of pixels, 0 to 1, at the type's highest value; `has_letters` that something like letters
    is burnt in; `sha256` stands for the pixels, whatever file they came from.
    """

    row: dict
    shape: tuple[int, int]
    is_constant: bool
    saturated: float
    has_letters: bool
    sha256: str


def look_at_crop(row: dict, *, max_pixels: int = MAX_PIXELS) -> Crop:
    """Read a ROI's pixels and describe them; `DataError` where they cannot be read."""
    pixels = read_roi(row, max_pixels=max_pixels)
    top = pixels == np.iinfo(pixels.dtype).max
    return Crop(
        row,
        pixels.shape,
        bool(pixels.min() == pixels.max()),
        float(top.mean()),
        has_letters(pixels),
        hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest() + str(pixels.shape),
    )


def has_letters(pixels: np.ndarray) -> bool:
    """Tell whether plateaus of the brightest level stand in a line like letters.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
    """
    top = (pixels == pixels.max()).astype(np.uint8)
    count, _, boxes, centres = cv2.connectedComponentsWithStats(top, connectivity=8)
    if count > 1000:  # a plateau in noise, not text
        return False
    letters = [
        (centres[i][1], boxes[i][cv2.CC_STAT_HEIGHT])
        for i in range(1, count)
        if boxes[i][cv2.CC_STAT_AREA] >= LETTER_PIXELS
        and 0.5 <= boxes[i][cv2.CC_STAT_HEIGHT] / boxes[i][cv2.CC_STAT_WIDTH] <= 8
    ]
    return any(
        sum(
            abs(other_row - row) < height / 3 and abs(other_height - height) < height / 3
            for other_row, other_height in letters
        )
        >= LETTERS
        for row, height in letters
    )
