"""Which files on disk a row of the tables means: crop, mask and whole mammogram.

The paths in the tables exist in no download, and the tables and the downloaders number crop and
mask differently. So a row's files are those that lie in a folder named after its case (TCIA's
trees) or, where no folder is, after one of its series (flat trees, the JPEG mirror), or whose
header names them; and which of them is the crop is decided by what they hold.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from mcalc.data.dicom import holds_mask
from mcalc.data.dicom_header import read_header
from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.pixels import DICOM_SUFFIXES, PICTURE_SUFFIXES, read_pixels
from mcalc.data.tree import list_files
from mcalc.errors import DataError
from mcalc.progress import Progress, silent

# In a JPEG of a mask the edges ring: so many grey levels from black or white still are a mask's,
# in such a share of its pixels. A crop of film spreads over the levels between.
MASK_TOLERANCE, MASK_SHARE = 24, 0.95

# Below so many rows a second process takes longer to start than it helps.
WORTH_PROCESSES = 1000


@dataclass(frozen=True)
class Look:
    """What a file holds: `kind` is `image`, `mask` or `broken`; no bits are known of a picture."""

    path: str
    kind: str = "image"
    bits: int = 0
    case: str = ""
    error: DataError | None = None


@dataclass(frozen=True)
class RoiFiles:
    """A row's files, as paths; or why there is no crop: `reason` and `detail`."""

    crop: str = ""
    mask: str = ""
    mammogram: str = ""
    reason: str = ""
    detail: str = ""


def find_files(
    root: Path,
    rows: list[dict],
    *,
    progress: Progress = silent,
    processes: int = 1,
    max_pixels: int = MAX_PIXELS,
) -> list[RoiFiles]:
    """Find the files of each row of `tables.read_tables`, in the same order."""
    candidates, mammograms = _candidates(root, rows)
    looks = progress(_look_at_all(candidates, processes, max_pixels), len(rows))
    return [_choose(*of_row) for of_row in zip(rows, looks, mammograms, strict=True)]


def mammogram_case(case: str) -> str:
    """`Calc-Test_P_00038_LEFT_CC_1` is a ROI of the mammogram `Calc-Test_P_00038_LEFT_CC`."""
    return case.rpartition("_")[0]


def _candidates(root: Path, rows: list[dict]) -> tuple[list[list[str]], list[str]]:
    """Return for each row the files that may be its crop or mask, and its mammogram."""
    cases = {row["case"] for row in rows} | {mammogram_case(row["case"]) for row in rows}
    kinds = ("crop series", "mask series", "image series")
    series = {row[kind] for row in rows for kind in kinds}
    files, nameless = defaultdict(list), []

    @lru_cache  # a folder's files come one after the other
    def name_of(folder: Path) -> str | None:
        parts = folder.relative_to(root).parts
        # A case's name says more than a series, which a folder inside it may repeat.
        named = [part for names in (cases, series) for part in parts if part in names]
        return named[0] if named else None

    for path in list_files(root, DICOM_SUFFIXES + PICTURE_SUFFIXES):
        if name := name_of(path.parent):
            files[name].append(path.as_posix())
        elif _is_dicom(path.name):
            nameless.append(path.as_posix())

    def found(*names: str) -> list[str]:
        return _of_best_kind({path for name in names for path in files.get(name, ())})

    def is_missing(row: dict) -> bool:
        return not found(row["case"], row["crop series"])

    if nameless and any(is_missing(row) for row in rows):
        for name, path in _names_in_headers(nameless):
            files[name].append(path)
    rois = [found(row["case"], row["crop series"], row["mask series"]) for row in rows]
    wholes = [found(mammogram_case(row["case"]), row["image series"]) for row in rows]
    return rois, [whole[0] if whole else "" for whole in wholes]


def _of_best_kind(paths: Iterable[str]) -> list[str]:
    """Where a file lies as DICOM and as a picture, the picture has lost bits."""
    return sorted(filter(_is_dicom, paths)) or sorted(paths)


def _is_dicom(path: str) -> bool:
    return path.lower().endswith(DICOM_SUFFIXES)


def _names_in_headers(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Yield case and series of files that lie in folders which someone renamed."""
    for path in paths:
        try:
            header = read_header(path)
        except DataError:
            continue  # no row can be told to miss this file; the row says that it misses one
        yield header.case, path
        yield header.series, path


def _look_at_all(
    candidates: list[list[str]], processes: int, max_pixels: int
) -> Iterator[list[Look]]:
    look_at = partial(_look_at, max_pixels=max_pixels)
    if processes == 1 or len(candidates) < WORTH_PROCESSES:
        yield from map(look_at, candidates)
    else:
        with ProcessPoolExecutor(processes, get_context("spawn")) as workers:
            yield from workers.map(look_at, candidates, chunksize=64)


def _look_at(paths: list[str], *, max_pixels: int) -> list[Look]:
    """Tell images from masks among the files of one row.

    Of two files of which one has sixteen bits a pixel and the other eight, the first is the crop:
    no mask is decoded then, which are as large as mammograms. Otherwise the pixels decide.
    """
    looks = [_look_at_header(path) for path in paths]
    if sum(look.bits > 8 for look in looks) == 1:
        return [replace(look, kind="mask") if 0 < look.bits <= 8 else look for look in looks]
    return [look if look.kind == "broken" else _look_at_pixels(look, max_pixels) for look in looks]


def _look_at_header(path: str) -> Look:
    if not _is_dicom(path):
        return Look(path)
    try:
        header = read_header(path)
    except DataError as error:
        return Look(path, "broken", error=error)
    return Look(path, case=header.case, bits=header.bits)


def _look_at_pixels(look: Look, max_pixels: int) -> Look:
    try:
        pixels = read_pixels(look.path, max_pixels=max_pixels)
    except DataError as error:
        return replace(look, kind="broken", error=error)
    is_mask = holds_mask(pixels) or (look.bits == 0 and _is_picture_of_mask(pixels))
    return replace(look, kind="mask" if is_mask else "image")


def _is_picture_of_mask(pixels: np.ndarray) -> bool:
    extreme = (pixels < MASK_TOLERANCE) | (pixels > 255 - MASK_TOLERANCE)
    return pixels.dtype == np.uint8 and bool(extreme.mean() > MASK_SHARE)


def _choose(row: dict, looks: list[Look], mammogram: str) -> RoiFiles:
    """Take the one crop among a row's files, or say why there is none."""
    images = [look for look in looks if look.kind == "image"]
    masks = [look for look in looks if look.kind == "mask"]
    broken = [look for look in looks if look.kind == "broken"]
    mask = masks[0].path if masks else ""

    def aside(look: Look | None, reason: str, detail: str) -> RoiFiles:
        return RoiFiles(look.path if look else "", mask, mammogram, reason, detail)

    if len(images) > 1:
        images = _without_copies(images)
    if len(images) > 1:
        names = ", ".join(Path(look.path).name for look in images)
        return aside(images[0], "ambiguous_crop", f"{len(images)} images that differ: {names}")
    if images:
        if _is_other_case(images[0].case, row["case"]):
            return aside(images[0], "wrong_case", "the file's header names another case")
        return RoiFiles(images[0].path, mask, mammogram)
    if broken:
        return aside(broken[0], broken[0].error.reason, str(broken[0].error))
    if masks:
        return aside(masks[0], "mask_not_crop", "only a mask lies where the crop should be")
    return aside(None, "missing_file", "no image lies in a folder of this case or its series")


def _without_copies(looks: list[Look]) -> list[Look]:
    first_of = {}
    for look in looks:
        first_of.setdefault(hashlib.sha256(Path(look.path).read_bytes()).digest(), look)
    return list(first_of.values())


def _is_other_case(named: str, case: str) -> bool:
    """CBIS-DDSM's PatientID is the case's name; other names are a de-identifier's."""
    return named.startswith(("Calc-", "Mass-")) and named != case
