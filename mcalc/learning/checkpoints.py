"""How a training survives being killed: what is kept of it, and how it goes on from there."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from fastai.callback.core import Callback, CancelEpochException, CancelFitException
from fastai.learner import Learner
from fastcore.foundation import L
from fastcore.imports import noop

from mcalc.errors import DataError, McalcError
from mcalc.files import whole_file

MEASURES = ("train_loss", "valid_loss", "error_rate", "accuracy")


class StoppedError(McalcError):
    """A signal asked the training to end, and its state is kept (exit code 143, as SIGTERM's)."""

    exit_code = 143


@dataclass
class Course:
    """How far a training has come.

    Attributes
    ----------
    phase : {'head', 'all'}
        Which layers are trained; the learning-rate finder stands between the two.
    epochs : int
        Whole epochs that are done of the phase.
    batches : int
        Batches that are done of the epoch after them.
    history : list of dict
        HISTORY rows of all epochs that are done.
    curve : dict of list
        The finder's LR_FIND columns, when the phase is 'all'.
    advice : dict
        What the finder advises.
    pieces : int
        In how many each batch is computed, since the whole did not fit into memory.
    """

    phase: str = "head"
    epochs: int = 0
    batches: int = 0
    history: list[dict] = field(default_factory=list)
    curve: dict = field(default_factory=dict)
    advice: dict = field(default_factory=dict)
    pieces: int = 1


class Checkpoint:
    """The file from which a training that was killed goes on, batch for batch the same.

    Parameters
    ----------
    path : path or None
        None keeps nothing.
    key : str
        Stands for all that the training follows from; a file with another key is not used.
    """

    def __init__(self, path: Path | None = None, key: str = "") -> None:
        self.path, self.key = path, key
        # What an error names.
        self.place = path.parent if path else "A training of the audit"
        self.course, self.state = Course(), None
        # The name of the signal that asks for an end, and what else ends the training.
        self.signal: str | None = None
        self.problem: McalcError | None = None

    def find(self) -> str:
        """Read the file where it is of this training; return a sentence on what was found."""
        if self.path is None or not self.path.exists():
            return "begins"
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            course, state = Course(**kept["course"]), kept["state"]
        except Exception as error:  # what torch raises on a damaged file is not documented
            return f"begins anew: {self.path} cannot be read ({type(error).__name__})"
        if kept["key"] != self.key:
            return f"begins anew: {self.path} is of other settings, images, code or versions"
        self.course, self.state = course, state
        return f"goes on from {self.path}: phase {course.phase}, {_done(course)}"

    def halve_batches(self) -> str:
        """Go back to what was kept last, with twice as many pieces a batch; return a sentence."""
        pieces = 2 * self.course.pieces
        self.course, self.state = Course(), None
        found = self.find()
        self.course.pieces = pieces
        return found

    def restore(self, learner: Learner) -> None:
        """Put a learner, as it was built, into the state that was found, if one was."""
        if self.state is None:
            return
        if self.course.phase == "all":
            learner.unfreeze()
        learner.model.load_state_dict(self.state["model"])
        device = next(learner.model.parameters()).device
        optimiser = self.state["optimiser"]
        learner.opt.load_state_dict(
            {
                "hypers": L(optimiser["hypers"]),
                "state": [_moved(values, device) for values in optimiser["state"]],
            }
        )
        learner.dls.train.rng.setstate(self.state["order"])
        _set_random(self.state["random"])

    def save(self, learner: Learner, order: tuple | None = None) -> None:
        """Write the file, whole or not at all.

        Parameters
        ----------
        learner : Learner
        order : tuple, optional
            The state of the generator of the training images' order at the beginning of the epoch;
            that of now where no epoch has begun.
        """
        if self.path is None:
            return
        smooth = learner.recorder.smooth_loss
        state = {
            "model": learner.model.state_dict(),
            "optimiser": {
                "hypers": [{k: float(v) for k, v in one.items()} for one in learner.opt.hypers],
                "state": [dict(values) for values in learner.opt.state_dict()["state"]],
            },
            "random": _get_random(),
            "order": order or learner.dls.train.rng.getstate(),
            "loss": (smooth.count, smooth.val.as_subclass(torch.Tensor)),
            "steps": (learner.train_iter, learner.pct_train),
        }
        with whole_file(self.path, is_output=False) as temporary:
            torch.save({"key": self.key, "course": asdict(self.course), "state": state}, temporary)

    def remove(self) -> None:
        """Remove the file of a training that has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def end_if_needed(self) -> None:
        """Raise the problem that was met, or `StoppedError` where a signal has come.

        Called between the phases: callbacks only cancel the fit, since fastai would put words of
        its own before an error's sentence.
        """
        if self.problem:
            raise self.problem
        if self.signal:
            raise StoppedError(
                f"{self.place}: stopped by {self.signal}; what was done (phase "
                f"{self.course.phase}, {_done(self.course)}) is kept; run it "
                "again to go on from there."
            )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM (time limit, preemption, scancel) and Ctrl-C as a wish to save and end.

        A second Ctrl-C ends at once; SIGTERM may come twice, from SLURM and from Snakemake.
        """

        def note(number: int, frame: object) -> None:
            self.signal = signal.Signals(number).name
            if number == signal.SIGINT:
                signal.signal(number, before[number])

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class KeepCheckpoint(Callback):
    """Save after each epoch, and after a batch where a signal asks for an end.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its course says which epochs and batches are done and skipped.
    advice : str
        What to change where the loss is no number any more.
    """

    order = 60  # after fastai's Recorder

    def __init__(self, checkpoint: Checkpoint, advice: str) -> None:
        self.checkpoint, self.advice = checkpoint, advice
        self.first, self.skipped = checkpoint.course.epochs, checkpoint.course.batches
        self.state = checkpoint.state
        self.shown = None  # where lines went before epochs were skipped

    def before_epoch(self):
        """Skip an epoch that is done, without a line of its own in the log."""
        if self.epoch < self.first:
            self.learn.logger, self.shown = noop, self.shown or self.learn.logger
            raise CancelEpochException
        self.after_fit()
        self.begun = self.dls.train.rng.getstate()

    def before_train(self):
        """Begin where the epoch was left."""
        if self.epoch > self.first:
            self.skipped = 0
            return
        if self.state is None or not (self.first or self.skipped):
            return  # the state is that of the finder, whose losses belong to no phase
        smooth = self.learn.recorder.smooth_loss
        smooth.count, smooth.val = self.state["loss"]
        self.learn.train_iter, share = self.state["steps"]
        if self.skipped:
            self.learn.pct_train = share
            self.dls.train.skipped = self.skipped
            self.dls.train.before_first = lambda: _set_random(self.state["random"])

    def after_batch(self):
        """Save and end where a signal asks for it."""
        if self.training and self.checkpoint.signal:
            self.checkpoint.course.batches = self.skipped + self.iter + 1
            self.checkpoint.save(self.learn, self.begun)
            raise CancelFitException

    def after_epoch(self):
        """Note the epoch and save."""
        if self.epoch < self.first:
            return
        course = self.checkpoint.course
        row = dict(zip(MEASURES, map(float, self.learn.recorder.values[-1]), strict=True))
        if not np.isfinite([row["train_loss"], row["valid_loss"]]).all():
            self.checkpoint.problem = DataError(
                f"{self.checkpoint.place}: the training diverged, its loss is no number any more; "
                f"{self.advice}"
            )
            raise CancelFitException
        course.history.append({"epoch": len(course.history), "phase": course.phase, **row})
        course.epochs, course.batches = self.epoch + 1, 0
        self.checkpoint.save(self.learn)
        if self.checkpoint.signal:
            raise CancelFitException

    def after_fit(self):
        """Let lines be shown again."""
        self.learn.logger = self.shown or self.learn.logger


class StopWhenAsked(Callback):
    """End the learning-rate finder where a signal asks for it; nothing of it is kept."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def after_batch(self):
        """Look for a signal."""
        if self.checkpoint.signal:
            raise CancelFitException


def _done(course: Course) -> str:
    return f"{course.epochs} epochs and {course.batches} batches"


def _moved(values: dict, device: torch.device) -> dict:
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in values.items()}


def _get_random() -> dict:
    kind, words, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(words.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random(state: dict) -> None:
    random.setstate(state["python"])
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
