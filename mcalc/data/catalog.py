"""Stage `catalog`: one row for each ROI that can be read, one for each that cannot."""

import hashlib
import os
from collections import Counter
from pathlib import Path

from mcalc import records
from mcalc.data.datasets.registry import UNKNOWN, WITH_PATIENTS_TABLE, list_rois
from mcalc.data.image_size import MAX_PIXELS
from mcalc.errors import DataError, UsageError
from mcalc.progress import Progress, silent


def write_catalog(
    root: str | os.PathLike,
    *,
    dataset: str,
    catalog: str | os.PathLike,
    rejected: str | os.PathLike,
    shards: int = 1,
    patients: str | os.PathLike | None = None,
    abnormalities: tuple[str, ...] = ("calcification",),
    benign_without_callback: str = "benign",
    max_pixels: int = MAX_PIXELS,
    threads: int = 1,
    progress: Progress = silent,
) -> str:
    """List a data set's ROIs into `catalog` (CATALOG) and those set aside into `rejected`.

    Parameters
    ----------
    root : path
        The data set's folder.
    dataset : str
        How the folder is laid out, a key of `mcalc.data.datasets.registry.DATASETS`.
    catalog, rejected : path
        The tables to write.
    shards : int
        Number of parts in which later stages work; a ROI's part follows from its id alone.
    patients : path, optional
        The table of patient ids of a `folder` or `tomosynthesis` data set.
    abnormalities : tuple of {'calcification', 'mass'}
        Which of CBIS-DDSM's findings are listed; the study has calcifications only.
    benign_without_callback : {'benign', 'drop'}
        What to do with CBIS-DDSM's findings that needed no biopsy.
    max_pixels : int
        A file that claims more is rejected undecoded, where its pixels would be read here.
    threads : int
        How many processes read the headers of CBIS-DDSM's files at the same time.
    progress : callable, optional
        Wraps the rows while their files are read, to show a progress bar.

    Returns
    -------
    str
        One line that says what was found.

    Raises
    ------
    DataError
        If the folder or its tables cannot be used, or a class has no ROI.
    UsageError
        If `patients` is given for a data set that brings its own patient ids.
    """
    root = Path(root)
    options = {"patients": Path(patients)} if patients else {}
    if patients and dataset not in WITH_PATIENTS_TABLE:
        raise UsageError(
            f"{patients}: a table of patients is read for a folder; {dataset} has patient ids of "
            "its own, so leave dataset.patients out."
        )
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set dataset.root to the data set's folder.")
    options |= {"abnormalities": abnormalities, "processes": threads, "max_pixels": max_pixels}
    found, aside = list_rois(dataset, root, progress=progress, **options)
    wanted = [row for row in found if not _is_dropped(row, benign_without_callback)]
    kept, duplicates = _without_duplicates(wanted)
    aside += duplicates
    _check_classes(kept, aside, root)
    kept = [
        UNKNOWN
        | row
        | {"dataset": dataset, "sha256": _sha256(row["source"]), "shard": shard_of(row, shards)}
        for row in kept
    ]
    records.write(kept, catalog, records.CATALOG)
    aside = [row | {"stage": "catalog"} for row in aside]
    records.write(aside, rejected, records.REJECTED)
    return _summary(kept, aside, len(found) - len(wanted))


def shard_of(row: dict, shards: int) -> int:
    """Return the part (0 to `shards` - 1) a ROI belongs to, whatever other ROIs there are."""
    digest = hashlib.sha256(row["roi_id"].encode()).digest()
    return int.from_bytes(digest[:8]) % shards


def _is_dropped(row: dict, benign_without_callback: str) -> bool:
    return benign_without_callback == "drop" and row["pathology"] == "BENIGN_WITHOUT_CALLBACK"


def _without_duplicates(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    kept, duplicates = {}, []
    for row in rows:
        first = kept.setdefault(row["roi_id"], row)
        if first is not row:
            duplicates.append(
                {
                    "roi_id": row["roi_id"],
                    "source": row["source"],
                    "reason": "duplicate_id",
                    "detail": f"{first['source']} has the same id",
                }
            )
    return list(kept.values()), duplicates


def _check_classes(rows: list[dict], aside: list[dict], root: Path) -> None:
    counts = Counter(row["label"] for row in rows)
    for label in records.LABELS:
        if not counts[label]:
            message = (
                f"{root}: no {label} ROI can be read among {len(rows)}; both classes are needed"
            )
            if aside:
                reason, many = Counter(row["reason"] for row in aside).most_common(1)[0]
                example = next(row for row in aside if row["reason"] == reason)
                message += (
                    f" ({len(aside)} were set aside, {many} of them as {reason}, "
                    f"such as {example['roi_id']}: {example['detail']})"
                )
            raise DataError(message + ".")


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _summary(rows: list[dict], aside: list[dict], dropped: int) -> str:
    labels = Counter(row["label"] for row in rows)
    patients = len({row["patient_id"] for row in rows} - {""})
    text = f"{len(rows)} ROIs of {patients} patients: {labels['benign']} benign, "
    text += f"{labels['malignant']} malignant"
    if dropped:
        text += f"; {dropped} benign without callback dropped as configured"
    if aside:
        reasons = Counter(row["reason"] for row in aside)
        text += f"; {len(aside)} set aside ("
        text += ", ".join(f"{many} {reason}" for reason, many in reasons.items()) + ")"
    return text
