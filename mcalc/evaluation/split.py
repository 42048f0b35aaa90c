"""Stage `split`: which images train a model, which choose it and which measure it."""

import os

import pandas as pd

from mcalc import records
from mcalc.evaluation.groups import NOUNS, joined_groups
from mcalc.evaluation.protocols import PROTOCOLS, rotated_images, split_images


def write_split(
    catalog: str | os.PathLike,
    *,
    rejected: list[str | os.PathLike],
    protocol: str,
    split: str | os.PathLike,
    folds: int = 1,
    valid_fraction: float = 0.2,
    seed: int = 1,
) -> str:
    """Write the table `split` (SPLIT): one row an image and fold; an image is a ROI and a turn.

    Parameters
    ----------
    catalog : path
    rejected : list of path
        The tables of ROIs that later stages set aside; they are left out.
    protocol : str
        What is kept apart, explained in docs/protocols.md. 'paper' rotates first and then splits
        images at random, as the study did: the same ROI, turned, stands on both sides, so the
        result says little about a new patient. 'paper_resplit' does so with the next seed: what it
        validates, the networks that 'paper' trained have mostly been trained on. 'image', 'lesion'
        and 'patient' keep all images of a ROI, of a lesion, of a patient on one side. 'official'
        tests on the published test table; 'official_strict' drops those from training who are in
        any test table of the collection. 'nested' tests each fold's patients and lets a share of
        the others validate.
    split : path
        The table to write.
    folds : int
        1 for a hold-out; k to evaluate every image in one of k folds. The official protocols have
        one fold whatever is given.
    valid_fraction : float
        Share of the images (of the groups' images, as nearly as possible) that validate.
    seed : int

    Returns
    -------
    str
        One line that counts the images of the first fold.

    Raises
    ------
    UsageError
        If the protocol cannot have so many folds.
    DataError
        If no ROI is left, an id that the protocol needs is missing, or a class cannot stand on
        each side.
    """
    rois = records.read(catalog, records.CATALOG)
    aside = records.read_all(rejected, records.REJECTED)
    images = rotated_images(rois[~rois["roi_id"].isin(aside["roi_id"])])
    table = split_images(images, protocol, folds=folds, valid_fraction=valid_fraction, seed=seed)
    records.write(table, split, records.SPLIT)
    return f"{split}: {_counted(table)}{_explained(table, images, protocol, folds)}"


def _counted(table: pd.DataFrame) -> str:
    counts = table.loc[table["fold"] == 0, "subset"].value_counts()
    text = f"{counts['train']} images train, {counts['valid']} validate"
    if "test" in counts:
        text += f", {counts['test']} test"
    folds = table["fold"].nunique()
    return f"{folds} folds, of which in the first {text}" if folds > 1 else text


def _explained(table: pd.DataFrame, images: pd.DataFrame, protocol: str, folds: int) -> str:
    """Say what a reader would not expect: folds that are not made, ROIs that are dropped."""
    text = ""
    if PROTOCOLS[protocol].test == "official" and folds > 1:
        text += f"; one fold, not {folds}, since the published parts are a hold-out"
    together = PROTOCOLS[protocol].together
    if together in images:
        names = images[together].groupby(joined_groups(images, together)).nunique()
        if (names > 1).any():
            shared = names[names > 1].sum()
            text += f"; {shared} {NOUNS[together]} share an image file and stand on one side"
    dropped = images[~images["roi_id"].isin(table["roi_id"])]
    if len(dropped):
        text += (
            f"; {dropped['roi_id'].nunique()} ROIs of {dropped['patient_id'].nunique()} patients "
            "dropped, who are in a test table of the collection"
        )
    return text
