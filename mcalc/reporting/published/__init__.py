"""What papers print: their tables as data, each cell with the page's own digits.

One YAML file a paper lies beside this module. Its top level has `paper` (title, source, and how the
digits were read), `tables`, and what `mcalc audit-metrics` checks: `matrices`, `checks` and
`remarks`, explained in docs/audit-metrics.md. A table has a `title`, `columns`, `rows` (each a list
of cells in the order of the columns) and, where parts of the printed table are not known, `absent`,
a sentence that says which. A cell is a string, so that trailing zeros survive, or null where the
page has none or it is not known.
"""

import os
from pathlib import Path
from typing import NamedTuple

import yaml

from mcalc.errors import DataError, UsageError

FOLDER = Path(__file__).parent
KEYS = ("paper", "tables", "matrices", "checks", "remarks")
PAPER_KEYS = ("title", "source", "doi", "read")


class PublishedTable(NamedTuple):
    """A printed table: `rows` maps a row's name to its cells, which map a column's name to digits.

    `absent` says in a sentence which parts of the page's table are not known, empty if none.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, str | None]]
    absent: str


class Paper(NamedTuple):
    """A paper's tables by number, where they are from, and the other keys of its file, unread."""

    name: str
    path: Path
    source: dict[str, str]
    tables: dict[str, PublishedTable]
    rest: dict


def shipped() -> list[str]:
    """Return the names of the papers that come with mcalc."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_paper(file: str | os.PathLike) -> Paper:
    """Read a paper by the name it is shipped under, such as 'leong2022', or from a path.

    Raises
    ------
    UsageError
        If there is neither a shipped paper nor a file of that name.
    DataError
        If the file is no YAML or its tables are not as docs/audit-metrics.md says.
    """
    path = FOLDER / f"{file}.yaml" if str(file) in shipped() else Path(file)
    if not path.is_file():
        names = ", ".join(shipped())
        raise UsageError(f"{file}: no such file; give a YAML file or a shipped paper: {names}.")
    content = _content(path)
    for key in content:
        if key not in KEYS:
            raise DataError(f"{path}: the key {key!r} is unknown; use {', '.join(KEYS)}.")
    source = content.pop("paper", {})
    if not isinstance(source, dict) or not isinstance(source.get("title"), str):
        raise DataError(f"{path}: it names no paper; write paper: with a title and a source.")
    for key, value in source.items():
        if key not in PAPER_KEYS or not isinstance(value, str):
            raise DataError(f"{path}: paper/{key} is not one of {', '.join(PAPER_KEYS)} with text.")
    tables = content.pop("tables", None)
    if not isinstance(tables, dict) or not tables:
        raise DataError(f"{path}: it holds no tables; write tables: with one for each number.")
    read = {str(number): _table(path, number, table) for number, table in tables.items()}
    return Paper(path.stem, path, source, read, content)


def cells(paper: Paper, reference: str) -> dict[str, str]:
    """Return the digits that 'table/row/column' names, by reference; a row * names all rows.

    Raises
    ------
    DataError
        If there is no such table, row, column or no digits.
    """
    parts = str(reference).split("/")
    where = f"{paper.path}: the reference {reference!r}"
    if len(parts) != 3:
        raise DataError(f"{where} does not read table/row/column, such as 9/AlexNet/recall.")
    number, row, column = parts
    if number not in paper.tables:
        raise DataError(f"{where} names no table; there are {', '.join(paper.tables)}.")
    table = paper.tables[number]
    if column not in table.columns:
        raise DataError(f"{where} names no column; there are {', '.join(table.columns)}.")
    if row != "*" and row not in table.rows:
        raise DataError(f"{where} names no row; there are {', '.join(table.rows)}.")
    found = {
        f"{number}/{name}/{column}": table.rows[name][column]
        for name in (table.rows if row == "*" else [row])
    }
    for name, digits in found.items():
        if digits is None:
            raise DataError(f"{where} names the cell {name}, which is empty; name another.")
    return found


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice, of which YAML would drop the first in silence."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} occurs twice in the mapping of line {line}")
        return super().construct_mapping(node, deep)


def _content(path: Path) -> dict:
    try:
        # A subclass of the safe loader, which builds nothing but plain data.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path}: it cannot be read as YAML, mend it: {said}.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: it is no mapping; write paper:, tables: and matrices:.")
    return content


def _table(path: Path, number: str | int, table: object) -> PublishedTable:
    where = f"{path}: table {number}"
    if not isinstance(table, dict) or set(table) - {"title", "columns", "rows", "absent"}:
        raise DataError(f"{where} must have title, columns and rows, and may have absent.")
    columns, rows = table.get("columns", []), table.get("rows", {})
    if not isinstance(columns, list) or not isinstance(rows, dict):
        raise DataError(f"{where} needs columns as a list of names and rows as lists by name.")
    columns = tuple(map(str, columns))
    if len(set(columns)) < len(columns):
        raise DataError(f"{where} has two columns of one name; give each its own.")
    return PublishedTable(
        str(table.get("title", "")),
        columns,
        {str(name): _row(where, name, row, columns) for name, row in rows.items()},
        str(table.get("absent", "")),
    )


def _row(where: str, name: object, row: object, columns: tuple[str, ...]) -> dict:
    if not isinstance(row, list) or len(row) != len(columns):
        raise DataError(f"{where}, row {name} must be a list of {len(columns)} cells.")
    for column, cell in zip(columns, row, strict=True):
        if cell is not None and not isinstance(cell, str):
            raise DataError(
                f"{where}, row {name}, {column}: {cell} stands without quotes; write "
                f'it as "..." with the digits of the page, so that trailing zeros count.'
            )
    return dict(zip(columns, row, strict=True))
