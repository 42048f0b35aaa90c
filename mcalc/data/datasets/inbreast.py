"""INbreast: 410 digital mammograms of 115 women, every calcification outlined by specialists.

Moreira et al. 2012, doi 10.1016/j.acra.2011.09.014. The release holds
`AllDICOMs/20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm` (image, patient, side, view; ML stands for
MLO), `AllXML/20586908.xml` and `INbreast.xls`, found in mirrors as `INbreast.csv` with semicolons.
Its patients are `removed` and its last two rows no images. An XML file is OsiriX's property list:
each ROI has a `Name` and, in `Point_px`, points "(x, y)" from the top left. All this is as public
loaders have it; in them `Unnamed`, `Point 1` and `Point 3` are calcifications, too.

A ROI (a rule of ours, the release has none) is each `Cluster`, and each group of five or more
calcifications outside clusters that steps of at most 10 mm join, as BI-RADS has five within 1 cm.
There is no pathology: the label is the image's BI-RADS category, 1 to 3 benign, 4a to 6 malignant.
"""

import plistlib
from pathlib import Path
from xml.parsers.expat import ExpatError

import numpy as np
from scipy.cluster.hierarchy import fclusterdata

from mcalc.data.dicom_header import read_header
from mcalc.data.pixels import DICOM_SUFFIXES
from mcalc.data.rois import square_around
from mcalc.data.tables import find_table, read_table
from mcalc.data.tree import list_files
from mcalc.errors import DataError
from mcalc.progress import Progress, silent

TABLES = ("inbreast.xls", "inbreast.xlsx", "inbreast.csv")
SIDES, VIEWS = {"L": "LEFT", "R": "RIGHT"}, {"CC": "CC", "ML": "MLO", "MLO": "MLO"}
LABELS = dict.fromkeys("123", "benign") | dict.fromkeys(("4a", "4b", "4c", *"456"), "malignant")
CALCIFICATIONS = ("calcification", "calcifications", "unnamed", "point 1", "point 3")
STEP, FEWEST = 143, 5  # 143 pixels of 70 micrometres are 10 mm
MARGIN = 1.25  # of the longer side, around a finding


def list_rois(root: Path, *, progress: Progress = silent) -> tuple[list[dict], list[dict]]:
    """List the clusters and groups of calcifications of INbreast, each a square of its mammogram.

    Parameters
    ----------
    root : Path
        Holds the table and, at any depth, the DICOM files and the XML files.
    progress : callable, optional
        Wraps the images while they are read, to show a progress bar.

    Returns
    -------
    found, rejected : list of dict
        As `cbis_ddsm.list_rois` returns them. An image with calcifications but neither a cluster
        nor a group is rejected once, as `no_group`; one without calcifications is in neither.

    Raises
    ------
    DataError
        If there is no table, or a column is missing.
    """
    table = read_table(find_table(root, TABLES), ("File Name", "Bi-Rads"))
    images = {path.stem.split("_")[0]: path for path in list_files(root, DICOM_SUFFIXES)}
    outlines = {path.stem: path for path in list_files(root, (".xml",))}
    table["File Name"] = table["File Name"].str.removesuffix(".0")
    rows = table[table["File Name"].str.isdecimal()].to_dict("records")
    found, rejected = [], []
    for row in progress(rows, len(rows)):
        image, path = row["File Name"], images.get(row["File Name"])
        try:
            findings = _read_findings(outlines[image]) if image in outlines else ([], [])
            found += _rois(row, path, *findings) if any(map(len, findings)) else []
        except DataError as error:
            aside = {"roi_id": image, "source": path.as_posix() if path else ""}
            rejected.append(aside | {"reason": error.reason, "detail": str(error)})
    return found, rejected


def _read_findings(path: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the points (x, y) of each cluster and of each calcification."""
    try:
        with open(path, "rb") as file:
            rois = [roi for image in plistlib.load(file)["Images"] for roi in image["ROIs"]]
        named = [(str(roi.get("Name")).strip().lower(), _points(roi)) for roi in rois]
    except (OSError, ExpatError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a readable list of ROIs ({error}).") from error
    clusters = [points for name, points in named if name == "cluster" and len(points)]
    singles = [points for name, points in named if name in CALCIFICATIONS and len(points)]
    return clusters, singles


def _points(roi: dict) -> np.ndarray:
    points = [text.strip(" ()").split(",")[:2] for text in roi["Point_px"]]
    return np.asarray_chkfinite(points, dtype=float).reshape(-1, 2)


def _rois(row: dict, path: Path | None, clusters: list, singles: list) -> list[dict]:
    known = _fields(row, path)
    groups = clusters + _groups(clusters, [single.mean(axis=0) for single in singles])
    if not groups:
        said = f"{len(singles)} calcifications, no cluster, no {FEWEST} within steps of 10 mm"
        raise DataError(said, "no_group")
    header = read_header(path)
    places = [_place(points, (header.rows, header.columns)) for points in groups]
    return [
        {"roi_id": f"{row['File Name']}_{number}", "abnormality_id": number} | known | place
        for number, place in enumerate(places, start=1)
    ]


def _fields(row: dict, path: Path | None) -> dict:
    """Return what all ROIs of an image have in common."""
    category = row["Bi-Rads"].lower()
    if path is None:
        raise DataError(f"no DICOM file is named {row['File Name']}_...", "missing_file")
    if category not in LABELS:
        raise DataError(f"Bi-Rads is {category!r}, not one of {', '.join(LABELS)}", "bad_field")
    patient, _, side, view = [*path.stem.split("_"), "", "", "", ""][1:5]
    if not patient or side not in SIDES or view not in VIEWS:
        raise DataError(f"{path}: the name holds no patient, L or R, CC or ML", "bad_field")
    return {
        "patient_id": patient,
        "laterality": SIDES[side],
        "view": VIEWS[view],
        "abnormality_type": "calcification",
        "label": LABELS[category],
        "pathology": f"BI-RADS {category}",
        "assessment": float(category[0]),
        "breast_density": float(row["ACR"]) if row.get("ACR", "").isdecimal() else None,
        "source": path.as_posix(),
        "mammogram": path.as_posix(),
    }


def _groups(clusters: list[np.ndarray], centres: list[np.ndarray]) -> list[np.ndarray]:
    """Join the centres outside all clusters by steps of at most `STEP`; keep the large groups."""
    for cluster in clusters:
        low, high = cluster.min(axis=0), cluster.max(axis=0)
        centres = [xy for xy in centres if not ((low <= xy) & (xy <= high)).all()]
    if len(centres) < FEWEST:
        return []
    points = np.array(centres)
    group = fclusterdata(points, t=STEP, criterion="distance", method="single")
    return [points[group == n] for n in np.flatnonzero(np.bincount(group) >= FEWEST)]


def _place(points: np.ndarray, shape: tuple[int, int]) -> dict[str, int]:
    low, high = points.min(axis=0), points.max(axis=0)
    (column, row), side = (low + high) / 2, MARGIN * (high - low).max()
    if not (0 <= row < shape[0] and 0 <= column < shape[1]):
        raise DataError(f"a centre at row {row:.0f}, column {column:.0f} is outside", "bad_field")
    return square_around(row, column, side, shape)
