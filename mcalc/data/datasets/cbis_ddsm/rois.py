"""The rows of the tables as rows of the catalog."""

from pathlib import Path

from mcalc.data.datasets.cbis_ddsm.files import find_files
from mcalc.data.datasets.cbis_ddsm.tables import (
    ABNORMALITIES,
    bad_field,
    patients_in_test,
    read_tables,
)
from mcalc.data.image_size import MAX_PIXELS
from mcalc.progress import Progress, silent


def list_rois(
    root: Path,
    *,
    abnormalities: tuple[str, ...] = ("calcification",),
    collection: tuple[str, ...] = ABNORMALITIES,
    progress: Progress = silent,
    processes: int = 1,
    max_pixels: int = MAX_PIXELS,
) -> tuple[list[dict], list[dict]]:
    """List the ROIs of a CBIS-DDSM download, in any layout in which it is met.

    Parameters
    ----------
    root : Path
        The folder that holds the case-description tables (itself or one level down) and, at any
        depth, the images.
    abnormalities : tuple of {'calcification', 'mass'}
        Which findings are listed.
    collection : tuple of {'calcification', 'mass'}
        The findings that the whole collection has: a patient in a test table of any of them is
        `in_any_test`, which stays empty where such a table is missing.
    progress : callable, optional
        Wraps the files while they are read, to show a progress bar.
    processes : int
        How many read files at the same time.
    max_pixels : int
        A file that claims more is not decoded; the row is rejected as `too_large`.

    Returns
    -------
    found : list of dict
        One row a ROI whose crop was found, with the catalog's columns that this data set knows.
    rejected : list of dict
        One row a ROI without a usable crop, with `roi_id`, `source`, `reason`, `detail` and, so
        that they can be counted, `patient_id`, `label`, `official_split`.

    Raises
    ------
    DataError
        If there is no table, or one lacks a needed column.
    """
    rows = read_tables(root, abnormalities).to_dict("records")
    tested = patients_in_test(root, collection)
    files = find_files(root, rows, progress=progress, processes=processes, max_pixels=max_pixels)
    found, rejected = [], []
    for row, of_row in zip(rows, files, strict=True):
        problem = bad_field(row)
        reason, detail = ("bad_field", problem) if problem else (of_row.reason, of_row.detail)
        if reason:
            aside = {"roi_id": _name(row), "source": of_row.crop if not problem else ""}
            rejected.append(_whose(row) | aside | {"reason": reason, "detail": detail})
        else:
            places = {"source": of_row.crop, "mask": of_row.mask, "mammogram": of_row.mammogram}
            found.append(_table_row(row, *tested) | places)
    return found, rejected


def list_table_rows(root: Path, *, abnormalities: tuple[str, ...]) -> list[dict]:
    """List what the tables alone say of the ROIs, whether their images are there or not.

    Each row has the catalog's columns but for those that follow from files; rows of the tables
    that cannot be used are left out.
    """
    tested = patients_in_test(root)
    rows = read_tables(root, abnormalities).to_dict("records")
    return [_table_row(row, *tested) for row in rows if not bad_field(row)]


def _name(row: dict) -> str:
    """Return the case, or where the row stands if its case cannot name a file."""
    return row["case"] if row["case"].strip(".") else f"{row['table']}, row {row['row']}"


def _whose(row: dict) -> dict:
    return {
        "patient_id": row["patient id"],
        "label": "malignant" if row["pathology"] == "MALIGNANT" else "benign",
        "official_split": row["official split"],
    }


def _table_row(row: dict, tested: set[str], missing: list[str]) -> dict:
    unlisted = "" if missing else "no"
    return _whose(row) | {
        "in_any_test": "yes" if row["patient id"] in tested else unlisted,
        "roi_id": row["case"],
        "laterality": row["left or right breast"],
        "view": row["image view"],
        "abnormality_id": int(row["abnormality id"]),
        "pathology": row["pathology"],
        "abnormality_type": row["abnormality type"],
        "breast_density": _number(row["breast density"]),
        "calc_type": row.get("calc type", ""),
        "calc_distribution": row.get("calc distribution", ""),
        "mass_shape": row.get("mass shape", ""),
        "mass_margins": row.get("mass margins", ""),
        "assessment": _number(row["assessment"]),
        "subtlety": _number(row["subtlety"]),
    }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
