"""VinDr-Mammo: 20,000 digital mammograms with boxes drawn by radiologists.

Nguyen et al. 2023, doi 10.1038/s41597-023-02100-7. The images are
`images/<study id>/<image id>.dicom`. The table `finding_annotations.csv` has a row a finding:
`finding_categories` is a list written as Python would, `finding_birads` is such as `BI-RADS 4`, and
the box is in pixels. There is no pathology: the label is what the radiologists assessed, 3
(probably benign) as benign, 4 and 5 as malignant, which is not the truth but an opinion about it.
"""

import ast
import math
from pathlib import Path

from mcalc.data.rois import square_around
from mcalc.data.tables import find_table, read_table
from mcalc.data.tree import list_files
from mcalc.progress import Progress, silent

TABLE = "finding_annotations.csv"
CATEGORY = "Suspicious Calcification"
LABELS = {"BI-RADS 3": "benign", "BI-RADS 4": "malignant", "BI-RADS 5": "malignant"}
SIDES = {"L": "LEFT", "R": "RIGHT"}
SPLITS = {"training": "train", "test": "test"}
DENSITIES = {f"DENSITY {letter}": number for number, letter in enumerate("ABCD", start=1)}
PLACE = ("xmin", "ymin", "xmax", "ymax", "height", "width")
COLUMNS = (
    *("study_id", "image_id", "laterality", "view_position", "breast_density"),
    *("finding_categories", "finding_birads", "split", *PLACE),
)

# A finding is shown with so much around it, as a multiple of its box's longer side.
MARGIN = 1.25


def list_rois(root: Path, *, progress: Progress = silent) -> tuple[list[dict], list[dict]]:
    """List the suspicious calcifications of VinDr-Mammo, each as a square of a mammogram.

    Parameters
    ----------
    root : Path
        Holds the table and, at any depth, the images.
    progress : callable, optional
        Wraps the findings, to show a progress bar.

    Returns
    -------
    found, rejected : list of dict
        As `cbis_ddsm.list_rois` returns them. A patient is a study.

    Raises
    ------
    DataError
        If there is no table, or a column is missing.
    """
    images = {path.stem: path for path in list_files(root, (".dicom", ".dcm"))}
    table = read_table(find_table(root, (TABLE,)), COLUMNS)
    found, rejected, count = [], [], {}
    for row in progress(table.to_dict("records"), len(table)):
        if CATEGORY not in _categories(row["finding_categories"]):
            continue
        image = row["image_id"]
        count[image] = count.get(image, 0) + 1
        path = images.get(image)
        roi = {"roi_id": f"vindr_{_name(image)}_{count[image]}"}
        roi["source"] = path.as_posix() if path else ""
        reason, detail = _problem(row, path)
        if reason:
            rejected.append(roi | {"reason": reason, "detail": detail})
        else:
            found.append(roi | {"abnormality_id": count[image]} | _fields(row, path))
    return found, rejected


def _categories(text: str) -> list:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [CATEGORY] if CATEGORY in text else []
    return found if isinstance(found, list) else [found]


def _name(image: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in image)


def _problem(row: dict, path: Path | None) -> tuple[str, str]:
    """Return the reason and the detail when a finding cannot be used."""
    for name, allowed in (("finding_birads", LABELS), ("laterality", SIDES), ("split", SPLITS)):
        if row[name] not in allowed:
            return "bad_field", f"{name} is {row[name]!r}, not one of {', '.join(allowed)}"
    try:
        left, top, right, bottom, _, _ = _box(row)
    except ValueError:
        return "bad_field", "the box is no six numbers"
    if not (left < right and top < bottom):
        return "bad_field", "the box is empty or outside the image"
    if path is None:
        return "missing_file", "no file is named after this image"
    return "", ""


def _box(row: dict) -> tuple[float, ...]:
    """Return left, top, right, bottom, clipped to the image, and the image's height and width.

    A few of the published boxes begin some pixels outside.
    """
    numbers = [float(row[name]) for name in PLACE]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{numbers} are not all finite")
    left, top, right, bottom, height, width = numbers
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height), height, width


def _fields(row: dict, path: Path) -> dict:
    left, top, right, bottom, height, width = _box(row)
    side = MARGIN * max(right - left, bottom - top)
    shape = (int(height), int(width))
    return {
        "patient_id": row["study_id"],
        "laterality": SIDES[row["laterality"]],
        "view": row["view_position"] if row["view_position"] in ("CC", "MLO") else "",
        "abnormality_type": "calcification",
        "label": LABELS[row["finding_birads"]],
        "pathology": row["finding_birads"],
        "breast_density": DENSITIES.get(row["breast_density"]),
        "assessment": float(row["finding_birads"][-1]),
        "official_split": SPLITS[row["split"]],
        "in_any_test": "yes" if SPLITS[row["split"]] == "test" else "no",
        "mammogram": path.as_posix(),
        **square_around((top + bottom) / 2, (left + right) / 2, side, shape),
    }
