"""The four case-description tables, with every quirk in which they are met."""

import hashlib
import re
from pathlib import Path

import pandas as pd

from mcalc.errors import DataError

ABNORMALITIES = ("calcification", "mass")
PATHOLOGIES = ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")

# The columns as TCIA publishes them, with a space where the tables of masses have `breast_density`.
COMMON_COLUMNS = (
    "patient id",
    "breast density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
)
OWN_COLUMNS = {
    "calcification": ("calc type", "calc distribution"),
    "mass": ("mass shape", "mass margins"),
}
PATHS = ("image file path", "cropped image file path", "ROI mask file path")

# How many rows TCIA publishes, by kind of finding and official split.
PUBLISHED_ROWS = {
    ("calcification", "train"): 1546,
    ("calcification", "test"): 326,
    ("mass", "train"): 1318,
    ("mass", "test"): 378,
}

# How tables say that there is no value.
NO_VALUE = ("N/A", "NA", "nan")


def read_tables(root: Path, abnormalities: tuple[str, ...] = ABNORMALITIES) -> pd.DataFrame:
    """Read the case-description tables that lie in `root` or one folder down.

    Parameters
    ----------
    root : Path
    abnormalities : tuple of {'calcification', 'mass'}
        Which rows are wanted; tables that are named for others are not opened.

    Returns
    -------
    DataFrame
        One row a ROI, all columns text, without the newlines that the published tables hold inside
        their quotes and with an empty text where there is no value; besides the published columns
        `table` and `row` (where it stands), `case` (`Calc-Test_P_00038_LEFT_CC_1`), `official
        split`, and, for each path column, its series: `image series`, `crop series`, `mask series`.

    Raises
    ------
    DataError
        If there is no table, or one cannot be read or lacks a published column.
    """
    tables = [_read_table(path, abnormalities) for path in _find_tables(root, abnormalities)]
    table = pd.concat(tables, ignore_index=True).fillna("")
    unwanted = set(ABNORMALITIES) - set(abnormalities)
    return table[~table["abnormality type"].isin(unwanted)].reset_index(drop=True)


def patients_in_test(
    root: Path, collection: tuple[str, ...] = ABNORMALITIES
) -> tuple[set[str], list[str]]:
    """Return the patients in any test table, and the kinds of finding whose test table is missing.

    Parameters
    ----------
    root : Path
        Where `read_tables` looks; a table that cannot be read counts as missing.
    collection : tuple of {'calcification', 'mass'}
        The kinds of finding that the whole collection has, whichever are listed.
    """
    patients, missing = set(), []
    for kind in collection:
        try:
            table = read_tables(root, (kind,))
        except DataError:
            table = None
        of_test = [] if table is None else table.loc[table["official split"] == "test"]
        if len(of_test):
            patients |= set(of_test["patient id"])
        else:
            missing.append(kind)
    return patients, missing


def crossing_patients(table: pd.DataFrame) -> dict[str, str]:
    """Return the patients of `read_tables` who train for one kind of finding and test for another.

    Each with their parts, as in 'calcification train, mass test'.
    """
    parts = table.groupby("patient id")[["abnormality type", "official split"]].apply(
        lambda rows: {tuple(row) for row in rows.itertuples(index=False)}
    )
    return {
        patient: ", ".join(f"{kind} {split}" for kind, split in sorted(of_patient))
        for patient, of_patient in parts.items()
        if len({split for _, split in of_patient}) > 1
    }


def bad_field(row: dict) -> str:
    """Return what is wrong with a row of the table, in a few words; nothing where it is right."""
    for name, allowed in (
        ("pathology", PATHOLOGIES),
        ("left or right breast", ("LEFT", "RIGHT")),
        ("image view", ("CC", "MLO")),
        ("abnormality type", ABNORMALITIES),
    ):
        if row[name] not in allowed:
            return f"{name} is {row[name]!r}, not one of {', '.join(allowed)}"
    if not (row["abnormality id"].isascii() and row["abnormality id"].isdigit()):
        return f"abnormality id is {row['abnormality id']!r}, not a number"
    for name in PATHS:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", row[name]) or ".." in row[name].split("/"):
            return f"{name} is {row[name]!r}, not a path below the data set's folder"
    if not re.fullmatch(r"[\w-]+", row["case"]):
        return f"cropped image file path begins with {row['case']!r}, not with a case's name"
    return ""


def _find_tables(root: Path, abnormalities: tuple[str, ...]) -> list[Path]:
    unwanted = tuple(name[:4] for name in ABNORMALITIES if name not in abnormalities)
    found = sorted([*root.glob("*case_description*.csv"), *root.glob("*/*case_description*.csv")])
    found = [path for path in found if not path.name.lower().startswith(unwanted or ("\0",))]
    # A table that lies twice (a copy, a link to the folder itself) is one table.
    tables = {hashlib.sha256(path.read_bytes()).digest(): path for path in reversed(found)}
    if not tables:
        raise DataError(
            f"{root}: no table like {abnormalities[0][:4]}_case_description_train_set.csv lies "
            "here or one folder down; put the tables that TCIA offers beside the images."
        )
    return sorted(tables.values())


def _read_table(path: Path, abnormalities: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}).") from error
    table.columns = [_published_name(name) for name in table.columns]
    missing = [name for name in COMMON_COLUMNS if name not in table]
    if not missing:
        table = table.apply(lambda column: column.str.strip().replace(NO_VALUE, ""))
        table["abnormality type"] = table["abnormality type"].str.lower()
        kinds = set(table["abnormality type"]) & set(abnormalities)
        missing = [name for kind in kinds for name in OWN_COLUMNS[kind] if name not in table]
    if missing:
        raise DataError(
            f"{path}: column {', '.join(missing)} is missing; use the table as TCIA publishes it."
        )
    _check_whole(table, path)
    for name in PATHS:  # written by hand on Windows
        table[name] = table[name].str.replace("\\", "/")
    parts = {name: table[name].str.split("/") for name in PATHS}
    table["case"] = parts["cropped image file path"].str[0]
    for series, name in zip(("image", "crop", "mask"), PATHS, strict=True):
        table[f"{series} series"] = parts[name].str[-2].fillna("")
    table["official split"] = [_official_split(case, path) for case in table["case"]]
    return table.assign(table=path.name, row=range(1, len(table) + 1))


def _published_name(name: str) -> str:
    name = name.strip().lower().replace("_", " ")
    return "ROI mask file path" if name == "roi mask file path" else name


def _check_whole(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table that is cut off: what its last rows say would be lost without a word."""
    for name in PATHS:
        empty = (table[name] == "").to_numpy()
        if empty.any():
            raise DataError(
                f"{path}: row {empty.argmax() + 1} has no {name}; the table is cut off or was "
                "changed, use it as TCIA publishes it."
            )


def _official_split(case: str, path: Path) -> str:
    """Believe the case's name (`Calc-Test_...`) before the table's: tables get joined."""
    for part, split in (("-Test_", "test"), ("-Training_", "train")):
        if part in case:
            return split
    return "test" if "test" in path.name.lower() else "train"
