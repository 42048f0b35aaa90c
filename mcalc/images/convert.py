"""Stage `convert`: the files of one shard become 8-bit grey images of one size."""

import os
from pathlib import Path

import cv2
import numpy as np

from mcalc import records
from mcalc.data.dicom import holds_mask
from mcalc.data.rois import read_roi
from mcalc.errors import DataError
from mcalc.files import whole_folder
from mcalc.images.shards import for_each, write_png
from mcalc.progress import Progress, silent

INTENSITIES = ("minmax", "full_range")


def convert_shard(
    catalog: str | os.PathLike,
    *,
    shard: int,
    images: str | os.PathLike,
    rejected: str | os.PathLike,
    size: int,
    intensity: str = "minmax",
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Convert the ROIs of one shard into the folder `images`, one PNG a ROI.

    A ROI that cannot be converted is set aside in `rejected` with its reason; it never stops the
    others. See `convert_image` for `size` and `intensity`.

    Returns
    -------
    str
        One line that says how many were converted.
    """
    rows = records.read(catalog, records.CATALOG)
    rows = rows[rows["shard"] == shard].to_dict("records")
    with whole_folder(images) as folder:

        def convert(row: dict) -> dict | None:
            try:
                image = convert_image(read_roi(row), size=size, intensity=intensity)
            except DataError as error:
                aside = {key: row[key] for key in ("roi_id", "source")}
                return aside | {"stage": "convert", "reason": error.reason, "detail": str(error)}
            write_png(folder / f"{row['roi_id']}.png", image)
            return None

        results = list(for_each(rows, convert, threads=threads, progress=progress))
        aside = [result for result in results if result is not None]
        records.write(aside, rejected, records.REJECTED)
    return f"{Path(images)}: {len(rows) - len(aside)} ROIs converted, {len(aside)} set aside"


def convert_image(pixels: np.ndarray, *, size: int, intensity: str = "minmax") -> np.ndarray:
    """Resize a grey image to a square and map its grey levels to 8 bits.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
    size : int
        Rows and columns of the result, in pixels; other shapes are stretched, as in the study.
    intensity : {'minmax', 'full_range'}
        Which levels become 0 and 255: those of the image's darkest and brightest pixel, or those
        of its type (0 and 65535 for 16 bits).

    Returns
    -------
    ndarray, shape (size, size), uint8

    Raises
    ------
    DataError
        If the image is constant, or is a mask of two values rather than a crop.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        raise DataError(f"every pixel is {low:.0f}; there is nothing to see.", "constant_image")
    if holds_mask(pixels):
        raise DataError("only two grey values: a mask, not a crop.", "mask_not_crop")
    if intensity == "full_range":
        low, high = 0.0, float(np.iinfo(pixels.dtype).max)
    # A side that is too long is averaged over areas; one that is too short is interpolated.
    rows, columns = (min(side, size) for side in pixels.shape)
    shrunk = cv2.resize(pixels.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    resized = cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.rint(np.clip((resized - low) / (high - low), 0, 1) * 255).astype(np.uint8)
