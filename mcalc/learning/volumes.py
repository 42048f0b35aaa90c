"""The 3-D half of Xiao et al. (2021): a network that sees stacks of slices, on one fold.

Only training rows are looked at while it learns. Normalisation is fixed, so that nothing is fitted
to the images that are asked for.
"""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.basics import DisplayedTransform
from fastai.callback import progress, schedule  # noqa: F401  (Learner.no_bar, fit_one_cycle)
from fastai.callback.core import Callback, CancelValidException
from fastai.data.core import DataLoaders
from fastai.data.transforms import IntToFloatTensor
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import Adam
from fastai.torch_core import TensorCategory, TensorImage, set_seed
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mcalc import records
from mcalc.errors import DataError
from mcalc.files import whole_file
from mcalc.images.stack import Stack
from mcalc.learning.anisotropic import AnisotropicResNet
from mcalc.learning.batches import Batches, TurnedImages, place_pixels

# Of ImageNet's grey levels, about; slices stretched from black to white have such ones, too.
MEAN, DEVIATION = 0.45, 0.225


def train_volumes(
    rows: pd.DataFrame,
    volumes: Stack,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    lr_max: float,
    device: torch.device,
) -> AnisotropicResNet:
    """Train the network from random weights on the training rows of one fold.

    By fastai's one-cycle with Adam. A stack is mirrored at random in each of its three directions;
    with the quarter turns of the rows that makes all symmetries of a slice.

    Parameters
    ----------
    rows : DataFrame
        SPLIT rows of one fold; those that are not 'train' are not looked at.
    volumes : Stack
        As `read_slices_stack` returns it: (slices, size, size) uint8 a ROI. A row's quarter turns
        are applied to each slice.
    seed : int
        Same seed, same weights, on the same machine.
    epochs : int
    batch_size : int
        At most the number of training rows; the last, smaller batch of an epoch is left out.
    lr_max : float
        The highest learning rate of the cycle.
    device : torch.device

    Returns
    -------
    AnisotropicResNet
        On the CPU, not training any more.

    Raises
    ------
    DataError
        If the batches are larger than the training rows, these are all of one label, or the loss is
        no number any more.
    """
    training = rows[rows["subset"] == "train"]
    _check(training, batch_size)
    set_seed(seed, reproducible=True)
    own = TurnedVolumes(training, volumes, place_pixels(volumes, device))
    batches = Batches(
        own,
        bs=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=0,
        device=device,
        after_batch=[IntToFloatTensor(), Mirrored(), Centred()],
    )
    learner = Learner(
        DataLoaders(batches, batches, device=device),
        AnisotropicResNet(),
        loss_func=CrossEntropyLossFlat(),
        opt_func=Adam,
        cbs=[TrainOnly()],
    )
    with nullcontext() if sys.stdout.isatty() else learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, lr_max)
    if not all(tensor.isfinite().all() for tensor in learner.model.state_dict().values()):
        raise DataError(
            "The training on stacks of slices diverged, its weights are no numbers any more; lower "
            f"lr_max (now {lr_max:g})."
        )
    return learner.model.cpu().eval()


def ask_volumes(
    network: AnisotropicResNet,
    rows: pd.DataFrame,
    volumes: Stack,
    *,
    batch_size: int,
    device: torch.device,
) -> np.ndarray:
    """Return the probabilities of malignant of the rows that are not 'train'.

    Parameters
    ----------
    network : AnisotropicResNet
    rows : DataFrame
        SPLIT rows of one fold.
    volumes : Stack
    batch_size : int
        How many are computed at once.
    device : torch.device

    Returns
    -------
    ndarray, shape (rows that are not 'train',), float64
        In the order of `rows`, 0 to 1.
    """
    asked = rows[rows["subset"] != "train"]
    own = TurnedVolumes(asked, volumes, place_pixels(volumes, device))
    network = network.to(device).eval()
    answers = []
    with torch.no_grad():
        for first in range(0, len(own), batch_size):
            pixels, _ = own[list(range(first, min(first + batch_size, len(own))))]
            levels = _centred(pixels.to(device).as_subclass(torch.Tensor).float() / 255)
            answers.append(network(levels).double().softmax(dim=1).cpu())
    malignant = records.LABELS.index(records.MALIGNANT)
    return torch.cat([torch.empty(0, len(records.LABELS)), *answers])[:, malignant].double().numpy()


def save_network(network: AnisotropicResNet, path: str | os.PathLike) -> None:
    """Write the network's weights as safetensors, whole or not at all."""
    weights = {name: tensor.contiguous() for name, tensor in network.cpu().state_dict().items()}
    with whole_file(path) as temporary:
        save_file(weights, temporary)


def load_network(path: str | os.PathLike) -> AnisotropicResNet:
    """Read what `save_network` wrote; `DataError` where the file holds anything else."""
    network = AnisotropicResNet()
    try:
        network.load_state_dict(load_file(Path(path)))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{path}: not the weights of a network of slices; fit the model again."
        ) from error
    return network.eval()


class TurnedVolumes(TurnedImages):
    """The stacks of some rows of a split, each slice turned."""

    def __getitem__(self, rows: list[int]) -> tuple[TensorImage, TensorCategory]:
        """Return stacks, (rows, 1, slices, size, size) uint8, and labels."""
        volumes, turns = self.pixels[self.places[rows]], self.turns[rows]
        for quarter_turns in (1, 2, 3):
            turned = (turns == quarter_turns).nonzero().flatten()
            volumes[turned] = torch.rot90(volumes[turned], quarter_turns, (2, 3))
        return TensorImage(volumes[:, None]), TensorCategory(self.labels[rows])


class Mirrored(DisplayedTransform):
    """Mirror each stack of a training batch, or not, in each of its directions."""

    order, split_idx = 10, 0

    def encodes(self, volumes: TensorImage):
        """Return (rows, 1, slices, size, size)."""
        for direction in (2, 3, 4):
            chosen = (torch.rand(len(volumes)) < 0.5).nonzero().flatten().to(volumes.device)
            volumes[chosen] = volumes[chosen].flip(direction)
        return volumes


class Centred(DisplayedTransform):
    """Subtract a fixed mean from grey levels of 0 to 1, and divide by a fixed deviation."""

    order = 99

    def encodes(self, volumes: TensorImage):
        """Return levels about 0."""
        return _centred(volumes)


class TrainOnly(Callback):
    """Leave the validation out: it would choose nothing here."""

    def before_validate(self):
        """Skip it."""
        raise CancelValidException


def _centred(levels: torch.Tensor) -> torch.Tensor:
    return (levels - MEAN) / DEVIATION


def _check(training: pd.DataFrame, batch_size: int) -> None:
    if batch_size > len(training):
        raise DataError(
            f"Batch size {batch_size} is larger than the {len(training)} training images; lower "
            "batch_size."
        )
    if training["label"].nunique() < len(records.LABELS):
        raise DataError(
            f"All {len(training)} training images are {training['label'].iloc[0]}; split again."
        )
