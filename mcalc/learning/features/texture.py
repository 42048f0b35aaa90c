"""How grey levels are spread over an image, and which lie beside which.

First-order statistics and co-occurrence, the hand-made features that studies set beside learned
ones (Cai et al., Comput Math Methods Med 2019:2717454, whose own list is not known here).
"""

import numpy as np
from scipy.special import entr
from skimage.feature import graycomatrix, graycoprops

# A quarter turn of the image does not change the features.
TURNED = False

# Grey levels of the co-occurrence matrices: with 256 most of their cells would be empty.
LEVELS = 32
# Distances in pixels, and directions, in which pairs of pixels are counted.
DISTANCES = (1, 2, 4)
DIRECTIONS = tuple(np.pi / 4 * np.arange(4))
# After Haralick et al., IEEE Trans Syst Man Cybern 3:610, 1973.
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "ASM", "correlation")


def extract(image: np.ndarray) -> dict[str, float]:
    """Return statistics of the grey levels, and co-occurrence at three distances.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8

    Returns
    -------
    dict of str to float
        `level_` and each of `describe`; `distance1_contrast_mean`, `distance1_contrast_range` and
        so on: mean over four directions, and largest less smallest, of each of `PROPERTIES` at
        each of `DISTANCES`.
    """
    described = describe(image.astype(float))
    described["entropy"] = entropy(np.bincount(image.ravel()))
    return {f"level_{name}": value for name, value in described.items()} | co_occurrence(image)


def describe(values: np.ndarray) -> dict[str, float]:
    """Return mean, deviation, skewness and excess kurtosis; the last two are 0 of equal values."""
    mean, spread = values.mean(), values.std()
    # Of values that differ by rounding alone, moments would be noise.
    is_flat = spread <= 1e-9 * max(1.0, np.abs(values).max())
    scores = np.zeros_like(values) if is_flat else (values - mean) / spread
    squares = scores * scores  # NumPy's third and fourth powers take a hundred times as long.
    return {
        "mean": float(mean),
        "deviation": float(spread),
        "skewness": float((squares * scores).mean()),
        "kurtosis": 0.0 if is_flat else float((squares * squares).mean() - 3),
    }


def entropy(weights: np.ndarray) -> float:
    """Return how evenly weights (0 or more) are spread, in bits (Shannon); 0 where all are 0."""
    whole = weights.sum()
    return float(entr(weights / whole).sum() / np.log(2)) if whole > 1e-12 else 0.0


def co_occurrence(image: np.ndarray, distances: tuple[int, ...] = DISTANCES) -> dict[str, float]:
    """Return what `extract` says of pairs of pixels.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8
        Larger than the largest distance.
    distances : tuple of int
    """
    levels = image // (256 // LEVELS)
    pairs = graycomatrix(levels, distances, DIRECTIONS, LEVELS, symmetric=True, normed=True)
    features = {}
    for name in PROPERTIES:
        # Of a constant image scikit-image calls the correlation 1.
        for distance, found in zip(distances, graycoprops(pairs, name), strict=True):
            features[f"distance{distance}_{name}_mean"] = float(found.mean())
            features[f"distance{distance}_{name}_range"] = float(np.ptp(found))
    return features
