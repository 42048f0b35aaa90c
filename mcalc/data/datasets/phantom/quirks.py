"""What is odd or broken about real downloads, done to a phantom so that the repairs can be seen."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mcalc.data.datasets.cbis_ddsm.tables import read_tables
from mcalc.data.dicom import read_dicom, write_dicom

Row = dict[str, str]


def add_quirks(root: Path, quirks: list[str]) -> dict[str, str]:
    """Change a phantom that was just written; each quirk that breaks a case takes another case.

    Parameters
    ----------
    root : Path
        As `write_phantom` leaves it.
    quirks : list of str
        Names from `QUIRKS`; layouts are changed last, whatever the order.

    Returns
    -------
    dict
        For each quirk that breaks a case, the case.
    """
    rows = read_tables(root).to_dict("records")
    broken = {}
    for quirk in sorted(quirks, key=list(QUIRKS).index):
        if quirk in BREAKING:
            row = rows[3 * list(BREAKING).index(quirk) % len(rows)]
            broken[quirk] = row["case"]
            BREAKING[quirk](_crop(root, row), _mask(root, row), rows)
        elif quirk in LAYOUTS:
            for row in rows:
                LAYOUTS[quirk](root, row)
        else:
            _rewrite_tables(root)
    return broken


def _crop(root: Path, row: Row) -> Path:
    return next((root / "CBIS-DDSM" / row["case"]).glob("*/*/1-1.dcm"))


def _mask(root: Path, row: Row) -> Path:
    return _crop(root, row).with_name("1-2.dcm")


# --- one case is broken -------------------------------------------------------------------------


def _overwrite(crop: Path, pixels: np.ndarray, case: str) -> None:
    uids = {"study_uid": "1.2", "series_uid": "1.3"}
    write_dicom(crop, pixels, patient_id=case, series_description="ROI mask images", **uids)


def _remove_crop(crop: Path, mask: Path, rows: list[Row]) -> None:
    crop.unlink()


def _remove_both(crop: Path, mask: Path, rows: list[Row]) -> None:
    crop.unlink()
    mask.unlink()


def _empty(crop: Path, mask: Path, rows: list[Row]) -> None:
    crop.write_bytes(b"")


def _cut(crop: Path, mask: Path, rows: list[Row]) -> None:
    content = crop.read_bytes()
    crop.write_bytes(content[: len(content) // 2])


def _save_web_page(crop: Path, mask: Path, rows: list[Row]) -> None:
    crop.write_text("<html><body>404: no such series</body></html>\n")


def _make_constant(crop: Path, mask: Path, rows: list[Row]) -> None:
    _overwrite(crop, np.full_like(read_dicom(crop), 40000), crop.parts[-4])


def _take_other_case(crop: Path, mask: Path, rows: list[Row]) -> None:
    case, root = crop.parts[-4], crop.parents[4]
    other = next(row for row in reversed(rows) if row["case"] != case)
    shutil.copyfile(_crop(root, other), crop)


def _add_second_image(crop: Path, mask: Path, rows: list[Row]) -> None:
    _overwrite(crop.with_name("1-3.dcm"), np.flipud(read_dicom(crop)), crop.parts[-4])


# In the order in which cases are taken; the name of each is also the reason's story.
BREAKING: dict[str, Callable[[Path, Path, list[Row]], None]] = {
    "missing_crop": _remove_crop,
    "missing_case": _remove_both,
    "empty_file": _empty,
    "cut_file": _cut,
    "web_page": _save_web_page,
    "constant_crop": _make_constant,
    "wrong_case": _take_other_case,
    "second_image": _add_second_image,
}


# --- all cases lie otherwise --------------------------------------------------------------------


def _swap_numbers(root: Path, row: Row) -> None:
    folder = next((root / "CBIS-DDSM" / row["case"]).glob("*/*"))
    for old, new in (("1-1", "aside"), ("1-2", "1-1"), ("aside", "1-2")):
        if (folder / f"{old}.dcm").exists():
            (folder / f"{old}.dcm").rename(folder / f"{new}.dcm")


def _set_apart(root: Path, row: Row) -> None:
    folder = next((root / "CBIS-DDSM" / row["case"]).glob("*/*"))
    apart = folder.parents[1] / f"{folder.parent.name[:-5]}99999/1.000000-cropped images-99999"
    apart.mkdir(parents=True)
    if (folder / "1-1.dcm").exists():
        (folder / "1-1.dcm").rename(apart / "1-1.dcm")


def _drop_na(root: Path, row: Row) -> None:
    for study in list((root / "CBIS-DDSM" / row["case"]).glob("*-DDSM-NA-*")):
        study.rename(study.with_name(study.name.replace("-DDSM-NA-", "-DDSM-")))


def _to_classic_tree(root: Path, row: Row) -> None:
    _move_files(root, row, root / row["cropped image file path"].rpartition("/")[0])


def _to_flat_tree(root: Path, row: Row) -> None:
    _move_files(root, row, root / row["crop series"])


def _move_files(root: Path, row: Row, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((root / "CBIS-DDSM" / row["case"]).rglob("*.dcm")):
        number = len(list(folder.iterdir()))
        path.rename(folder / f"{number:06}.dcm")
    shutil.rmtree(root / "CBIS-DDSM" / row["case"])


LAYOUTS: dict[str, Callable[[Path, Row], None]] = {
    "swapped_numbers": _swap_numbers,
    "series_apart": _set_apart,
    "without_na": _drop_na,
    "classic_tree": _to_classic_tree,
    "flat_tree": _to_flat_tree,
}


# --- tables -------------------------------------------------------------------------------------


def _rewrite_tables(root: Path) -> None:
    """As a spreadsheet on Windows leaves them: CRLF, a byte-order mark, `NA` for `N/A`."""
    for path in root.glob("calc_case_description_*.csv"):
        text = path.read_text(encoding="utf-8").replace("N/A", "NA")
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())


QUIRKS = (*BREAKING, *LAYOUTS, "windows_tables")
