"""Which denominators a printed ratio can have."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from mcalc.reporting.audit_metrics.figures import Interval


def denominators(intervals: Sequence[Interval], largest: int) -> bytes:
    """Tell for 0 to `largest` (or more) whether each ratio has a numerator: 1 or 0.

    Without any ratio, all do. A ratio over 0 counts as 0.
    """
    # Rounded up, so that searches of nearly the same n share the work.
    many = 1 << largest.bit_length()
    found = [_denominators(interval, many) for interval in intervals] or [b"\1" * many]
    return found[0] if len(found) == 1 else bytes(map(min, *found))


@lru_cache(maxsize=64)
def _denominators(interval: Interval, many: int) -> bytes:
    low, high, low_open, high_open = interval
    a, b = low.as_integer_ratio()
    c, d = high.as_integer_ratio()
    found = bytearray([interval.holds(Fraction(0))])
    for denominator in range(1, many):
        least = a * denominator // b + 1 if low_open else -(-a * denominator // b)
        most = -(-c * denominator // d) - 1 if high_open else c * denominator // d
        found.append(max(least, 0) <= min(most, denominator))
    return bytes(found)
