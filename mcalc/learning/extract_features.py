"""Stage `extract-features`: one set of features of one shard's images."""

import importlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc.errors import DataError, UsageError
from mcalc.images.shards import for_each, image_paths, read_enhanced
from mcalc.learning.feature_tables import KEYS, write_features
from mcalc.learning.features.otsu import keep_bright_regions
from mcalc.progress import Progress, silent
from mcalc.records import QUARTER_TURNS

# Sets that people designed: modules of mcalc.learning.features.
DESIGNED = ("specks", "speck_graph", "wavelets", "haar", "texture")
# Sets that a pretrained network gives: the network, and what is done to an image before.
FROZEN = {
    "frozen_efficientnet_lite0": ("efficientnet_lite0", None),
    "otsu_alexnet": ("alexnet", keep_bright_regions),
    "otsu_resnet50": ("resnet50", keep_bright_regions),
}
SETS = (*DESIGNED, *FROZEN)


def extract_features(
    images: str | os.PathLike,
    *,
    kind: str,
    features: str | os.PathLike,
    weights: str = "imagenet",
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Write a Parquet file of one set of features: a row an image, a column a feature.

    An image is a ROI and a quarter turn; where turns do not change the set, only unturned ones are
    there. `roi_id` and `quarter_turns` name it.

    Parameters
    ----------
    images : path
        A shard's folder of enhanced images, PNG files of one size, uint8.
    kind : str
        One of `SETS`.
    features : path
        The file to write.
    weights : str
        Of sets that a network gives: as `networks.load_weights` takes them.
    threads : int
    progress : callable, optional

    Raises
    ------
    UsageError
        If there is no such set.
    DataError
        If an image cannot be read, or the weights cannot be had.
    """
    if kind not in SETS:
        raise UsageError(f"There are no features {kind!r}; use one of {', '.join(SETS)}.")
    paths = image_paths(images)
    run = partial(for_each, threads=threads, progress=progress)
    if not paths:  # of a shard whose ROIs were all set aside
        table = pd.DataFrame(columns=KEYS)
    elif kind in DESIGNED:
        table = _designed(kind, paths, run)
    else:
        table = _frozen(kind, paths, run, weights, threads)
    write_features(table, features)
    return f"{features}: {len(table.columns) - len(KEYS)} features of {len(table)} images"


def _designed(kind: str, paths: list[Path], run: Callable[..., Iterator]) -> pd.DataFrame:
    module = importlib.import_module(f"mcalc.learning.features.{kind}")
    turns = QUARTER_TURNS if module.TURNED else QUARTER_TURNS[:1]

    def extract(path: Path) -> list[dict]:
        image = read_enhanced(path)
        return [_key(path, turn) | module.extract(_turned(image, turn)) for turn in turns]

    return pd.DataFrame([row for rows in run(paths, extract) for row in rows])


def _frozen(
    kind: str, paths: list[Path], run: Callable[..., Iterator], weights: str, threads: int
) -> pd.DataFrame:
    import torch

    from mcalc.learning.features.frozen import extract_batch

    torch.set_num_threads(threads)
    network, prepare = FROZEN[kind]

    def read(path: Path) -> list[np.ndarray]:
        image = read_enhanced(path)
        image = prepare(image) if prepare else image
        return [_turned(image, turn) for turn in QUARTER_TURNS]

    images = [image for turned in run(paths, read) for image in turned]
    for path, image in zip(paths, images[:: len(QUARTER_TURNS)], strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path}: {image.shape[0]} x {image.shape[1]} pixels, another size than "
                f"{paths[0]} has; run convert again."
            )
    keys = [_key(path, turn) for path in paths for turn in QUARTER_TURNS]
    values = extract_batch(np.stack(images), network, weights).astype(float)
    names = [f"{network}_{number}" for number in range(values.shape[1])]
    return pd.concat([pd.DataFrame(keys), pd.DataFrame(values, columns=names)], axis=1)


def _key(path: Path, turn: int) -> dict:
    return {"roi_id": path.stem, "quarter_turns": turn}


def _turned(image: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(image, turn))
