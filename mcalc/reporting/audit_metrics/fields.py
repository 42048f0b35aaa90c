"""The types of a check's fields: each reads one value of the file, or says what it should be."""

from collections.abc import Callable
from fractions import Fraction

from mcalc.errors import DataError
from mcalc.reporting.audit_metrics.figures import COUNTS, UNITS
from mcalc.reporting.audit_metrics.reading import LARGEST
from mcalc.reporting.audit_metrics.reconcile import Verdict
from mcalc.reporting.published import Paper, cells

# Cells as pairs of their reference and their digits.
Column = list[tuple[str, str]]
FORMULAS = ("f1_of_recall",)


class Context:
    """What a field is read in: the paper, the confusion matrices by table/row, and the place."""

    def __init__(self, paper: Paper, verdicts: dict[str, Verdict], where: str) -> None:
        self.paper, self.verdicts, self.where = paper, verdicts, where

    def refuse(self, advice: str, raw: object) -> DataError:
        """Return the sentence that a field should be otherwise."""
        return DataError(f"{self.where} is {raw!r}; {advice}.")


def read(
    paper: Paper,
    where: str,
    check: dict,
    fields: dict[str, Callable],
    verdicts: dict[str, Verdict],
) -> dict:
    """Read a check's fields, all of which it must have, and no others but kind and meaning."""
    where = f"{where} ({check['kind']})"
    for name in check:
        if name not in (*fields, "kind", "meaning"):
            raise DataError(f"{where}: the field {name!r} is unknown; use {', '.join(fields)}.")
    for name in fields:
        if name not in check:
            raise DataError(f"{where} lacks the field {name}; it needs {', '.join(fields)}.")
    return {
        name: parse(Context(paper, verdicts, f"{where}: {name}"), check[name])
        for name, parse in fields.items()
    }


def column(context: Context, raw: object) -> Column:
    """Read table/row/column, where * stands for all rows."""
    if not isinstance(raw, str) or raw.count("/") != 2:
        raise context.refuse("write table/row/column, such as 9/*/recall", raw)
    return list(cells(context.paper, raw).items())


def one(context: Context, raw: object) -> Column:
    """Read a reference to one cell."""
    found = column(context, raw)
    if len(found) != 1:
        raise context.refuse("name one cell, not all rows", raw)
    return found


def columns(context: Context, raw: object) -> list[Column]:
    """Read a list of references, each to one cell or to equally many rows."""
    if not isinstance(raw, list) or not raw:
        raise context.refuse("write a list of table/row/column", raw)
    found = [column(context, each) for each in raw]
    if len({len(each) for each in found} - {1}) > 1:
        raise context.refuse("name columns of equally many rows", raw)
    return found


def column_or_number(context: Context, raw: object) -> Column:
    """Read a reference, or a number in quotes."""
    if isinstance(raw, str) and "/" in raw:
        return column(context, raw)
    number(context, raw)
    return [("", raw)]


def number(context: Context, raw: object) -> str:
    """Read a positive number in quotes."""
    try:
        if isinstance(raw, str) and Fraction(raw) > 0:
            return raw
    except (ValueError, ZeroDivisionError):
        pass
    raise context.refuse('write a number above 0 in quotes, such as "100"', raw)


def whole(context: Context, raw: object) -> int:
    """Read a whole number that n can be."""
    if type(raw) is not int or not 1 <= raw <= LARGEST:
        raise context.refuse(f"write a whole number from 1 to {LARGEST}", raw)
    return raw


def span(context: Context, raw: object) -> tuple[int, int]:
    """Read the first and the last of a range of n."""
    if not isinstance(raw, list) or len(raw) != 2:
        raise context.refuse("write the first and last number, as in [1250, 1400]", raw)
    first, last = (whole(context, each) for each in raw)
    return first, last


def unit(context: Context, raw: object) -> str:
    """Read fraction or percent."""
    if raw not in UNITS:
        raise context.refuse(f"use one of {', '.join(UNITS)}", raw)
    return raw


def matrix(context: Context, raw: object) -> Verdict:
    """Read the table/row of a confusion matrix that the file's matrices describe."""
    if not isinstance(raw, str) or raw not in context.verdicts:
        known = ", ".join(context.verdicts) or "none"
        raise context.refuse(f"name a row of matrices as table/row; there are {known}", raw)
    return context.verdicts[raw]


def matrices(context: Context, raw: object) -> list[Verdict]:
    """Read two or more of them."""
    if not isinstance(raw, list) or len(raw) < 2:
        raise context.refuse("write a list of at least two table/row", raw)
    return [matrix(context, each) for each in raw]


def count(context: Context, raw: object) -> str:
    """Read the name of a count of a confusion matrix."""
    if not isinstance(raw, str) or raw not in COUNTS:
        raise context.refuse(f"use one of {', '.join(COUNTS)}", raw)
    return raw


def two_counts(context: Context, raw: object) -> tuple[str, str]:
    """Read the names of two counts."""
    if not isinstance(raw, list) or len(raw) != 2:
        raise context.refuse("write two counts, as in [fp, tp]", raw)
    first, second = (count(context, each) for each in raw)
    return first, second


def f1(context: Context, raw: object) -> str:
    """Read the figure that a formula of `as_printed` stands for."""
    if raw != "f1":
        raise context.refuse("only f1 has such a formula", raw)
    return raw


def formula(context: Context, raw: object) -> str:
    """Read the name of a formula of `as_printed`."""
    if raw not in FORMULAS:
        raise context.refuse(f"use one of {', '.join(FORMULAS)}", raw)
    return raw


def text(context: Context, raw: object) -> str:
    """Read words."""
    if not isinstance(raw, str) or not raw:
        raise context.refuse("write a word", raw)
    return raw


def parts(context: Context, raw: object) -> dict[str, int]:
    """Read counts by name; few enough to try all sums of them."""
    if (
        not isinstance(raw, dict)
        or not 1 <= len(raw) <= 16
        or not all(type(each) is int for each in raw.values())
    ):
        raise context.refuse("write 1 to 16 names with counts, as in {train: 528}", raw)
    return {str(name): each for name, each in raw.items()}
