"""How one network is trained: its settings, and the head, the finder and all layers in turn."""

import copy
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import torch
from fastai.callback.schedule import LRFinder, ParamScheduler, valley
from fastai.learner import Learner
from fastai.torch_core import set_seed

from mcalc.errors import DataError, UsageError
from mcalc.images.stack import Stack
from mcalc.learning import fastai1
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.checkpoints import Checkpoint, Course, KeepCheckpoint, StopWhenAsked
from mcalc.learning.devices import (
    ON_FULL_MEMORY,
    PRECISIONS,
    empty_memory,
    find_precision,
    suit_device,
)
from mcalc.learning.networks import RECIPES, build_learner
from mcalc.learning.plateau import fit_plateau

SCHEDULES = ("one_cycle", "plateau")


@dataclass(frozen=True)
class Settings:
    """What one run trains, and how; written into its card as it stands.

    Attributes
    ----------
    protocol, network : str
        The split's protocol; the network's name in `networks.NAMES`.
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
    precision : {'auto', 'float32'}
        See `devices.find_precision`.
    out_of_memory : {'halve', 'stop'}
        When a batch does not fit into a GPU's memory: compute it in pieces, see
        `devices.InPieces`, or stop.
    schedule : {'one_cycle', 'plateau'}
        Of the rates of all layers; 'plateau' lowers them by the validation loss, see
        `plateau.fit_plateau`. The head is trained by one-cycle.
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
    precision: str = "auto"
    out_of_memory: str = "halve"
    schedule: str = "one_cycle"

    def __post_init__(self) -> None:
        """Refuse an unknown choice and learning rates that are no positive numbers."""
        choices = {"recipe": RECIPES, "precision": PRECISIONS, "out_of_memory": ON_FULL_MEMORY}
        choices["schedule"] = SCHEDULES
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                said = name.capitalize().replace("_", " ")
                raise UsageError(f"{said} {value!r} is unknown; use {' or '.join(known)}.")
        for name in ("lr_min", "lr_max", "head_lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}; give a number above 0.")


class Trained(NamedTuple):
    """A trained network: its learner, and what `fit` returned of the way there."""

    learner: Learner
    history: list[dict]
    curve: pd.DataFrame
    advice: dict


def fit_network(
    rows: pd.DataFrame,
    images: Stack,
    *,
    settings: Settings,
    weights: dict[str, torch.Tensor] | None,
    augmentation: Augmentation,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train a network on the rows of one fold.

    Parameters
    ----------
    rows : DataFrame
        SPLIT rows of one fold, of which `train` and `valid` are used; `valid` chooses nothing but
        the learning rate with the schedule 'plateau'.
    images : Stack
    settings : Settings
        Its `protocol`, `test` and `fold` only name the run.
    weights : dict of Tensor or None
        What `networks.load_weights` returns for its `network` and `weights`.
    augmentation : Augmentation
    device : torch.device
    checkpoint : Checkpoint, optional
        Where the training is kept and from where it goes on; what it has found already is used.

    Raises
    ------
    DataError
        If the batches are larger than the training images, the loss is no number any more, or a
        batch does not fit into the GPU's memory and may not be computed in smaller pieces.
    StoppedError
        If `checkpoint` listens and a signal has come.
    """
    checkpoint = checkpoint or Checkpoint()
    while True:
        try:
            return _fit_once(rows, images, settings, weights, augmentation, device, checkpoint)
        except torch.OutOfMemoryError:
            _halve_batches(settings, checkpoint)
        empty_memory()


def _fit_once(
    rows: pd.DataFrame,
    images: Stack,
    settings: Settings,
    weights: dict[str, torch.Tensor] | None,
    augmentation: Augmentation,
    device: torch.device,
    checkpoint: Checkpoint,
) -> Trained:
    set_seed(settings.seed, reproducible=True)
    batches = make_batches(
        rows,
        images,
        batch_size=settings.batch_size,
        augmentation=augmentation,
        device=device,
        recipe=settings.recipe,
    )
    learner = build_learner(batches, settings.network, weights, recipe=settings.recipe)
    precision = find_precision(device, settings.precision)
    suit_device(learner, device, precision, checkpoint.course.pieces)
    course = fit(
        learner,
        checkpoint,
        recipe=settings.recipe,
        head_epochs=settings.head_epochs,
        head_lr=settings.head_lr,
        lr_find_iterations=settings.lr_find_iterations,
        epochs=settings.epochs,
        rates=slice(settings.lr_min, settings.lr_max),
        schedule=settings.schedule,
    )
    return Trained(learner, course.history, pd.DataFrame(course.curve), course.advice)


def _halve_batches(settings: Settings, checkpoint: Checkpoint) -> None:
    """Go on in smaller pieces, and say so; `DataError` where that may not or cannot be."""
    before = checkpoint.course.pieces
    size = settings.batch_size
    full = f"{checkpoint.place}: out of GPU memory with batches of {size}"
    full += f" in {before} pieces" if before > 1 else ""
    if settings.out_of_memory == "stop":
        raise DataError(f"{full}; lower batch_size, or set train.out_of_memory to halve.")
    if size // (2 * before) < 2:  # batch norm needs two images
        raise DataError(f"{full}; take a GPU with more memory or a smaller convert.size.")
    found = checkpoint.halve_batches()
    pieces = checkpoint.course.pieces
    print(f"{full}; each is computed in {pieces} pieces from here: training {found}", flush=True)


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


def fit(
    learner: Learner,
    checkpoint: Checkpoint,
    *,
    recipe: str,
    head_epochs: int,
    head_lr: float,
    lr_find_iterations: int,
    epochs: int,
    rates: slice,
    schedule: str = "one_cycle",
) -> Course:
    """Train in the study's three steps, or what is left of them.

    Parameters
    ----------
    learner : Learner
        As `networks.build_learner` returns it for the same `recipe`, its body frozen.
    checkpoint : Checkpoint
    recipe : {'fastai2', 'fastai1'}
    head_epochs, head_lr : int, float
        The head alone; no epoch leaves the step out. The batch norms of the body learn, too: with
        'fastai1' at a tenth of the rate, as v1's `slice(head_lr)` says.
    lr_find_iterations : int
    epochs, rates, schedule : int, slice, {'one_cycle', 'plateau'}
        All layers.

    Returns
    -------
    Course
        With the history, the finder's curve and what it advises: `lr_find_valley`, and with
        'fastai1' `lr_find_steepest`.
    """
    is_first = recipe == "fastai1"
    one_cycle = fastai1.fit_one_cycle if is_first else Learner.fit_one_cycle
    course = checkpoint.course
    with nullcontext() if sys.stdout.isatty() else learner.no_bar():
        checkpoint.restore(learner)
        if course.phase == "head":
            if head_epochs:
                rate = slice(head_lr) if is_first else head_lr
                keep = KeepCheckpoint(checkpoint, f"lower head_lr (now {head_lr:g}).")
                one_cycle(learner, head_epochs, rate, cbs=[keep])
                checkpoint.end_if_needed()
            course.curve, course.advice = _find_rates(
                learner, lr_find_iterations, is_first, checkpoint
            )
            learner.unfreeze()
            course.phase, course.epochs, course.batches = "all", 0, 0
            checkpoint.state = None  # of the head
            checkpoint.save(learner)
        keep = KeepCheckpoint(checkpoint, f"lower lr_max (now {rates.stop:g}).")
        train = fit_plateau if schedule == "plateau" else one_cycle
        train(learner, epochs, rates, cbs=[keep])
        checkpoint.end_if_needed()
    return course


def _find_rates(
    learner: Learner, iterations: int, is_first: bool, checkpoint: Checkpoint
) -> tuple[dict, dict]:
    epochs = iterations // len(learner.dls.train) + 1
    callbacks = [InMemoryLRFinder(num_it=iterations), StopWhenAsked(checkpoint)]
    callbacks += [fastai1.StopWithoutLoss()] if is_first else []
    with learner.no_logging():
        learner.fit(epochs, cbs=callbacks)
    checkpoint.end_if_needed()
    rates = [float(rate) for rate in learner.recorder.lrs]
    losses = [float(loss) for loss in learner.recorder.losses]
    curve = {"learning_rate": rates[: len(losses)], "loss": losses}
    suggestion, _ = valley(torch.tensor(rates), torch.tensor(losses), iterations)
    advice = {"lr_find_valley": float(suggestion)}
    if is_first:
        advice["lr_find_steepest"] = fastai1.steepest_rate(rates, losses)
    return curve, advice
