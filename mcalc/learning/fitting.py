"""The three steps in which a run is trained: the head, the learning-rate finder, all layers."""

import copy
import sys
from contextlib import nullcontext

import pandas as pd
import torch
from fastai.callback.schedule import LRFinder, ParamScheduler, valley
from fastai.learner import Learner

from mcalc.learning import fastai1


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
    *,
    recipe: str,
    head_epochs: int,
    head_lr: float,
    lr_find_iterations: int,
    epochs: int,
    rates: slice,
) -> tuple[list[dict], pd.DataFrame, dict]:
    """Train in the study's three steps.

    Parameters
    ----------
    learner : Learner
        As `networks.build_learner` returns it for the same `recipe`, its body frozen.
    recipe : {'fastai2', 'fastai1'}
    head_epochs, head_lr : int, float
        The head alone; no epoch leaves the step out. The batch norms of the body learn, too: with
        'fastai1' at a tenth of the rate, as v1's `slice(head_lr)` says.
    lr_find_iterations : int
    epochs, rates : int, slice
        All layers.

    Returns
    -------
    history : list of dict
        HISTORY rows.
    curve : DataFrame
        The finder's LR_FIND rows.
    advice : dict
        What the finder advises: `lr_find_valley`, and with 'fastai1' `lr_find_steepest`.
    """
    is_first = recipe == "fastai1"
    one_cycle = fastai1.fit_one_cycle if is_first else Learner.fit_one_cycle
    history: list[dict] = []
    with nullcontext() if sys.stdout.isatty() else learner.no_bar():
        if head_epochs:
            one_cycle(learner, head_epochs, slice(head_lr) if is_first else head_lr)
            history += _epochs(learner, "head", 0)
        curve, advice = _find_rates(learner, lr_find_iterations, is_first)
        learner.unfreeze()
        one_cycle(learner, epochs, rates)
        history += _epochs(learner, "all", len(history))
    return history, curve, advice


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


def _find_rates(learner: Learner, iterations: int, is_first: bool) -> tuple[pd.DataFrame, dict]:
    epochs = iterations // len(learner.dls.train) + 1
    callbacks = [InMemoryLRFinder(num_it=iterations)]
    callbacks += [fastai1.StopWithoutLoss()] if is_first else []
    with learner.no_logging():
        learner.fit(epochs, cbs=callbacks)
    rates = [float(rate) for rate in learner.recorder.lrs]
    losses = [float(loss) for loss in learner.recorder.losses]
    curve = pd.DataFrame({"learning_rate": rates[: len(losses)], "loss": losses})
    suggestion, _ = valley(torch.tensor(rates), torch.tensor(losses), iterations)
    advice = {"lr_find_valley": float(suggestion)}
    if is_first:
        advice["lr_find_steepest"] = fastai1.steepest_rate(rates, losses)
    return curve, advice
