"""Stage `train`: one network, one setting, one fold of one protocol, as the study trains."""

import copy
import importlib.metadata
import json
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.callback.schedule import LRFinder, ParamScheduler, valley
from fastai.learner import Learner
from fastai.torch_core import set_seed
from fastai.vision.core import imagenet_stats
from safetensors.torch import save_file

from mcalc import __version__, records
from mcalc.errors import DataError, UsageError
from mcalc.files import whole_file, write_text
from mcalc.learning.batches import Augmentation, images_hash, load_images, make_batches
from mcalc.learning.networks import build_learner, load_weights

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

    def __post_init__(self) -> None:
        """Refuse learning rates that are no positive numbers."""
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
    (LR_FIND) and `predictions.csv` (PREDICTIONS: the validation images, in the split's order).

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
    chosen = _find_device(device)
    torch.set_num_threads(threads)
    set_seed(settings.seed, reproducible=True)
    weights = load_weights(settings.network, settings.weights)
    rows = records.read(split, records.SPLIT)
    rows = rows[rows["fold"] == settings.fold].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"{split}: there is no fold {settings.fold}; split again or train another.")
    pixels = load_images(images, list(rows["roi_id"]))
    batches = make_batches(
        rows,
        pixels,
        batch_size=settings.batch_size,
        augmentation=augmentation,
        device=chosen,
    )
    learner = build_learner(batches, settings.network, weights)
    history, rates, suggestion = _fit(learner, settings)
    losses = [epoch[name] for epoch in history for name in ("train_loss", "valid_loss")]
    if not np.isfinite(losses).all():
        raise DataError(
            f"{run}: the training diverged, its loss is no number any more; lower lr_max (now "
            f"{settings.lr_max:g}) or head_lr (now {settings.head_lr:g})."
        )
    predictions = _predict(learner, rows)
    card = _card(settings, augmentation, rows, pixels) | {"lr_find_valley": suggestion}
    _write(Path(run), learner, card, history, rates, predictions)
    return f"{run}: error rate {history[-1]['error_rate']:.4f} after {len(history)} epochs"


class InMemoryLRFinder(LRFinder):
    """fastai's learning-rate finder, which keeps the model in memory instead of a pickle."""

    def before_fit(self):
        """Remember the model and the optimiser as they are."""
        ParamScheduler.before_fit(self)
        states = (self.learn.model.state_dict(), self.learn.opt.state_dict())
        self.remembered = copy.deepcopy(states)
        self.best_loss = float("inf")

    def after_fit(self):
        """Put the model and the optimiser back."""
        self.learn.opt.zero_grad()
        model, optimiser = self.remembered
        self.learn.model.load_state_dict(model)
        self.learn.opt.load_state_dict(optimiser)


def _find_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("train.device is cuda, but PyTorch finds no GPU here; use cpu or auto.")
    return torch.device(device)


def _fit(learner: Learner, settings: Settings) -> tuple[list[dict], pd.DataFrame, float]:
    """Train in the study's three steps; return the epochs, the finder's curve and its advice."""
    history: list[dict] = []
    with nullcontext() if sys.stdout.isatty() else learner.no_bar():
        if settings.head_epochs:
            learner.fit_one_cycle(settings.head_epochs, settings.head_lr)
            history += _epochs(learner, "head", 0)
        rates, suggestion = _find_rates(learner, settings.lr_find_iterations)
        learner.unfreeze()
        learner.fit_one_cycle(settings.epochs, slice(settings.lr_min, settings.lr_max))
        history += _epochs(learner, "all", len(history))
    return history, rates, suggestion


def _epochs(learner: Learner, phase: str, done: int) -> list[dict]:
    names = ("train_loss", "valid_loss", "error_rate", "accuracy")
    return [
        {
            "epoch": done + number,
            "phase": phase,
            **dict(zip(names, map(float, values), strict=True)),
        }
        for number, values in enumerate(learner.recorder.values)
    ]


def _find_rates(learner: Learner, iterations: int) -> tuple[pd.DataFrame, float]:
    epochs = iterations // len(learner.dls.train) + 1
    finder = InMemoryLRFinder(num_it=iterations)
    with learner.no_logging():
        learner.fit(epochs, cbs=finder)
    rates = [float(rate) for rate in learner.recorder.lrs]
    losses = [float(loss) for loss in learner.recorder.losses]
    curve = pd.DataFrame({"learning_rate": rates[: len(losses)], "loss": losses})
    suggestion, _ = valley(torch.tensor(rates), torch.tensor(losses), iterations)
    return curve, float(suggestion)


def _predict(learner: Learner, rows: pd.DataFrame) -> pd.DataFrame:
    with learner.no_bar(), learner.no_logging():
        probabilities, _, losses = learner.get_preds(dl=learner.dls.valid, with_loss=True)
    predictions = rows[rows["subset"] == "valid"].drop(columns=["fold", "subset"])
    malignant = probabilities[:, records.LABELS.index(records.MALIGNANT)]
    predictions["probability_malignant"] = malignant.double().clamp(0, 1).numpy()
    predictions["predicted"] = np.array(records.LABELS)[probabilities.argmax(dim=1).numpy()]
    predictions["loss"] = losses.double().numpy()
    return predictions


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
    rates: pd.DataFrame,
    predictions: pd.DataFrame,
) -> None:
    state = {name: t.detach().cpu().contiguous() for name, t in learner.model.state_dict().items()}
    with whole_file(run / "weights.safetensors") as temporary:
        save_file(state, temporary)
    records.write(history, run / "history.csv", records.HISTORY)
    records.write(rates, run / "lr_find.csv", records.LR_FIND)
    records.write(predictions, run / "predictions.csv", records.PREDICTIONS)
    write_text(run / "run.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
