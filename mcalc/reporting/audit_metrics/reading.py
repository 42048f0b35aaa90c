"""From a paper's file to the searches and checks that it asks for; every mistake is a sentence."""

from collections.abc import Sequence
from typing import NamedTuple

from mcalc.errors import DataError
from mcalc.reporting.audit_metrics.figures import (
    ALIASES,
    MEASURES,
    ROUNDINGS,
    UNITS,
    Figure,
    Interval,
)
from mcalc.reporting.published import Paper

# The largest n that is searched.
LARGEST = 100_000
KEYS = ("table", "rows", "n", "unit", "rounding", "positive", "classes", "figures")


class Row(NamedTuple):
    """What is printed of one confusion matrix.

    `where` is table/row; `sizes` are the possible n; `given` is known apart from the figures, such
    as the number of positives, and never doubted; `positive` names the positive class, '' where
    the file does not.
    """

    where: str
    figures: tuple[Figure, ...]
    given: tuple[Figure, ...]
    sizes: Sequence[int]
    positive: str


class Remark(NamedTuple):
    """What a reader should know that no arithmetic shows."""

    where: str
    says: str


def rows_of(paper: Paper) -> list[Row]:
    """Return the confusion matrices that the file's `matrices` describe."""
    blocks = paper.rest.get("matrices") or []
    if not isinstance(blocks, list):
        raise DataError(f"{paper.path}: matrices must be a list; start each with - table: ...")
    return [row for number, block in enumerate(blocks, 1) for row in _block(paper, number, block)]


def remarks_of(paper: Paper) -> list[Remark]:
    """Return the file's `remarks`."""
    found = paper.rest.get("remarks") or []
    for remark in found if isinstance(found, list) else [found]:
        if not isinstance(remark, dict) or set(remark) != {"where", "says"}:
            raise DataError(f"{paper.path}: each remark must have where and says, not {remark!r}.")
    return [Remark(str(remark["where"]), str(remark["says"])) for remark in found]


def _block(paper: Paper, number: int, block: object) -> list[Row]:
    where = f"{paper.path}: matrices, number {number}"
    if not isinstance(block, dict):
        raise DataError(f"{where} must be a mapping with table, n and figures.")
    for key in block:
        if key not in KEYS:
            raise DataError(f"{where}: the key {key!r} is unknown; use {', '.join(KEYS)}.")
    name = str(block.get("table", ""))
    if name not in paper.tables:
        raise DataError(f"{where} names no table of the file; there are {', '.join(paper.tables)}.")
    table = paper.tables[name]
    rows = block.get("rows", list(table.rows))
    for row in rows if isinstance(rows, list) else [rows]:
        if str(row) not in table.rows:
            raise DataError(f"{where}: table {name} has no row {row}; list some of its rows.")
    figures = block.get("figures")
    if not isinstance(figures, dict) or not figures:
        raise DataError(f"{where} needs figures: a measure for each column, as in recall: recall.")
    given = _given(where, block)
    sizes = _sizes(where, block.get("n", sum(int(count.digits) for count in given) or None))
    if given and sum(int(count.digits) for count in given) not in sizes:
        raise DataError(f"{where}: the classes do not add up to n; mend one of them.")
    return [
        Row(
            f"{name}/{row}",
            tuple(
                figure
                for measure, column in figures.items()
                if (figure := _figure(paper, where, block, f"{name}/{row}", measure, column))
            ),
            given,
            sizes,
            str(block.get("positive", "")),
        )
        for row in map(str, rows if isinstance(rows, list) else [rows])
    ]


def _figure(
    paper: Paper, where: str, block: dict, place: str, measure: str, column: object
) -> Figure | None:
    """Read one figure; None where the page's cell is empty."""
    if ALIASES.get(measure, measure) not in MEASURES:
        known = ", ".join((*MEASURES, *ALIASES))
        raise DataError(f"{where}: the measure {measure!r} is unknown; use {known}.")
    own = column if isinstance(column, dict) else {"column": column}
    if not set(own) <= {"column", "unit", "rounding"}:
        raise DataError(f"{where}: {measure} may have column, unit and rounding, not more.")
    name, _, row = place.partition("/")
    cells = paper.tables[name].rows[row]
    if str(own.get("column")) not in cells:
        raise DataError(
            f"{where}: table {name} has no column {own.get('column')!r} for {measure}; "
            f"there are {', '.join(cells)}."
        )
    unit = own.get("unit", block.get("unit", "fraction"))
    rounding = own.get("rounding", block.get("rounding", "nearest"))
    for value, known, key in ((unit, UNITS, "unit"), (rounding, ROUNDINGS, "rounding")):
        if value not in known:
            raise DataError(f"{where}: {key} is {value!r}; use one of {', '.join(known)}.")
    digits = cells[str(own["column"])]
    if digits is None:
        return None
    try:
        figure = Figure.parse(measure, digits, unit=unit, rounding=rounding)
    except ValueError as error:
        raise DataError(f"{where}: {measure} of {place}: {error}; write it as printed.") from None
    if figure.measure != "mcc" and figure.scale == 1 and figure.interval.low > 1 and "." in digits:
        raise DataError(
            f"{where}: {measure} of {place} is {digits}, more than 1; for per cent write "
            "unit: percent."
        )
    return figure


def _given(where: str, block: dict) -> tuple[Figure, ...]:
    """Return the known sizes of the classes as counts."""
    classes, positive = block.get("classes"), block.get("positive")
    if classes is None:
        return ()
    counts = classes.values() if isinstance(classes, dict) else ()
    if len(counts) != 2 or not all(type(count) is int and count >= 0 for count in counts):
        raise DataError(f"{where}: classes must be two names with counts, as in benign: 828.")
    if not isinstance(positive, str) or positive not in classes:
        raise DataError(f"{where}: positive must name one of {', '.join(classes)}.")
    negative = next(name for name in classes if name != positive)
    return tuple(
        Figure(measure, str(classes[name]), 1, Interval(classes[name], classes[name]))
        for measure, name in (("positives", positive), ("negatives", negative))
    )


def _sizes(where: str, n: object) -> Sequence[int]:
    """Return the possible n, ascending."""
    if n == "unknown":
        return range(1, LARGEST + 1)
    if type(n) is int:
        n = [n]
    if isinstance(n, dict) and set(n) == {"from", "to"} and _whole(n.values()):
        n = range(n["from"], n["to"] + 1)
    if not isinstance(n, list | range) or not _whole(n) or not n:
        raise DataError(
            f"{where}: n must be a whole number, a list of them, a range as in "
            "{from: 1250, to: 1400}, or unknown."
        )
    if min(n) < 1 or max(n) > LARGEST:
        raise DataError(f"{where}: n must lie between 1 and {LARGEST}; give another.")
    return n if isinstance(n, range) else sorted(set(n))


def _whole(values) -> bool:
    return all(type(value) is int for value in values)
