"""Stage `fit-ensemble`: a network of the sharpest slice and one of the stack (Xiao et al. 2021)."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.league_runs import read_run
from mcalc.images.stack import read_slices_stack
from mcalc.learning.league import find_entry
from mcalc.learning.model_runs import Settings, answered, write_run


@dataclass(frozen=True)
class VolumeSettings:
    """How the 3-D half is trained; written into the ensemble's card as it stands.

    Attributes
    ----------
    epochs, batch_size, lr_max
        See `volumes.train_volumes`.
    """

    epochs: int = 15
    batch_size: int = 32
    lr_max: float = 1e-3


def fit_ensemble(
    split: str | os.PathLike,
    *,
    run: str | os.PathLike,
    settings: Settings,
    base: str | os.PathLike,
    slices: str | os.PathLike | None = None,
    training: VolumeSettings | None = None,
    device: str = "auto",
    threads: int = 1,
) -> str:
    """Answer for a fold with the mean of both halves' probabilities.

    Where there are no stacks of slices the 2-D half answers alone, and the card (`halves`) and the
    line that is returned say so.

    Parameters
    ----------
    split : path
        The protocol's table (SPLIT).
    run : path
        Folder to write: `run.json` and `predictions.csv` (PREDICTIONS), and, of the 3-D half,
        `volumes.safetensors`.
    settings : Settings
    base : path
        The run of the 2-D half, trained on the same fold.
    slices : path, optional
        What `stack-slices` wrote, for the 3-D half, which is trained on the fold's training rows.
    training : VolumeSettings, optional
        How.
    device : {'auto', 'cpu', 'cuda'}
    threads : int

    Raises
    ------
    UsageError
        If the method is no ensemble.
    DataError
        If the 2-D half is another network, or answered for other images, or there is no stack of
        slices of an image of the split.
    """
    entry = find_entry(settings.model)
    if not entry.volumes:
        raise UsageError(f"{settings.model} has no 3-D half; fit it with `mcalc fit-model`.")
    rows = records.read_fold(split, settings.fold)
    asked = rows[rows["subset"] != "train"]
    malignant, parameters = _read_half(Path(base), asked, settings)
    halves = {"2-D": entry.base, "3-D": "none: the images are no stacks of slices"}
    if slices:
        training = training or VolumeSettings()
        halves["3-D"] = asdict(training)
        other, more = _fit_volumes(
            rows, slices, Path(run), settings.seed, training, device, threads
        )
        malignant, parameters = (malignant + other) / 2, parameters + more
    fitted = {"parameters": parameters, "halves": halves}
    predictions = answered(asked, malignant)
    write_run(Path(run), settings, rows, predictions, fitted)
    wrong = (predictions["label"] != predictions["predicted"]).mean()
    which = "both halves" if slices else "2-D half alone"
    return f"{run}: {settings.model}, {which}, error rate {wrong:.4f} on {len(asked)} images"


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


def _fit_volumes(
    rows: pd.DataFrame,
    slices: str | os.PathLike,
    run: Path,
    seed: int,
    training: VolumeSettings,
    device: str,
    threads: int,
) -> tuple[np.ndarray, int]:
    """Train the 3-D half, write its weights, and return its probabilities and its size."""
    # Here, since the 2-D half alone needs no torch, which takes seconds to import.
    import torch

    from mcalc.learning.devices import find_device
    from mcalc.learning.volumes import ask_volumes, save_network, train_volumes

    chosen = find_device(device)
    torch.set_num_threads(threads)
    volumes = read_slices_stack(slices, list(rows["roi_id"]))
    network = train_volumes(rows, volumes, seed=seed, **asdict(training), device=chosen)
    malignant = ask_volumes(network, rows, volumes, batch_size=training.batch_size, device=chosen)
    save_network(network, run / "volumes.safetensors")
    return malignant, sum(tensor.numel() for tensor in network.parameters())
