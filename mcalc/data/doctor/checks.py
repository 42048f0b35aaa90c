"""The checks of a data set: each a sentence, what it found, and whether a person must look."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from mcalc.data.datasets.cbis_ddsm.tables import (
    PUBLISHED_ROWS,
    crossing_patients,
    read_tables,
)
from mcalc.data.dicom_header import Header, read_header
from mcalc.data.doctor.crops import Crop
from mcalc.errors import DataError
from mcalc.records import REJECTION_REASONS

# The networks' input: a smaller crop is enlarged.
INPUT_SIDE = 224

# A crop of film has a few saturated specks; more is glare, a label or a wrong window.
SATURATED_SHARE = 0.01


class Check(NamedTuple):
    """What was looked for, what to do about it, and the findings as (which, detail)."""

    name: str
    needs_person: bool
    meaning: str
    findings: list[tuple[str, str]]


def of_rejected(aside: list[dict]) -> list[Check]:
    """One check for each reason with which ROIs cannot be used."""
    advice = {
        "missing_file": "The table names them, no file is there: download them again.",
        "empty_file": "The file has no bytes: download it again.",
        "unreadable": "The file cannot be read: download it again.",
        "mask_not_crop": "Only the mask is there: download the series again.",
        "wrong_case": "The file belongs to another case: put it back.",
        "too_large": "More pixels than --max-pixels: raise it if these are images, not damage.",
        "ambiguous_crop": "Several images may be the crop: remove those that are not.",
    }
    return [
        Check(
            reason,
            True,
            advice.get(reason, "These rows cannot be used."),
            [(row["roi_id"], row["detail"]) for row in aside if row["reason"] == reason],
        )
        for reason in REJECTION_REASONS
    ]


def of_crops(crops: list[Crop]) -> list[Check]:
    """What the pixels of the crops tell."""

    def those(condition, detail=lambda crop: "") -> list[tuple[str, str]]:
        return [(crop.row["roi_id"], detail(crop)) for crop in crops if condition(crop)]

    alike, suspicious = _duplicates(crops)
    return [
        Check(
            "constant_crop",
            True,
            "All pixels of these crops are equal: nothing is to be seen in them.",
            those(lambda crop: crop.is_constant),
        ),
        Check(
            "same_pixels_other_patient_or_label",
            True,
            "The same pixels under two patients or two labels: one of them is wrong.",
            suspicious,
        ),
        Check(
            "same_pixels",
            False,
            "The same pixels under two names of one patient: they count twice.",
            alike,
        ),
        Check(
            "burnt_in_text",
            False,
            "Something like letters is burnt in: look at these before anything learns from them.",
            those(lambda crop: crop.has_letters),
        ),
        Check(
            "saturated",
            False,
            f"More than {SATURATED_SHARE:.0%} of the pixels are as bright as can be.",
            those(
                lambda crop: crop.saturated > SATURATED_SHARE and not crop.is_constant,
                lambda crop: f"{crop.saturated:.1%}",
            ),
        ),
        Check(
            "small_crop",
            False,
            f"A side is under {INPUT_SIDE} pixels: these crops are enlarged.",
            those(
                lambda crop: min(crop.shape) < INPUT_SIDE,
                lambda crop: "{} x {}".format(*crop.shape),
            ),
        ),
    ]


def of_labels(rows: list[dict]) -> list[Check]:
    """Which patients have ROIs of both labels."""
    labels = defaultdict(set)
    for row in rows:
        labels[row.get("patient_id", "")].add(row.get("label"))
    mixed = sorted(
        patient for patient, found in labels.items() if patient and len(found - {None}) > 1
    )
    meaning = "Both labels in one patient: splits by patient must not expect one label of each."
    return [Check("mixed_labels", False, meaning, [(patient, "") for patient in mixed])]


def of_cbis_ddsm(root: Path, rows: list[dict], *, is_phantom: bool = False) -> list[Check]:
    """What only CBIS-DDSM can be asked: its tables' rows, masks, mammograms and file numbers."""
    table = read_tables(root)
    named = dict(zip(table["case"], table["cropped image file path"], strict=True))
    sizes = [(row["roi_id"], _size_mismatch(row)) for row in rows]
    return [
        Check(
            "size_mismatch",
            True,
            "Mask and mammogram are of different sizes: the mask does not say where the ROI is.",
            [finding for finding in sizes if finding[1]],
        ),
        Check(
            "fewer_rows",
            True,
            "A table has fewer or more rows than TCIA publishes: it may be cut off.",
            [] if is_phantom else _wrong_counts(table),
        ),
        Check(
            "numbered_otherwise",
            False,
            "The table's number for the crop is the mask's on disk; told apart by content here, "
            "but a program that maps numbers swaps them.",
            [(row["roi_id"], "") for row in rows if _is_swapped(row["source"], named)],
        ),
        Check(
            "crossing_patients",
            False,
            "In the training part for one kind of finding and in the test part for the other: "
            "never train on masses and test on calcifications with these.",
            list(crossing_patients(table).items()),
        ),
        *_absent(rows),
    ]


def _duplicates(crops: list[Crop]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return copies within a patient and label, and those across."""
    first_of, alike, suspicious = {}, [], []
    for crop in crops:
        first = first_of.setdefault(crop.sha256, crop)
        if first is crop or crop.is_constant:
            continue
        same = all(first.row[name] == crop.row[name] for name in ("patient_id", "label"))
        finding = (crop.row["roi_id"], f"as {first.row['roi_id']}")
        (alike if same else suspicious).append(finding)
    return alike, suspicious


def _size_mismatch(row: dict) -> str:
    mask, mammogram = _header(row["mask"]), _header(row["mammogram"])
    if mask is None or mammogram is None:
        return ""
    sizes = [f"{header.rows} x {header.columns}" for header in (mask, mammogram)]
    return "" if sizes[0] == sizes[1] else f"mask {sizes[0]}, mammogram {sizes[1]}"


def _header(path: str) -> Header | None:
    try:
        return read_header(path) if path.lower().endswith((".dcm", ".dicom")) else None
    except DataError:
        return None  # no ROI hangs on this file


def _wrong_counts(table) -> list[tuple[str, str]]:
    found = table.groupby(["table", "abnormality type", "official split"]).size()
    return [
        (name, f"{count} rows, published are {PUBLISHED_ROWS[kind, split]}")
        for (name, kind, split), count in found.items()
        if count != PUBLISHED_ROWS.get((kind, split), count)
    ]


def _is_swapped(source: str, named: dict[str, str]) -> bool:
    """Tell whether the crop's number on disk is not the one that the table counts it by."""
    path = Path(source)
    case = next((part for part in path.parts if part in named), None)
    number = path.stem.removeprefix("1-")
    if case is None or not number.isdigit() or len(number) not in (1, 6):
        return False
    on_disk = int(number) - (1 if path.stem.startswith("1-") else 0)
    return on_disk != int(Path(named[case]).stem)


def _absent(rows: list[dict]) -> list[Check]:
    return [
        Check(
            f"no_{name}",
            False,
            f"No {name} was found; none of the study's steps needs it.",
            [(row["roi_id"], "") for row in rows if not row[name]],
        )
        for name in ("mask", "mammogram")
    ]
