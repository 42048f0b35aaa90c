"""The phantom's lesions as tomosynthesis shows them: stacks in which each speck has its own depth.

Laid out as a data set of the kind `tomosynthesis`: `benign/` and `malignant/` with one multi-frame
DICOM file a finding, and `patients.csv`.
"""

import dataclasses
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy import fft

from mcalc.data.datasets.phantom.lesions import Lesion, draw_specks
from mcalc.data.datasets.phantom.patients import Finding, Patient, draw_patient
from mcalc.data.datasets.phantom.tissue import PIXEL_MM, clustered_lumps, power_law_noise
from mcalc.data.datasets.phantom.tree import MARKER
from mcalc.data.dicom import uid_from
from mcalc.data.dicom_writing import write_slices
from mcalc.errors import UsageError
from mcalc.files import whole_file, write_text
from mcalc.progress import Progress, silent
from mcalc.records import BENIGN, MALIGNANT

# Slices have pixels of 0.09 mm, as scanners reconstruct them, and lie a millimetre apart.
REDUCTION, SLICE_MM = 2, 1.0
SIDES, SLICES = (120, 200), (12, 24)
# The tube sweeps over so many degrees to either side: 7.5 to 25, as scanners differ.
SWEEP_DEGREES = 12.0
# In units of the tissue's standard deviation.
NOISE = 0.08


def write_stacks(
    root: str | os.PathLike,
    *,
    patients: int,
    seed: int,
    slices: tuple[int, int] = SLICES,
    looks: str = "published",
    progress: Progress = silent,
) -> int:
    """Write a made-up data set of stacks under `root`; the same arguments give the same bytes.

    The patients are drawn as those of `write_phantom` are, with the same biopsies that surprise.
    The table of patients is written last.

    Parameters
    ----------
    root : path
    patients : int
        A patient's stacks depend on its number and the seed, not on how many there are.
    seed : int
    slices : (low, high)
        How many slices a stack has at least and at most; 2 or more.
    looks : {'published', 'typical', 'random'}
        How lesions of the two classes look, as in `write_phantom`.
    progress : callable, optional
        Wraps the patients, to show a progress bar.

    Returns
    -------
    int
        The number of stacks, one a finding.

    Raises
    ------
    UsageError
        If `slices` are not two such numbers, the lower first.
    """
    if not 2 <= slices[0] <= slices[1]:
        raise UsageError(
            f"Slices {slices[0]} to {slices[1]}: give two numbers from 2 on, the lower first, as "
            f"in {SLICES[0]} {SLICES[1]}."
        )
    root = Path(root)
    _remove_older(root)
    rows = []
    for number in progress(range(patients), patients):
        rng = np.random.default_rng([seed, number])
        patient = draw_patient(rng, number, looks=looks)
        for finding in patient.findings:
            stack, _ = draw_stack(rng, patient, finding, slices=slices)
            file = _write(root, patient, finding, stack)
            rows.append({"file": file, "patient_id": patient.patient_id})
    write_text(root / MARKER, "".join(f"{row['file']}\n" for row in rows) + "patients.csv\n")
    with whole_file(root / "patients.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
    return len(rows)


def draw_stack(
    rng: np.random.Generator,
    patient: Patient,
    finding: Finding,
    *,
    slices: tuple[int, int] = SLICES,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a lesion in slices parallel to the detector (view CC).

    In the slice at its own depth a speck is as `draw_specks` draws it; elsewhere it is smeared
    along the sweep of the tube, the further away the wider (`_smear`). Tissue turns from one
    texture into another over the stack; noise is drawn anew in each slice.

    Parameters
    ----------
    rng : numpy.random.Generator
    patient : Patient
        For the texture of its tissue.
    finding : Finding
        Its subtlety sets how much the specks add, as in `draw_clean_crop`.
    slices : (low, high)
        How many slices at least and at most.

    Returns
    -------
    stack : ndarray, shape (slices, rows, columns), uint16
        The brightest pixel of all is 65535.
    depths : ndarray of int, shape (specks,)
        The number of the slice in which each speck is in focus; some may lie outside the stack.
    """
    count = int(rng.integers(slices[0], slices[1] + 1))
    shape = tuple(int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    middle = rng.uniform(0.35, 0.65) * (count - 1)
    depths = np.rint(middle + finding.lesion.positions_mm[:, 2] / SLICE_MM).astype(int)
    strength = 0.6 + 0.5 * finding.subtlety
    stack = _tissue(rng, patient, (count, *shape))
    stack += strength * _smear(_layers(rng, finding.lesion, depths, shape), count)
    stack += rng.normal(0, NOISE, stack.shape)
    low = rng.uniform(5000, 50000)
    stack = low + (stack - stack.min()) / np.ptp(stack) * (65535 - low)
    return np.rint(stack).astype(np.uint16), depths


def _layers(
    rng: np.random.Generator, lesion: Lesion, depths: np.ndarray, shape: tuple[int, int]
) -> dict[int, np.ndarray]:
    """Draw for each depth the specks that lie there, sharp: brightness from 0 to 1."""
    seed = int(rng.integers(1 << 32))  # the same lesion's centre in each layer
    large = (shape[0] * REDUCTION, shape[1] * REDUCTION)
    layers = {}
    for depth in np.unique(depths):
        there = depths == depth
        part = dataclasses.replace(
            lesion,
            positions_mm=lesion.positions_mm[there],
            diameters_mm=lesion.diameters_mm[there],
            brightness=lesion.brightness[there],
            turns=lesion.turns[there],
        )
        specks = draw_specks(np.random.default_rng(seed), part, large, "CC")
        layers[int(depth)] = cv2.resize(specks, shape[::-1], interpolation=cv2.INTER_AREA)
    return layers


def _smear(layers: dict[int, np.ndarray], count: int) -> np.ndarray:
    """Return `count` slices to which every layer adds, smeared by its distance.

    What lies d beside a slice is seen there from all angles of the sweep at once: along the columns
    a box of width 2 d tan(angle), whose spectrum is a sinc.
    """
    rows, columns = next(iter(layers.values())).shape
    pixels = 2 * np.tan(np.deg2rad(SWEEP_DEGREES)) * SLICE_MM / (PIXEL_MM * REDUCTION)
    # Room beside the image, so that nothing that leaves it comes back on the other side.
    reach = max(max(abs(depth), abs(depth - count + 1)) for depth in layers)
    periodic = fft.next_fast_len(columns + int(np.ceil(pixels * reach)), real=True)
    frequency = fft.rfftfreq(periodic)
    spectra = {depth: fft.rfft(layer, periodic, axis=1) for depth, layer in layers.items()}
    slices = np.empty((count, rows, columns))
    for number in range(count):
        spectrum = sum(
            spectrum * np.sinc(frequency * pixels * abs(number - depth))
            for depth, spectrum in spectra.items()
        )
        slices[number] = fft.irfft(spectrum, periodic, axis=1)[:, :columns]
    return slices


def _tissue(rng: np.random.Generator, patient: Patient, shape: tuple[int, int, int]) -> np.ndarray:
    """Draw tissue of standard deviation 1 or less that turns from one texture into another."""
    pixel_mm = PIXEL_MM * REDUCTION
    first, last = (
        patient.texture * power_law_noise(rng, shape[1:])
        + (1 - patient.texture) * clustered_lumps(rng, shape[1:], pixel_mm=pixel_mm)
        for _ in range(2)
    )
    angles = np.linspace(0, np.pi / 2, shape[0])[:, None, None]
    return np.cos(angles) * first + np.sin(angles) * last


def _write(root: Path, patient: Patient, finding: Finding, stack: np.ndarray) -> str:
    """Write one stack; return its name below `root`."""
    label = MALIGNANT if finding.pathology == "MALIGNANT" else BENIGN
    case = f"{patient.patient_id}_{patient.laterality}_{finding.abnormality_id}"
    write_slices(
        root / label / f"{case}.dcm",
        stack,
        patient_id=patient.patient_id,
        study_uid=uid_from(f"{case}/tomosynthesis study"),
        series_uid=uid_from(f"{case}/tomosynthesis series"),
        pixel_mm=PIXEL_MM * REDUCTION,
        slice_mm=SLICE_MM,
    )
    return f"{label}/{case}.dcm"


def _remove_older(root: Path) -> None:
    """Remove the stacks that were written here before, and nothing else."""
    if (root / MARKER).is_file():
        for name in (root / MARKER).read_text(encoding="utf-8").split():
            if (root / name).is_file():
                (root / name).unlink()
