"""Stage `stack_slices`: of each tomosynthesis ROI the slices in focus, all in one array."""

import os

import numpy as np

from mcalc import records
from mcalc.data.datasets.registry import STACKS
from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.tomosynthesis import read_slices, sharpest
from mcalc.errors import DataError, UsageError
from mcalc.images.array_file import write_array
from mcalc.images.grey_levels import PERCENTILES, check_intensity, find_limits, map_levels
from mcalc.images.resizing import resize_to_square
from mcalc.images.shards import for_each
from mcalc.progress import Progress, silent


def stack_slices(
    catalog: str | os.PathLike,
    *,
    rejected: list[str | os.PathLike],
    stack: str | os.PathLike,
    slices: int = 16,
    size: int = 112,
    intensity: str = "minmax",
    percentiles: tuple[float, float] = PERCENTILES,
    window: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Write the slices of all tomosynthesis ROIs of the catalog into the file `stack`.

    Parameters
    ----------
    catalog : path
    rejected : list of path
        The tables of ROIs that other stages set aside; they are left out, as `split` leaves them.
    stack : path
        The NPY file to write, (ROIs, slices, size, size) uint8 in the order of the ROI ids; the
        table (STACKED) is written beside it, with the suffix .csv.
    slices : int
        How many of each stack are taken, centred on the sharpest one, see `around`.
    size : int
        Rows and columns of a slice, in pixels.
    intensity, percentiles, window
        Which grey levels become black and white, see `find_limits`: of a stack as a whole, so that
        a slice that is darker than others stays so. 'dicom_window' is not for stacks.
    max_pixels : int
        See `read_slices`.
    threads : int
    progress : callable, optional

    Returns
    -------
    str
        One line: how many stacks of what size.

    Raises
    ------
    UsageError
        If `intensity`, `percentiles` and `window` do not belong together.
    DataError
        If the catalog lists no stacks, all are set aside, or one cannot be read or is constant.
    """
    check_intensity(intensity, percentiles, window)
    if intensity == "dicom_window":
        raise UsageError("The windows of stacks are not read; take minmax or percentile.")
    scale = {"intensity": intensity, "percentiles": percentiles, "window": window}
    rows = _rows(catalog, rejected)

    def prepare(row: dict) -> np.ndarray:
        pixels = read_slices(row["source"], max_pixels=max_pixels)
        try:
            return prepare_slices(pixels, slices=slices, size=size, **scale)
        except DataError as error:
            raise DataError(f"{row['source']}: {error}", error.reason) from error

    images = for_each(rows, prepare, threads=threads, progress=progress)
    roi_ids = [row["roi_id"] for row in rows]
    write_array(stack, images, shape=(slices, size, size), roi_ids=roi_ids)
    return f"{stack}: {len(rows)} stacks of {slices} slices of {size} x {size}"


def prepare_slices(
    pixels: np.ndarray,
    *,
    slices: int,
    size: int,
    intensity: str = "minmax",
    percentiles: tuple[float, float] = PERCENTILES,
    window: tuple[float, float] | None = None,
) -> np.ndarray:
    """Take the slices around the sharpest one, resized and with 8 bits.

    Black and white are those of the whole stack, also of slices that are not taken.

    Parameters
    ----------
    pixels : ndarray, shape (slices, rows, columns), uint8 or uint16
    slices, size, intensity, percentiles, window
        See `stack_slices`.

    Returns
    -------
    ndarray, shape (slices, size, size), uint8
    """
    low, high = find_limits(pixels, intensity, percentiles=percentiles, window=window)
    taken = around(sharpest(pixels), slices, len(pixels))
    resized = {number: resize_to_square(pixels[number], size) for number in set(taken)}
    return np.stack([map_levels(resized[number], low, high, bits=8) for number in taken])


def around(middle: int, slices: int, count: int) -> list[int]:
    """Return the numbers of `slices` slices of which `middle` is number `slices` // 2.

    Of `count` slices those that would lie before the first or behind the last are these repeated.
    """
    wanted = np.arange(slices) - slices // 2 + middle
    return np.clip(wanted, 0, count - 1).tolist()


def _rows(catalog: str | os.PathLike, rejected: list[str | os.PathLike]) -> list[dict]:
    """Return the rows of the catalog that are stacks and were not set aside, by ROI id."""
    rois = records.read(catalog, records.CATALOG)
    stacks = rois[rois["dataset"].isin(STACKS)]
    if stacks.empty:
        raise DataError(
            f"{catalog}: lists no stacks of slices; set dataset.kind to tomosynthesis and run "
            "catalog again."
        )
    aside = records.read_all(rejected, records.REJECTED)
    left = stacks[~stacks["roi_id"].isin(aside["roi_id"])]
    if left.empty:
        raise DataError(
            f"{catalog}: all {len(stacks)} stacks were set aside; see why in {rejected[0]}."
        )
    return left.sort_values("roi_id").to_dict("records")
