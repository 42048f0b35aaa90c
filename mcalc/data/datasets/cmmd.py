"""CMMD: 1,775 patients' digital mammograms, labelled by biopsy, a breast at a time.

Cui et al. 2021, doi 10.7937/tcia.eqde-4b16. TCIA's tree has the films at
`CMMD/D1-0001/07-18-2010-NA-NA-79377/1.000000-NA-70244/1-1.dcm`; beside it lies the table
`CMMD_clinicaldata_revision.xlsx` with a row a breast. It draws no boxes, so a ROI is the whole film
(CC and MLO) of a breast whose `abnormality` is `calcification` or `both`; films of a breast
without a row have no label and are not listed. Layout, columns and words are those that public
loaders state. In nine patients ImageLaterality (0020,0062) of two films is swapped, or a film is
mirrored: docs/datasets.md. A left breast lies at the left border.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom

from mcalc.data.dicom_parsing import explained
from mcalc.data.image_size import MAX_PIXELS
from mcalc.data.pixels import DICOM_SUFFIXES, read_pixels
from mcalc.data.tables import find_table, read_table
from mcalc.data.tree import list_files
from mcalc.errors import DataError
from mcalc.progress import Progress, silent

TABLES = ("cmmd_clinicaldata_revision.xlsx", "cmmd_clinicaldata_revision.csv")
WITH_CALCIFICATION = ("calcification", "both")
SIDES = {"L": "LEFT", "R": "RIGHT"}
LABELS = {"Benign": "benign", "Malignant": "malignant"}
FINDINGS = (*WITH_CALCIFICATION, "mass")
ALLOWED = {"LeftRight": SIDES, "abnormality": FINDINGS, "classification": LABELS}
# CodeValue (0008,0100) in ViewCodeSequence (0054,0220): SNOMED RT and CT (PS3.16, CID 4014).
VIEWS = {"R-10242": "CC", "399162004": "CC", "R-10226": "MLO", "399368009": "MLO"}


class Film(NamedTuple):
    """A film: its file, the side that its header names and that its pixels show, its view."""

    path: Path
    named: str
    shown: str
    view: str


def list_rois(
    root: Path, *, progress: Progress = silent, max_pixels: int = MAX_PIXELS
) -> tuple[list[dict], list[dict]]:
    """List the films of CMMD's breasts with calcifications; a ROI is a whole film.

    Parameters
    ----------
    root : Path
        Holds, at any depth, the table and a folder for each patient, named by the id.
    progress, max_pixels
        As `cbis_ddsm.list_rois` takes them; progress is told in patients.

    Returns
    -------
    found, rejected : list of dict
        As `cbis_ddsm.list_rois` returns them; it raises as that does.
    """
    table = read_table(find_table(root, TABLES), ("ID1", *ALLOWED))
    patients, paths, found, rejected = defaultdict(list), defaultdict(list), [], []
    for row in table.to_dict("records"):
        wrong = [name for name, allowed in ALLOWED.items() if row[name] not in allowed]
        if wrong:
            detail = f"{wrong[0]} is {row[wrong[0]]!r}, not one of {', '.join(ALLOWED[wrong[0]])}"
            rejected.append(_rejected(f"{row['ID1']}_{row['LeftRight']}", "bad_field", detail))
        elif row["abnormality"] in WITH_CALCIFICATION:
            patients[row["ID1"]].append(row)
    for path in list_files(root, DICOM_SUFFIXES):
        for name in patients.keys() & path.relative_to(root).parts[:-1]:
            paths[name].append(path)
    for patient in progress(patients, len(patients)):
        films, aside = _list_films(patients[patient], paths[patient], max_pixels)
        found, rejected = found + films, rejected + aside
    return found, rejected


def _list_films(rows: list[dict], paths: list[Path], max_pixels: int) -> tuple[list, list]:
    """Return one patient's usable films, and those not usable or missing, each as a dict."""
    patient, films, found, rejected = rows[0]["ID1"], [], [], []

    def reject(path: Path, reason: str, detail: str) -> None:
        rejected.append(_rejected(f"{patient}_{path.stem}_1", reason, detail, path.as_posix()))

    for path in paths:
        try:
            films.append(_read_film(path, max_pixels))
        except DataError as error:
            reject(path, error.reason, str(error))
    sides = _sides(films)
    for film, side in zip(films, sides, strict=True):
        if not side:
            said = f"the header says {film.named}, the pixels show {film.shown}"
            reject(film.path, "unclear_side", said)
        found += [
            {
                "roi_id": f"{patient}_{film.path.stem}_1",
                "patient_id": patient,
                "laterality": side,
                "view": film.view,
                "abnormality_type": "calcification",
                "label": LABELS[row["classification"]],
                "pathology": row["classification"],
                "source": film.path.as_posix(),
                "mammogram": film.path.as_posix(),
            }
            for row in rows
            if SIDES[row["LeftRight"]] == side
        ]
    absent = set() if rejected else {SIDES[row["LeftRight"]] for row in rows} - set(sides)
    for side in sorted(absent):
        detail = f"no film of the {side.lower()} breast lies in a folder {patient}"
        rejected.append(_rejected(f"{patient}_{side}", "missing_file", detail))
    return found, rejected


def _read_film(path: Path, max_pixels: int) -> Film:
    pixels = read_pixels(path, max_pixels=max_pixels)
    with explained(path, "the header cannot be read"):
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        side = str(header.get("ImageLaterality"))
        codes = [str(item.get("CodeValue")) for item in header.get("ViewCodeSequence") or []]
    view = next((VIEWS[code] for code in codes if code in VIEWS), None)
    if side not in SIDES or not view:
        tags = "ImageLaterality, ViewCodeSequence"
        raise DataError(f"{path}: side or view ({tags}) is not L, R or CC, MLO.", "bad_field")
    left, right = (half.mean() for half in np.array_split(pixels, 2, axis=1))
    return Film(path, SIDES[side], "LEFT" if left >= right else "RIGHT", view)


def _sides(films: list[Film]) -> list[str]:
    """Return which breast each of a patient's films shows; empty where that is not clear."""
    has_one_breast = len({film.named for film in films}) == 1

    def side_of(film: Film) -> str:
        named = [other.named for other in films if other.view == film.view]
        shown = [other.shown for other in films if other.view == film.view]
        if named == shown or has_one_breast:  # a single breast that seems the other is mirrored
            return film.named
        return film.shown if sorted(named) == sorted(shown) else ""  # two headers were swapped

    return [side_of(film) for film in films]


def _rejected(roi_id: str, reason: str, detail: str, source: str = "") -> dict:
    return {"roi_id": roi_id, "source": source, "reason": reason, "detail": detail}
