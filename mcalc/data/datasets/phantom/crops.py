"""The crop around a lesion: tissue with specks, at the films' resolution."""

import numpy as np

from mcalc.data.datasets.phantom.lesions import draw_specks
from mcalc.data.datasets.phantom.patients import Finding, Patient
from mcalc.data.datasets.phantom.tissue import clustered_lumps, power_law_noise

CROP_SIDES = (150, 420)
SKIN_EVERY = 8


def draw_crop(
    rng: np.random.Generator, patient: Patient, finding: Finding, view: str
) -> np.ndarray:
    """Draw a ROI crop: tissue and specks, uint16, brightest pixel 65535, as the real ones."""
    tissue, specks = draw_clean_crop(rng, patient, finding, view)
    image = tissue + specks
    image = image + rng.normal(0, 0.08, tissue.shape)
    low = rng.uniform(5000, 50000)
    image = low + (image - image.min()) / np.ptp(image) * (65535 - low)
    if (patient.number + finding.abnormality_id) % SKIN_EVERY == 0:
        image = _with_air(rng, image)
        image *= 65535 / image.max()  # the brightest pixel may have lain at the skin
    return np.rint(np.clip(image, 0, 65535)).astype(np.uint16)


def draw_clean_crop(
    rng: np.random.Generator, patient: Patient, finding: Finding, view: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a ROI crop apart: tissue, and what the specks add to it, without any noise.

    Parameters
    ----------
    rng : numpy.random.Generator
    patient : Patient
        For the texture of its tissue.
    finding : Finding
        Its subtlety sets how much the specks add.
    view : {'CC', 'MLO'}

    Returns
    -------
    tissue, specks : ndarray, shape (rows, columns), float
        Density in units of the tissue's standard deviation at 45 micrometres a pixel; their sum is
        the clean crop. Specks are 0 or more.
    """
    shape = tuple(rng.integers(CROP_SIDES[0], CROP_SIDES[1], 2))
    shape = (int(shape[0]), int(np.clip(shape[1], 0.7 * shape[0], 1.4 * shape[0])))
    tissue = patient.texture * power_law_noise(rng, shape)
    tissue += (1 - patient.texture) * clustered_lumps(rng, shape)
    # Visible lesions stand out by several, subtle ones by little more than the tissue's variation.
    strength = 0.6 + 0.5 * finding.subtlety
    return tissue, strength * draw_specks(rng, finding.lesion, shape, view)


def _with_air(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Let the skin run through the crop: beyond it the film is dark and flat."""
    rows, columns = image.shape
    row, column = np.ogrid[:rows, :columns]
    skin = columns * rng.uniform(0.65, 0.8) - (row - rows / 2) ** 2 / rows * rng.uniform(0.2, 0.5)
    fade = np.clip((skin - column) / (0.15 * columns), 0, 1) ** 0.5
    level = 300 + np.abs(rng.normal(0, 60, image.shape))
    rim = 0.25 + 0.75 * fade
    return np.where(column < skin, image * rim, level)
