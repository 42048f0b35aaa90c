"""Folders of grey PNG files, one a ROI, in which the stages of this wing hand images on."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from mcalc.errors import DataError
from mcalc.progress import Progress, silent

# Options of glibc's mallopt, and what they are set to: larger than an image and its copies.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, TAKEN_ALONE = 1 << 26, 1 << 25  # bytes

Result = TypeVar("Result")
Item = TypeVar("Item")

# As small a file as OpenCV's own choice, in three quarters of the time: what is not constant is
# noise, in which a search for repeats finds nothing.
PNG_OPTIONS = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)


def image_paths(folder: str | os.PathLike) -> list[Path]:
    """Return a shard's PNG files, sorted by ROI id (the name without `.png`)."""
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; run the stage before this one first.")
    return sorted(Path(folder).glob("*.png"))


def read_png(path: str | os.PathLike) -> np.ndarray:
    """Read a grey PNG as (rows, columns), uint8 or uint16; `DataError` where it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None and not os.path.exists(path):
        raise DataError(f"{path}: no longer there; remove its folder and run snakemake again.")
    if image is None or image.ndim != 2:
        raise DataError(f"{path}: not a readable grey PNG; remove it and run its stage again.")
    return image


def read_enhanced(path: str | os.PathLike) -> np.ndarray:
    """Read a PNG that `enhance` wrote, (rows, columns) uint8; `DataError` where it is another."""
    image = read_png(path)
    if image.dtype != np.uint8:  # whoever learns from it would take the lower half of each level
        raise DataError(f"{path}: an image of 16 bits; give the shard folders that enhance wrote.")
    return image


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write a (rows, columns) image, uint8 or uint16, as PNG into a folder of `whole_folder`.

    That folder is put in its place as a whole, so that a single file needs no temporary name.
    """
    # Not cv2.imwrite: it keeps to itself why it failed, and does not tell a full disk.
    _, content = cv2.imencode(".png", image, PNG_OPTIONS)
    Path(path).write_bytes(content)


def for_each(
    items: list[Item],
    work: Callable[[Item], Result],
    *,
    threads: int = 1,
    progress: Progress = silent,
) -> Iterator[Result]:
    """Yield `work(item)` in the order of `items`, computed in `threads` threads.

    Decoding, OpenCV and the extension release the GIL, so threads do use the cores. OpenCV's own
    threads are switched off: the cores of a job are those that the caller was given.
    """
    cv2.setNumThreads(1)
    _keep_freed_memory()
    if threads == 1:  # no other thread to wait for after each item
        yield from progress(map(work, items), len(items))
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from progress(pool.map(work, items), len(items))


def _keep_freed_memory() -> None:
    """Let the next image have the memory of the last one.

    Else glibc gives each array back to the system, which then fills it with zeros page by page: a
    fifth of the time of comparing filters. Other libraries of C do not have this function.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, TAKEN_ALONE)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
