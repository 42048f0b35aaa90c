"""Stage `split`: which images train a model and which validate it, by one of the protocols."""

import os
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit

from mcalc import records
from mcalc.errors import DataError, UsageError

QUARTER_TURNS = (0, 1, 2, 3)

PROTOCOLS = ("paper", "paper_resplit", "patient")

# How far the share that validates may lie from the wanted one where patients are few.
CLOSE_ENOUGH = 0.03


def write_split(
    catalog: str | os.PathLike,
    *,
    rejected: list[str | os.PathLike],
    protocol: str,
    split: str | os.PathLike,
    valid_fraction: float = 0.2,
    seed: int = 1,
) -> str:
    """Write the table `split` (SPLIT): one row an image, that is, a ROI and a quarter turn.

    Parameters
    ----------
    catalog : path
    rejected : list of path
        The tables of ROIs that later stages set aside; they are left out.
    protocol : {'paper', 'paper_resplit', 'patient'}
        'paper' rotates first and then splits images at random, as the study did: the same ROI,
        turned, stands on both sides, so the result says little about a new patient.
        'paper_resplit' does so with the next seed: what it validates, the networks that 'paper'
        trained have mostly been trained on. 'patient' keeps all images of a patient on one side.
    split : path
        The table to write.
    valid_fraction : float
        Share of the images (of the patients' images, as nearly as possible) that validate.
    seed : int

    Raises
    ------
    DataError
        If no ROI is left, a patient id is missing, or a class cannot stand on both sides.
    """
    rois = records.read(catalog, records.CATALOG)
    aside = records.read_all(rejected, records.REJECTED)
    images = rotated_images(rois[~rois["roi_id"].isin(aside["roi_id"])])
    valid = split_images(images, protocol, valid_fraction=valid_fraction, seed=seed)
    images["fold"] = 0
    images["subset"] = np.where(valid, "valid", "train")
    _check_sides(images, protocol)
    records.write(images, split, records.SPLIT)
    counts = images["subset"].value_counts()
    return f"{split}: {counts['train']} images train, {counts['valid']} validate"


def rotated_images(rois: pd.DataFrame) -> pd.DataFrame:
    """Return one row an image: each row of `rois` four times, by quarter turns (Table 2).

    Nothing is rotated here: a quarter turn is a column, applied without loss when an image is
    loaded.
    """
    images = rois[["roi_id", "patient_id", "label"]].merge(
        pd.DataFrame({"quarter_turns": QUARTER_TURNS}), how="cross"
    )
    images["image_id"] = images["roi_id"] + "_r" + images["quarter_turns"].astype(str)
    return images


def split_images(
    images: pd.DataFrame, protocol: str, *, valid_fraction: float, seed: int
) -> np.ndarray:
    """Return which rows of `images` validate, as bool, shape (images,)."""
    if protocol not in _SPLITTERS:
        raise UsageError(f"Protocol {protocol!r} is unknown; use {', '.join(_SPLITTERS)}.")
    if images["label"].nunique() < 2:
        raise DataError("Fewer than two classes are left to split; look into the rejected tables.")
    return _SPLITTERS[protocol](images, valid_fraction, seed)


def _split_by_image(images: pd.DataFrame, valid_fraction: float, seed: int) -> np.ndarray:
    splitter = StratifiedShuffleSplit(1, test_size=valid_fraction, random_state=seed)
    try:
        return _marked(images, next(splitter.split(images, images["label"]))[1])
    except ValueError as error:
        raise DataError(
            f"{len(images)} images are too few to split by {valid_fraction:g} with every class on "
            "both sides; raise split.valid_fraction or add data."
        ) from error


def _split_again(images: pd.DataFrame, valid_fraction: float, seed: int) -> np.ndarray:
    """Split as `paper` does with another seed, as if the split were made anew after training."""
    return _split_by_image(images, valid_fraction, seed + 1)


def _split_by_patient(images: pd.DataFrame, valid_fraction: float, seed: int) -> np.ndarray:
    unnamed = images[images["patient_id"] == ""]
    if len(unnamed):
        raise DataError(
            f"Protocol patient needs a patient id for every ROI, but {unnamed['roi_id'].iloc[0]}"
            f" and {unnamed['roi_id'].nunique() - 1} others have none; give dataset.patients (a CSV"
            " file with the columns file and patient_id), or take 'patient' out of split.protocols."
        )
    patients = images["patient_id"].nunique()
    share = Fraction(valid_fraction).limit_denominator(20)
    if patients < share.denominator:  # where fewer parts come close, they do
        close = Fraction(valid_fraction).limit_denominator(max(2, patients))
        share = close if close and abs(close - share) <= CLOSE_ENOUGH else share
    if patients < share.denominator:
        raise DataError(
            f"{patients} patients cannot be split into {share.denominator} parts; raise "
            "split.valid_fraction or add patients."
        )
    splitter = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=seed)
    parts = splitter.split(images, images["label"], groups=images["patient_id"])
    parts = [_marked(images, valid) for _, valid in parts]
    sides = [
        np.logical_or.reduce(np.roll(parts, first, axis=0)[: share.numerator])
        for first in range(len(parts))
    ]
    # Patients have many ROIs or few, so the sides differ in size and, where there are few
    # patients, may lack a class: take the one that fits best.
    complete = [valid for valid in sides if _has_all_labels(images, valid)]
    return min(complete or sides, key=lambda valid: abs(valid.mean() - valid_fraction))


def _has_all_labels(images: pd.DataFrame, valid: np.ndarray) -> bool:
    """Tell whether every label stands both in training and in validation."""
    labels = images["label"]
    return labels[valid].nunique() == labels[~valid].nunique() == len(records.LABELS)


_SPLITTERS: dict[str, Callable[[pd.DataFrame, float, int], np.ndarray]] = {
    "paper": _split_by_image,
    "paper_resplit": _split_again,
    "patient": _split_by_patient,
}


def _marked(images: pd.DataFrame, positions: np.ndarray) -> np.ndarray:
    marked = np.zeros(len(images), dtype=bool)
    marked[positions] = True
    return marked


def _check_sides(images: pd.DataFrame, protocol: str) -> None:
    for subset, rows in images.groupby("subset"):
        for label in records.LABELS:
            if label not in set(rows["label"]):
                raise DataError(
                    f"Protocol {protocol} leaves no {label} image to {subset}; use another "
                    "split.seed, a larger split.valid_fraction, or more data."
                )
