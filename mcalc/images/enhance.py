"""Stage `enhance`: the chosen filter on every image of one shard, then 8 bits."""

import os
from pathlib import Path

from mcalc.files import whole_folder
from mcalc.images.filters import read_choice
from mcalc.images.grey_levels import to_8_bits
from mcalc.images.shards import for_each, image_paths, read_png, write_png
from mcalc.progress import Progress, silent


def enhance_shard(
    images: str | os.PathLike,
    *,
    choice: str | os.PathLike,
    enhanced: str | os.PathLike,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Filter the PNG files of the folder `images` into the folder `enhanced` (same names).

    `choice` is the file that `choose-filter` wrote; with the filter 'none' nothing is filtered.
    Images of 16 bits are filtered as such and mapped to 8 bits, which networks read, once at the
    end: divided by 257 and rounded to the nearest.
    """
    noise_filter = read_choice(choice)
    paths = image_paths(images)
    with whole_folder(enhanced) as folder:

        def enhance(path: Path) -> None:
            image = read_png(path)
            filtered = noise_filter(image) if noise_filter else image
            write_png(folder / path.name, to_8_bits(filtered))

        list(for_each(paths, enhance, threads=threads, progress=progress))
    return (
        f"{enhanced}: {len(paths)} images, filter {noise_filter.name if noise_filter else 'none'}"
    )
