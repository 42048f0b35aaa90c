"""Stage `shortcuts`: what models that must not be good say of a fold's images."""

import os

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.images.stack import read_stack
from mcalc.learning.shortcut_models import fit_and_answer, read_features


def write_shortcuts(
    catalog: str | os.PathLike,
    stack: str | os.PathLike,
    *,
    split: str | os.PathLike,
    shortcuts: str | os.PathLike,
    trained_split: str | os.PathLike | None = None,
    fold: int = 0,
    seed: int = 1,
) -> str:
    """Train every shortcut model on a fold's training ROIs; write its answers (SHORTCUTS).

    A ROI of which any image trains is one training row, whatever its quarter turns, since no
    model's features depend on them; its label is the split's.

    Parameters
    ----------
    catalog : path
        The table of ROIs (CATALOG). The files that it names are opened for the size of the crops.
    stack : path
        The enhanced images, as `mcalc stack` wrote them.
    split : path
        The protocol's table (SPLIT), whose validation and test images are asked for.
    shortcuts : path
        The table to write.
    trained_split : path, optional
        The split whose training images are learned from, where it is another protocol's
        (`records.TRAINED_AS`).
    fold : int
        Of both splits.
    seed : int
        Same seed, same answers.

    Returns
    -------
    str
        One line: the models, and those left out because all ROIs are alike to them.

    Raises
    ------
    DataError
        If a table or image is missing, there is no such fold, a ROI of the split is not in the
        catalog, or the training ROIs are of one class.
    """
    rows = records.read_fold(split, fold)
    learned = records.read_fold(trained_split, fold) if trained_split else rows
    asked = rows[rows["subset"] != "train"].drop(columns="fold")
    training = learned[learned["subset"] == "train"].drop_duplicates("roi_id")
    rois = _find_rois(catalog, split, pd.concat([asked, training])["roi_id"])
    found, left_out = read_features(rois, read_stack(stack, list(rois["roi_id"])))
    place = pd.Series(range(len(rois)), index=rois["roi_id"])
    tables = []
    for name, values in found.items():
        probability = fit_and_answer(
            name,
            values[place[training["roi_id"]]],
            training["label"].to_numpy(dtype=str),
            values[place[asked["roi_id"]]],
            seed=seed,
        )
        predicted = np.where(probability > 0.5, records.MALIGNANT, records.BENIGN)
        answers = {"model": name, "probability_malignant": probability, "predicted": predicted}
        tables.append(asked.assign(**answers))
    records.write(pd.concat(tables), shortcuts, records.SHORTCUTS)
    said = f"{shortcuts}: {', '.join(found)} on {len(asked)} images, from {len(training)} ROIs"
    aside = f"; all ROIs are alike to {', '.join(left_out)}" if left_out else ""
    return said + aside


def _find_rois(
    catalog: str | os.PathLike, split: str | os.PathLike, roi_ids: pd.Series
) -> pd.DataFrame:
    """Return the catalog's rows of the ROIs, sorted by id, each once."""
    wanted = sorted(set(roi_ids))
    rois = records.read(catalog, records.CATALOG)
    if missing := sorted(set(wanted) - set(rois["roi_id"])):
        raise DataError(
            f"{split}: {len(missing)} ROIs, such as {missing[0]}, are not in "
            f"{catalog}; split again."
        )
    return rois.set_index("roi_id").loc[wanted].reset_index()
