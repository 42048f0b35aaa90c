"""Stage `fit-ensemble`: a network of slices and one of stacks (Xiao et al. 2021).

On images that are no stacks of slices there is nothing for the 3-D half to see; data sets of stacks
are not read yet.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.league_runs import read_run
from mcalc.learning.league import find_entry
from mcalc.learning.model_runs import Settings, answered, write_run


def fit_ensemble(
    split: str | os.PathLike,
    *,
    run: str | os.PathLike,
    settings: Settings,
    base: str | os.PathLike,
) -> str:
    """Answer for a fold with the 2-D half alone, and say so in the card (`halves`).

    Parameters
    ----------
    split : path
        The protocol's table (SPLIT).
    run : path
        Folder to write: `run.json` and `predictions.csv` (PREDICTIONS).
    settings : Settings
    base : path
        The run of the 2-D half, trained on the same fold.

    Raises
    ------
    UsageError
        If the method is no ensemble.
    DataError
        If the 2-D half is another network, or answered for other images.
    """
    entry = find_entry(settings.model)
    if not entry.volumes:
        raise UsageError(f"{settings.model} has no 3-D half; fit it with `mcalc fit-model`.")
    rows = records.read_fold(split, settings.fold)
    asked = rows[rows["subset"] != "train"]
    malignant, parameters = _read_half(Path(base), asked, settings)
    halves = {"2-D": entry.base, "3-D": "none: the images are no stacks of slices"}
    predictions = answered(asked, malignant)
    write_run(Path(run), settings, rows, predictions, {"parameters": parameters, "halves": halves})
    wrong = (predictions["label"] != predictions["predicted"]).mean()
    return f"{run}: {settings.model}, 2-D half alone, error rate {wrong:.4f} on {len(asked)} images"


def _read_half(base: Path, asked: pd.DataFrame, settings: Settings) -> tuple[np.ndarray, int]:
    """Return the 2-D half's probabilities of the images that are asked for, and its size."""
    half = read_run(base, None)
    same_fold = (half.protocol, half.fold) == (settings.protocol, settings.fold)
    if not same_fold or list(half.rows["image_id"]) != list(asked["image_id"]):
        raise DataError(
            f"{base}: answers of {half.protocol}, fold {half.fold}, for other images than this "
            "split asks for; train the 2-D half on this fold."
        )
    return half.rows["probability_malignant"].to_numpy(), half.parameters
