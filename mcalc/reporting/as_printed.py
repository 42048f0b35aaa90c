"""Formulas as Leong et al. 2022 printed or used them. They are wrong, or not what their names say.

Nobody should use them for anything but to show where a number of the paper comes from. The right
ones are in `mcalc.evaluation.metrics`, `mcalc.images.quality` and `mcalc.images.filters`. A test
sees that no module imports this one but those that show the paper's numbers.

References
----------
Y. S. Leong et al., Frontiers in Public Health 10:875305, 2022.
"""

from fractions import Fraction

import numpy as np


def f1_of_recall(recall: Fraction, false_positives: int, false_negatives: int) -> Fraction:
    """Return what Table 9 prints as F1 (Equation 15): 2 R / (2 R + FP + FN).

    Recall, a share from 0 to 1, stands where the count of true positives belongs, so that the
    result is near 0 as soon as there are a few errors.

    Parameters
    ----------
    recall : Fraction
        As printed, 0 to 1.
    false_positives, false_negatives : int
        Counts.

    Returns
    -------
    Fraction
        0 to 1; 0 where recall and both counts are 0.
    """
    denominator = 2 * recall + false_positives + false_negatives
    return 2 * recall / denominator if denominator else Fraction(0)


def wrapped_mean_squared_error(reference: np.ndarray, image: np.ndarray) -> float:
    """Return the mean of (reference - image)^2 as the code of Figure 2 computes it, in uint8.

    A difference of -1 becomes 255, and a square keeps its last eight bits: 16^2 counts as 0.

    Parameters
    ----------
    reference, image : ndarray of one shape, uint8

    Returns
    -------
    float
        0 to 255, in what look like squared grey levels.

    Raises
    ------
    TypeError
        If an image is not uint8: no other type wraps so.
    """
    if reference.dtype != np.uint8 or image.dtype != np.uint8:
        raise TypeError(f"images are {reference.dtype} and {image.dtype}; give uint8.")
    difference = np.subtract(reference, image, dtype=np.uint8)
    return float(np.multiply(difference, difference, dtype=np.uint8).mean())


def otsu_from_level_one(image: np.ndarray) -> int:
    """Return Otsu's threshold with the paper's sums, which begin at grey level 1.

    Black is left out of both classes: on a mammogram most of the background does not count.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8 or uint16

    Returns
    -------
    int
        Pixels above it are foreground; 0 for an image that is all black.
    """
    # The extension is loaded only here: showing printed numbers needs no images.
    from mcalc.images.filters import otsu_threshold

    return otsu_threshold(image, method="leong2022")
