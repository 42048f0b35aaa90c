"""From the rows of a split to fastai's batches: quarter turns, augmentation, normalisation."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas as pd
import torch
from fastai.basics import DisplayedTransform, noop
from fastai.data.core import DataLoaders, TfmdDL
from fastai.data.transforms import IntToFloatTensor, Normalize
from fastai.torch_core import TensorCategory, TensorImage
from fastai.vision.augment import aug_transforms
from fastai.vision.core import imagenet_stats

from mcalc.errors import DataError
from mcalc.images.stack import Stack
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
    images: Stack,
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
    images : Stack
        A row's quarter turns are applied when it is taken.
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
    pixels = place_pixels(images, device)
    own = {
        name: TurnedImages(rows[rows["subset"] == name], images, pixels)
        for name in ("train", "valid")
    }
    steps = [
        IntToFloatTensor(),
        *augmentation.transforms(recipe),
        ThreeChannels(),
        Normalize.from_stats(*imagenet_stats),
    ]
    train = Batches(
        own["train"],
        bs=batch_size,
        shuffle=True,
        drop_last=True,
        # Nothing is decoded, and augmentation is the device's: other processes would only copy.
        num_workers=0,
        device=device,
        after_batch=steps,
    )
    return DataLoaders(train, measured_batches(train, own["valid"]), device=device)


def place_pixels(images: Stack, device: torch.device) -> torch.Tensor:
    """Return the pixels where batches are made of them: (images, size, size), uint8.

    They stay in the mapped file, whose pages the processes of a machine share, unless a GPU has
    room for all of them in a quarter of its free memory; then only numbers of rows travel there.
    """
    pixels = torch.from_numpy(images.pixels)
    if device.type == "cuda" and pixels.nbytes <= torch.cuda.mem_get_info(device)[0] // 4:
        return pixels.to(device)
    return pixels


class TurnedImages:
    """The images of some rows of a split, which fastai takes for a data set.

    Attributes
    ----------
    pixels : Tensor
        (images, size, size), uint8: each ROI once, however many of its turns are asked for.
    places : Tensor
        For each row, where its ROI is in `pixels`.
    turns : Tensor
        For each row, its quarter turns.
    labels : Tensor
        For each row, the place of its label in `vocab`.
    split_idx : int
        What fastai's transforms go by: 0 is augmented, 1 is not.
    """

    vocab, c, n_inp = LABELS, len(LABELS), 1

    def __init__(self, rows: pd.DataFrame, images: Stack, pixels: torch.Tensor) -> None:
        self.pixels = pixels
        places = [images.places[roi_id] for roi_id in rows["roi_id"]]
        self.places = torch.tensor(places, dtype=torch.long)
        self.turns = torch.from_numpy(rows["quarter_turns"].to_numpy(copy=True))
        self.labels = torch.tensor([LABELS.index(label) for label in rows["label"]])
        self.split_idx = 0 if (rows["subset"] == "train").all() else 1

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: list[int]) -> tuple[TensorImage, TensorCategory]:
        """Return images, (rows, 1, size, size) uint8, turned counter-clockwise, and labels."""
        images, turns = self.pixels[self.places[rows]], self.turns[rows]
        for quarter_turns in (1, 2, 3):
            # Numbers of rows, found on the CPU: a GPU need not stop to count what a mask selects.
            turned = (turns == quarter_turns).nonzero().flatten()
            images[turned] = torch.rot90(images[turned], quarter_turns, (1, 2))
        return TensorImage(images[:, None]), TensorCategory(self.labels[rows])


class Batches(TfmdDL):
    """fastai's loader of batches, which takes a batch as a whole instead of image by image.

    Attributes
    ----------
    skipped : int
        Batches that the next epoch leaves out at its beginning.
    before_first : callable
        Called once before the next epoch's first batch is made.
    """

    skipped, before_first = 0, staticmethod(noop)

    def create_batches(self, samples: Iterable[int]) -> Iterator[tuple]:
        """Yield the batches of an epoch."""
        chosen = itertools.islice(self.chunkify(samples), self.skipped, None)
        self.before_first()
        self.skipped, self.before_first = 0, noop
        yield from map(self.do_batch, chosen)

    def do_item(self, row: int | None) -> int:
        """Hand a row's number on; fastai asks for None to see what a batch is like."""
        return row or 0

    def do_batch(self, rows: list[int]) -> tuple:
        """Return a batch."""
        return self.dataset[rows]


class ThreeChannels(DisplayedTransform):
    """Repeat the grey level in three channels, after all that would do the same to each."""

    order = 98  # before fastai's Normalize

    def encodes(self, images: TensorImage):
        """Return (rows, 3, size, size)."""
        return images.repeat(1, 3, 1, 1)


def measured_batches(train: Batches, measured: TurnedImages) -> Batches:
    """Return batches of images that are not trained on: in order, all of them, not augmented."""
    return train.new(measured, shuffle=False, drop_last=False)


def images_hash(rows: pd.DataFrame, images: Stack) -> str:
    """Return twelve hex digits that stand for the split's rows and the pixels they name."""
    digest = hashlib.sha256(rows.to_csv(index=False).encode())
    for roi_id in sorted(images):
        digest.update(roi_id.encode() + images[roi_id].tobytes())
    return digest.hexdigest()[:12]
