"""The tables that come with data sets: CSV files and spreadsheets, every cell read as text."""

from pathlib import Path

import pandas as pd
from python_calamine import CalamineError

from mcalc.data.tree import list_files
from mcalc.errors import DataError

SPREADSHEET_SUFFIXES = (".xls", ".xlsx")


def find_table(root: Path, names: tuple[str, ...]) -> Path:
    """Find a table by its name below `root`; of several the first of `names` (lower case) counts.

    Raises
    ------
    DataError
        If none of them lies there.
    """
    found = [path for path in list_files(root, names) if path.name.lower() in names]
    if not found:
        raise DataError(
            f"{root}: no table {' or '.join(names)} lies here; put it beside the images."
        )
    return min(found, key=lambda path: names.index(path.name.lower()))


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file with commas or semicolons, or the first sheet of an .xls or .xlsx file.

    Parameters
    ----------
    path : Path
    columns : tuple of str
        The columns that are needed; spaces around a name in the table do not count.

    Returns
    -------
    DataFrame
        All of its columns as text, without spaces around it; an empty cell is an empty text, and
        a row without any text is left out.

    Raises
    ------
    DataError
        If the file cannot be read, or a column is missing.
    """
    try:
        table = _read_spreadsheet(path) if _is_spreadsheet(path) else _read_csv(path)
    except (OSError, ValueError, CalamineError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}).") from error
    table.columns = [str(name).strip() for name in table.columns]
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(
            f"{path}: column {', '.join(missing)} is missing; use the table as it is published."
        )
    table = table.fillna("").apply(lambda column: column.str.strip())
    return table[(table != "").any(axis=1)]


def _is_spreadsheet(path: Path) -> bool:
    return path.suffix.lower() in SPREADSHEET_SUFFIXES


def _read_spreadsheet(path: Path) -> pd.DataFrame:
    return pd.read_excel(path, dtype=str, keep_default_na=False, na_values=[""], engine="calamine")


def _read_csv(path: Path) -> pd.DataFrame:
    with open(path, encoding="utf-8-sig") as file:
        header = file.readline()
    separator = ";" if header.count(";") > header.count(",") else ","
    return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
