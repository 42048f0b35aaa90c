"""CBIS-DDSM as TCIA distributes it: case-description tables beside a tree of DICOM files.

Sawyer-Lee et al. 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY. The tables name files by paths that do
not exist on disk, so a ROI's files are those in its case folder (`Calc-Test_P_00038_LEFT_CC_1`),
wherever that folder lies, and which of them is the crop is decided by content.
"""

import os
from collections import defaultdict
from pathlib import Path

import pandas as pd

from mcalc.data.dicom import is_mask
from mcalc.data.pixels import DICOM_SUFFIXES
from mcalc.errors import DataError
from mcalc.progress import Progress, silent

PATHOLOGIES = ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")

REQUIRED_COLUMNS = (
    "patient id",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "pathology",
    "cropped image file path",
)


def list_rois(root: Path, *, progress: Progress = silent) -> tuple[list[dict], list[dict]]:
    """List the calcification ROIs of a CBIS-DDSM download.

    Parameters
    ----------
    root : Path
        The folder that holds the case-description tables (itself or one level down) and,
        at any depth, the case folders.
    progress : callable, optional
        Wraps the rows while their files are read, to show a progress bar.

    Returns
    -------
    found : list of dict
        One row a ROI whose crop was found, with the catalog's columns that this data set knows.
    rejected : list of dict
        One row a ROI without a usable crop, with `roi_id`, `source`, `reason`, `detail`.

    Raises
    ------
    DataError
        If there is no calcification table, or one lacks a needed column.
    """
    table = pd.concat([_read_table(path) for path in _find_tables(root)], ignore_index=True)
    table = table[table["abnormality type"].str.lower() == "calcification"]
    files = _files_by_case(root, _case_names(table))
    found, rejected = [], []
    for row in progress(table.to_dict("records"), len(table)):
        problem = _bad_field(row)
        source, reason, detail = ("", *problem) if problem else _find_crop(files[row["case"]])
        if reason:
            rejected.append(
                {"roi_id": row["case"], "source": source, "reason": reason, "detail": detail}
            )
        else:
            found.append(_catalog_row(row, source, files[_mammogram_case(row["case"])]))
    return found, rejected


def _find_tables(root: Path) -> list[Path]:
    tables = sorted([*root.glob("*case_description*.csv"), *root.glob("*/*case_description*.csv")])
    tables = [path for path in tables if not path.name.lower().startswith("mass")]
    # A link to the folder itself would show each table twice.
    tables = list({path.resolve(): path for path in reversed(tables)}.values())[::-1]
    if not tables:
        raise DataError(
            f"{root}: no table like calc_case_description_train_set.csv lies here or one folder "
            "down; put the tables that TCIA offers beside the images."
        )
    return tables


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}).") from error
    table.columns = [name.strip().lower().replace("_", " ") for name in table.columns]
    missing = [name for name in REQUIRED_COLUMNS if name not in table]
    if missing:
        raise DataError(
            f"{path}: column {', '.join(missing)} is missing; use the table as TCIA publishes it."
        )
    table = table.apply(lambda column: column.str.strip())
    table["case"] = table["cropped image file path"].str.split("/").str[0]
    if (table["case"] == "").any():
        line = int((table["case"] == "").to_numpy().argmax()) + 1
        raise DataError(
            f"{path}: row {line} names no cropped image; use the table as TCIA publishes it."
        )
    table["official split"] = "test" if "test" in path.name.lower() else "train"
    return table


def _mammogram_case(case: str) -> str:
    """`Calc-Test_P_00038_LEFT_CC_1` is a ROI of the mammogram `Calc-Test_P_00038_LEFT_CC`."""
    return case.rpartition("_")[0]


def _case_names(table: pd.DataFrame) -> set[str]:
    return set(table["case"]) | {_mammogram_case(case) for case in table["case"]}


def _files_by_case(root: Path, cases: set[str]) -> dict[str, list[Path]]:
    files, seen = defaultdict(list), set()
    for folder, below, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in seen:  # a link to a folder that was read already
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        case = next((part for part in Path(folder).relative_to(root).parts if part in cases), None)
        if case:
            wanted = (name for name in names if name.lower().endswith(DICOM_SUFFIXES))
            files[case] += [Path(folder, name) for name in wanted]
    return files


def _bad_field(row: dict) -> tuple[str, str] | None:
    """Return the reason and the detail when a field of a table row cannot be used."""
    for name, allowed in (
        ("pathology", PATHOLOGIES),
        ("left or right breast", ("LEFT", "RIGHT")),
        ("image view", ("CC", "MLO")),
    ):
        if row[name] not in allowed:
            return "bad_field", f"{name} is {row[name]!r}, not one of {', '.join(allowed)}"
    if not (row["abnormality id"].isascii() and row["abnormality id"].isdigit()):
        return "bad_field", f"abnormality id is {row['abnormality id']!r}, not a number"
    return None


def _find_crop(files: list[Path]) -> tuple[str, str, str]:
    """Return the crop among a case's files, or a reason and a detail why there is none."""
    images, masks, broken = [], [], []
    for path in sorted(files):
        try:
            (masks if is_mask(path) else images).append(path)
        except DataError as error:
            broken.append((path, error))
    if len(images) == 1:
        return images[0].as_posix(), "", ""
    if images:
        names = ", ".join(path.name for path in images)
        return images[0].as_posix(), "ambiguous_crop", f"{len(images)} images, no mask: {names}"
    if broken:
        path, error = broken[0]
        return path.as_posix(), error.reason, str(error)
    if masks:
        return masks[0].as_posix(), "mask_not_crop", "only a mask lies in the case folder"
    return "", "missing_file", "no DICOM file lies in a folder of this name"


def _catalog_row(row: dict, source: str, mammograms: list[Path]) -> dict:
    return {
        "roi_id": row["case"],
        "patient_id": row["patient id"],
        "laterality": row["left or right breast"],
        "view": row["image view"],
        "abnormality_id": int(row["abnormality id"]),
        "label": "malignant" if row["pathology"] == "MALIGNANT" else "benign",
        "pathology": row["pathology"],
        "official_split": row["official split"],
        "source": source,
        "mammogram": min(mammograms).as_posix() if mammograms else "",
        "breast_density": _number(row.get("breast density")),
        "calc_type": row.get("calc type", ""),
        "calc_distribution": row.get("calc distribution", ""),
        "assessment": _number(row.get("assessment")),
        "subtlety": _number(row.get("subtlety")),
    }


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
