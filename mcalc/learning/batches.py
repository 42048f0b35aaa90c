"""From the rows of a split to fastai's batches: quarter turns, augmentation, normalisation."""

import hashlib
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.core import DataLoaders
from fastai.data.transforms import IndexSplitter, Normalize
from fastai.vision.augment import aug_transforms
from fastai.vision.core import imagenet_stats
from fastai.vision.data import ImageBlock

from mcalc.errors import DataError
from mcalc.learning import fastai1_augmentation
from mcalc.records import LABELS


class Augmentation(NamedTuple):
    """What happens at random to a training image in each epoch (Table 3).

    Attributes
    ----------
    flip : bool
        Flips on both axes, with fastai's quarter turns (all eight symmetries of the square).
    max_rotate : float
        Largest rotation, in degrees, either way.
    max_zoom : float
        Largest magnification, 1 for none.
    max_lighting : float
        Largest change of brightness and contrast, 0 to 1.
    max_warp : float
        Largest shift of a corner by a perspective warp, as a share of half the image.
    """

    flip: bool = True
    max_rotate: float = 10.0
    max_zoom: float = 1.1
    max_lighting: float = 0.2
    max_warp: float = 0.0

    def transforms(self, recipe: str = "fastai2") -> list:
        """Return fastai's batch transforms, drawn as fastai v2 or as fastai v1 draws."""
        if recipe == "fastai1":
            return fastai1_augmentation.get_transforms(**self._asdict())
        return aug_transforms(
            do_flip=self.flip,
            flip_vert=self.flip,
            max_rotate=self.max_rotate,
            max_zoom=self.max_zoom,
            max_lighting=self.max_lighting,
            max_warp=self.max_warp,
        )


def make_batches(
    rows: pd.DataFrame,
    images: dict[str, np.ndarray],
    *,
    batch_size: int,
    augmentation: Augmentation,
    device: torch.device,
    recipe: str = "fastai2",
) -> DataLoaders:
    """Return fastai's DataLoaders for the rows of one fold of a split.

    Parameters
    ----------
    rows : DataFrame
        SPLIT rows; the subset 'valid' validates, in the order of the rows. Those of 'test' are
        in no batch.
    images : dict of ndarray
        By ROI id, (size, size), uint8; a row's quarter turns are applied when it is loaded.
    batch_size : int
        At most the number of training rows (the last, smaller batch of an epoch is left out).
    augmentation : Augmentation
        Applied to training batches only.
    device : torch.device
    recipe : {'fastai2', 'fastai1'}
        Whose way of augmenting.
    """
    training = int((rows["subset"] == "train").sum())
    if batch_size > training:
        raise DataError(
            f"Batch size {batch_size} is larger than the {training} training images; lower "
            "batch_size in train.settings."
        )
    rows = rows[rows["subset"] != "test"]
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=list(LABELS))),
        get_x=lambda row: _rgb(images[row["roi_id"]], row["quarter_turns"]),
        get_y=lambda row: row["label"],
        splitter=IndexSplitter(np.flatnonzero(rows["subset"] == "valid")),
        batch_tfms=[*augmentation.transforms(recipe), Normalize.from_stats(*imagenet_stats)],
    )
    # The images are in memory already: other processes would only copy them.
    return block.dataloaders(rows.to_dict("records"), bs=batch_size, num_workers=0, device=device)


def images_hash(rows: pd.DataFrame, images: dict[str, np.ndarray]) -> str:
    """Return twelve hex digits that stand for the split's rows and the pixels they name."""
    digest = hashlib.sha256(rows.to_csv(index=False).encode())
    for roi_id in sorted(images):
        digest.update(roi_id.encode() + images[roi_id].tobytes())
    return digest.hexdigest()[:12]


def _rgb(image: np.ndarray, quarter_turns: int) -> np.ndarray:
    """Turn an image counter-clockwise and repeat its grey level in three channels."""
    return np.repeat(np.rot90(image, quarter_turns)[..., None], 3, axis=2)
