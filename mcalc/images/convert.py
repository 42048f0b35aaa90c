"""Stage `convert`: the files of one shard become grey images of one size, 16-bit or 8-bit."""

import os
from pathlib import Path

import numpy as np

from mcalc import records
from mcalc.data import dicom
from mcalc.data.datasets.registry import STACKS
from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.pixels import PICTURE_SUFFIXES
from mcalc.data.rois import read_roi
from mcalc.data.tomosynthesis import read_slices, sharpest
from mcalc.errors import DataError
from mcalc.files import whole_folder
from mcalc.images.grey_levels import (
    PERCENTILES,
    check_intensity,
    find_limits,
    linear_window,
    map_levels,
)
from mcalc.images.resizing import resize_to_square
from mcalc.images.shards import for_each, write_png
from mcalc.progress import Progress, silent


def convert_shard(
    catalog: str | os.PathLike,
    *,
    shard: int,
    images: str | os.PathLike,
    rejected: str | os.PathLike,
    size: int,
    bits: int = 16,
    intensity: str = "minmax",
    percentiles: tuple[float, float] = PERCENTILES,
    window: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Convert the ROIs of one shard into the folder `images`, one PNG a ROI.

    Of a stack of slices (data set `tomosynthesis`) the sharpest slice is taken. A ROI that cannot
    be converted is set aside in `rejected` with its reason; it never stops the others.

    Parameters
    ----------
    intensity : {'minmax', 'full_range', 'percentile', 'dicom_window', 'fixed'}
        'dicom_window' takes each file's own window (0028,1050-1051) by the function LINEAR; a file
        without one is set aside (reason 'bad_field'), for any other choice would go unnoticed. Of
        stacks no window is read.
    size, bits, percentiles, window
        See `convert_image`.
    max_pixels : int
        A file that claims more is set aside undecoded (reason 'too_large').

    Returns
    -------
    str
        One line that says how many were converted.

    Raises
    ------
    UsageError
        If `intensity`, `percentiles` and `window` do not belong together.
    """
    check_intensity(intensity, percentiles, window)
    scale = {"intensity": intensity, "percentiles": percentiles, "window": window}
    rows = records.read(catalog, records.CATALOG, shard=shard).to_dict("records")
    with whole_folder(images) as folder:

        def convert(row: dict) -> dict | None:
            try:
                pixels = _read(row, max_pixels)
                own = _own_window(row, max_pixels) if intensity == "dicom_window" else {}
                image = convert_image(pixels, size=size, bits=bits, **scale | own)
            except DataError as error:
                aside = {key: row[key] for key in ("roi_id", "source")}
                return aside | {"stage": "convert", "reason": error.reason, "detail": str(error)}
            write_png(folder / f"{row['roi_id']}.png", image)
            return None

        results = list(for_each(rows, convert, threads=threads, progress=progress))
        aside = [result for result in results if result is not None]
        records.write(aside, rejected, records.REJECTED)
    said = f"{Path(images)}: {len(rows) - len(aside)} ROIs converted, {len(aside)} set aside"
    is_stacks = any(row["dataset"] in STACKS for row in rows)
    return said + ("; of each stack of slices the sharpest one" if is_stacks else "")


def convert_image(
    pixels: np.ndarray,
    *,
    size: int,
    bits: int = 16,
    intensity: str = "minmax",
    percentiles: tuple[float, float] = PERCENTILES,
    window: tuple[float, float] | None = None,
) -> np.ndarray:
    """Resize a grey image to a square and map its grey levels to 8 or 16 bits.

    The levels that become black and white are found before resizing; what lies beyond them is cut
    off after it.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
    size : int
        Rows and columns of the result, in pixels; other shapes are stretched, as in the study.
    bits : {16, 8}
        Whether black and white are 0 and 65535, or 0 and 255.
    intensity : {'minmax', 'full_range', 'percentile', 'fixed'}
        Which levels become black and white, see `mcalc.images.grey_levels.find_limits`.
    percentiles : (low, high)
        For 'percentile', from 0 to 100.
    window : (low, high), optional
        For 'fixed', in the levels of `pixels`.

    Returns
    -------
    ndarray, shape (size, size), uint16 or uint8

    Raises
    ------
    DataError
        If the image is constant, all of it lies outside the window, or it is a mask of two values
        rather than a crop.
    """
    low, high = find_limits(pixels, intensity, percentiles=percentiles, window=window)
    if dicom.holds_mask(pixels):
        raise DataError("only two grey values: a mask, not a crop.", "mask_not_crop")
    return map_levels(resize_to_square(pixels, size), low, high, bits=bits)


def _read(row: dict, max_pixels: int) -> np.ndarray:
    """Read the pixels of a row of the catalog, (rows, columns) uint8 or uint16."""
    if row["dataset"] not in STACKS:
        return read_roi(row, max_pixels=max_pixels)
    slices = read_slices(row["source"], max_pixels=max_pixels)
    return slices[sharpest(slices)]


def _own_window(row: dict, max_pixels: int) -> dict:
    """Return the DICOM file's window as arguments of `convert_image`."""
    source = row["source"]
    if row["dataset"] in STACKS:
        raise DataError(
            f"{source}: the windows of stacks are not read; set convert.intensity to minmax or "
            "percentile.",
            "bad_field",
        )
    is_picture = Path(source).suffix.lower() in PICTURE_SUFFIXES
    found = None if is_picture else dicom.read_window(source, max_pixels=max_pixels)
    if found is None:
        raise DataError(
            f"{source}: the file carries no window (0028,1050-1051); set convert.intensity to "
            "minmax or percentile.",
            "bad_field",
        )
    return {"intensity": "fixed", "window": linear_window(*found)}
