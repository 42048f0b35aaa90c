"""What a training left in its folder: the card, and the network with its weights."""

import json
from pathlib import Path

import pandas as pd
import torch
from fastai.learner import Learner
from safetensors import SafetensorError
from safetensors.torch import load_file

from mcalc.errors import DataError
from mcalc.images.stack import Stack
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.networks import build_learner

# Those of a card's settings that say how to build the network, and of which fold it is.
_WANTED = ("protocol", "network", "fold", "batch_size", "recipe")


def read_card(run: Path) -> dict:
    """Return the card of the folder that `train` wrote.

    Raises
    ------
    DataError
        If there is none, or it is of an older kind.
    """
    path = run / "run.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in _WANTED if key not in card["settings"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the card of a run; train it again.") from error
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing; train the run again.")
    return card


def load_learner(
    run: Path, card: dict, rows: pd.DataFrame, images: Stack, device: torch.device
) -> Learner:
    """Return a run's network with its trained weights, on batches of other rows and images.

    Parameters
    ----------
    run : path
        The folder that `train` wrote.
    card : dict
        As `read_card` returns it.
    rows : DataFrame
        SPLIT rows of one fold.
    images : Stack
    device : torch.device

    Raises
    ------
    DataError
        If the weights are missing or not those of the card's network.
    """
    settings = card["settings"]
    batches = make_batches(
        rows,
        images,
        # Of no effect on what a trained network says; the training batches are not used.
        batch_size=min(settings["batch_size"], int((rows["subset"] == "train").sum())),
        augmentation=Augmentation(),
        device=device,
    )
    learner = build_learner(batches, settings["network"], None, recipe=settings["recipe"])
    path = run / "weights.safetensors"
    try:
        learner.model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(f"{path}: not the weights of this run; train it again.") from error
    return learner
