"""Which denominators a printed ratio can have."""

from fractions import Fraction
from math import ceil, floor

from mcalc.reporting.audit_metrics.figures import Figure, Interval


class Ratio:
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
