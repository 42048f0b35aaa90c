"""What a model does at a threshold: operating points and the decision curve."""

import numpy as np

from mcalc.errors import UsageError
from mcalc.evaluation.scores import checked

# The sensitivities, and the specificities, at which the other one is told.
TARGETS = (0.8, 0.9, 0.95)
# The threshold probabilities of the decision curve.
CURVE = np.arange(1, 20) / 20


def threshold_for(labels, probabilities, fixed: str, target: float) -> float:
    """Return the threshold at which these answers reach a sensitivity or specificity.

    An answer is called malignant where its probability is at or above the threshold. For
    sensitivity it is the highest that reaches the target, for specificity the lowest: of those that
    do, the one that costs the other measure least.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities : array of float, shape (n,)
    fixed : {'sensitivity', 'specificity'}
    target : float
        Above 0, up to 1.

    Returns
    -------
    float
        A probability that was given, or the number after 1, at which nothing is called malignant.
        NaN where the class that is measured is missing.
    """
    if fixed not in ("sensitivity", "specificity"):
        raise UsageError(f"{fixed!r} cannot be fixed; use sensitivity or specificity.")
    labels, probabilities = checked(labels, probabilities)
    measured = np.sort(probabilities[labels] if fixed == "sensitivity" else probabilities[~labels])
    if not len(measured):
        return np.nan
    # So many answers must be right; a hair less, or 0.9 of 10 would be 10 by rounding.
    wanted = int(np.ceil(target * len(measured) - 1e-9))
    if fixed == "sensitivity":
        return float(measured[len(measured) - wanted])
    # The lowest threshold above the answers that must be called benign.
    above = probabilities[probabilities > measured[wanted - 1]]
    return float(above.min()) if len(above) else float(np.nextafter(1, 2))


def net_benefit(labels, probabilities, clusters, weights, thresholds) -> np.ndarray:
    """Return the net benefit of every resample and threshold, shape (resamples, thresholds).

    TP/n - FP/n t/(1 - t), calling malignant what has a probability of t or more: what is gained
    for whoever would biopsy from a risk of t. Calling all malignant is the same with probabilities
    of 1; calling none has a net benefit of 0.

    Parameters
    ----------
    labels, probabilities, clusters, weights
        As for `mcalc.evaluation.scores.score_resamples`.
    thresholds : array of float, shape (thresholds,)
        Above 0, below 1.

    References
    ----------
    Vickers and Elkin, Med Decis Making 26:565 (2006).
    """
    labels, probabilities = checked(labels, probabilities)
    thresholds = np.asarray(thresholds, dtype=float)
    called = probabilities[:, None] >= thresholds
    gain = np.where(labels[:, None], 1.0, -thresholds / (1 - thresholds)) * called
    terms = np.column_stack([gain, np.ones(len(labels))])
    sums = np.zeros((np.shape(weights)[1], terms.shape[1]))
    np.add.at(sums, np.asarray(clusters), terms)
    totals = np.asarray(weights) @ sums
    return totals[:, :-1] / totals[:, -1:]
