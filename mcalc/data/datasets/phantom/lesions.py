"""Calcifications after BI-RADS: what a lesion is, and how its specks look on a crop."""

from dataclasses import dataclass

import cv2
import numpy as np

from mcalc.data.datasets.phantom.tissue import PIXEL_MM

# The diameters of specks, in millimetres, that any morphology may have.
SMALLEST_MM, LARGEST_MM = 0.1, 1.0

# Specks are drawn this many times larger and averaged, so that 0.1 mm (two pixels) is round.
SUPERSAMPLING = 4


@dataclass(frozen=True)
class Morphology:
    """A BI-RADS morphology: its `specks` (range of counts), `diameters` in mm and `shape`."""

    specks: tuple[int, int]
    diameters: tuple[float, float]
    shape: str
    brightness: tuple[float, float]


MORPHOLOGIES = {
    "PUNCTATE": Morphology((6, 16), (0.2, 0.5), "disc", (0.6, 0.9)),
    "ROUND_AND_REGULAR": Morphology((4, 10), (0.5, 1.0), "disc", (0.7, 1.0)),
    "LUCENT_CENTER": Morphology((2, 7), (0.7, 1.0), "rim", (0.8, 1.0)),
    "COARSE": Morphology((2, 5), (0.8, 1.0), "lump", (0.9, 1.0)),
    "VASCULAR": Morphology((20, 40), (0.2, 0.4), "disc", (0.6, 0.9)),
    "AMORPHOUS": Morphology((15, 35), (0.1, 0.25), "disc", (0.25, 0.5)),
    "PLEOMORPHIC": Morphology((10, 30), (0.15, 0.5), "splinter", (0.4, 1.0)),
    "FINE_LINEAR_BRANCHING": Morphology((8, 20), (0.4, 1.0), "line", (0.5, 0.9)),
}

# What is drawn for a class: (morphology, distribution, weight). Punctate, amorphous and
# pleomorphic specks occur in both, as they do in the published tables.
APPEARANCES = {
    "BENIGN_WITHOUT_CALLBACK": (
        ("LUCENT_CENTER", "N/A", 4),
        ("VASCULAR", "N/A", 2),
        ("ROUND_AND_REGULAR", "DIFFUSELY_SCATTERED", 2),
        ("COARSE", "", 2),
    ),
    "BENIGN": (
        ("PUNCTATE", "CLUSTERED", 4),
        ("ROUND_AND_REGULAR", "REGIONAL", 2),
        ("PLEOMORPHIC", "CLUSTERED", 2),
        ("AMORPHOUS", "CLUSTERED", 2),
    ),
    "MALIGNANT": (
        ("PLEOMORPHIC", "CLUSTERED", 4),
        ("PLEOMORPHIC", "SEGMENTAL", 2),
        ("FINE_LINEAR_BRANCHING", "LINEAR", 2),
        ("AMORPHOUS", "CLUSTERED", 1),
        ("PUNCTATE", "CLUSTERED", 1),
    ),
}

# What of it looks like the other class, and is left out where classes are to be told apart.
UNTYPICAL = {"BENIGN": ("PLEOMORPHIC", "AMORPHOUS"), "MALIGNANT": ("AMORPHOUS", "PUNCTATE")}


@dataclass(frozen=True)
class Lesion:
    """A lesion as both views show it.

    Attributes
    ----------
    morphology, distribution : str
        The table's `calc type` and `calc distribution`.
    positions_mm : ndarray, shape (specks, 3)
        Offsets from the centre: down, right, and in depth.
    diameters_mm, brightness, turns : ndarray, shape (specks,)
        Brightness is 0 to 1; a turn is the direction of an elongated speck, in radians.
    """

    morphology: str
    distribution: str
    positions_mm: np.ndarray
    diameters_mm: np.ndarray
    brightness: np.ndarray
    turns: np.ndarray


def draw_lesion(rng: np.random.Generator, pathology: str, *, typical: bool = False) -> Lesion:
    """Draw a lesion that looks as `pathology` (BENIGN, BENIGN_WITHOUT_CALLBACK, MALIGNANT) does.

    A `typical` one has no appearance that the other class has, too.
    """
    left_out = UNTYPICAL.get(pathology, ()) if typical else ()
    appearances = [one for one in APPEARANCES[pathology] if one[0] not in left_out]
    weights = np.array([weight for _, _, weight in appearances], dtype=float)
    morphology, distribution, _ = appearances[rng.choice(len(weights), p=weights / weights.sum())]
    nature = MORPHOLOGIES[morphology]
    count = int(rng.integers(nature.specks[0], nature.specks[1] + 1))
    positions = _positions(rng, count, "VASCULAR" if morphology == "VASCULAR" else distribution)
    # Specks of a linear lesion lie along the duct; all others point anywhere.
    turns = rng.normal(0, 0.3, count) if distribution == "LINEAR" else rng.uniform(0, np.pi, count)
    return Lesion(
        morphology,
        distribution,
        positions,
        rng.uniform(*nature.diameters, count),
        rng.uniform(*nature.brightness, count),
        turns,
    )


def draw_specks(
    rng: np.random.Generator, lesion: Lesion, shape: tuple[int, int], view: str
) -> np.ndarray:
    """Draw a lesion's specks as one view shows them, at `PIXEL_MM` a pixel.

    Parameters
    ----------
    rng : numpy.random.Generator
        Places the lesion's centre near the middle of the crop.
    lesion : Lesion
    shape : tuple of int
        Rows and columns of the crop.
    view : {'CC', 'MLO'}
        CC projects along the depth; MLO looks from 50 degrees further round.

    Returns
    -------
    ndarray, shape `shape`, float64
        Brightness from 0 (no speck) to 1.
    """
    angle = np.deg2rad(50.0 if view == "MLO" else 0.0)
    down = lesion.positions_mm[:, 0] * np.cos(angle) + lesion.positions_mm[:, 2] * np.sin(angle)
    across = lesion.positions_mm[:, 1]
    centre = np.array(shape) * rng.uniform(0.42, 0.58, 2)
    specks = np.zeros(shape, np.float32)
    nature = MORPHOLOGIES[lesion.morphology]
    for number in range(len(down)):
        place = centre + np.array((down[number], across[number])) / PIXEL_MM
        _stamp(
            specks,
            place,
            _speck(nature.shape, lesion.diameters_mm[number], lesion.turns[number], rng)
            * lesion.brightness[number],
        )
    return cv2.GaussianBlur(specks, (0, 0), 0.6).astype(np.float64)


def _positions(rng: np.random.Generator, count: int, distribution: str) -> np.ndarray:
    if distribution == "LINEAR":
        along = rng.uniform(-5, 5, count)
        return np.stack([rng.normal(0, 0.3, count), along, 0.4 * along], axis=1)
    if distribution == "SEGMENTAL":  # a wedge that opens away from the nipple
        along = 9 * np.sqrt(rng.uniform(0, 1, count))
        aside = along[:, None] * rng.uniform(-0.35, 0.35, (count, 2))
        return np.stack([aside[:, 0], along - 5, aside[:, 1]], axis=1)
    if distribution == "VASCULAR":  # two walls of a bent vessel
        along = rng.uniform(-5, 5, count)
        wall = rng.choice((-0.5, 0.5), count)
        return np.stack([1.2 * np.sin(along / 2) + wall, along, 0.2 * along], axis=1)
    spread = {"CLUSTERED": 1.5, "REGIONAL": 3.5}.get(distribution, 4.0)
    return rng.normal(0, spread, (count, 3))


def _speck(shape: str, diameter_mm: float, turn: float, rng: np.random.Generator) -> np.ndarray:
    """Return one speck of brightness 0 to 1 on a small square, drawn large and averaged."""
    size = 2 * int(np.ceil(diameter_mm / PIXEL_MM / 2)) + 3
    large = np.zeros((size * SUPERSAMPLING,) * 2, np.float32)
    middle = (large.shape[0] // 2,) * 2
    radius = max(1, round(diameter_mm / PIXEL_MM * SUPERSAMPLING / 2))
    degrees = float(np.rad2deg(turn))
    if shape == "rim":
        cv2.circle(large, middle, radius, 1.0, max(1, round(radius * 0.3)))
    elif shape == "line":
        cv2.ellipse(large, middle, (radius, max(2, radius // 7)), degrees, 0, 360, 1.0, -1)
    elif shape == "disc":
        cv2.circle(large, middle, radius, 1.0, -1)
    else:
        cv2.fillPoly(large, [_polygon(shape, radius, middle[0], turn, rng)], 1.0)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)


def _polygon(
    shape: str, radius: int, middle: int, turn: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the corners of an irregular speck: a broad 'lump' or a narrow 'splinter'."""
    corners = 12 if shape == "lump" else 6
    narrow = 0.8 if shape == "lump" else rng.uniform(0.3, 0.7)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = radius * rng.uniform(0.7, 1.0, corners)
    along, across = reach * np.cos(angles), narrow * reach * np.sin(angles)
    columns = along * np.cos(turn) - across * np.sin(turn)
    rows = along * np.sin(turn) + across * np.cos(turn)
    return np.rint(np.stack([columns, rows], axis=1) + middle).astype(np.int32)


def _stamp(image: np.ndarray, place: np.ndarray, speck: np.ndarray) -> None:
    """Lay a speck over the image around `place` (row, column), clipped at the border."""
    top, left = np.rint(place).astype(int) - speck.shape[0] // 2
    rows = slice(max(top, 0), min(top + speck.shape[0], image.shape[0]))
    columns = slice(max(left, 0), min(left + speck.shape[1], image.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = speck[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    image[rows, columns] = np.maximum(image[rows, columns], part)
