"""Parts of a table of images that keep groups together, drawn by scikit-learn's splitters."""

from fractions import Fraction

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from mcalc.errors import DataError
from mcalc.evaluation.groups import NOUNS
from mcalc.records import LABELS

# How far the share that validates may lie from the wanted one where groups are few.
CLOSE_ENOUGH = 0.03

# Groups of which each has one label; a lesion or a patient may have both.
UNITS = ("image_id", "roi_id")


def hold_out(images: pd.DataFrame, together: str, valid_fraction: float, seed: int) -> np.ndarray:
    """Return which rows of `images` validate, as bool, shape (images,).

    Parameters
    ----------
    images : DataFrame
        With the columns `label` and `together`.
    together : {'image_id', 'roi_id', 'lesion', 'patient_id'}
        Rows that are equal here stand on one side.
    valid_fraction : float
        Share of the rows that validate, exactly for images, else as nearly as groups allow.
    seed : int

    Raises
    ------
    DataError
        If there are too few groups.
    """
    if together in UNITS:
        return _hold_out_units(images, together, valid_fraction, seed)
    return _hold_out_groups(images, together, valid_fraction, seed)


def k_parts(images: pd.DataFrame, together: str, folds: int, seed: int) -> list[np.ndarray]:
    """Return `folds` bool arrays of shape (images,): each row is in one of them.

    The parts are stratified by label as nearly as groups allow. Raises `DataError` where a class
    has fewer groups than there are folds.
    """
    for label, count in images.groupby("label")[together].nunique().items():
        if count < folds:
            raise DataError(
                f"{count} {label} {NOUNS[together]} cannot stand in each of {folds} folds; lower "
                f"split.folds or add {NOUNS[together]}."
            )
    if together in UNITS:
        units = images.drop_duplicates(together)
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        parts = splitter.split(units, units["label"])
        return [_members(images, together, units, part) for _, part in parts]
    return _group_parts(images, together, folds, seed)


def _hold_out_units(
    images: pd.DataFrame, together: str, valid_fraction: float, seed: int
) -> np.ndarray:
    units = images.drop_duplicates(together)
    splitter = StratifiedShuffleSplit(1, test_size=valid_fraction, random_state=seed)
    try:
        valid = next(splitter.split(units, units["label"]))[1]
    except ValueError as error:
        raise DataError(
            f"{len(units)} {NOUNS[together]} are too few to split by {valid_fraction:g} with every "
            "class on both sides; raise split.valid_fraction or add data."
        ) from error
    return _members(images, together, units, valid)


def _hold_out_groups(
    images: pd.DataFrame, together: str, valid_fraction: float, seed: int
) -> np.ndarray:
    groups, noun = images[together].nunique(), NOUNS[together]
    share = Fraction(valid_fraction).limit_denominator(20)
    if groups < share.denominator:  # where fewer parts come close, they do
        close = Fraction(valid_fraction).limit_denominator(max(2, groups))
        share = close if close and abs(close - share) <= CLOSE_ENOUGH else share
    if groups < share.denominator:
        raise DataError(
            f"{groups} {noun} cannot be split into {share.denominator} parts; raise "
            f"split.valid_fraction or add {noun}."
        )
    parts = _group_parts(images, together, share.denominator, seed)
    sides = [
        np.logical_or.reduce(np.roll(parts, first, axis=0)[: share.numerator])
        for first in range(len(parts))
    ]
    # Patients have many ROIs or few, so the sides differ in size and, where there are few
    # patients, may lack a class: take the one that fits best.
    complete = [valid for valid in sides if _has_all_labels(images, valid)]
    return min(complete or sides, key=lambda valid: abs(valid.mean() - valid_fraction))


def _group_parts(images: pd.DataFrame, together: str, count: int, seed: int) -> list[np.ndarray]:
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    parts = splitter.split(images, images["label"], groups=images[together])
    return [np.isin(np.arange(len(images)), part) for _, part in parts]


def _members(
    images: pd.DataFrame, together: str, units: pd.DataFrame, positions: np.ndarray
) -> np.ndarray:
    """Return which images belong to the units at `positions`."""
    return images[together].isin(units[together].iloc[positions]).to_numpy()


def _has_all_labels(images: pd.DataFrame, valid: np.ndarray) -> bool:
    """Tell whether every label stands both in training and in validation."""
    labels = images["label"]
    return labels[valid].nunique() == labels[~valid].nunique() == len(LABELS)
