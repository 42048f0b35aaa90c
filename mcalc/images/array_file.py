"""An array of many images as one NPY file, written image by image, and whose each of them is."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mcalc import records
from mcalc.files import whole_file


def write_array(
    path: str | os.PathLike,
    images: Iterable[np.ndarray],
    *,
    shape: tuple[int, ...],
    roi_ids: Sequence[str],
) -> None:
    """Write images into an NPY file, whole or not at all, and beside it the table of their ROIs.

    Parameters
    ----------
    path : path
        The file to write, (images, *shape) uint8; the table (STACKED) has the suffix .csv.
    images : iterable of ndarray, `shape`, uint8
        As many as there are `roi_ids`; only one at a time is in memory.
    shape : tuple of int
    roi_ids : sequence of str
    """
    # Written, not mapped: a mapped file that finds the disk full ends the process without a word.
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        layout = {"descr": "|u1", "fortran_order": False, "shape": (len(roi_ids), *shape)}
        np.lib.format.write_array_header_1_0(file, layout)
        for image in images:
            file.write(image.tobytes())
        file.flush()
        Path(path).unlink(missing_ok=True)  # an older one does not belong to the new table
        records.write([{"roi_id": roi_id} for roi_id in roi_ids], table_of(path), records.STACKED)


def table_of(path: str | os.PathLike) -> Path:
    """Return the place of the table beside an array."""
    return Path(path).with_suffix(".csv")
