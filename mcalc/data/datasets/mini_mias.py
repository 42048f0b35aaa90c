"""mini-MIAS: 322 film mammograms at 200 micrometres a pixel, with a table in prose.

Suckling et al. 1994, "The Mammographic Image Analysis Society digital mammogram database". The
films are `mdb001.pgm` (1024 x 1024, 8-bit), all MLO views; `Info.txt` explains itself in prose and
has a line for each finding: film, background tissue, kind, severity, and the centre and radius of a
circle around it, with y counted from the bottom edge; `*NOTE 3*` stands where calcifications are
spread over the breast. Films come in pairs of one patient, says the prose, odd numbers the right
breast and even numbers the left; the names of the larger database's films (`mdb001lm`) say the
opposite, but findings at the chest wall (mdb110, mdb126, mdb130) lie at the left of even films, as
in a left breast hung in the usual way.
"""

import re
from pathlib import Path

from mcalc.data.pixels import read_pixels
from mcalc.data.rois import square_around
from mcalc.data.tree import list_files
from mcalc.errors import DataError
from mcalc.progress import Progress, silent

LABELS = {"B": "benign", "M": "malignant"}

# A finding is shown with so much around it, as a multiple of its circle's diameter.
MARGIN = 1.25
# At 200 micrometres a pixel, 64 pixels are 13 mm: about a small crop of CBIS-DDSM.
SMALLEST_SIDE = 64

# All films have this shape; in one that was resized, the table's places are wrong.
SHAPE = (1024, 1024)
# The film beside the breast is black but for noise: a centre with a mean up to this level in the
# pixels around it, so many to each side, lies on it.
BLACK, AROUND = 10, 4

FINDING = re.compile(r"^(mdb\d{3})\s+([FGD])\s+([A-Z]+)(?:\s+([BM]))?(?:\s+(.*\S))?\s*$")
PLACE = re.compile(r"(\d+)\s+(\d+)\s+(\d+)")


def list_rois(root: Path, *, progress: Progress = silent) -> tuple[list[dict], list[dict]]:
    """List the calcifications of mini-MIAS, each as a square of a film.

    Parameters
    ----------
    root : Path
        Holds `Info.txt` and, at any depth, the films.
    progress : callable, optional
        Wraps the findings while their films are looked at, to show a progress bar.

    Returns
    -------
    found, rejected : list of dict
        As `cbis_ddsm.list_rois` returns them. Findings without a place, or whose centre lies
        outside the film or on its black background, are rejected as `bad_field`.

    Raises
    ------
    DataError
        If there is no table, or none of its lines is a finding.
    """
    films = {path.stem.lower(): path for path in list_files(root, (".pgm",))}
    found, rejected, count = [], [], {}
    findings = _read_findings(root)
    for film, kind, severity, place in progress(findings, len(findings)):
        if kind != "CALC":
            continue
        count[film] = count.get(film, 0) + 1
        row = {"roi_id": f"{film}_{count[film]}", "source": ""}
        if film in films:
            row["source"] = films[film].as_posix()
        try:
            found.append(row | _roi(films.get(film), film, severity, place))
            found[-1]["abnormality_id"] = count[film]
        except DataError as error:
            rejected.append(row | {"reason": error.reason, "detail": str(error)})
    return found, rejected


def _read_findings(root: Path) -> list[tuple[str, str, str, str]]:
    """Return film, kind, severity and the text of the place of each line that is a finding."""
    table = next((path for path in list_files(root, ("info.txt",))), None)
    if table is None:
        raise DataError(f"{root}: there is no Info.txt; put mini-MIAS's table beside the films.")
    matches = map(FINDING.match, table.read_text(encoding="latin-1").splitlines())
    findings = [(m[1], m[3], m[4] or "", m[5] or "") for m in matches if m]
    if not findings:
        raise DataError(f"{table}: no line is a finding; use the table as mini-MIAS has it.")
    return findings


def _roi(path: Path | None, film: str, severity: str, place: str) -> dict:
    numbers = PLACE.fullmatch(place)
    if severity not in LABELS:
        raise DataError(f"{film}: the severity is {severity!r}, not B or M.", "bad_field")
    if not numbers:
        raise DataError(f"{film}: the table gives no place ({place or 'nothing'}).", "bad_field")
    if path is None:
        raise DataError(f"{film}: there is no file {film}.pgm.", "missing_file")
    x, y, radius = map(int, numbers.groups())
    where = _square(path, SHAPE[0] - 1 - y, x, 2 * MARGIN * radius)
    number = int(film[3:])
    return {
        "patient_id": f"mdb{number + number % 2 - 1:03}",
        "laterality": "RIGHT" if number % 2 else "LEFT",
        "view": "MLO",
        "abnormality_type": "calcification",
        "label": LABELS[severity],
        "pathology": severity,
        "mammogram": path.as_posix(),
        **where,
    }


def _square(path: Path, row: int, column: int, side: float) -> dict[str, int]:
    """Return the ROI's place, once its centre is found to lie in the breast."""
    pixels, centre = read_pixels(path), f"the centre at row {row}, column {column}"
    if pixels.shape != SHAPE:
        size = " x ".join(map(str, pixels.shape))
        raise DataError(f"{path}: {size} pixels; the places hold for 1024 x 1024.", "bad_field")
    if not (0 <= row < SHAPE[0] and 0 <= column < SHAPE[1]):
        raise DataError(f"{path}: {centre} lies outside the film.", "bad_field")
    rows, columns = (slice(max(i - AROUND, 0), i + AROUND + 1) for i in (row, column))
    if pixels[rows, columns].mean() <= BLACK:
        raise DataError(f"{path}: {centre} lies on black background.", "bad_field")
    return square_around(row, column, side, SHAPE, smallest=SMALLEST_SIDE)
