"""Tables as the report shows them: cells in words, numbers rounded as a reader needs them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mcalc.reporting.study_tables import Table

ABBREVIATIONS = {"auc", "f1", "lr", "mcc", "mse", "psnr", "roi", "ssim"}


class ShownTable(NamedTuple):
    """A table whose cells are words: `columns` are pairs of a heading and whether it is numeric."""

    name: str
    title: str
    note: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]


def show_table(table: Table) -> ShownTable:
    """Round a table's numbers as a reader needs them and name its columns in words."""
    rows = table.rows
    columns = [(name_column(name), pd.api.types.is_numeric_dtype(rows[name])) for name in rows]
    cells = [_show_column(rows[name]) for name in rows]
    return ShownTable(*table[:3], columns, [list(row) for row in zip(*cells, strict=True)])


def name_column(name: str) -> str:
    """Turn a column's name into words, as in `valid loss`."""
    words = name.split("_")
    return " ".join(word.upper() if word in ABBREVIATIONS else word for word in words)


def _show_column(column: pd.Series) -> list[str]:
    if not pd.api.types.is_float_dtype(column):
        return ["n/a" if pd.isna(value) else str(value) for value in column]
    sizes = column[np.isfinite(column) & (column != 0)].abs()
    if len(sizes) and (sizes.min() < 1e-3 or sizes.max() >= 1e6):
        return [_show_number(value, ".1e") for value in column]
    digits = 3 if not len(sizes) or sizes.max() < 10 else 1 if sizes.max() >= 100 else 2
    return [_show_number(value, f".{digits}f") for value in column]


def _show_number(value: float, layout: str) -> str:
    if pd.isna(value):
        return "n/a"
    if np.isinf(value):
        return "infinite"
    mantissa, _, exponent = f"{value:{layout}}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
