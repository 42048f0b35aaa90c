"""The same matrix with truth and prediction in each other's place: precision becomes recall."""

from mcalc.reporting.audit_metrics.figures import Figure, Matrix

_PAIRS = (
    ("recall", "precision"),
    ("specificity", "npv"),
    ("false_negative_rate", "false_discovery_rate"),
    ("false_positive_rate", "false_omission_rate"),
    ("fn", "fp"),
    ("positives", "predicted_positives"),
    ("negatives", "predicted_negatives"),
)
_TURNED = dict(_PAIRS) | {other: one for one, other in _PAIRS}


def turned(figures: list[Figure]) -> list[Figure]:
    """Let truth and prediction change places; what has no counterpart is the same both ways."""
    return [
        figure._replace(measure=_TURNED.get(figure.measure, figure.measure)) for figure in figures
    ]


def transpose(matrix: Matrix) -> Matrix:
    """Let false negatives and false positives change places."""
    return Matrix(matrix.tp, matrix.fp, matrix.fn, matrix.tn)
