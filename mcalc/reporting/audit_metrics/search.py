"""Which confusion matrices carry a set of printed figures: an exact search over whole numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
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
    bounds_of_n,
    conditions_of,
    envelope,
    project,
)
from mcalc.reporting.audit_metrics.ratios import denominators
from mcalc.reporting.audit_metrics.turning import transpose, turned

# How many steps a search takes before it is given up as undecided: about ten seconds.
BUDGET = 500_000
# From so many pairs on it pays to ask first what Matthews' coefficient leaves of the prevalences.
MANY = 3000


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


def _matrices(figures: list[Figure], sizes: Sequence[int], budget: int) -> Iterator[Matrix]:
    if not sizes or not all(_possible_at_all(figure) for figure in figures):
        return
    # A ratio over positives or negatives leaves few of them to try; if there are more ratios over
    # predicted positives and negatives, these take their place.
    first, last = sizes[0], sizes[-1]
    transposed = _over_margins(turned(figures)) > _over_margins(figures)
    conditions = conditions_of(figures, transposed=transposed)
    projection = project(conditions)
    if projection.infeasible:
        return
    lines = envelope(projection.positives, first, last)
    first, last = bounds_of_n(lines, first, last)
    sizes = sizes[bisect_left(sizes, first) : bisect_right(sizes, last)]
    if not sizes:
        return
    coefficient, shares = _coefficient(figures), None
    low, high = bounds(lines, 1, (sizes[-1],)) or (0, sizes[-1])
    if coefficient and (high - low) * len(sizes) > MANY:
        shares = prevalences(conditions, coefficient)
    projection = projection._replace(positives=lines)
    walk = _Walk(turned(figures) if transposed else figures, projection, shares, budget)
    for matrix in walk.matrices(sizes):
        yield transpose(matrix) if transposed else matrix


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

    def matrices(self, sizes: Sequence[int]) -> Iterator[Matrix]:
        """Yield all matrices of these sizes, the smallest first."""
        fit_n, fit_positives, fit_negatives = (
            denominators(_over(self.figures, COUNTS[name]), sizes[-1])
            for name in ("n", "positives", "negatives")
        )
        positives = [count for count, fits in enumerate(fit_positives) if fits]
        smallest_negatives = fit_negatives.find(1)
        if not positives or smallest_negatives < 0:
            return
        for n in sizes:
            if n < positives[0] + smallest_negatives or not fit_n[n]:
                continue
            found = bounds(self.projection.positives, 1, (n,))
            if found is None:
                continue
            ranges = [(found[0], min(found[1], n - smallest_negatives))]
            if self.shares is not None:
                ranges = within(self.shares, n, *ranges[0])
            for low, high in ranges:
                for p in positives[bisect_left(positives, low) : bisect_right(positives, high)]:
                    if fit_negatives[n - p]:
                        yield from self._of_margins(n, p)

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


def _possible_at_all(figure: Figure) -> bool:
    """Tell whether any number that the measure can be is printed so."""
    if figure.measure in COUNTS:
        return True
    least = Fraction(-1 if figure.measure == "mcc" else 0)
    return figure.interval.meets(Interval(least, Fraction(1)))


def _over(figures: list[Figure], denominator: tuple[int, int, int, int]) -> list[Interval]:
    """Return what the ratios over a count may be."""
    return [
        figure.interval
        for figure in figures
        if figure.measure in RATIOS and RATIOS[figure.measure][1] == denominator
    ]


def _over_margins(figures: list[Figure]) -> int:
    """Return how many ratios are over positives or negatives."""
    return sum(len(_over(figures, COUNTS[name])) for name in ("positives", "negatives"))


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
