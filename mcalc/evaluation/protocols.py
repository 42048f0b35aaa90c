"""The protocols: what each keeps on one side of a split, and the one engine that makes them all."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from mcalc.errors import DataError, UsageError
from mcalc.evaluation.groups import (
    LESION,
    PLACE,
    check_apart,
    check_collection,
    check_known,
    check_official,
    group_numbers,
    joined_groups,
)
from mcalc.evaluation.parts import hold_out, k_parts
from mcalc.records import LABELS, QUARTER_TURNS

# What the catalog says of a ROI that a protocol may ask for.
ASKED = ["roi_id", *LESION, "label", "official_split", "in_any_test"]


class Protocol(NamedTuple):
    """What a protocol keeps together and which images it puts aside for the end.

    Attributes
    ----------
    together : {'image_id', 'roi_id', 'lesion', 'patient_id'}
        Images that have this in common stand on one side.
    test : {'', 'official', 'fold'}
        Where test images come from: there are none, the published test tables, or each fold.
    strict : bool
        Whether patients in any test table of the whole collection are kept out of training.
    later : int
        Added to the seed: a split that is made anew.
    """

    together: Literal["image_id", "roi_id", "lesion", "patient_id"]
    test: Literal["", "official", "fold"] = ""
    strict: bool = False
    later: int = 0


PROTOCOLS = {
    "paper": Protocol("image_id"),
    "paper_resplit": Protocol("image_id", later=1),
    "image": Protocol("roi_id"),
    "lesion": Protocol("lesion"),
    "patient": Protocol("patient_id"),
    "official": Protocol("patient_id", test="official"),
    "official_strict": Protocol("patient_id", test="official", strict=True),
    "nested": Protocol("patient_id", test="fold"),
}


def check_protocol(protocol: str, folds: int) -> Protocol:
    """Return a protocol by its name; `UsageError` where it cannot be had with so many folds."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"Protocol {protocol!r} is unknown; use {', '.join(PROTOCOLS)}.")
    if folds < 1:
        raise UsageError(f"split.folds is {folds}; use 1 for a hold-out, or 2 and more.")
    if PROTOCOLS[protocol].test == "fold" and folds < 2:
        raise UsageError(
            f"Protocol {protocol} tests every patient once, which takes 2 folds or more, not "
            f"{folds}; raise split.folds, or use the protocol patient for a hold-out."
        )
    return PROTOCOLS[protocol]


def rotated_images(rois: pd.DataFrame) -> pd.DataFrame:
    """Return one row an image: each row of `rois` (CATALOG) four times, by quarter turns (Table 2).

    Nothing is rotated here: a quarter turn is a column, applied without loss when an image is
    loaded. Of the catalog's columns those are kept that a protocol may ask for.
    """
    columns = [*ASKED, *(name for name in PLACE if name in rois)]
    images = rois[columns].merge(pd.DataFrame({"quarter_turns": QUARTER_TURNS}), how="cross")
    images["image_id"] = images["roi_id"] + "_r" + images["quarter_turns"].astype(str)
    return images


def split_images(
    images: pd.DataFrame,
    protocol: str,
    *,
    folds: int = 1,
    valid_fraction: float = 0.2,
    seed: int = 1,
) -> pd.DataFrame:
    """Return `images` with the columns `fold` and `subset`, once for each fold.

    One and the same image under two ROIs, lesions or patients (`groups.joined_groups`) makes of
    these one group.

    Parameters
    ----------
    images : DataFrame
        What `rotated_images` returns.
    protocol : str
        A key of `PROTOCOLS`.
    folds : int
        1 holds images out once. With more (k-fold) every image is evaluated in one fold. The
        official protocols hold out what was published and have one fold, whatever is given; nested
        needs two or more.
    valid_fraction : float
        Share of the images, as nearly as groups allow, that validate: of all images, or of those
        that are no test images. Of no effect on folds without test images.
    seed : int

    Raises
    ------
    UsageError
        If the protocol is unknown, or cannot have so many folds.
    DataError
        If an id that the protocol needs is missing, a patient stands in both published parts,
        there are fewer groups than folds, or a side has no image of a class.
    """
    rule = check_protocol(protocol, folds)
    if images["label"].nunique() < len(LABELS):
        raise DataError("Fewer than two classes are left to split; look into the rejected tables.")
    check_known(images, rule.together, protocol)
    images = images.assign(lesion=group_numbers(images, LESION))
    kept, images = images, images.assign(**{rule.together: joined_groups(images, rule.together)})
    seed += rule.later
    if rule.test == "official":
        sides = [_official_sides(images, protocol, valid_fraction, seed)]
    elif folds == 1:
        sides = [np.where(hold_out(images, rule.together, valid_fraction, seed), "valid", "train")]
    else:
        parts = k_parts(images, rule.together, folds, seed)
        evaluated = "test" if rule.test else "valid"
        sides = [np.where(part, evaluated, "train") for part in parts]
        if rule.test:
            sides = [_with_valid(images, side, rule, valid_fraction, seed) for side in sides]
    tables = [kept.assign(fold=fold, subset=subset) for fold, subset in enumerate(sides)]
    tables = [table[table["subset"] != ""] for table in tables]
    for table in tables:
        _check_classes(table, protocol, len(tables))
    return pd.concat(tables, ignore_index=True)


def _official_sides(
    images: pd.DataFrame, protocol: str, valid_fraction: float, seed: int
) -> np.ndarray:
    """Return the published sides; of the patients who train a share validates, or is left out."""
    check_official(images, protocol)
    sides = images["official_split"].to_numpy(dtype=object)
    if PROTOCOLS[protocol].strict:
        check_collection(images, protocol)
        tested = images.loc[sides == "test", "patient_id"]
        known = (images["in_any_test"] == "yes") | images["patient_id"].isin(tested)
        sides = np.where((sides == "train") & known, "", sides)
    else:
        check_apart(images, protocol)
    return _with_valid(images, sides, PROTOCOLS[protocol], valid_fraction, seed)


def _with_valid(
    images: pd.DataFrame, sides: np.ndarray, rule: Protocol, valid_fraction: float, seed: int
) -> np.ndarray:
    """Let a share of the groups that train validate instead; test images stay unseen."""
    training = np.flatnonzero(sides == "train")
    valid = hold_out(images.iloc[training], rule.together, valid_fraction, seed)
    sides = sides.copy()
    sides[training[valid]] = "valid"
    return sides


def _check_classes(table: pd.DataFrame, protocol: str, folds: int) -> None:
    subsets = ("train", "valid", "test") if PROTOCOLS[protocol].test else ("train", "valid")
    where = f" of fold {table['fold'].iloc[0]}" if folds > 1 and len(table) else ""
    few = ", fewer split.folds" if folds > 1 else ", a larger split.valid_fraction"
    for subset in subsets:
        rows = table[table["subset"] == subset]
        for label in LABELS:
            if label not in set(rows["label"]):
                raise DataError(
                    f"Protocol {protocol} leaves no {label} image to {subset}{where}; use another "
                    f"split.seed{few}, or more data."
                )
