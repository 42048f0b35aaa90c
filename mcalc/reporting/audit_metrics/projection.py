"""Linear conditions on a confusion matrix, and their shadows on fewer of its unknowns.

A matrix is written as (n, positives, TP, TN). Each printed ratio bounds a sum of these from both
sides. Fourier and Motzkin's elimination takes TN and then TP out of the conditions without losing
or adding a solution in real numbers, so that a search over whole numbers, first n, then positives,
TP and TN, looks only where something can be.
"""

from fractions import Fraction
from math import ceil, gcd
from typing import NamedTuple

from mcalc.reporting.audit_metrics.figures import COUNTS, RATIOS, Figure

# A condition: the sum of coefficients times (n, positives, TP, TN, 1) is at least 0.
Condition = tuple[int, int, int, int, int]


class Projection(NamedTuple):
    """Conditions that bound one unknown by those before it: positives, TP, TN.

    `infeasible` tells that not even real numbers satisfy all conditions.
    """

    positives: list[Condition]
    tp: list[Condition]
    tn: list[Condition]
    infeasible: bool


def project(conditions: list[Condition]) -> Projection:
    """Eliminate TN, then TP."""
    levels = [{condition: frozenset([i]) for i, condition in enumerate(dict.fromkeys(conditions))}]
    for unknown in (3, 2):
        levels.append(_eliminate(levels[-1], unknown, most=len(levels) + 1))
    # What does not bound an unknown bounds one before it, and is asked there.
    tn, tp = (
        [each for each in level if each[unknown]]
        for level, unknown in zip(levels[:2], (3, 2), strict=True)
    )
    positives = list(levels[2])
    infeasible = any(condition[4] < 0 and not any(condition[:4]) for condition in positives)
    return Projection(positives, tp, tn, infeasible)


def conditions_of(figures: list[Figure], *, transposed: bool = False) -> list[Condition]:
    """Return what the figures (but for MCC) say of a matrix, ends included.

    With `transposed`, truth and prediction have changed places: FN stands for FP.
    """
    found = [_in_unknowns(count, 0, False) for count in list(COUNTS.values())[:4]]
    for figure in figures:
        if figure.measure == "mcc":
            continue
        low, high = figure.interval[:2]
        if figure.measure in COUNTS:
            count = COUNTS[figure.measure]
            minus = tuple(-a for a in count)
            found.append(_in_unknowns(count, -int(low), transposed))
            found.append(_in_unknowns(minus, int(high), transposed))
            continue
        parts = list(zip(*RATIOS[figure.measure], strict=True))
        lower = tuple(low.denominator * a - low.numerator * b for a, b in parts)
        upper = tuple(high.numerator * b - high.denominator * a for a, b in parts)
        found += [_in_unknowns(each, 0, transposed) for each in (lower, upper)]
    return found


def bounds(
    conditions: list[Condition], unknown: int, known: tuple[int, ...]
) -> tuple[int, int] | None:
    """Return the smallest and largest whole number that an unknown may be, None where none is.

    `known` holds the unknowns before it; conditions that do not hold it are checked as well.
    """
    low, high = 0, known[0]
    for condition in conditions:
        rest = condition[4]
        for coefficient, value in zip(condition, known, strict=False):
            rest += coefficient * value
        coefficient = condition[unknown]
        if coefficient > 0:
            low = max(low, -(rest // coefficient))
        elif coefficient < 0:
            high = min(high, rest // -coefficient)
        elif rest < 0:
            return None
        if low > high:
            return None
    return low, high


def envelope(conditions: list[Condition], first: int, last: int) -> list[Condition]:
    """Leave out conditions on (n, positives) that no n from `first` to `last` makes the tightest.

    Each condition is a line that bounds positives from below or above; of the lines of one side
    those are kept that are outermost somewhere.
    """
    kept = [condition for condition in conditions if not condition[1]]
    for side in (1, -1):
        lines = {}
        for condition in conditions:
            if condition[1] * side > 0:
                divisor = -condition[1]
                line = Fraction(condition[0], divisor), Fraction(condition[4], divisor)
                lines[line] = condition
        at = first
        while lines:
            # The tightest bound here and, of equals, the one that stays so.
            slope, offset = max(
                lines,
                key=lambda line, at=at, side=side: (
                    side * (line[0] * at + line[1]),
                    side * line[0],
                ),
            )
            kept.append(lines[slope, offset])
            crossings = [
                (offset - other[1]) / (other[0] - slope)
                for other in lines
                if side * (other[0] - slope) > 0
            ]
            if not crossings or min(crossings) > last:
                break
            at = ceil(min(crossings))
    return kept


def bounds_of_n(conditions: list[Condition], first: int, last: int) -> tuple[int, int]:
    """Return which n from `first` to `last` conditions on (n, positives) leave, in real numbers."""
    histories = {condition: frozenset([i]) for i, condition in enumerate(conditions)}
    for n, *_, constant in _eliminate(histories, 1, most=2):
        if n > 0:
            first = max(first, -(constant // n))
        elif n < 0:
            last = min(last, constant // -n)
        elif constant < 0:
            return 1, 0
    return first, last


def _in_unknowns(coefficients: tuple[int, ...], constant: int, transposed: bool) -> Condition:
    tp, fn, fp, tn = coefficients
    if transposed:
        fn, fp = fp, fn
    return _reduced((fp, fn - fp, tp - fn, tn - fp, constant))


def _reduced(condition: Condition) -> Condition:
    divisor = gcd(*condition) or 1
    return tuple(value // divisor for value in condition)


def _eliminate(
    conditions: dict[Condition, frozenset[int]], unknown: int, *, most: int
) -> dict[Condition, frozenset[int]]:
    """Combine each lower with each upper bound of an unknown.

    The values name the first conditions that one was made of. What was made of more than `most`
    follows from others (Chernikov's rule).
    """
    found = {each: history for each, history in conditions.items() if not each[unknown]}
    lower = [item for item in conditions.items() if item[0][unknown] > 0]
    upper = [item for item in conditions.items() if item[0][unknown] < 0]
    for one, history in lower:
        for other, other_history in upper:
            both = history | other_history
            if len(both) > most:
                continue
            a, b = one[unknown], -other[unknown]
            pairs = zip(one, other, strict=True)
            combined = _reduced(tuple(b * x + a * y for x, y in pairs))
            if any(combined[:4]) or combined[4] < 0:
                found.setdefault(combined, both)
    return found
