"""The recipe `fastai1`: how fastai v1, which the study used, trains, said in fastai v2's terms.

Every value names the file of fastai 1.0.61 that it was read from; docs/fastai1.md compares them
with fastai v2's and lists what stays different.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.callback.schedule import ParamScheduler, SchedCos
from fastai.layers import AdaptiveConcatPool2d, Flatten
from fastai.learner import Learner
from fastai.optimizer import Adam
from fastai.torch_core import params
from torch import nn

# train.py, fit_one_cycle, and callbacks/one_cycle.py, OneCycleScheduler
MOMENTA = (0.95, 0.85)
DIV_FACTOR = 25.0
FINAL_DIV = DIV_FACTOR * 1e4
RISING_SHARE = 0.3
# basic_train.py, defaults.wd; true_wd (taken off the weights, not added to the gradients) and
# bn_wd (batch norms and biases decay, too) are on
WEIGHT_DECAY = 0.01
# torch_core.py, AdamW: PyTorch's Adam with betas (0.9, 0.99), so with PyTorch's epsilon
FIRST_MOMENTUM, SQUARE_MOMENTUM, EPSILON = 0.9, 0.99, 1e-8
# vision/learner.py, create_head
HIDDEN_UNITS, DROPOUT = 512, 0.5
# basic_train.py, Recorder.plot: what is left out at both ends of the finder's curve
SKIPPED_FIRST, SKIPPED_LAST = 10, 5


class Body(NamedTuple):
    """How v1 cuts a network's body off and splits it (vision/learner.py, model_meta).

    Attributes
    ----------
    cut : int
        The body is the network's children up to here.
    features : int
        Channels that the body gives to the head.
    boundary : int or None
        The layer that begins the second group; None for a body that is one group.
    nested : bool
        Whether the layers are those of the body's first child.
    """

    cut: int
    features: int
    boundary: int | None
    nested: bool = True


BODIES = {
    # Not in v1's model_meta: its default is the body as one group, cut after the last child that
    # does not pool.
    "vgg16": Body(-2, 512, None),
    "vgg16_bn": Body(-1, 512, 22),
    "resnet34": Body(-2, 512, 6, nested=False),
    "alexnet": Body(-1, 256, 6),
    "resnet50": Body(-2, 2048, 6, nested=False),
}


def learner_options(network: str, classes: int = 2) -> dict:
    """Return what fastai v2's `vision_learner` must be told to build v1's `cnn_learner`."""
    body = BODIES[network]
    return {
        "cut": body.cut,
        "custom_head": make_head(body.features, classes),
        "init": nn.init.kaiming_normal_,
        "splitter": partial(split_layers, body),
        "opt_func": partial(Adam, mom=FIRST_MOMENTUM, sqr_mom=SQUARE_MOMENTUM, eps=EPSILON),
        "wd": WEIGHT_DECAY,
        "wd_bn_bias": True,
        "train_bn": True,
    }


def make_head(features: int, classes: int) -> nn.Sequential:
    """Return v1's head (vision/learner.py, create_head; layers.py, bn_drop_lin).

    v2's differs: its linear layers have no bias, and its batch norms begin with a bias of 1e-3.

    Parameters
    ----------
    features : int
        Channels of the body; concatenated pooling doubles them.
    classes : int
    """
    return nn.Sequential(
        AdaptiveConcatPool2d(),
        Flatten(),
        nn.BatchNorm1d(2 * features),
        nn.Dropout(DROPOUT / 2),
        nn.Linear(2 * features, HIDDEN_UNITS),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(HIDDEN_UNITS),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN_UNITS, classes),
    )


def split_layers(body: Body, model: nn.Sequential) -> list[list[nn.Parameter]]:
    """Return the parameters of each of v1's layer groups (vision/learner.py, `_*_split`)."""
    layers, head = model
    if body.boundary is None:
        return [params(layers), params(head)]
    layers = layers[0] if body.nested else layers
    return [params(group) for group in (layers[: body.boundary], layers[body.boundary :], head)]


def one_cycle(steps: int, start, middle, end) -> Callable:
    """Return v1's schedule of one value (callbacks/one_cycle.py; callback.py, Scheduler).

    It rises over `int(0.3 steps)` steps, at least one, and falls over the others, both along half
    a cosine (callback.py, annealing_cos, which is v2's `SchedCos`). v2's `combined_cos` counts in
    shares instead of steps, and in 32 bits.

    Parameters
    ----------
    steps : int
        Steps of all epochs together.
    start, middle, end : float or ndarray
        One value, or one for each group.

    Returns
    -------
    callable
        From the share of the steps that are done, as `ParamScheduler` gives it, to the value.
    """
    turn = int(steps * RISING_SHARE)
    rise, fall = SchedCos(start, middle), SchedCos(middle, end)
    rising, falling = max(1, turn), max(1, steps - turn)

    def value(share: float):
        step = round(share * steps)
        return rise(step / rising) if step <= rising else fall((step - rising) / falling)

    return value


def fit_one_cycle(
    learner: Learner, epochs: int, rates: slice, cbs: Sequence[Callback] = ()
) -> None:
    """Train as v1's `fit_one_cycle` does.

    Parameters
    ----------
    learner : Learner
        With the options of `learner_options`, frozen or not.
    epochs : int
    rates : slice
        `slice(high)` gives the last group `high` and the others a tenth of it, `slice(low, high)`
        spreads the rates by equal factors over the groups (basic_train.py, lr_range; v2 does so,
        too).
    cbs : sequence of Callback
        More callbacks.
    """
    learner.opt.set_hyper("lr", rates)
    highest = np.array([hypers["lr"] for hypers in learner.opt.hypers])
    steps = epochs * len(learner.dls.train)
    high, low = MOMENTA
    schedules = {
        "lr": one_cycle(steps, highest / DIV_FACTOR, highest, highest / FINAL_DIV),
        "mom": one_cycle(steps, high, low, high),
    }
    own = [ParamScheduler(schedules), DecayFrozenBiases()]
    learner.fit(epochs, cbs=[*own, *cbs], wd=WEIGHT_DECAY)
    # v1 takes the schedule's last step after the last batch, so that the finder begins with it.
    learner.opt.set_hyper("mom", high)


class DecayFrozenBiases(Callback):
    """Let the biases of frozen layers decay, as v1 does (perhaps unmeant).

    v1's optimiser holds the biases of frozen convolutions (torch_core.py, split_no_wd_params) and
    takes weight decay off whatever it holds (callback.py, OptimWrapper.step); v2's touches
    parameters with a gradient only. Frozen batch norms do not exist: `train_bn` frees them.
    """

    def before_step(self):
        """Decay by learning rate times weight decay, as other parameters do."""
        for group, hypers in zip(self.opt.param_lists, self.opt.hypers, strict=True):
            for parameter in group:
                if parameter.ndim == 1 and not parameter.requires_grad:
                    parameter.data.mul_(1 - hypers["lr"] * hypers["wd"])


class StopWithoutLoss(Callback):
    """End the finder where the loss is no number, as v1 does (callbacks/lr_finder.py)."""

    order = 61  # after the finder

    def after_batch(self):
        """Look at the smoothed loss."""
        if torch.isnan(self.smooth_loss):
            raise CancelFitException


def steepest_rate(rates: list[float], losses: list[float]) -> float | None:
    """Return v1's advice: the rate at which the loss falls fastest (basic_train.py, plot).

    Parameters
    ----------
    rates, losses : list of float
        The finder's curve; v1 leaves out ten points at its beginning and five at its end.

    Returns
    -------
    float or None
        None where fewer than two points are left, for which v1 gives no advice either.
    """
    kept = slice(SKIPPED_FIRST, -SKIPPED_LAST)
    rates, losses = rates[kept], losses[kept]
    if len(losses) < 2:
        return None
    return float(rates[int(np.gradient(np.array(losses)).argmin())])
