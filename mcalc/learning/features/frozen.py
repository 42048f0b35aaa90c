"""Features that networks give: a pretrained body, frozen, or a trained network without its end."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.core import imagenet_stats

from mcalc.errors import DataError, UsageError
from mcalc.images.stack import Stack
from mcalc.learning.batches import TurnedImages, images_hash, measured_batches
from mcalc.learning.networks import build_body, load_weights
from mcalc.learning.trained import load_learner, read_card

# A quarter turn of the image changes the features.
TURNED = True

# Images that are computed at once; more would only take more memory on CPUs.
BATCH_SIZE = 32


@torch.inference_mode()
def extract_batch(images: np.ndarray, network: str, weights: str) -> np.ndarray:
    """Return what a pretrained network's body says of images, averaged over each image.

    Nothing is trained; the batch norms and the normalisation are those of the pretraining. Of a
    transformer the class token is taken, in which it gathers what it says of the whole image.

    Parameters
    ----------
    images : ndarray, shape (n, size, size), uint8
    network : str
        One of `networks.NAMES`.
    weights : str
        As `networks.load_weights` takes them, but not 'none'.

    Returns
    -------
    ndarray, shape (n, columns), float32

    Raises
    ------
    UsageError
        If the network is unknown, cannot see images of this size, or is asked for without weights.
    DataError
        If the weights cannot be had.
    """
    state = load_weights(network, weights)
    if state is None:
        raise UsageError(
            f"Features of {network} need pretrained weights, not none; give imagenet or a file."
        )
    body = build_body(network, state, images.shape[-1]).eval()
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    found = [_averaged(body(_normalised(batch))) for batch in pixels.split(BATCH_SIZE)]
    return torch.cat(found).numpy()


def trained_features(trained: str | os.PathLike, rows: pd.DataFrame, images: Stack) -> np.ndarray:
    """Return what a trained network's last layer sees of images, for a classifier in its place.

    So Ragab et al. (PeerJ 7:e6201, 2019) and Cai et al. (Comput Math Methods Med, 2019) put a
    support vector machine onto AlexNet. Dropout is off and nothing is augmented.

    Parameters
    ----------
    trained : path
        The folder that `mcalc train` wrote for these rows and images: a network that trained on
        others may know those that do not train here.
    rows : DataFrame
        SPLIT rows of one fold.
    images : Stack

    Returns
    -------
    ndarray, shape (rows, 512), float32

    Raises
    ------
    DataError
        If the folder is not whole, or is of another fold, split or other images.
    """
    trained = Path(trained)
    card = read_card(trained)
    if card.get("data_hash") != images_hash(rows, images):
        raise DataError(
            f"{trained}: trained on another split, fold or images than these; train it on these."
        )
    learner = load_learner(trained, card, rows, images, torch.device("cpu"))
    measured = TurnedImages(rows, images, learner.dls.train.dataset.pixels)
    measured.split_idx = 1  # no row is augmented
    batches = measured_batches(learner.dls.train, measured)
    body, head = learner.model.eval()
    with torch.inference_mode():
        found = [head[:-1](body(batch)) for batch, _ in batches]
    return torch.cat(found).as_subclass(torch.Tensor).numpy()


def _normalised(images: torch.Tensor) -> torch.Tensor:
    """Return (n, 3, size, size) of (n, size, size) uint8, as `batches.make_batches` does."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in imagenet_stats)
    return (images[:, None].float().div(255).repeat(1, 3, 1, 1) - mean) / deviation


def _averaged(features: torch.Tensor) -> torch.Tensor:
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features
