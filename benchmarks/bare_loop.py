"""The preparation as a short program without a workflow, for benchmarks/workflow.py.

    python benchmarks/bare_loop.py FOLDER ROOT CORES

The functions behind the stages are called in order by a pool of processes, one a core (on this work
faster than threads): list and hash the files (`write_catalog`); for each ROI read, convert, find
both breast masks, clean, and score three filters, with the converted and the cleaned PNG written;
choose a filter; for each ROI read the cleaned PNG back, filter it and write the enhanced one. It
writes the same images, byte for byte, and the same tables, but each in one file. It imports once in
each process, reads no converted PNG back and each cleaned one once, and knows nothing of shards,
logs, or what is done already.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.rois import read_roi
from mcalc.images.breast_mask import breast_mask, remove_background
from mcalc.images.choose_filter import choose_filter
from mcalc.images.convert import convert_image
from mcalc.images.filters import Filter, read_choice
from mcalc.images.grey_levels import to_8_bits
from mcalc.images.quality import (
    contrast_retention,
    mean_squared_error,
    peak_signal_to_noise_ratio,
    structural_similarity_index,
)
from mcalc.images.shards import read_png, write_png

SIZE = 224
STAGES = ("converted", "cleaned", "enhanced")
FILTERS = [Filter("adaptive_median", 7), Filter("median", 3), Filter("mean", 3)]


def prepare(folder: Path, root: Path, cores: int) -> None:
    """Prepare the ROIs of the folder data set `root` into `folder`."""
    tables = {name: folder / f"{name}.csv" for name in ("catalog", "rejected")}
    write_catalog(root, dataset="folder", **tables)
    rows = records.read(folder / "catalog.csv", records.CATALOG).to_dict("records")
    for stage in STAGES:
        (folder / stage).mkdir()
    with ProcessPoolExecutor(cores, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        results = list(pool.map(partial(prepare_roi, folder), rows, chunksize=16))
        records.write([kept for kept, _ in results], folder / "kept.csv", records.CLEANING)
        scores = [row for _, scored in results for row in scored]
        records.write(scores, folder / "scores.csv", records.FILTERS)
        choose_filter([folder / "scores.csv"], choice=folder / "choice.json", filters=FILTERS)
        chosen = read_choice(folder / "choice.json")
        names = [f"{row['roi_id']}.png" for row in rows]
        list(pool.map(partial(enhance_roi, folder, chosen), names, chunksize=16))


def prepare_roi(folder: Path, row: dict) -> tuple[dict, list[dict]]:
    """Convert and clean a ROI; return its rows of the tables of cleaning and of filters."""
    name = row["roi_id"]
    image = convert_image(read_roi(row), size=SIZE)
    write_png(folder / "converted" / f"{name}.png", image)
    masks = {
        method: breast_mask(image, method=method, stretched=True)
        for method in ("otsu", "otsu_grown")
    }
    cleaned = remove_background(image, masks["otsu_grown"])
    write_png(folder / "cleaned" / f"{name}.png", cleaned)
    shares = {f"{method}_kept": float(mask.mean()) for method, mask in masks.items()}
    seen = {"has_background": not masks["otsu_grown"].all()}
    kept = {"roi_id": name, "method": "otsu_grown", **seen, **shares}
    return kept, [score(name, cleaned, noise_filter) for noise_filter in FILTERS]


def score(name: str, reference: np.ndarray, noise_filter: Filter) -> dict:
    """Return a filter's row of the table of filters."""
    filtered = noise_filter(reference)
    mse = mean_squared_error(reference, filtered)
    return {
        "roi_id": name,
        "filter": noise_filter.name,
        "mse": mse,
        "psnr": peak_signal_to_noise_ratio(mse),
        "ssim": structural_similarity_index(reference, filtered),
        "contrast_retention": contrast_retention(reference, filtered),
    }


def enhance_roi(folder: Path, chosen: Filter, name: str) -> None:
    """Filter a cleaned image and write it with 8 bits."""
    image = read_png(folder / "cleaned" / name)
    write_png(folder / "enhanced" / name, to_8_bits(chosen(image)))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
