"""Stage `fit-ensemble`: a network of slices and one of stacks, averaged (Xiao et al. 2021)."""

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
    slices: str | os.PathLike | None = None,
    epochs: int = 15,
    batch_size: int = 8,
    lr_max: float = 1e-3,
    device: str = "auto",
    threads: int = 1,
) -> str:
    """Train the 3-D half on a fold and average its answers with those of the 2-D half.

    On images that are no stacks there is no 3-D half: the answers are those of the 2-D half, and
    the card says so (`halves`).

    Parameters
    ----------
    split : path
        The protocol's table (SPLIT).
    run : path
        Folder to write: `run.json`, `predictions.csv`, and with slices `volumes.safetensors`.
    settings : Settings
    base : path
        The run of the 2-D half, trained on the same fold: of each stack its sharpest slice.
    slices : path, optional
        What `mcalc stack-slices` wrote.
    epochs, batch_size, lr_max : int, int, float
        Of the 3-D half.
    device : {'auto', 'cpu', 'cuda'}
    threads : int

    Raises
    ------
    UsageError
        If the method is no ensemble.
    DataError
        If the 2-D half answered for other images, or a file cannot be read.
    """
    if not find_entry(settings.model).volumes:
        raise UsageError(f"{settings.model} has no 3-D half; fit it with `mcalc fit-model`.")
    rows = records.read_fold(split, settings.fold)
    asked = rows[rows["subset"] != "train"]
    flat, parameters = _read_half(Path(base), asked, settings)
    halves = {"2-D": f"{Path(base).parent.name}, the sharpest slice or the image"}
    if slices is None:
        malignant, halves["3-D"] = flat, "none: the images are no stacks of slices"
    else:
        # Here, since answers of the 2-D half alone need no torch, which takes seconds to import.
        from mcalc.learning.volumes import average, fit_volumes

        deep, learned = fit_volumes(
            rows,
            slices,
            weights=Path(run) / "volumes.safetensors",
            seed=settings.seed,
            epochs=epochs,
            batch_size=batch_size,
            lr_max=lr_max,
            device=device,
            threads=threads,
        )
        malignant, parameters = average(flat, deep), parameters + learned
        halves["3-D"] = "anisotropic 3-D ResNet, all slices"
    predictions = answered(asked, malignant)
    write_run(Path(run), settings, rows, predictions, {"parameters": parameters, "halves": halves})
    wrong = (predictions["label"] != predictions["predicted"]).mean()
    said = "2-D half alone" if slices is None else "both halves"
    return f"{run}: {settings.model}, {said}, error rate {wrong:.4f} on {len(asked)} images"


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
