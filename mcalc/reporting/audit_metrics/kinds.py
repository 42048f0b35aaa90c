"""What each kind of check computes: from the fields as they were read to findings."""

from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

from mcalc.reporting import as_printed
from mcalc.reporting.audit_metrics.arithmetic import (
    added,
    decibels,
    numerators,
    plain,
    spans,
    subsets,
    value,
)
from mcalc.reporting.audit_metrics.fields import Column
from mcalc.reporting.audit_metrics.figures import COUNTS, Interval, dot, printed_interval, shown

# How many matrices of a row a formula is tried on.
TRIED = 100
UNDECIDED = "Not decided: more matrices fit than were listed. Give n, or more figures."


class Finding(NamedTuple):
    """One result: `verdict` is 'holds', 'impossible' or 'note'; `where` names cells."""

    verdict: str
    where: str
    says: str


def product(given: dict) -> list[Finding]:
    """Compare a count, or the sum of some, times a factor with a cell."""
    names, digits = zip(*(part for row in given["of"] for part in row), strict=True)
    factor, expected = Fraction(given["factor"]), given["equals"]
    result = added([value(each) for each in digits], factor)
    terms = " + ".join(digits) if len(digits) == 1 else f"({' + '.join(digits)})"
    (target, printed) = expected[0]
    sentence = f"{given['factor']} x {terms} = {_middle(result)}"
    if result.meets(value(printed)):
        return [Finding("holds", target, f"{sentence}, as printed.")]
    return [Finding("impossible", target, f"{sentence}, not {printed} (from {', '.join(names)}).")]


def addition(given: dict) -> list[Finding]:
    """Compare sums along rows with a number or a cell."""
    found, right = [], 0
    for i in range(max(len(column) for column in given["of"])):
        parts = [column[i] if len(column) > 1 else column[0] for column in given["of"]]
        expected = given["equals"]
        target, printed = expected[i] if len(expected) > 1 else expected[0]
        result = added([value(digits) for _, digits in parts])
        right += (holds := result.meets(value(printed)))
        if not holds:
            terms = " + ".join(digits for _, digits in parts)
            says = f"{terms} = {_middle(result)}, not {printed}."
            found.append(Finding("impossible", target or parts[0][0], says))
    if right:
        names = " + ".join(_columns(column) for column in given["of"])
        target = given["equals"][0]
        rows = f" holds in {right} of {right + len(found)} rows" if right + len(found) > 1 else ""
        says = f"{names} = {target[0] or target[1]}{rows or ', as printed'}."
        found.append(Finding("holds", _columns(given["of"][0]), says))
    return found


def psnr(given: dict) -> list[Finding]:
    """Compare peak signal-to-noise ratios with those of the printed squared errors."""
    found = []
    for (name, psnr), (_, mse) in _paired(given["psnr"], given["mse"]):
        result = decibels(printed_interval(mse), Fraction(given["peak"]))
        holds = result.meets(printed_interval(psnr))
        says = (
            f"20 log10({given['peak']} / sqrt({mse})) = {_middle(result)}, "
            f"{'printed' if holds else 'not'} {psnr}{' within rounding' if holds else ''}."
        )
        found.append(Finding("holds" if holds else "impossible", name, says))
    return found


def share(given: dict) -> list[Finding]:
    """Ask of which k each share is k / n, and where of none, for which other n it is one."""
    n, (first, last) = given["n"], given["range"]
    found, right = [], []
    for name, digits in given["of"]:
        share = _fraction(digits, given["unit"])
        counts = numerators(share, n)
        if counts:
            right.append(f"{name.split('/')[1]}: {spans(counts)}")
            continue
        others = [size for size in range(first, last + 1) if numerators(share, size)]
        if others:
            says = f"{digits} is k/{n} for no k, but k/N for N = {spans(others)}."
            found.append(Finding("note", name, says))
        else:
            says = f"{digits} is k/N for no N from {first} to {last}."
            found.append(Finding("impossible", name, says))
    if right:
        says = f"is k/{n} in rows with k = {', '.join(right)}."
        found.append(Finding("holds", _columns(given["of"]), says))
    return found


def same(given: dict) -> list[Finding]:
    """Compare cells that are printed twice."""
    found = []
    for (name, digits), (other, other_digits) in _paired(given["first"], given["second"]):
        same = value(digits).meets(value(other_digits))
        says = f"{digits} {'agrees' if same else 'does not agree'} with {other_digits} of {other}."
        found.append(Finding("holds" if same else "impossible", name, says))
    return found


def errors(given: dict) -> list[Finding]:
    """Compare the errors of a confusion matrix with an error rate printed elsewhere."""
    verdict = given["matrix"]
    (other, digits), *_ = given["error_rate"]
    share = _fraction(digits, given["unit"])
    errors = {matrix: matrix.fn + matrix.fp for matrix in verdict.matrices}
    agreeing = [m for m, wrong in errors.items() if wrong in numerators(share, sum(m))]
    if agreeing:
        wrong, sizes = spans([errors[m] for m in agreeing]), spans([sum(m) for m in agreeing])
        says = f"Errors: {wrong} of {sizes}, as {digits} of {other} says."
        return [Finding("holds", verdict.row.where, says)]
    if not verdict.complete:
        return [Finding("note", verdict.row.where, UNDECIDED)]
    sizes = {sum(matrix) for matrix in errors}
    theirs = spans([count for n in sizes for count in numerators(share, n)]) or "no share of it"
    says = (
        f"Errors: {spans(errors.values())} of {spans(sizes)}, but {digits} of {other} is {theirs}."
    )
    return [Finding("impossible", verdict.row.where, says)]


def common(given: dict) -> list[Finding]:
    """Ask which values of a count the candidates of several matrices have in common."""
    counts = {
        verdict.row.where: {dot(COUNTS[given["count"]], matrix) for matrix in verdict.matrices}
        for verdict in given["matrices"]
    }
    name = given["count"].replace("_", " ")
    if not all(verdict.complete for verdict in given["matrices"]):
        return [Finding("note", ", ".join(counts), UNDECIDED)]
    found = [Finding("note", row, f"{name}: {spans(each)}.") for row, each in counts.items()]
    if set.intersection(*counts.values()):
        return [*found, Finding("holds", ", ".join(counts), f"They have {name} in common.")]
    apart, together = [], []
    for one, other in combinations(counts, 2):
        both = counts[one] & counts[other]
        pair = f"{one} and {other}"
        (together if both else apart).append(f"{pair} ({spans(both)})" if both else pair)
    says = f"No number of {name} fits all. None fits {'; '.join(apart) or 'all at once'}."
    if together:
        says += f" Some fit {'; '.join(together)}."
    return [*found, Finding("note", ", ".join(counts), says)]


def formula(given: dict) -> list[Finding]:
    """Tell whether a figure comes from a wrong formula, and what it should be."""
    verdict, measure = given["matrix"], given["figure"]
    figures = {figure.measure: figure for figure in verdict.row.figures}
    for needed in (measure, "recall"):
        if needed not in figures:
            raise ValueError(f"{verdict.row.where} prints no {needed}")
    figure, recall = figures[measure], figures["recall"]
    right = set()
    matches = False
    for matrix in verdict.matrices[:TRIED]:
        printed_recall = Fraction(recall.plain) / recall.scale
        result = as_printed.f1_of_recall(printed_recall, matrix.fp, matrix.fn)
        matches = matches or figure.interval.holds(result)
        right.add(shown(matrix, figure))
    says = (
        f"{figure.digits} {'is' if matches else 'is not'} 2 Recall / (2 Recall + FP + FN); "
        f"the real {measure} is {' or '.join(sorted(right))}."
    )
    return [Finding("note", f"{verdict.row.where}/{measure}", says)]


def odds(given: dict) -> list[Finding]:
    """Tell whether a figure is the ratio of two counts of a matrix, that is, odds."""
    found = []
    above, below = given["counts"]
    (name, digits), *_ = given["of"]
    printed = _fraction(digits, given["unit"])
    for matrix in given["matrix"].matrices[:TRIED]:
        top, bottom = dot(COUNTS[above], matrix), dot(COUNTS[below], matrix)
        if bottom and printed.holds(Fraction(top, bottom)):
            share = plain(Fraction(100 * top, top + bottom))
            says = (
                f"{digits} is the odds {above.upper()}/{below.upper()} = {top}/{bottom} of "
                f"{given['matrix'].row.where}; the share {top}/{top + bottom} is {share} %."
            )
            return [Finding("note", name, says)]
    says = f"{digits} is not {above.upper()}/{below.upper()} of {given['matrix'].row.where}."
    found.append(Finding("note", name, says))
    return found


def subset(given: dict) -> list[Finding]:
    """Ask whether a total is the sum of some parts of a published data set."""
    (name, digits), *_ = given["total"]
    fitting, nearest = subsets(int(value(digits).low), given["parts"])
    parts = ", ".join(f"{part} {count}" for part, count in given["parts"].items())
    what = given["what"]
    if fitting:
        return [Finding("holds", name, f"{digits} {what}: {' + '.join(fitting[0])}.")]
    says = f"{digits} is the sum of no {what} of {parts}; nearest is {nearest}."
    return [Finding("note", name, says)]


def _paired(one: Column, other: Column) -> zip:
    if len(one) != len(other):
        raise ValueError(f"its columns have {len(one)} and {len(other)} cells")
    return zip(one, other, strict=True)


def _fraction(digits: str, unit: str) -> Interval:
    interval = printed_interval(digits.replace("%", ""))
    scale = 100 if unit == "percent" else 1
    return interval._replace(low=interval.low / scale, high=interval.high / scale)


def _middle(interval: Interval, places: int = 4) -> str:
    return plain((interval.low + interval.high) / 2, places)


def _columns(column: Column) -> str:
    """Name a column of cells: its reference, with * where there are several rows."""
    name = column[0][0]
    if len(column) == 1:
        return name
    table, _, last = name.split("/")
    return f"{table}/*/{last}"
