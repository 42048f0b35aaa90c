"""Which confusion matrices carry a set of printed figures: an exact search over whole numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from mcalc.reporting.audit_metrics.figures import (
    COUNTS,
    RATIOS,
    Figure,
    Interval,
    Matrix,
    carries,
    mcc_against,
)
from mcalc.reporting.audit_metrics.prevalence import prevalences, within
from mcalc.reporting.audit_metrics.projection import (
    Projection,
    bounds,
    conditions_of,
    envelope,
    project,
)

# How many steps a search takes before it is given up as undecided: about ten seconds.
BUDGET = 500_000
# From so many pairs on it pays to ask first what Matthews' coefficient leaves of the prevalences.
MANY = 3000
_MARGINS = (COUNTS["positives"], COUNTS["negatives"])


class Found(NamedTuple):
    """The `matrices` found, the smallest n first; `complete` unless there are or may be more.

    `decided` is False where the search was given up before it found any.
    """

    matrices: list[Matrix]
    complete: bool
    decided: bool = True


class _GivenUpError(Exception):
    pass


def search(
    figures: Sequence[Figure], sizes: Sequence[int], *, limit: int = 1000, budget: int = BUDGET
) -> Found:
    """Find the confusion matrices that would be printed as `figures`.

    Parameters
    ----------
    figures : sequence of Figure
        What is printed of one matrix.
    sizes : range or ascending sequence of int
        Which n = TP + FN + FP + TN are possible, each at least 1.
    limit : int
        Stop after so many matrices.
    budget : int
        Give up after so many steps.

    Returns
    -------
    Found

    Notes
    -----
    No matrix that carries all figures is missed, and none is returned that does not: bounds come
    from exact elimination (`projection`), each matrix is checked with whole numbers at the end.
    """
    figures = list(figures)
    matrices = []
    try:
        for matrix in _matrices(figures, sizes, budget):
            if len(matrices) == limit:
                return Found(matrices, complete=False)
            matrices.append(matrix)
    except _GivenUpError:
        return Found(matrices, complete=False, decided=bool(matrices))
    return Found(matrices, complete=True)


def simplest_fraction(interval: Interval) -> Fraction:
    """Return the fraction of the smallest denominator in an interval from 0 on (Stern-Brocot).

    Which n are too small for a ratio follows: 0.9239 as a share needs at least 92 cases.
    """
    low, high = max(interval.low, Fraction(0)), interval.high
    whole_number = Fraction(ceil(low))
    if interval.low_open and whole_number == interval.low:
        whole_number += 1
    if interval.holds(whole_number):
        return whole_number
    base = floor(low)
    if high == base:  # empty
        return Fraction(1, 10**30)
    start, end = low - base, high - base
    inverse = Interval(
        1 / end,
        1 / start if start else Fraction(10**30),
        interval.high_open,
        interval.low_open and bool(start),
    )
    return base + 1 / simplest_fraction(inverse)


def _matrices(figures: list[Figure], sizes: Sequence[int], budget: int) -> Iterator[Matrix]:
    if not sizes or not all(_possible_at_all(figure) for figure in figures):
        return
    choices = []
    for transposed in (False, True):
        conditions = conditions_of(figures, transposed=transposed)
        projection = project(conditions)
        if projection.infeasible:
            return
        lines = envelope(projection.positives, sizes[0], sizes[-1])
        projection = projection._replace(positives=lines)
        range_at_end = bounds(lines, 1, (sizes[-1],)) or (0, sizes[-1])
        width = range_at_end[1] - range_at_end[0]
        # A ratio over positives or negatives leaves few of them, too.
        turned = _turned(figures) if transposed else figures
        margins = [figure for figure in turned if _denominator(figure) in _MARGINS]
        choices.append((width / 10 ** len(margins), transposed, width, conditions, projection))
    # The way round that leaves fewer positives to try.
    _, transposed, width, conditions, projection = min(choices, key=lambda choice: choice[:2])
    coefficient = _coefficient(figures)
    shares = None
    if coefficient and width * len(sizes) > MANY:
        shares = prevalences(conditions, coefficient)
    walk = _Walk(_turned(figures) if transposed else figures, projection, shares, budget)
    for matrix in walk.matrices(sizes):
        yield _transpose(matrix) if transposed else matrix


class _Walk:
    """Goes through n, positives, TP and TN, in this order."""

    def __init__(
        self,
        figures: list[Figure],
        projection: Projection,
        shares: list[tuple[Fraction, Fraction]] | None,
        budget: int,
    ) -> None:
        self.figures, self.projection, self.shares = figures, projection, shares
        self.left = budget
        self.coefficient = _coefficient(figures)
        # Ratios over n, positives or negatives: which denominators can carry them at all.
        self.over = {
            name: [_Ratio(figure) for figure in figures if _denominator(figure) == COUNTS[name]]
            for name in ("n", "positives", "negatives")
        }

    def matrices(self, sizes: Sequence[int]) -> Iterator[Matrix]:
        """Yield all matrices of these sizes, the smallest first."""
        largest = sizes[-1]
        positives = [p for p in range(largest + 1) if self._fits("positives", p)]
        negatives = bytearray(self._fits("negatives", count) for count in range(largest + 1))
        smallest_negatives = negatives.find(1)
        if not positives or smallest_negatives < 0:
            return
        for n in sizes:
            if n < positives[0] + smallest_negatives or not self._fits("n", n):
                continue
            found = bounds(self.projection.positives, 1, (n,))
            if found is None:
                continue
            ranges = [(found[0], min(found[1], n - smallest_negatives))]
            if self.shares is not None:
                ranges = within(self.shares, n, *ranges[0])
            for low, high in ranges:
                for p in positives[bisect_left(positives, low) : bisect_right(positives, high)]:
                    if negatives[n - p]:
                        yield from self._of_margins(n, p)

    def _fits(self, name: str, denominator: int) -> bool:
        return all(ratio.fits(denominator) for ratio in self.over[name])

    def _of_margins(self, n: int, positives: int) -> Iterator[Matrix]:
        self._step()
        found = bounds(self.projection.tp, 2, (n, positives))
        if found is None:
            return
        for tp in range(found[0], found[1] + 1):
            self._step()
            yield from self._of_true_positives(n, positives, tp)

    def _of_true_positives(self, n: int, positives: int, tp: int) -> Iterator[Matrix]:
        found = bounds(self.projection.tn, 3, (n, positives, tp))
        if found is None:
            return
        low, high = found

        def matrix(tn: int) -> Matrix:
            return Matrix(tp, positives - tp, n - positives - tn, tn)

        if self.coefficient:
            self._step(5)
            # With the margins of truth and TP fixed, the coefficient grows with TN.
            low = _first(low, high, lambda tn: mcc_against(matrix(tn), self.coefficient.low) >= 0)
            high = _first(low, high, lambda tn: mcc_against(matrix(tn), self.coefficient.high) > 0)
            high -= 1
        for tn in range(low, high + 1):
            self._step()
            if all(carries(matrix(tn), figure) for figure in self.figures):
                yield matrix(tn)

    def _step(self, cost: int = 1) -> None:
        self.left -= cost
        if self.left < 0:
            raise _GivenUpError


class _Ratio:
    """Which denominators a printed ratio can have, apart from 0."""

    def __init__(self, figure: Figure) -> None:
        low, high, low_open, high_open = figure.interval
        self.low, self.high = low.as_integer_ratio(), high.as_integer_ratio()
        self.low_open, self.high_open = low_open, high_open
        zero = figure.interval.holds(Fraction(0))
        self.smallest = 0 if zero else simplest_fraction(figure.interval).denominator

    def fits(self, denominator: int) -> bool:
        """Tell whether some numerator makes the ratio; over 0 the ratio counts as 0."""
        if not denominator:
            return not self.smallest
        a, b = self.low
        c, d = self.high
        least = (a * denominator) // b + 1 if self.low_open else -(-a * denominator // b)
        most = -(-c * denominator // d) - 1 if self.high_open else (c * denominator) // d
        return max(least, 0) <= most


def _possible_at_all(figure: Figure) -> bool:
    """Tell whether any number that the measure can be is printed so."""
    if figure.measure in COUNTS:
        return True
    least = Fraction(-1 if figure.measure == "mcc" else 0)
    return figure.interval.meets(Interval(least, Fraction(1)))


def _denominator(figure: Figure) -> tuple[int, int, int, int] | None:
    return RATIOS[figure.measure][1] if figure.measure in RATIOS else None


def _coefficient(figures: list[Figure]) -> Interval | None:
    """Return what MCC may be; of several figures of MCC the first, all are checked at the end."""
    return next((figure.interval for figure in figures if figure.measure == "mcc"), None)


def _first(low: int, high: int, holds) -> int:
    """Return the first number from `low` to `high` for which a steady condition holds.

    Where none does, `high` + 1.
    """
    high += 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


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


def _turned(figures: list[Figure]) -> list[Figure]:
    """Let truth and prediction change places; what has no counterpart is the same both ways."""
    return [
        figure._replace(measure=_TURNED.get(figure.measure, figure.measure)) for figure in figures
    ]


def _transpose(matrix: Matrix) -> Matrix:
    return Matrix(matrix.tp, matrix.fp, matrix.fn, matrix.tn)
