"""Stage `overlap`: what evaluated images have in common with images in training, by protocol."""

import json as as_json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.near_duplicates import find_pairs, turned_hashes
from mcalc.evaluation.overlap_shares import as_text, compare_splits, roi_keys
from mcalc.files import write_text
from mcalc.images.shards import for_each, image_paths, read_png
from mcalc.progress import Progress, silent

# Hashes of unlike images differ in 32 of 64 bits on average.
MAX_DISTANCE = 6


def write_overlap(
    splits: list[str | os.PathLike],
    *,
    catalog: str | os.PathLike,
    overlap: str | os.PathLike,
    images: list[str | os.PathLike] = (),
    max_distance: int = MAX_DISTANCE,
    json: str | os.PathLike | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Write the table `overlap` (OVERLAP): counts for each protocol, fold and kind of overlap.

    Parameters
    ----------
    splits : list of path
        Tables that `split` wrote (SPLIT), each named after its protocol. That of `paper_resplit`
        is compared with what trained its networks, so `paper`'s must be there, too.
    catalog : path
    overlap : path
        The table to write.
    images : list of path
        Shard folders in which images that look alike are searched; without them near-duplicates
        are not known.
    max_distance : int
        Largest number of the 64 bits in which the hashes of near-duplicates differ.
    json : path, optional
        Receives the same rows as JSON.
    threads : int
        How many read images at the same time.
    progress : callable, optional
        Wraps the images while they are read.

    Returns
    -------
    str
        The table for people: a line a protocol, folds taken together.
    """
    tables = {Path(path).stem: records.read(path, records.SPLIT) for path in splits}
    rois = records.read(catalog, records.CATALOG)
    keys = roi_keys(rois)
    for name, table in tables.items():
        unlisted = set(table["roi_id"]) - set(keys.index)
        if unlisted:
            raise DataError(
                f"{catalog}: {min(unlisted)}, which the split {name} holds, is not listed; "
                "split again or name the catalog that was split."
            )
    alike = _look_alikes(images, keys, max_distance, threads, progress) if images else {}
    rows = compare_splits(tables, keys, alike)
    records.write(rows, overlap, records.OVERLAP)
    if json:
        write_text(json, as_json.dumps({"shares": rows}, indent=2) + "\n")
    return as_text(rows)


def _look_alikes(
    folders: list[str | os.PathLike],
    keys: pd.DataFrame,
    max_distance: int,
    threads: int,
    progress: Progress,
) -> dict[str, set[str]]:
    """Return for each ROI with an image the other ROIs that look alike."""
    paths = [path for folder in folders for path in image_paths(folder)]
    paths = [path for path in paths if path.stem in keys.index]

    def look(path: Path) -> np.ndarray:
        return turned_hashes(read_png(path))

    hashes = list(for_each(paths, look, threads=threads, progress=progress))
    alike = defaultdict(set, {path.stem: set() for path in paths})
    for pair in find_pairs(np.array(hashes, np.uint64).reshape(-1, 4), max_distance):
        first, second = (paths[number].stem for number in pair)
        if keys.loc[first, "roi"] != keys.loc[second, "roi"]:
            alike[first].add(second)
            alike[second].add(first)
    return dict(alike)
