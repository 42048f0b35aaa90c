"""A ROI's pixels: a file of its own, or a rectangle of a whole mammogram."""

from collections.abc import Mapping

import numpy as np

from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.pixels import read_pixels
from mcalc.errors import DataError

PLACE = ("roi_top", "roi_left", "roi_rows", "roi_columns")


def read_roi(row: Mapping, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the pixels of a row of the catalog.

    Parameters
    ----------
    row : mapping
        `source`, and where that file is a whole mammogram the ROI's place in it, in pixels from
        its top left: `roi_top`, `roi_left`, `roi_rows`, `roi_columns` (all or none empty).
    max_pixels : int
        See `read_pixels`.

    Returns
    -------
    ndarray, shape (rows, columns), uint8 or uint16

    Raises
    ------
    DataError
        If the file cannot be read, or the place does not lie within it.
    """
    pixels = read_pixels(row["source"], max_pixels=max_pixels)
    place = [row[name] for name in PLACE]
    if all(np.isnan(place)):
        return pixels
    if any(np.isnan(place)):
        raise DataError(f"{row['roi_id']}: the ROI's place is incomplete.", "bad_field")
    top, left, rows, columns = (int(number) for number in place)
    roi = pixels[top : top + rows, left : left + columns]
    if top < 0 or left < 0 or roi.shape != (rows, columns) or not roi.size:
        height, width = pixels.shape
        raise DataError(
            f"{row['source']}: the ROI at row {top}, column {left} of {rows} x {columns} pixels "
            f"does not lie within the image of {height} x {width}.",
            "bad_field",
        )
    return np.ascontiguousarray(roi)


def square_around(
    row: float, column: float, side: float, shape: tuple[int, int], *, smallest: int = 224
) -> dict[str, int]:
    """Return the place of a square ROI around a point, moved to lie within the image.

    Parameters
    ----------
    row, column : float
        The centre, in pixels from the image's top left.
    side : float
        Rows and columns wanted, in pixels.
    shape : (rows, columns)
        The whole image's.
    smallest : int
        The least side in pixels; a small finding is shown with its surroundings.

    Returns
    -------
    dict
        `roi_top`, `roi_left`, `roi_rows`, `roi_columns`; an image narrower than the square gives
        all it has.
    """
    side = max(round(side), smallest)
    rows, columns = (min(side, length) for length in shape)
    top = min(max(round(row - rows / 2), 0), shape[0] - rows)
    left = min(max(round(column - columns / 2), 0), shape[1] - columns)
    return dict(zip(PLACE, (top, left, rows, columns), strict=True))
