"""Sets of labels that hold the truth as often as was asked for, or an abstention."""

import numpy as np

from mcalc.evaluation.scores import checked

# The share of ROIs whose label shall be in the set.
COVERAGES = (0.8, 0.9, 0.95)


def set_limits(labels, probabilities, coverage: float, *, by_class: bool) -> np.ndarray:
    """Return how unlikely a label may be to stay in the set: for benign, then for malignant.

    Split conformal prediction: the unlikeliness of a label is 1 less its probability, and the limit
    is the k-th smallest among the true labels of these n answers, k = ceil((n + 1) coverage). Where
    they and a new answer are exchangeable, the new set holds its label with at least this
    probability. Where k > n nothing can be ruled out and the limit is infinite.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities : array of float, shape (n,)
    coverage : float
        Above 0, below 1.
    by_class : bool
        True takes the limit of each class from its own answers, so that the coverage holds for
        malignant and for benign ROIs, not only for both together.

    References
    ----------
    Papadopoulos et al., ECML 2002; Vovk, ACML 2012, for classes apart.
    """
    if not len(labels):
        return np.full(2, np.inf)
    labels, probabilities = checked(labels, probabilities)
    unlikely = np.where(labels, 1 - probabilities, probabilities)
    sides = [~labels, labels] if by_class else [np.ones(len(labels), dtype=bool)] * 2
    return np.array([_limit(np.sort(unlikely[side]), coverage) for side in sides])


def _limit(unlikely: np.ndarray, coverage: float) -> float:
    # A hair less, or 0.9 of 10 would be 10 by rounding.
    place = int(np.ceil((len(unlikely) + 1) * coverage - 1e-9))
    return float(unlikely[place - 1]) if place <= len(unlikely) else np.inf


def prediction_sets(probabilities, limits: np.ndarray) -> np.ndarray:
    """Return which labels are in each set, as bool of shape (n, 2): benign, malignant.

    A set of one label is an answer; with both labels, or none, the model abstains.
    """
    malignant = np.asarray(probabilities, dtype=float)
    return np.column_stack([malignant, 1 - malignant]) <= limits
