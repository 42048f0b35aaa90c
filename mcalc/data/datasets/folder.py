"""A data set of one's own: `root/benign/*` and `root/malignant/*`, any readable image.

The kind `tomosynthesis` is the same with one multi-frame DICOM file, a stack of slices, a ROI.
"""

from pathlib import Path

import pandas as pd

from mcalc.data.pixels import DICOM_SUFFIXES, PICTURE_SUFFIXES
from mcalc.errors import DataError
from mcalc.progress import Progress, silent
from mcalc.records import LABELS

SUFFIXES = PICTURE_SUFFIXES + DICOM_SUFFIXES


def list_rois(
    root: Path,
    *,
    patients: Path | None = None,
    suffixes: tuple[str, ...] = SUFFIXES,
    progress: Progress = silent,
) -> tuple[list[dict], list[dict]]:
    """List the images of a folder data set.

    Parameters
    ----------
    root : Path
        Holds the folders `benign` and `malignant`; images may lie deeper inside them.
    patients : Path, optional
        A CSV file with the columns `file` (path below `root`) and `patient_id`. Without it no
        patient is known, and the patient protocol cannot be used.
    suffixes : tuple of str
        Those of the files that can be read, in lower case; others are rejected.
    progress : callable, optional
        As `cbis_ddsm.list_rois` takes it; files are only listed here, which takes no time.

    Returns
    -------
    found, rejected : list of dict
        As `cbis_ddsm.list_rois` returns them.

    Raises
    ------
    DataError
        If a class folder is missing, or `patients` lacks a column or names a file twice.
    """
    patient_of = _read_patients(patients) if patients else None
    found, rejected = [], []
    for label in LABELS:
        if not (root / label).is_dir():
            raise DataError(f"{root / label}: no such folder; put the {label} images there.")
        for path in sorted((root / label).rglob("*")):
            if path.is_dir() or path.name.startswith("."):
                continue
            name = path.relative_to(root).as_posix()
            row = {"roi_id": _roi_id(name), "source": path.as_posix()}
            problem = _problem(path, name, patient_of, suffixes)
            if problem:
                rejected.append(row | {"reason": problem[0], "detail": problem[1]})
            else:
                row["patient_id"] = (patient_of or {}).get(name, "")
                found.append(row | {"label": label, "pathology": label.upper()})
    return found, rejected


def _read_patients(path: Path) -> dict[str, str]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}).") from error
    missing = {"file", "patient_id"} - set(table.columns)
    if missing:
        raise DataError(f"{path}: column {', '.join(sorted(missing))} is missing.")
    twice = table["file"][table["file"].duplicated()]
    if len(twice):
        raise DataError(f"{path}: file {twice.iloc[0]} is named twice; name each file once.")
    return dict(zip(table["file"], table["patient_id"].str.strip(), strict=True))


def _problem(
    path: Path, name: str, patient_of: dict[str, str] | None, suffixes: tuple[str, ...]
) -> tuple[str, str] | None:
    if path.suffix.lower() not in suffixes:
        return (
            "unreadable",
            f"{path.suffix or 'no suffix'} is not read; use one of {', '.join(suffixes)}",
        )
    if patient_of is not None and not patient_of.get(name):
        return "bad_field", f"the table of patients has no patient_id for {name}"
    return None


def _roi_id(name: str) -> str:
    """Turn a path below the root into a name that can stand in a file name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
