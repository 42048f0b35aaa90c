"""CMMD: 1,775 patients' digital mammograms, labelled by biopsy, a breast at a time.

Cui et al. 2021, doi 10.7937/tcia.eqde-4b16. TCIA's tree has the films at
`CMMD/D1-0001/07-18-2010-NA-NA-79377/1.000000-NA-70244/1-1.dcm`; beside it lies the table
`CMMD_clinicaldata_revision.xlsx` with a row a breast. It draws no boxes, so a ROI is the whole film
(CC and MLO) of a breast whose `abnormality` is `calcification` or `both`; films of a breast
without a row have no label and are not listed. Layout, columns and words are those that public
loaders state; two that converted the whole download name the same nine patients in whom 15 films
show the breast at the wrong border: in some the header's ImageLaterality (0020,0062) of two films
is swapped, in others a film is mirrored. A left breast lies at the left border (see `_sides`).
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom

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
ABNORMALITIES = (*WITH_CALCIFICATION, "mass")
ALLOWED = {"LeftRight": SIDES, "abnormality": ABNORMALITIES, "classification": LABELS}
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
    progress : callable, optional
        Wraps the patients while their films are read, to show a progress bar.
    max_pixels : int
        A film that claims more is rejected undecoded (reason `too_large`).

    Returns
    -------
    found, rejected : list of dict
        As `cbis_ddsm.list_rois` returns them.

    Raises
    ------
    DataError
        If there is no table, or a column is missing.
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
        films, aside = _read_films(patient, paths[patient], max_pixels)
        _list_breasts(patients[patient], films, aside, found, rejected)
    return found, rejected


def _read_films(patient: str, paths: list[Path], max_pixels: int) -> tuple[list[Film], list[dict]]:
    films, aside = [], []
    for path in paths:
        try:
            films.append(_read_film(path, max_pixels))
        except DataError as error:
            roi_id = f"{patient}_{path.stem}_1"
            aside.append(_rejected(roi_id, error.reason, str(error), path.as_posix()))
    return films, aside


def _list_breasts(
    rows: list[dict], films: list[Film], aside: list[dict], found: list, rejected: list
) -> None:
    """Add one patient's usable films to `found`; to `rejected` the others and those in `aside`."""
    patient, sides = rows[0]["ID1"], _sides(films)
    for film, side in zip(films, sides, strict=True):
        roi_id = f"{patient}_{film.path.stem}_1"
        if not side:
            detail = f"the header says {film.named}, the pixels show {film.shown}"
            aside.append(_rejected(roi_id, "unclear_side", detail, film.path.as_posix()))
        mine = [row for row in rows if SIDES[row["LeftRight"]] == side]
        found += [{"roi_id": roi_id} | _catalog_row(row, film) for row in mine]
    for side in [SIDES[row["LeftRight"]] for row in rows if not aside]:
        if side not in sides:
            detail = f"no film of the {side.lower()} breast lies in a folder {patient}"
            rejected.append(_rejected(f"{patient}_{side}", "missing_file", detail))
    rejected += aside


def _read_film(path: Path, max_pixels: int) -> Film:
    pixels = read_pixels(path, max_pixels=max_pixels)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    side = str(header.get("ImageLaterality"))
    codes = [str(item.get("CodeValue")) for item in header.get("ViewCodeSequence") or []]
    view = next((VIEWS[code] for code in codes if code in VIEWS), None)
    if side not in SIDES or not view:
        raise DataError(
            f"{path}: the header's side or view (ImageLaterality, ViewCodeSequence) is none of L "
            "or R, CC or MLO.",
            "bad_field",
        )
    left, right = (half.mean() for half in np.array_split(pixels, 2, axis=1))
    return Film(path, SIDES[side], "LEFT" if left >= right else "RIGHT", view)


def _sides(films: list[Film]) -> list[str]:
    """Return which breast each of a patient's films shows; empty where that is not clear."""
    sides, has_one_breast = [], len({film.named for film in films}) == 1
    for film in films:
        same_view = [(other.named, other.shown) for other in films if other.view == film.view]
        named, shown = zip(*same_view, strict=True)
        if named == shown or has_one_breast:  # a single breast that seems the other is mirrored
            sides.append(film.named)
        elif sorted(named) == sorted(shown):  # two headers were swapped
            sides.append(film.shown)
        else:
            sides.append("")
    return sides


def _catalog_row(row: dict, film: Film) -> dict:
    return {
        "patient_id": row["ID1"],
        "laterality": SIDES[row["LeftRight"]],
        "view": film.view,
        "abnormality_type": "calcification",
        "label": LABELS[row["classification"]],
        "pathology": row["classification"],
        "source": film.path.as_posix(),
        "mammogram": film.path.as_posix(),
    }


def _rejected(roi_id: str, reason: str, detail: str, source: str = "") -> dict:
    return {"roi_id": roi_id, "source": source, "reason": reason, "detail": detail}
