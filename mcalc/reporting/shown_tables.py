"""Tables as the report shows them: cells in words, numbers rounded as a reader needs them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mcalc.reporting.results import Results
from mcalc.reporting.table import Table

ABBREVIATIONS = {"auc", "ece", "f1", "lr", "mcc", "mse", "npv", "ppv", "psnr", "roi", "ssim"}
NAMES = {"brier": "Brier", "delong": "DeLong", "dice": "Dice", "mcnemar": "McNemar"}


class ShownTable(NamedTuple):
    """A table whose cells are words: `columns` are pairs of a heading and whether it is numeric."""

    name: str
    title: str
    note: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]


def show_table(table: Table) -> ShownTable:
    """Round a table's numbers as a reader needs them and name its columns in words.

    The columns `x_low` and `x_high` stand in the cells of `x`, as in `0.71 (0.58 to 0.82)`.
    """
    rows, names = table.rows, _without_ends(table.rows)
    columns = [(name_column(name), pd.api.types.is_numeric_dtype(rows[name])) for name in names]
    cells = [_show_with_ends(rows, name) for name in names]
    return ShownTable(*table[:3], columns, [list(row) for row in zip(*cells, strict=True)])


def as_markdown(table: Table, results: Results) -> str:
    """Return the table as Markdown: its title, rows rounded to four digits, note and origin."""
    names = _without_ends(table.rows)
    rows = table.rows[names].astype(object).where(table.rows[names].notna(), None)
    for name in _with_ends(table.rows):
        parts = zip(*(table.rows[f"{name}{end}"] for end in ("", "_low", "_high")), strict=True)
        rows[name] = [_join(*(f"{part:.4g}" for part in cell)) for cell in parts]
    rows = rows.rename(columns=lambda name: name.replace("_", " "))
    body = rows.to_markdown(index=False, floatfmt=".4g", missingval="n/a")
    origin = f"Run `{results.run_name}`, data {results.data_hash}."
    return f"**{table.title}**\n\n{body}\n\n{table.note} {origin}\n"


def _with_ends(rows: pd.DataFrame) -> list[str]:
    """Return the columns whose interval stands in two others."""
    return [name for name in rows if {f"{name}_low", f"{name}_high"} <= set(rows)]


def _without_ends(rows: pd.DataFrame) -> list[str]:
    ends = {f"{name}{end}" for name in _with_ends(rows) for end in ("_low", "_high")}
    return [name for name in rows if name not in ends]


def _join(value: str, low: str, high: str) -> str:
    """Put a number and its interval into one cell; `nan` is no number."""
    if value in ("nan", "n/a"):
        return "n/a"
    return value if low in ("nan", "n/a") else f"{value} ({low} to {high})"


def _show_with_ends(rows: pd.DataFrame, name: str) -> list[str]:
    if name not in _with_ends(rows):
        return _show_column(rows[name])
    layout = _layout(rows[name])
    three = (rows[f"{name}{end}"] for end in ("", "_low", "_high"))
    cells = zip(*three, strict=True)
    return [_join(*(_show_number(number, layout) for number in cell)) for cell in cells]


def name_column(name: str) -> str:
    """Turn a column's name into words, as in `valid loss`."""
    words = name.split("_")
    return " ".join(
        word.upper() if word in ABBREVIATIONS else NAMES.get(word, word) for word in words
    )


def _show_column(column: pd.Series) -> list[str]:
    if not pd.api.types.is_float_dtype(column):
        return ["n/a" if pd.isna(value) else str(value) for value in column]
    return [_show_number(value, _layout(column)) for value in column]


def _layout(column: pd.Series) -> str:
    """Return the format that a reader needs for the numbers of a column."""
    sizes = column[np.isfinite(column) & (column != 0)].abs()
    if len(sizes) and (sizes.min() < 1e-3 or sizes.max() >= 1e6):
        return ".1e"
    digits = 3 if not len(sizes) or sizes.max() < 10 else 1 if sizes.max() >= 100 else 2
    return f".{digits}f"


def _show_number(value: float, layout: str) -> str:
    if pd.isna(value):
        return "n/a"
    if np.isinf(value):
        return "infinite"
    mantissa, _, exponent = f"{value:{layout}}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
