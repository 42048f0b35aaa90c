"""Printed figures as exact intervals, and the measures of a confusion matrix in whole numbers.

Nothing here rounds: a figure is the interval of values that would be printed so, a ratio is a pair
of whole numbers, and Matthews' coefficient is compared by its square.
"""

import re
from fractions import Fraction
from math import isqrt
from typing import NamedTuple

ROUNDINGS = ("nearest", "truncated", "either")
UNITS = ("fraction", "percent")

# Coefficients of (TP, FN, FP, TN): a count, or a numerator over a denominator.
COUNTS = {
    "tp": (1, 0, 0, 0),
    "fn": (0, 1, 0, 0),
    "fp": (0, 0, 1, 0),
    "tn": (0, 0, 0, 1),
    "positives": (1, 1, 0, 0),
    "negatives": (0, 0, 1, 1),
    "predicted_positives": (1, 0, 1, 0),
    "predicted_negatives": (0, 1, 0, 1),
    "correct": (1, 0, 0, 1),
    "errors": (0, 1, 1, 0),
    "n": (1, 1, 1, 1),
}
RATIOS = {
    "recall": (COUNTS["tp"], COUNTS["positives"]),
    "specificity": (COUNTS["tn"], COUNTS["negatives"]),
    "precision": (COUNTS["tp"], COUNTS["predicted_positives"]),
    "npv": (COUNTS["tn"], COUNTS["predicted_negatives"]),
    "false_negative_rate": (COUNTS["fn"], COUNTS["positives"]),
    "false_positive_rate": (COUNTS["fp"], COUNTS["negatives"]),
    "false_discovery_rate": (COUNTS["fp"], COUNTS["predicted_positives"]),
    "false_omission_rate": (COUNTS["fn"], COUNTS["predicted_negatives"]),
    "accuracy": (COUNTS["correct"], COUNTS["n"]),
    "error_rate": (COUNTS["errors"], COUNTS["n"]),
    "f1": ((2, 0, 0, 0), (2, 1, 1, 0)),
}
MEASURES = (*RATIOS, "mcc", *COUNTS)
ALIASES = {"sensitivity": "recall", "ppv": "precision"}

_PRINTED = re.compile(r"(-?)(\d*)(?:\.(\d+))?")


class Matrix(NamedTuple):
    """Counts of a two-class confusion matrix."""

    tp: int
    fn: int
    fp: int
    tn: int


class Interval(NamedTuple):
    """The values from `low` to `high`; an open end does not belong to it."""

    low: Fraction
    high: Fraction
    low_open: bool = False
    high_open: bool = False

    def holds(self, value: Fraction) -> bool:
        """Tell whether `value` lies in the interval."""
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def meets(self, other: "Interval") -> bool:
        """Tell whether the two have a value in common."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return low < high or (low == high and self.holds(low) and other.holds(low))


class Figure(NamedTuple):
    """One printed figure: its `measure`, its `digits` as on the page, and what they may stand for.

    `scale` is 100 for per cent, otherwise 1; `interval` is in fractions of one.
    """

    measure: str
    digits: str
    scale: int
    interval: Interval
    rounding: str = "nearest"

    @classmethod
    def parse(
        cls, measure: str, digits: str, *, unit: str = "fraction", rounding: str = "nearest"
    ) -> "Figure":
        """Read a figure as it is printed.

        Parameters
        ----------
        measure : str
            One of `MEASURES` or `ALIASES`.
        digits : str
            The page's own digits, such as ``"0.9850"``; trailing zeros count.
        unit : {'fraction', 'percent'}
            Ignored for counts. A trailing per cent sign means per cent whatever the unit.
        rounding : {'nearest', 'truncated', 'either'}
            How the page came from the value. Ties of 'nearest' may have gone either way.

        Raises
        ------
        ValueError
            If the digits are no number.
        """
        measure = ALIASES.get(measure, measure)
        if measure in COUNTS:
            count = whole(digits)
            return cls(measure, digits, 1, Interval(count, count))
        scale = 100 if unit == "percent" or digits.rstrip().endswith("%") else 1
        shown = printed_interval(digits.replace("%", ""), rounding)
        low, high = shown.low / scale, shown.high / scale
        return cls(measure, digits, scale, shown._replace(low=low, high=high), rounding)

    @property
    def decimals(self) -> int:
        """How many digits the page shows after the point."""
        return decimals(self.digits)

    @property
    def plain(self) -> str:
        """The digits without a per cent sign or thousands' commas."""
        if self.measure in COUNTS:
            return str(self.interval.low)
        return self.digits.replace("%", "").strip()


def whole(digits: str) -> Fraction:
    """Read a count; a comma may set thousands apart. `ValueError` where it is none."""
    if not re.fullmatch(r"\d+|\d{1,3}(,\d{3})+", digits.strip()):
        raise ValueError(f"{digits!r} is no count")
    return Fraction(digits.strip().replace(",", ""))


def decimals(digits: str) -> int:
    """Return how many digits stand after the point."""
    return len(digits.replace("%", "").strip().partition(".")[2])


def printed_interval(digits: str, rounding: str = "nearest") -> Interval:
    """Return the values that `digits` may stand for; see `Figure.parse`."""
    digits = digits.strip()
    match = _PRINTED.fullmatch(digits)
    if not match or not (match[2] or match[3]):
        raise ValueError(f"{digits!r} is no number")
    value, unit = Fraction(digits), Fraction(1, 10 ** decimals(digits))
    half = unit / 2
    if rounding == "nearest":
        return Interval(value - half, value + half)
    # Cutting leads towards 0, so that 0.00 may be a little more or a little less.
    down = value - (unit if value <= 0 else 0)
    up = value + (unit if value >= 0 else 0)
    if match[1] and value == 0:
        up = value
    if rounding == "truncated":
        return Interval(down, up, low_open=down < value, high_open=up > value)
    low, high = min(down, value - half), max(up, value + half)
    return Interval(low, high, low_open=low == down, high_open=high == up)


def dot(coefficients: tuple[int, int, int, int], matrix: Matrix) -> int:
    """Return the count that `coefficients` name, such as TP + FN."""
    return sum(a * b for a, b in zip(coefficients, matrix, strict=True))


def carries(matrix: Matrix, figure: Figure) -> bool:
    """Tell exactly whether `matrix` would be printed as `figure`.

    A ratio whose denominator is 0 counts as 0, as scikit-learn prints it.
    """
    if figure.measure == "mcc":
        low, high = (mcc_against(matrix, end) for end in figure.interval[:2])
        interval = figure.interval
        return (low > 0 or (low == 0 and not interval.low_open)) and (
            high < 0 or (high == 0 and not interval.high_open)
        )
    return figure.interval.holds(ratio(matrix, figure.measure))


def ratio(matrix: Matrix, measure: str) -> Fraction:
    """Return a count, or a ratio (0 where its denominator is 0), without rounding."""
    if measure in COUNTS:
        return Fraction(dot(COUNTS[measure], matrix))
    numerator, denominator = (dot(part, matrix) for part in RATIOS[measure])
    return Fraction(numerator, denominator) if denominator else Fraction(0)


def mcc_against(matrix: Matrix, value: Fraction) -> int:
    """Return 1, 0 or -1: Matthews' coefficient is above, equal to or below `value`."""
    numerator, square = _mcc_parts(matrix)
    left = numerator * value.denominator
    right = value.numerator  # times the root of `square`
    if (left >= 0) != (right >= 0):
        return 1 if left > right else -1
    sign = 1 if left >= 0 else -1
    difference = left * left - right * right * square
    return sign * ((difference > 0) - (difference < 0))


def shown(matrix: Matrix, figure: Figure) -> str:
    """Return the digits that `matrix` gives in the place of `figure`, with as many decimals."""
    if figure.measure in COUNTS:
        return str(ratio(matrix, figure.measure))
    places = figure.scale * 10**figure.decimals
    # Twice the value in units of the last place, without its fraction.
    if figure.measure == "mcc":
        numerator, square = _mcc_parts(matrix)
        doubled, negative = isqrt((2 * numerator * places) ** 2 // square), numerator < 0
    else:
        value = ratio(matrix, figure.measure)
        doubled, negative = 2 * value * places // 1, False
    last = int(doubled // 2 if figure.rounding == "truncated" else (doubled + 1) // 2)
    digits = str(last).rjust(figure.decimals + 1, "0")
    point = len(digits) - figure.decimals
    body = digits[:point] + ("." + digits[point:] if figure.decimals else "")
    return ("-" if negative and last else "") + body


def _mcc_parts(matrix: Matrix) -> tuple[int, int]:
    """Return numerator and squared denominator, 0 and 1 where the coefficient is undefined."""
    tp, fn, fp, tn = matrix
    square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn, square) if square else (0, 1)
