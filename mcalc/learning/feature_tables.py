"""Features of images as Parquet files, one a set and shard, which several models read."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc.errors import OF_THE_MACHINE, DataError
from mcalc.files import whole_file

# What names an image; the other columns are features, float64.
KEYS = ["roi_id", "quarter_turns"]


def write_features(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a table of `KEYS` and features, whole or not at all.

    Raises
    ------
    DataError
        If a feature is no finite number.
    """
    _check_finite(table, path, "look at its enhanced image")
    with whole_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_features(paths: list[str | os.PathLike]) -> pd.DataFrame:
    """Read a set's features from all its shards: indexed by `KEYS`, one column a feature.

    Raises
    ------
    DataError
        If a file cannot be read or holds what is no number, two differ in their columns, or an
        image is in two.
    """
    tables = {path: _read(path) for path in sorted(map(Path, paths))}
    # A shard whose ROIs were all set aside has no rows, and no columns of features.
    filled = {path: table for path, table in tables.items() if len(table)}
    if not filled:
        raise DataError(f"{', '.join(map(str, paths))}: no features; extract them again.")
    first_path, first = next(iter(filled.items()))
    for path, table in filled.items():
        if list(table.columns) != list(first.columns):
            raise DataError(f"{path}: other features than in other shards; extract them again.")
    found = pd.concat(filled.values()).set_index(KEYS)
    if found.index.has_duplicates:
        roi_id, _ = found.index[found.index.duplicated()][0]
        raise DataError(
            f"{first_path.parent}: {roi_id} is in two files; remove those of an older number of "
            "shards, or extract them again."
        )
    return found


def features_of(rows: pd.DataFrame, table: pd.DataFrame, *, name: str) -> np.ndarray:
    """Return the features of the images that `rows` (SPLIT) name, shape (rows, columns).

    Where a set was extracted of unturned images only, since turns do not change it, each image has
    what its ROI has.

    Raises
    ------
    DataError
        If an image has no features.
    """
    turns = rows["quarter_turns"] if is_turned(table) else 0 * rows["quarter_turns"]
    wanted = pd.MultiIndex.from_arrays([rows["roi_id"], turns])
    missing = ~wanted.isin(table.index)
    if missing.any():
        raise DataError(
            f"The features {name} of {missing.sum()} images of the split are missing, such as of "
            f"{rows['image_id'].to_numpy()[missing][0]}; extract them again."
        )
    return table.loc[wanted].to_numpy(dtype=float)


def is_turned(table: pd.DataFrame) -> bool:
    """Tell whether a set differs between the quarter turns of a ROI."""
    return bool((table.index.get_level_values("quarter_turns") > 0).any())


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        if getattr(error, "errno", None) in OF_THE_MACHINE:
            raise
        raise DataError(f"{path}: not a table of features; extract them again.") from error
    if missing := [key for key in KEYS if key not in table]:
        raise DataError(f"{path}: column {missing[0]} is missing; extract the features again.")
    _check_finite(table, path, "extract the features again")
    return table


def _check_finite(table: pd.DataFrame, path: str | os.PathLike, advice: str) -> None:
    values = table.drop(columns=KEYS)
    if texts := list(values.select_dtypes(exclude="number").columns if len(values) else ()):
        raise DataError(f"{path}: {texts[0]} holds no numbers; extract the features again.")
    wrong = ~np.isfinite(values.to_numpy(dtype=float))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{path}: {values.columns[column]} of {table['roi_id'].iloc[row]} is no finite number; "
            f"{advice}."
        )
