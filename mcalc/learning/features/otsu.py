"""The bright regions of an image, alone on black (Hekal et al. 2021)."""

import cv2
import numpy as np


def keep_bright_regions(image: np.ndarray) -> np.ndarray:
    """Return the image with all below Otsu's threshold made black.

    Hekal et al., Signal Image Video Process 15:1497, 2021 take tumour-like regions so out of the
    whole mammogram, each as an image of its own; a crop is such a region already, so that what
    Otsu's threshold finds in it stays in its place.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8

    Returns
    -------
    ndarray, same shape, uint8
    """
    _, kept = cv2.threshold(image, 0, 0, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    return kept
