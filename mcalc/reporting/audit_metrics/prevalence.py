"""Which shares of positives leave room for a printed Matthews' coefficient.

The coefficient is no linear condition, so it is bounded on boxes of (prevalence, recall,
specificity): its square is (recall + specificity - 1) (precision + npv - 1), and each of the four
grows or falls steadily along each side of a box. Boxes that hold no solution in real numbers are
left out, the others are halved.
"""

from collections import deque
from fractions import Fraction
from math import ceil, floor

from mcalc.reporting.audit_metrics.figures import Interval
from mcalc.reporting.audit_metrics.projection import Condition

# A box is three pairs of whole numbers from 0 to SIDE, which stand for shares from 0 to 1.
SIDE = 2**10
MOST_BOXES = 4000

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def prevalences(
    conditions: list[Condition], coefficient: Interval
) -> list[tuple[Fraction, Fraction]]:
    """Return intervals of positives / n outside which no matrix can lie, in order.

    Parameters
    ----------
    conditions : list of Condition
        Those without a constant are used, as they hold whatever n is.
    coefficient : Interval
        What Matthews' coefficient may be.
    """
    shares = [condition for condition in conditions if not condition[4]]
    waiting, done, looked_at = deque([((0, SIDE),) * 3]), [], 0
    while waiting and looked_at < MOST_BOXES:
        box = waiting.popleft()
        looked_at += 1
        if not _may_hold(box, shares, coefficient):
            continue
        widths = [high - low for low, high in box]
        if max(widths) == 1:
            done.append(box[0])
            continue
        axis = widths.index(max(widths))
        low, high = box[axis]
        for half in ((low, (low + high) // 2), ((low + high) // 2, high)):
            waiting.append((*box[:axis], half, *box[axis + 1 :]))
    return _merged(sorted(done + [box[0] for box in waiting]))


def within(
    intervals: list[tuple[Fraction, Fraction]], n: int, low: int, high: int
) -> list[tuple[int, int]]:
    """Return the ranges of positives from `low` to `high` that lie in the intervals of shares."""
    ranges = []
    for start, end in intervals:
        first, last = max(low, ceil(start * n)), min(high, floor(end * n))
        if ranges and first <= ranges[-1][1]:
            first = ranges[-1][1] + 1
        if first <= last:
            ranges.append((first, last))
    return ranges


def _merged(pairs: list[tuple[int, int]]) -> list[tuple[Fraction, Fraction]]:
    merged = []
    for low, high in pairs:
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return [(Fraction(low, SIDE), Fraction(high, SIDE)) for low, high in merged]


def _may_hold(box: Box, conditions: list[Condition], coefficient: Interval) -> bool:
    corners = [
        (SIDE * SIDE, p * SIDE, p * recall, (SIDE - p) * specificity)
        for p in box[0]
        for recall in box[1]
        for specificity in box[2]
    ]
    for n, positives, tp, tn, _ in conditions:
        if all(n * a + positives * b + tp * c + tn * d < 0 for a, b, c, d in corners):
            return False
    low, high = _coefficient_squared(box)
    return _signed_square(coefficient.low) <= high and low <= _signed_square(coefficient.high)


def _coefficient_squared(box: Box) -> tuple[Fraction, Fraction]:
    """Bound Matthews' coefficient times its absolute value."""
    informedness = [
        Fraction(recall + specificity - SIDE, SIDE)
        for recall, specificity in zip(box[1], box[2], strict=True)
    ]
    (p_low, p_high), (r_low, r_high), (s_low, s_high) = box
    markedness = (
        _precision(p_low, r_low, s_low, 0) + _npv(p_high, r_low, s_low, 0) - 1,
        _precision(p_high, r_high, s_high, 1) + _npv(p_low, r_high, s_high, 1) - 1,
    )
    # Both factors have one sign, that of TP TN - FP FN.
    if informedness[0] >= 0 or markedness[0] >= 0:
        low = max(informedness[0], Fraction(0)) * max(markedness[0], Fraction(0))
    else:
        low = -informedness[0] * markedness[0]
    if informedness[1] <= 0 or markedness[1] <= 0:
        high = -min(informedness[1], Fraction(0)) * min(markedness[1], Fraction(0))
    else:
        high = informedness[1] * markedness[1]
    return low, high


def _precision(p: int, recall: int, specificity: int, otherwise: int) -> Fraction:
    right, wrong = p * recall, (SIDE - p) * (SIDE - specificity)
    return Fraction(right, right + wrong) if right + wrong else Fraction(otherwise)


def _npv(p: int, recall: int, specificity: int, otherwise: int) -> Fraction:
    return _precision(SIDE - p, specificity, recall, otherwise)


def _signed_square(value: Fraction) -> Fraction:
    return value * abs(value)
