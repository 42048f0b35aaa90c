"""The schedule `plateau`: a constant rate, lowered where the validation loss stops falling."""

from collections.abc import Sequence

from fastai.callback.core import Callback
from fastai.learner import Learner

from mcalc.learning.checkpoints import KeepCheckpoint

# Heenaye-Mamode Khan et al. (PLoS ONE 16:e0256500, 2021) set the rate by changes of the error's
# curve; factor and patience are ours. A tenth is what ResNet, their network, was trained with where
# the error stopped falling (He et al., CVPR 2016). One bad epoch is chance, two are not; more
# patience would leave runs of 15 epochs without a second rate.
FACTOR, PATIENCE = 0.1, 2
# Adam's own (Kingma and Ba, ICLR 2015), which one-cycle moves.
MOMENTUM = 0.9


def fit_plateau(learner: Learner, epochs: int, rates: slice, cbs: Sequence[Callback]) -> None:
    """Train with constant rates, a tenth of them after each plateau of the validation loss.

    The validation images choose the rate, so that their error is no longer that of images that
    chose nothing.

    Parameters
    ----------
    learner : Learner
    epochs : int
    rates : slice
        Spread over the groups of layers as `fit_one_cycle` spreads them.
    cbs : sequence of Callback
        With a `KeepCheckpoint`, whose history is looked at.
    """
    learner.opt.set_hyper("mom", MOMENTUM)
    learner.fit(epochs, rates, cbs=[*cbs, LowerRate()])


class LowerRate(Callback):
    """Lower the learning rates of all groups of layers after each plateau.

    How often they were lowered follows from the history alone, which a checkpoint keeps: a training
    that goes on from one goes on with the same rates. fastai's `ReduceLROnPlateau` counts alike,
    but begins anew there.
    """

    order = KeepCheckpoint.order + 1  # which skips epochs that are done

    def before_fit(self):
        """Note the rates to begin with."""
        self.highest = [hypers["lr"] for hypers in self.opt.hypers]

    def before_epoch(self):
        """Set the rates, and say so where they are lower than before."""
        history = self.keep_checkpoint.checkpoint.course.history
        rows = [row for row in history if row["phase"] == "all"]
        share = FACTOR ** count_plateaus([row["valid_loss"] for row in rows])
        before = self.opt.hypers[-1]["lr"]
        for hypers, rate in zip(self.opt.hypers, self.highest, strict=True):
            hypers["lr"] = rate * share
        if self.opt.hypers[-1]["lr"] < before:
            print(f"epoch {self.epoch}: learning rates times {share:g}", flush=True)


def count_plateaus(losses: list[float]) -> int:
    """Count how often `PATIENCE` epochs in a row brought no loss below the lowest before."""
    lowest, waited, plateaus = float("inf"), 0, 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited == PATIENCE:
            waited, plateaus = 0, plateaus + 1
    return plateaus
