"""The phantom as files: tables and DICOM images, laid out as TCIA's downloader leaves CBIS-DDSM."""

import csv
import io
import shutil
from pathlib import Path

import cv2
import numpy as np

from mcalc.data.datasets.phantom.crops import draw_crop
from mcalc.data.datasets.phantom.mammogram import COLUMNS, ROWS, draw_mammogram
from mcalc.data.datasets.phantom.patients import Finding, Patient, draw_patient
from mcalc.data.datasets.phantom.quirks import add_quirks
from mcalc.data.dicom import uid_from, write_dicom
from mcalc.files import whole_file, write_text
from mcalc.progress import Progress, silent

TABLE_COLUMNS = (
    *("patient_id", "breast density", "left or right breast", "image view", "abnormality id"),
    *("abnormality type", "calc type", "calc distribution", "assessment", "pathology", "subtlety"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)

# Lists what a phantom consists of, so that the next one written here can replace it.
MARKER = "made_by_mcalc_phantom.txt"
STUDY_DATE = "07-20-2016"


def write_phantom(
    root: Path,
    *,
    patients: int,
    seed: int,
    quirks: list[str] | None = None,
    looks: str = "published",
    progress: Progress = silent,
) -> None:
    """Write a made-up data set under `root`; the same arguments give the same bytes.

    Each patient has one breast in both views, with one lesion or two: 16-bit crops at 45
    micrometres a pixel, 8-bit masks, and one whole mammogram, which with the masks is drawn four
    times smaller than a film (0.18 mm a pixel) to keep the files small. The true breast masks are
    `root/truth/{case}.png`. The tables are written last.

    Parameters
    ----------
    root : Path
    patients : int
        A patient's images depend on its number and the seed, not on how many there are.
    seed : int
    quirks : list of str, optional
        What is odd or broken about it, names from `quirks.QUIRKS`.
    looks : {'published', 'typical', 'random'}
        How lesions of the two classes look. As in the published tables they overlap: who knew each
        lesion's true morphology and distribution, and nothing else, would reach an AUC of 0.86.
        Two controls are `typical` ones, which look as their class alone does, and `random` ones,
        which say nothing about their class.
    progress : callable, optional
        Wraps the patients, to show a progress bar.
    """
    root = Path(root)
    _remove_older(root)
    before = set(root.iterdir()) if root.exists() else set()
    rows = {"Training": [], "Test": []}
    for number in progress(range(patients), patients):
        rng = np.random.default_rng([seed, number])
        patient = draw_patient(rng, number, looks=looks)
        rows[patient.part] += write_patient(rng, patient, root)
    for part, name in (("Training", "train"), ("Test", "test")):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, TABLE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[part])
        write_text(root / f"calc_case_description_{name}_set.csv", text.getvalue())
    add_quirks(root, quirks or [])
    written = sorted(path.name for path in set(root.iterdir()) - before)
    write_text(root / MARKER, "".join(f"{name}\n" for name in written))


def _remove_older(root: Path) -> None:
    """Remove a phantom that was written here before, and nothing else."""
    if (root / MARKER).exists():
        for name in (root / MARKER).read_text().split():
            if (root / name).is_dir():
                shutil.rmtree(root / name)
            else:
                (root / name).unlink(missing_ok=True)


def write_patient(rng: np.random.Generator, patient: Patient, root: Path) -> list[dict]:
    """Write a patient's images and return its rows of the table."""
    rows = []
    drawn_view = str(rng.choice(["CC", "MLO"]))
    for view in ("CC", "MLO"):
        view_case = f"Calc-{patient.part}_{patient.patient_id}_{patient.laterality}_{view}"
        breast = None
        if view == drawn_view:
            breast = _write_mammogram(rng, patient, view, view_case, root)
        for finding in patient.findings:
            case = f"{view_case}_{finding.abnormality_id}"
            crop = draw_crop(rng, patient, finding, view)
            _write_roi(rng, case, crop, breast, root)
            rows.append(_table_row(patient, finding, view, view_case, case))
    return rows


def _write_mammogram(
    rng: np.random.Generator, patient: Patient, view: str, case: str, root: Path
) -> np.ndarray:
    image, breast = draw_mammogram(
        rng, view=view, laterality=patient.laterality, density=(patient.density - 1) / 3
    )
    _write_image(root, case, "full mammogram images", 1, image, compress=True)
    with whole_file(root / "truth" / f"{case}.png") as temporary:
        temporary.write_bytes(cv2.imencode(".png", breast.astype(np.uint8) * 255)[1])
    return breast


def _write_roi(
    rng: np.random.Generator, case: str, crop: np.ndarray, breast: np.ndarray | None, root: Path
) -> None:
    mask = np.zeros((ROWS, COLUMNS) if breast is None else breast.shape, np.uint8)
    sides = np.maximum(np.array(crop.shape) // 4, 4)
    row, column = _place(rng, mask.shape, sides, breast)
    mask[row : row + sides[0], column : column + sides[1]] = 255
    _write_image(root, case, "ROI mask images", 1, crop, compress=False)
    _write_image(root, case, "ROI mask images", 2, mask, compress=True)


def _place(
    rng: np.random.Generator, shape: tuple, sides: np.ndarray, breast: np.ndarray | None
) -> tuple[int, int]:
    """Return the corner of a ROI inside the breast, anywhere where the breast is not drawn."""
    room = np.array(shape) - sides
    if breast is not None:
        kernel = np.ones(tuple(2 * sides), np.uint8)
        inside = np.argwhere(cv2.erode(breast.astype(np.uint8), kernel) > 0)
        if len(inside):
            corner = inside[rng.integers(len(inside))] - sides // 2
            return tuple(int(value) for value in np.clip(corner, 0, room))
    return tuple(int(rng.integers(0, limit)) for limit in room)


def _uids(case: str) -> tuple[str, str]:
    return uid_from(f"{case}/study"), uid_from(f"{case}/series")


def _write_image(
    root: Path, case: str, series: str, number: int, pixels: np.ndarray, *, compress: bool
) -> None:
    study_uid, series_uid = _uids(case)
    study = f"{STUDY_DATE}-DDSM-NA-{study_uid[-5:]}"
    folder = root / "CBIS-DDSM" / case / study / f"1.000000-{series}-{series_uid[-5:]}"
    write_dicom(
        folder / f"1-{number}.dcm",
        pixels,
        patient_id=case,
        study_uid=study_uid,
        series_uid=series_uid,
        series_description=series,
        instance_number=number,
        compress=compress,
    )


def _table_row(
    patient: Patient, finding: Finding, view: str, view_case: str, case: str
) -> dict[str, str | int]:
    folder = "/".join((case, *_uids(case)))
    values = (
        *(patient.patient_id, patient.density, patient.laterality, view, finding.abnormality_id),
        *("calcification", finding.lesion.morphology, finding.lesion.distribution),
        *(finding.assessment, finding.pathology, finding.subtlety),
        "/".join((view_case, *_uids(view_case), "000000.dcm")),
        f"{folder}/000001.dcm\n",  # the published tables have this line break, too
        f"{folder}/000000.dcm",
    )
    return dict(zip(TABLE_COLUMNS, values, strict=True))
