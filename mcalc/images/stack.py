"""Stage `stack`: the enhanced images of all shards in one array, which training maps."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mcalc import records
from mcalc.errors import DataError
from mcalc.images.array_file import table_of, write_array
from mcalc.images.shards import for_each, image_paths, read_enhanced
from mcalc.progress import Progress, silent


class Stack(Mapping[str, np.ndarray]):
    """Images by ROI id: views, (size, size) or (slices, size, size) uint8, of one array.

    Parameters
    ----------
    pixels : ndarray, shape (images, size, size) or (images, slices, size, size), uint8
    roi_ids : sequence of str
        Whose image each row of `pixels` is.

    Attributes
    ----------
    pixels : ndarray
        All images of the file, also those of other ROIs than the stack's own.
    places : dict of int
        For each ROI its row in `pixels`.
    """

    def __init__(self, pixels: np.ndarray, roi_ids: Sequence[str]) -> None:
        self.pixels = pixels
        self.places = {roi_id: place for place, roi_id in enumerate(roi_ids)}

    def __getitem__(self, roi_id: str) -> np.ndarray:
        """Return the image of a ROI."""
        return self.pixels[self.places[roi_id]]

    def __iter__(self) -> Iterator[str]:
        """Yield the ROI ids."""
        return iter(self.places)

    def __len__(self) -> int:
        """Return the number of ROIs."""
        return len(self.places)


def stack_images(
    images: list[str | os.PathLike],
    *,
    stack: str | os.PathLike,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Decode each image once, into the file `stack`, and say beside it whose each is.

    Parameters
    ----------
    images : list of path
        The shard folders of the enhanced images: PNG files of one size, uint8.
    stack : path
        The NPY file to write, (images, size, size) uint8 in the order of the ROI ids; the table
        (STACKED) is written beside it, with the suffix .csv.
    threads : int
    progress : callable, optional

    Returns
    -------
    str
        One line: how many images of what size.

    Raises
    ------
    DataError
        If there is no image, one cannot be read, is of 16 bits, of another size, or there twice.
    """
    paths = sorted((path for folder in images for path in image_paths(folder)), key=_roi_id)
    if not paths:
        raise DataError(f"{', '.join(map(str, images))}: no images; run enhance again.")
    for path, following in itertools.pairwise(paths):
        if _roi_id(path) == _roi_id(following):
            raise DataError(f"{path} and {following}: one ROI in two shards; run enhance again.")
    shape = read_enhanced(paths[0]).shape

    def read_alike(path: Path) -> np.ndarray:
        image = read_enhanced(path)
        if image.shape != shape:
            raise DataError(
                f"{path}: {image.shape[0]} x {image.shape[1]} pixels, where {paths[0]} has "
                f"{shape[0]} x {shape[1]}; run convert again."
            )
        return image

    images = for_each(paths, read_alike, threads=threads, progress=progress)
    write_array(stack, images, shape=shape, roi_ids=[_roi_id(path) for path in paths])
    return f"{stack}: {len(paths)} images of {shape[0]} x {shape[1]}"


def read_stack(stack: str | os.PathLike, roi_ids: Sequence[str]) -> Stack:
    """Map what `stack_images` wrote; the result holds the images of `roi_ids`.

    Nothing is read but what is looked at, and processes share it. Writing to an image changes this
    process's own copy.

    Raises
    ------
    DataError
        If the file or its table is missing or not whole, or does not hold one of the ROIs.
    """
    return _read(stack, roi_ids, dimensions=3, stage="stack")


def read_slices_stack(stack: str | os.PathLike, roi_ids: Sequence[str]) -> Stack:
    """Map what the stage `stack_slices` wrote, as `read_stack` does: (slices, size, size) a ROI."""
    return _read(stack, roi_ids, dimensions=4, stage="stack-slices")


def _read(
    stack: str | os.PathLike, roi_ids: Sequence[str], *, dimensions: int, stage: str
) -> Stack:
    rows = records.read(table_of(stack), records.STACKED)
    try:
        pixels = np.load(stack, mmap_mode="c", allow_pickle=False)
        whole = (pixels.ndim, pixels.dtype, len(pixels)) == (dimensions, np.uint8, len(rows))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{stack}: not a stack of images; run {stage} again.") from error
    if not whole:
        raise DataError(f"{stack}: not the images that {table_of(stack)} names; run {stage} again.")
    found = Stack(pixels, list(rows["roi_id"]))
    wanted = sorted(set(roi_ids))
    if missing := [roi_id for roi_id in wanted if roi_id not in found.places]:
        raise DataError(
            f"{stack}: {len(missing)} images of the split are missing, such as {missing[0]}; run "
            f"{stage} again."
        )
    found.places = {roi_id: found.places[roi_id] for roi_id in wanted}
    return found


def _roi_id(path: Path) -> str:
    return path.stem
