"""Where a network computes, in which numbers, and what happens when its memory is full."""

import gc

import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.learner import Learner
from fastai.torch_core import to_float

from mcalc.errors import UsageError

PRECISIONS = ("auto", "float32")
ON_FULL_MEMORY = ("halve", "stop")


def find_device(device: str) -> torch.device:
    """Return 'auto', 'cpu' or 'cuda' as a device; `UsageError` for a GPU that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("train.device is cuda, but PyTorch finds no GPU here; use cpu or auto.")
    return torch.device(device)


def find_precision(device: torch.device, precision: str) -> str:
    """Return what a training computes in: 'bfloat16' or 'float32'.

    bfloat16 has the range of float32, so that no gradient has to be scaled and no scale to be kept
    in a checkpoint; weights and their updates are float32 all the same.

    Parameters
    ----------
    device : torch.device
    precision : {'auto', 'float32'}
        'auto' takes bfloat16 on a GPU that computes in it (NVIDIA's from Ampere on).
    """
    is_fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if precision == "auto" and is_fast else "float32"


def suit_device(learner: Learner, device: torch.device, precision: str, pieces: int) -> None:
    """Have a learner compute as its device likes it, and in pieces where a batch is too large.

    Parameters
    ----------
    learner : Learner
    device : torch.device
        A GPU takes images with their channels last; on CPUs that was no faster.
    precision : {'bfloat16', 'float32'}
    pieces : int
        See `InPieces`.
    """
    if device.type == "cuda":
        learner.add_cb(ChannelsLast())
    if precision == "bfloat16":
        learner.add_cb(MixedPrecision(AMPMode.BF16))
    if pieces > 1:
        learner.add_cb(InPieces(pieces))


class InPieces(Callback):
    """Compute each training batch in pieces, whose gradients add up to those of the whole.

    The steps, their images and the learning rates stay the same. Batch norm sees a piece at a time,
    and dropout draws for each, so that the weights are not those of whole batches.

    Parameters
    ----------
    pieces : int
        Of which the largest has at most one image more than the smallest.
    """

    order = MixedPrecision.order + 1  # in its numbers
    run_valid = False  # nothing is kept for gradients there

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    def before_batch(self):
        """Compute all pieces but the last, which fastai's own loop then takes for the batch."""
        images, labels = (batch[0].tensor_split(self.pieces) for batch in (self.xb, self.yb))
        whole = sum(map(len, labels))
        self.loss_before = 0
        for piece, wanted in zip(images[:-1], labels[:-1], strict=True):
            loss = self.loss_func(to_float(self.model(piece)), wanted) * (len(wanted) / whole)
            loss.backward()
            self.loss_before += loss.detach()
        self.learn.xb, self.learn.yb = images[-1:], labels[-1:]
        self.share = len(labels[-1]) / whole

    def after_loss(self):
        """Weigh the last piece, and put the whole batch's loss where it is recorded."""
        self.learn.loss_grad = self.learn.loss_grad * self.share
        self.learn.loss = self.loss_before + self.learn.loss_grad.detach()


def empty_memory() -> None:
    """Give back what a training that ran out of memory has left, before the next one begins."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        # The batch that did not fit has entered it and never left.
        torch.set_autocast_enabled("cuda", False)
