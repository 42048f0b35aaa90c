"""Stage `compare-filters`: score every filter on every ROI of one shard."""

import os
from pathlib import Path

from mcalc import records
from mcalc.images.filters import Filter
from mcalc.images.quality import (
    contrast_retention,
    mean_squared_error,
    peak_signal_to_noise_ratio,
    structural_similarity_index,
)
from mcalc.images.shards import for_each, image_paths, read_png
from mcalc.progress import Progress, silent


def compare_filters(
    images: str | os.PathLike,
    *,
    scores: str | os.PathLike,
    filters: list[Filter],
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Score `filters` on the shard folder `images` against the unfiltered image (Table 4).

    Writes the table `scores` (FILTERS): mean squared error, PSNR, SSIM and contrast retention of
    each filter on each ROI, in 8-bit grey levels whatever the images' type. The study measures
    against the unfiltered image, too: such a score rewards the filter that changes least, and
    doing nothing would win.
    """

    def score(path: Path) -> list[dict]:
        reference = read_png(path)
        rows = []
        for noise_filter in filters:
            filtered = noise_filter(reference)
            mse = mean_squared_error(reference, filtered)
            rows.append(
                {
                    "roi_id": path.stem,
                    "filter": noise_filter.name,
                    "mse": mse,
                    "psnr": peak_signal_to_noise_ratio(mse),
                    "ssim": structural_similarity_index(reference, filtered),
                    "contrast_retention": contrast_retention(reference, filtered),
                }
            )
        return rows

    paths = image_paths(images)
    results = for_each(paths, score, threads=threads, progress=progress)
    records.write([row for rows in results for row in rows], scores, records.FILTERS)
    return f"{scores}: {len(filters)} filters on {len(paths)} ROIs"
