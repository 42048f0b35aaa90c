"""Examining a data set without changing it: all files found, all crops read, all rows weighed."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mcalc.data.datasets import cbis_ddsm
from mcalc.data.datasets.registry import DATASETS, UNKNOWN, list_rois
from mcalc.data.doctor import checks
from mcalc.data.doctor.checks import Check
from mcalc.data.doctor.crops import Crop, look_at_crop
from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.rois import PLACE
from mcalc.errors import DataError, UsageError
from mcalc.progress import Progress, silent


@dataclass(frozen=True)
class Examination:
    """What was found in `root`.

    `counts` has a row for each official split and label, with `rois`, `patients`, `found` and
    `missing`; `checks` those that found something, the ones that need a person first.
    """

    root: Path
    dataset: str
    counts: list[dict]
    checks: list[Check]

    @property
    def needs_person(self) -> int:
        """How many findings only a person can settle."""
        return sum(len(check.findings) for check in self.checks if check.needs_person)


def examine(
    root: Path,
    *,
    dataset: str = "cbis_ddsm",
    abnormalities: tuple[str, ...] = ("calcification",),
    max_pixels: int = MAX_PIXELS,
    threads: int = 1,
    progress: Progress = silent,
) -> Examination:
    """Examine a data set; nothing in its folder is changed.

    Parameters
    ----------
    root : Path
        The data set's folder.
    dataset : str
        How it is laid out, a key of `mcalc.data.datasets.registry.DATASETS`.
    abnormalities : tuple of {'calcification', 'mass'}
        Which of CBIS-DDSM's findings were downloaded.
    max_pixels : int
        A crop that claims more is told as unreadable (`too_large`), undecoded.
    threads : int
        How many files are read at the same time.
    progress : callable, optional
        Wraps the crops while they are decoded, to show a progress bar.

    Raises
    ------
    DataError
        If the folder or its tables cannot be read at all.
    """
    if dataset not in DATASETS:
        raise UsageError(f"{dataset}: no such data set; it is one of {', '.join(DATASETS)}.")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name the data set's folder.")
    options = {"abnormalities": abnormalities, "processes": threads, "max_pixels": max_pixels}
    found, aside = list_rois(dataset, root, **options)
    found = [UNKNOWN | dict.fromkeys(PLACE, float("nan")) | row for row in found]
    crops, unreadable = _read_crops(found, max_pixels, threads, progress)
    aside = aside + unreadable
    all_checks = [
        *checks.of_rejected(aside),
        *checks.of_crops(crops),
        *checks.of_labels(found + aside),
    ]
    if DATASETS[dataset] is cbis_ddsm:
        all_checks += checks.of_cbis_ddsm(root, found, is_phantom=dataset == "phantom")
    wanted = [check for check in all_checks if check.findings]
    wanted.sort(key=lambda check: not check.needs_person)
    return Examination(root, dataset, _counts([crop.row for crop in crops], aside), wanted)


def _read_crops(
    rows: list[dict], max_pixels: int, threads: int, progress: Progress
) -> tuple[list[Crop], list[dict]]:
    with ThreadPoolExecutor(threads) as pool:
        results = list(progress(_each(pool, rows, max_pixels), len(rows)))
    crops = [result for result in results if isinstance(result, Crop)]
    return crops, [result for result in results if not isinstance(result, Crop)]


def _each(pool: ThreadPoolExecutor, rows: list[dict], max_pixels: int) -> Iterator[Crop | dict]:
    def look(row: dict) -> Crop | dict:
        try:
            return look_at_crop(row, max_pixels=max_pixels)
        except DataError as error:
            return row | {"reason": error.reason, "detail": str(error)}

    return pool.map(look, rows)


def _counts(found: list[dict], aside: list[dict]) -> list[dict]:
    def group(row: dict) -> tuple[str, str]:
        return row.get("official_split") or "", row.get("label") or "unknown"

    groups = sorted({group(row) for row in found + aside})
    seen, missing = Counter(map(group, found)), Counter(map(group, aside))
    return [
        {
            "split": name[0],
            "label": name[1],
            "rois": seen[name] + missing[name],
            "patients": len(
                {row.get("patient_id", "") for row in found + aside if group(row) == name} - {""}
            ),
            "found": seen[name],
            "missing": missing[name],
        }
        for name in groups
    ]
