"""Stage `bench-filters`: score filters on phantoms, where the truth behind the noise is known."""

import os
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from mcalc import records
from mcalc.data.datasets.phantom.crops import draw_clean_crop
from mcalc.data.datasets.phantom.patients import draw_patient
from mcalc.data.datasets.phantom.tissue import PIXEL_MM
from mcalc.errors import UsageError
from mcalc.files import whole_folder
from mcalc.images.filters import Filter
from mcalc.images.grey_levels import map_levels, to_8_bits
from mcalc.images.noise import LEVELS, Noise, add_noise
from mcalc.images.quality import (
    mean_squared_error,
    peak_signal_to_noise_ratio,
    speck_contrast_left,
    structural_similarity_index,
)
from mcalc.images.resizing import resize_to_square
from mcalc.images.shards import for_each, write_png
from mcalc.progress import Progress, silent

# Fewer crops give no interval worth its name.
FEWEST_CROPS = 8
# The clean image lies between these shares of white: what is left to both sides is for the noise,
# as in converted images, whose darkest and brightest pixels noise has made so.
DARKEST, BRIGHTEST = 0.1, 0.9
# The picture of a speck shows this share of the crop's side, and at least so many pixels.
CUT_OUT, SMALLEST_CUT_OUT = 0.2, 20


class Phantom(NamedTuple):
    """A clean crop in two parts, (size, size) float64 in shares of white; their sum is the truth.

    `speck_pixels` is the mean diameter of its specks, in pixels of this size.
    """

    background: np.ndarray
    specks: np.ndarray
    speck_pixels: float


def bench_filters(
    *,
    scores: str | os.PathLike,
    picture: str | os.PathLike,
    filters: list[Filter],
    noises: list[Noise],
    crops: int,
    seed: int = 1,
    size: int = 224,
    bits: int = 16,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """Add each of `noises` to clean phantom crops and score `filters` against the clean truth.

    Doing nothing takes part under the name 'none'. Noise is added at the size and bits at which
    the workflow filters, each pixel's on its own.

    Parameters
    ----------
    scores : path
        The table to write (TRUTH): one row a crop, noise and filter.
    picture : path
        A folder to write: the surroundings of one speck, 8-bit PNG files; `{crop}-truth.png` and
        `{crop}-{noise}-{level}-{filter}.png`. The crop is the one on which the filters leave the
        middle share of the specks' contrast: neither the best nor the worst case.
    filters : list of Filter
    noises : list of Noise
    crops : int
        How many phantom crops, each of another patient. A crop depends on its number, the seed and
        the size alone, and its noise on these and the noise.
    seed : int
    size : int
        Rows and columns, in pixels.
    bits : {16, 8}

    Returns
    -------
    str
        One line that says what was scored.

    Raises
    ------
    UsageError
        If there are fewer than 8 crops, or a noise or filter is named twice or not at all.
    """
    _check(filters, noises, crops)
    ways = {"none": _unchanged} | {way.name: way for way in filters}

    def score(crop: int) -> list[dict]:
        return _score(draw_phantom(crop, seed=seed, size=size), crop, seed, bits, noises, ways)

    with whole_folder(picture) as folder:
        rows = for_each(list(range(crops)), score, threads=threads, progress=progress)
        table = pd.DataFrame([row for of_crop in rows for row in of_crop])
        shown = _middle_crop(table)
        phantom = draw_phantom(shown, seed=seed, size=size)
        for name, image in _picture(phantom, shown, seed, bits, noises, ways):
            write_png(folder / f"{shown}-{name}.png", image)
        records.write(table, scores, records.TRUTH)
    return f"{scores}: {len(ways)} filters on {crops} phantom crops, {len(noises)} noises"


def draw_phantom(crop: int, *, seed: int, size: int) -> Phantom:
    """Draw the phantom crop of that number, resized as the workflow resizes."""
    rng = np.random.default_rng([seed, crop])
    patient = draw_patient(rng, crop)
    finding = patient.findings[0]
    parts = draw_clean_crop(rng, patient, finding, "CC")
    tissue, specks = (resize_to_square(part, size).astype(np.float64) for part in parts)
    darkest, brightest = tissue.min(), (tissue + specks).max()
    scale = (BRIGHTEST - DARKEST) / (brightest - darkest)
    magnification = size / np.sqrt(parts[0].size)
    pixels = finding.lesion.diameters_mm.mean() / PIXEL_MM * magnification
    return Phantom(DARKEST + scale * (tissue - darkest), scale * specks, float(pixels))


def _check(filters: list[Filter], noises: list[Noise], crops: int) -> None:
    if crops < FEWEST_CROPS:
        raise UsageError(f"{crops} crops are too few for an interval; give {FEWEST_CROPS} or more.")
    for what, names in (
        ("filter", [way.name for way in filters]),
        ("noise", [noise.name for noise in noises]),
    ):
        if not names or len(set(names)) < len(names):
            raise UsageError(f"Give at least one {what}, and each only once.")


def _unchanged(image: np.ndarray) -> np.ndarray:
    return image


def _noisy(
    phantom: Phantom, crop: int, seed: int, bits: int, noise: Noise
) -> tuple[np.ndarray, np.ndarray]:
    """Return the noisy image with and without specks; the levels of a kind share one draw."""
    rng = np.random.default_rng([seed, crop, list(LEVELS).index(noise.kind)])
    pair = add_noise(noise, rng, phantom.background, phantom.specks)
    return tuple(map_levels(image, 0, 1, bits=bits) for image in pair)


def _truth(phantom: Phantom, bits: int) -> np.ndarray:
    return map_levels(phantom.background + phantom.specks, 0, 1, bits=bits)


def _score(
    phantom: Phantom,
    crop: int,
    seed: int,
    bits: int,
    noises: list[Noise],
    ways: dict[str, Callable],
) -> list[dict]:
    truth = _truth(phantom, bits)
    rows = []
    for noise in noises:
        noisy, without_specks = _noisy(phantom, crop, seed, bits, noise)
        for name, way in ways.items():
            filtered = way(noisy)
            mse = mean_squared_error(truth, filtered)
            left = speck_contrast_left(phantom.specks, filtered, way(without_specks))
            rows.append(
                {
                    "crop": crop,
                    "speck_pixels": phantom.speck_pixels,
                    "noise": noise.kind,
                    "level": noise.level,
                    "filter": name,
                    "mse": mse,
                    "psnr": peak_signal_to_noise_ratio(mse),
                    "ssim": structural_similarity_index(truth, filtered),
                    "contrast_left": left,
                }
            )
    return rows


def _middle_crop(table: pd.DataFrame) -> int:
    """Return the crop on which the filters leave the middle share of the specks' contrast."""
    left = table[table["filter"] != "none"].groupby("crop")["contrast_left"].mean()
    return int(left.sort_values(kind="stable").index[len(left) // 2])


def _picture(phantom, crop, seed, bits, noises, ways):
    """Yield names and 8-bit images of the place where the specks add most."""
    side = max(SMALLEST_CUT_OUT, round(CUT_OUT * len(phantom.specks)))
    # Smoothed, so that the place is a speck's middle and not the edge of its flat top.
    smooth = cv2.GaussianBlur(phantom.specks, (0, 0), side / 16)
    centre = np.unravel_index(smooth.argmax(), smooth.shape)
    top, left = (int(np.clip(c - side // 2, 0, len(smooth) - side)) for c in centre)
    place = slice(top, top + side), slice(left, left + side)
    yield "truth", to_8_bits(_truth(phantom, bits))[place]
    for noise in noises:
        noisy, _ = _noisy(phantom, crop, seed, bits, noise)
        for name, way in ways.items():
            yield f"{noise.kind}-{noise.level:g}-{name}", to_8_bits(way(noisy))[place]
