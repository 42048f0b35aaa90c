"""Stage `train`: one network, one setting, one fold of one protocol, as the study trains."""

import importlib.metadata
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.learner import Learner
from fastai.torch_core import set_seed
from fastai.vision.core import imagenet_stats
from safetensors.torch import save_file

from mcalc import __version__, records
from mcalc.errors import DataError, UsageError
from mcalc.files import whole_file, write_text
from mcalc.images.shards import load_images
from mcalc.learning.batches import Augmentation, images_hash, make_batches
from mcalc.learning.fitting import fit
from mcalc.learning.inference import find_device, predict_images
from mcalc.learning.networks import RECIPES, build_learner, load_weights

RECORDED_VERSIONS = ("torch", "torchvision", "fastai", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Settings:
    """What one run trains, and how; written into its card as it stands.

    Attributes
    ----------
    protocol, network : str
        The split's protocol; the network's name in `networks.NETWORKS`.
    test, fold : int
        The number of the run in the grid (from 1) and of its fold (from 0).
    batch_size : int
    lr_min, lr_max : float
        Learning rates of the first and the last group of layers, `slice(lr_min, lr_max)`.
    epochs : int
        Epochs with all layers free.
    head_epochs : int
        Epochs before, with only the new head free.
    head_lr : float
        Learning rate of these.
    lr_find_iterations : int
        Steps of the learning-rate finder between the two, at least 6.
    weights : str
        'imagenet', 'none' or a path; see `networks.load_weights`.
    seed : int
    recipe : {'fastai2', 'fastai1'}
        Whose values: those of the fastai that is installed, or of fastai v1, which the study used.
    """

    protocol: str
    network: str
    test: int
    fold: int
    batch_size: int
    lr_min: float
    lr_max: float
    epochs: int
    head_epochs: int = 1
    head_lr: float = 1e-3
    lr_find_iterations: int = 100
    weights: str = "imagenet"
    seed: int = 1
    recipe: str = "fastai2"

    def __post_init__(self) -> None:
        """Refuse an unknown recipe and learning rates that are no positive numbers."""
        if self.recipe not in RECIPES:
            raise UsageError(f"Recipe {self.recipe!r} is unknown; use {' or '.join(RECIPES)}.")
        for name in ("lr_min", "lr_max", "head_lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}; give a number above 0.")


def train_run(
    split: str | os.PathLike,
    images: list[str | os.PathLike],
    *,
    run: str | os.PathLike,
    settings: Settings,
    augmentation: Augmentation,
    device: str = "auto",
    threads: int = 1,
) -> str:
    """Train one run and write its folder `run`.

    The head is trained, the learning-rate finder run, then all layers are trained with
    discriminative rates; Adam and one-cycle throughout. The folder receives
    `weights.safetensors`, `run.json` (the model's card), `history.csv` (HISTORY), `lr_find.csv`
    (LR_FIND) and `predictions.csv` (PREDICTIONS: the images that did not train, in the
    split's order).

    Parameters
    ----------
    split : path
        The protocol's table (SPLIT).
    images : list of path
        The shard folders of the enhanced images.
    run : path
    settings : Settings
    augmentation : Augmentation
    device : {'auto', 'cpu', 'cuda'}
        'auto' takes a GPU where there is one.
    threads : int
        Threads that compute on the CPU.

    Returns
    -------
    str
        One line with the last epoch's error rate.
    """
    chosen = find_device(device)
    torch.set_num_threads(threads)
    set_seed(settings.seed, reproducible=True)
    weights = load_weights(settings.network, settings.weights)
    rows = records.read_fold(split, settings.fold)
    pixels = load_images(images, list(rows["roi_id"]))
    batches = make_batches(
        rows,
        pixels,
        batch_size=settings.batch_size,
        augmentation=augmentation,
        device=chosen,
        recipe=settings.recipe,
    )
    learner = build_learner(batches, settings.network, weights, recipe=settings.recipe)
    history, curve, advice = fit(
        learner,
        recipe=settings.recipe,
        head_epochs=settings.head_epochs,
        head_lr=settings.head_lr,
        lr_find_iterations=settings.lr_find_iterations,
        epochs=settings.epochs,
        rates=slice(settings.lr_min, settings.lr_max),
    )
    losses = [epoch[name] for epoch in history for name in ("train_loss", "valid_loss")]
    if not np.isfinite(losses).all():
        raise DataError(
            f"{run}: the training diverged, its loss is no number any more; lower lr_max (now "
            f"{settings.lr_max:g}) or head_lr (now {settings.head_lr:g})."
        )
    predictions = predict_images(learner, rows)
    card = _card(settings, augmentation, rows, pixels) | advice
    _write(Path(run), learner, card, history, curve, predictions)
    return f"{run}: error rate {history[-1]['error_rate']:.4f} after {len(history)} epochs"


def _card(settings: Settings, augmentation: Augmentation, rows: pd.DataFrame, pixels: dict) -> dict:
    versions = {name: importlib.metadata.version(name) for name in RECORDED_VERSIONS}
    return {
        "classes": list(records.LABELS),
        "network": settings.network,
        "size": int(next(iter(pixels.values())).shape[0]),
        "channels": "the grey level, three times",
        "normalisation": dict(zip(("mean", "std"), imagenet_stats, strict=True)),
        "settings": asdict(settings),
        "augmentation": augmentation._asdict(),
        "images": rows["subset"].value_counts().to_dict(),
        "data_hash": images_hash(rows, pixels),
        "versions": {"mcalc": __version__, **versions},
        "intended_use": "Research, not diagnosis.",
    }


def _write(
    run: Path,
    learner: Learner,
    card: dict,
    history: list[dict],
    curve: pd.DataFrame,
    predictions: pd.DataFrame,
) -> None:
    state = {name: t.detach().cpu().contiguous() for name, t in learner.model.state_dict().items()}
    with whole_file(run / "weights.safetensors") as temporary:
        save_file(state, temporary)
    records.write(history, run / "history.csv", records.HISTORY)
    records.write(curve, run / "lr_find.csv", records.LR_FIND)
    records.write(predictions, run / "predictions.csv", records.PREDICTIONS)
    write_text(run / "run.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
