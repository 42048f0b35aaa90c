"""From a crop of any size to the square that filters and networks see."""

import cv2
import numpy as np


def resize_to_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize a grey image to `size` rows and columns, stretching other shapes, as in the study.

    A side that is too long is averaged over areas; one that is too short is interpolated.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8, uint16 or float
    size : int

    Returns
    -------
    ndarray, shape (size, size), float32, in the grey levels of `pixels`
    """
    rows, columns = (min(side, size) for side in pixels.shape)
    shrunk = cv2.resize(pixels.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
