"""Stage `clean`: blank what is not breast in the images of one shard."""

import os
from pathlib import Path

from mcalc import records
from mcalc.files import whole_folder
from mcalc.images.breast_mask import breast_mask, remove_background
from mcalc.images.shards import for_each, image_paths, read_png, write_png
from mcalc.progress import Progress, silent


def clean_shard(
    images: str | os.PathLike,
    *,
    cleaned: str | os.PathLike,
    kept: str | os.PathLike,
    method: str = "otsu_grown",
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Clean the PNG files of the folder `images` into the folder `cleaned` (same names).

    Parameters
    ----------
    images, cleaned : path
        Shard folders, in and out; uint8 or uint16, the type stays.
    kept : path
        The table (CLEANING) that says which share of each image each method keeps.
    method : {'otsu_grown', 'otsu'}
        Which mask is applied; see `mcalc.images.breast_mask`.
    """
    paths = image_paths(images)
    with whole_folder(cleaned) as folder:

        def clean(path: Path) -> dict:
            image = read_png(path)
            masks = {
                name: breast_mask(image, method=name, stretched=True)
                for name in ("otsu", "otsu_grown")
            }
            write_png(folder / path.name, remove_background(image, masks[method]))
            return {
                "roi_id": path.stem,
                "method": method,
                "has_background": not masks[method].all(),
                "otsu_kept": float(masks["otsu"].mean()),
                "otsu_grown_kept": float(masks["otsu_grown"].mean()),
            }

        rows = list(for_each(paths, clean, threads=threads, progress=progress))
        records.write(rows, kept, records.CLEANING)
    with_background = sum(row["has_background"] for row in rows)
    return f"{cleaned}: {len(rows)} images, background blanked in {with_background}"
