"""How much a filter changed an image: error, similarity, and what became of the specks.

Images are uint8 or uint16. All measures are in 8-bit grey levels (a level of 16 bits is 1/257 of
one), so that those of 8- and 16-bit images can be compared with each other and with the study's.
"""

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from mcalc.images.grey_levels import in_8_bit_levels

# A speck of 1 mm is 22 pixels wide on a CBIS-DDSM film and about as many on a resized crop.
SPECK_WINDOW = 15


def mean_squared_error(reference: np.ndarray, image: np.ndarray) -> float:
    """Return the mean of (image - reference)^2 over all pixels, in squared 8-bit grey levels."""
    difference = in_8_bit_levels(image) - in_8_bit_levels(reference)
    return float(np.mean(difference**2))


def peak_signal_to_noise_ratio(mse: float, *, peak: float = 255.0) -> float:
    """Return 10 log10(peak^2 / mse) in decibels, infinite where `mse` is 0."""
    return float("inf") if mse == 0 else float(10 * np.log10(peak**2 / mse))


def structural_similarity_index(reference: np.ndarray, image: np.ndarray) -> float:
    """Return the SSIM of Wang et al. 2004 (window 7, the type's range), 1 for equal images."""
    levels = in_8_bit_levels(reference), in_8_bit_levels(image)
    return float(structural_similarity(*levels, data_range=255))


def contrast_retention(reference: np.ndarray, image: np.ndarray) -> float:
    """Return which share of the specks' contrast survives in `image`.

    The white top-hat (image minus its opening) keeps bright details smaller than its window. Its
    sum over the one percent of pixels where it is largest in the reference is compared: 1 means
    that the brightest details are as bright as before, 0 that they are gone. Being a share, it
    does not depend on the unit of grey levels.
    """
    before, after = _white_top_hat(reference), _white_top_hat(image)
    specks = before >= np.percentile(before, 99)
    total = float(before[specks].sum(dtype=np.float64))
    return 1.0 if total == 0 else float(after[specks].sum(dtype=np.float64)) / total


def speck_contrast_left(specks: np.ndarray, image: np.ndarray, without: np.ndarray) -> float:
    """Return which share of known specks' contrast survives: 1 for all of it, 0 for nothing.

    What the specks still add is the difference between the image and the same image without them,
    both gone through the same noise and filter. It is weighted by what they add in truth, s, and
    set in relation to that: sum(s (image - without)) / sum(s^2). A linear filter's share is thus
    its response to the specks at their places; noise, being the same in both, hardly matters.

    Parameters
    ----------
    specks : ndarray, shape (rows, columns), float
        What the specks add in truth, in shares of white, 0 or more.
    image, without : ndarray, shape (rows, columns), uint8 or uint16
    """
    weight = float(np.sum(specks**2))
    added = (in_8_bit_levels(image) - in_8_bit_levels(without)) / 255
    return 1.0 if weight == 0 else float(np.sum(specks * added)) / weight


def _white_top_hat(image: np.ndarray) -> np.ndarray:
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SPECK_WINDOW, SPECK_WINDOW))
    return cv2.morphologyEx(image, cv2.MORPH_TOPHAT, window)
