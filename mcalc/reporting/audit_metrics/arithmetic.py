"""The arithmetic of the checks: pure functions on printed digits, exact but for a logarithm."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations
from math import ceil, floor

from mcalc.reporting.audit_metrics.figures import Interval, printed_interval, whole


def value(digits: str, rounding: str = "nearest") -> Interval:
    """Return what a cell may stand for; without a decimal point it is a count, and exact."""
    if "." not in digits:
        count = whole(digits)
        return Interval(count, count)
    return printed_interval(digits.replace("%", ""), rounding)


def added(parts: Sequence[Interval], factor: Fraction = Fraction(1)) -> Interval:
    """Return the values of a sum, times a positive factor; its ends may belong to it or not."""
    low, high = (factor * sum((part[end] for part in parts), Fraction(0)) for end in (0, 1))
    return Interval(low, high, any(p.low_open for p in parts), any(p.high_open for p in parts))


def numerators(share: Interval, n: int) -> range:
    """Return the counts k for which k / n lies in an interval of shares."""
    low, high = ceil(share.low * n), floor(share.high * n)
    low += share.low_open and low == share.low * n
    high -= share.high_open and high == share.high * n
    return range(max(low, 0), min(high, n) + 1)


def decibels(mse: Interval, peak: Fraction) -> Interval:
    """Return what 20 log10(peak / sqrt(MSE)) may be for a mean squared error, to 30 digits."""
    if mse.low <= 0:
        raise ValueError("the mean squared error is 0 or may be")
    with localcontext() as context:
        context.prec = 40

        def of(error: Fraction) -> Fraction:
            ratio = peak * peak / error
            quotient = Decimal(ratio.numerator) / Decimal(ratio.denominator)
            return Fraction(10 * quotient.log10())

        # Wider by what the logarithm may be off, so that nothing is called wrong by luck.
        slack = Fraction(1, 10**30)
        return Interval(of(mse.high) - slack, of(mse.low) + slack)


def subsets(total: int, parts: dict[str, int]) -> tuple[list[tuple[str, ...]], int]:
    """Return the sets of parts that add up to `total`, and the sum that comes nearest."""
    sums = {
        chosen: sum(parts[name] for name in chosen)
        for many in range(1, len(parts) + 1)
        for chosen in combinations(parts, many)
    }
    nearest = min(sums.values(), key=lambda found: abs(found - total))
    return [chosen for chosen, found in sums.items() if found == total], nearest


def plain(number: Fraction, places: int = 2) -> str:
    """Write a number for people: whole, or rounded to so many decimals."""
    return str(number) if number.denominator == 1 else f"{float(number):.{places}f}"


def spans(numbers: Iterable[int]) -> str:
    """Write whole numbers for people, as in '853-869' or '801, 805-807'."""
    numbers = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [f"{low}-{high}" if low < high else str(low) for low, high in runs]
    if len(texts) > 8:
        return f"{len(numbers)} numbers from {numbers[0]} to {numbers[-1]}"
    return ", ".join(texts)
