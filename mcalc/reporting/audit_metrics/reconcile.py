"""Which figures must go, or change, for a confusion matrix to exist that carries the rest."""

from itertools import combinations
from typing import NamedTuple

from mcalc.reporting.audit_metrics.figures import COUNTS, Figure, Matrix, shown
from mcalc.reporting.audit_metrics.reading import Row
from mcalc.reporting.audit_metrics.search import Found, search

# How many matrices are looked at to tell what a figure should be.
LOOKED_AT = 1000


class Change(NamedTuple):
    """A figure that must change: what the matrices give instead, the most alike first.

    `kind` says what the change to the first of them is, in words.
    """

    figure: Figure
    instead: tuple[str, ...]
    kind: str


class Reading(NamedTuple):
    """One way to read a row: the figures in `changes` are wrong, the rest stands.

    `found` are the matrices that carry the rest; `loose` are those if each of its figures may have
    been cut off instead of rounded, None where the row's figures already may.
    """

    changes: tuple[Change, ...]
    found: Found
    loose: Found | None


class Verdict(NamedTuple):
    """All `readings` of a row with the fewest wrong figures, the smallest change first.

    `exchanges` are pairs of measures whose figures, exchanged, make everything fit; `truncated`
    tells that everything fits if figures were cut off instead of rounded; `decided` that no search
    was given up, so that fewer wrong figures are impossible.
    """

    row: Row
    readings: tuple[Reading, ...]
    exchanges: tuple[tuple[str, str], ...]
    truncated: bool
    decided: bool

    @property
    def consistent(self) -> bool:
        """Tell whether some matrix carries all figures (or none was found to be excluded)."""
        return not self.readings[0].changes

    @property
    def complete(self) -> bool:
        """Tell whether `matrices` are all there are."""
        return self.readings[0].found.complete

    @property
    def matrices(self) -> list[Matrix]:
        """The matrices of the likeliest reading."""
        return self.readings[0].found.matrices


def reconcile(row: Row) -> Verdict:
    """Search for matrices; where there are none, for the fewest figures that stand in the way."""
    whole = _found(row, row.figures)
    if whole.matrices or not whole.decided:
        return Verdict(
            row, (Reading((), whole, _loose(row, row.figures)),), (), False, whole.decided
        )
    readings, decided = [], True
    for many in range(1, len(row.figures) + 1):
        for dropped in combinations(range(len(row.figures)), many):
            kept = tuple(f for i, f in enumerate(row.figures) if i not in dropped)
            found = _found(row, kept, limit=1)
            decided = decided and found.decided
            if found.matrices:
                readings.append(_reading(row, kept, [row.figures[i] for i in dropped]))
        if readings:
            break
    readings.sort(key=lambda reading: sum(_cost(change) for change in reading.changes))
    cut = tuple(_with_rounding(figure, "truncated") for figure in row.figures)
    truncated = bool(_found(row, cut, limit=1).matrices)
    return Verdict(row, tuple(readings), tuple(_exchanges(row)), truncated, decided)


def likeness(printed: str, other: str) -> tuple[int, str]:
    """Return how many changes lead from one figure's digits to another's, and their name."""
    if len(printed) != len(other):
        return len(printed) + len(other), "another figure"
    places = [i for i, (a, b) in enumerate(zip(printed, other, strict=True)) if a != b]
    if len(places) == 1:
        return 1, "one digit"
    if len(places) == 2:
        i, j = places
        if printed[i] == other[j] and printed[j] == other[i]:
            return 1, "two neighbouring digits exchanged" if j == i + 1 else "two digits exchanged"
    return len(places), f"{len(places)} digits"


def _reading(row: Row, kept: tuple[Figure, ...], dropped: list[Figure]) -> Reading:
    found = _found(row, kept)
    changes = []
    for figure in dropped:
        instead = {shown(matrix, figure) for matrix in found.matrices}
        alike = sorted(
            instead, key=lambda digits, figure=figure: (likeness(figure.plain, digits), digits)
        )
        changes.append(Change(figure, tuple(alike), likeness(figure.plain, alike[0])[1]))
    return Reading(tuple(changes), found, _loose(row, kept))


def _found(row: Row, figures: tuple[Figure, ...], limit: int = LOOKED_AT) -> Found:
    return search((*row.given, *figures), row.sizes, limit=limit)


def _loose(row: Row, figures: tuple[Figure, ...]) -> Found | None:
    loose = tuple(_with_rounding(figure, "either") for figure in figures)
    return None if loose == figures else _found(row, loose)


def _with_rounding(figure: Figure, rounding: str) -> Figure:
    unit = "percent" if figure.scale == 100 else "fraction"
    return Figure.parse(figure.measure, figure.digits, unit=unit, rounding=rounding)


def _exchanges(row: Row) -> list[tuple[str, str]]:
    pairs = []
    for one, other in combinations(row.figures, 2):
        if one.interval == other.interval or (one.measure in COUNTS) != (other.measure in COUNTS):
            continue
        rest = tuple(figure for figure in row.figures if figure not in (one, other))
        pair = one._replace(measure=other.measure), other._replace(measure=one.measure)
        if _found(row, (*rest, *pair), limit=1).matrices:
            pairs.append((one.measure, other.measure))
    return pairs


def _cost(change: Change) -> int:
    return likeness(change.figure.plain, change.instead[0])[0]
