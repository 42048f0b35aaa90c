"""The measures of Table 9, from a confusion matrix with a named positive class."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from mcalc.records import MALIGNANT


class Confusion(NamedTuple):
    """Counts of a two-class confusion matrix."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def confusion(labels, predicted, *, positive_class: str = MALIGNANT) -> Confusion:
    """Count agreement between `labels` and `predicted`, two sequences of class names."""
    actual = np.asarray(labels) == positive_class
    called = np.asarray(predicted) == positive_class
    return Confusion(
        int(np.sum(actual & called)),
        int(np.sum(~actual & called)),
        int(np.sum(actual & ~called)),
        int(np.sum(~actual & ~called)),
    )


def measures(counts: Confusion) -> dict[str, float]:
    """Return recall (sensitivity), precision, specificity, accuracy, F1 and MCC.

    A ratio whose denominator is 0 is NaN, not 0: a model that never says "malignant" has no
    precision. (Matthews' coefficient of a matrix with an empty row or column is NaN, too.)
    """
    tp, fp, fn, tn = counts
    return {
        "recall": _ratio(tp, tp + fn),
        "precision": _ratio(tp, tp + fp),
        "specificity": _ratio(tn, tn + fp),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "mcc": _ratio(
            tp * tn - fp * fn,
            float(tp + fp) ** 0.5
            * float(tp + fn) ** 0.5
            * float(tn + fp) ** 0.5
            * float(tn + fn) ** 0.5,
        ),
    }


def area_under_curve(labels, probability_malignant) -> float:
    """Return the area under the ROC curve, NaN where only one class is present."""
    malignant = np.asarray(labels) == MALIGNANT
    if malignant.all() or not malignant.any():
        return float("nan")
    return float(roc_auc_score(malignant, np.asarray(probability_malignant)))


def _ratio(numerator: float, denominator: float) -> float:
    # Rounding may carry a correlation of one beyond one.
    return min(1.0, max(-1.0, numerator / denominator)) if denominator else float("nan")
