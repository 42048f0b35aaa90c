"""A whole film mammogram with a known breast: label, film border and stray light around it."""

import cv2
import numpy as np

from mcalc.data.datasets.phantom.tissue import PIXEL_MM, clustered_lumps, power_law_noise

# Drawn four times smaller than a film is digitised, so that a demo's files stay small.
MAMMOGRAM_PIXEL_MM = 4 * PIXEL_MM
ROWS, COLUMNS = 1200, 900

# Grey levels, after the real film mammograms of CBIS-DDSM: background near 0, labels near the top.
TISSUE_LEVEL, LABEL_LEVEL, FRAME_LEVEL = 26000.0, 60000.0, 65535.0
BACKGROUND_NOISE = 60.0

# The compressed breast is thinner towards the skin: over this distance the film gets darker.
RIM_MM, RIM_SHARE = 9.0, 0.13


def draw_mammogram(
    rng: np.random.Generator,
    *,
    view: str,
    laterality: str,
    density: float = 0.5,
    shape: tuple[int, int] = (ROWS, COLUMNS),
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a film mammogram at `MAMMOGRAM_PIXEL_MM` (0.18 mm) a pixel.

    Parameters
    ----------
    rng : numpy.random.Generator
    view : {'CC', 'MLO'}
        MLO shows the pectoral muscle and a breast that reaches up to the armpit.
    laterality : {'LEFT', 'RIGHT'}
        A left breast lies against the left side of the image, a right one against the right.
    density : float
        0 (fatty) to 1 (dense): how much brighter the glandular tissue is.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    image : ndarray, shape `shape`, uint16
    breast_mask : ndarray, shape `shape`, bool
        True on the breast (with nipple and pectoral muscle); label, border and stray light lie
        outside.
    """
    widths, nipple = _outline(rng, view, shape)
    breast = np.arange(shape[1]) < widths[:, None]
    breast |= _nipple(rng, nipple, shape)
    image = np.where(breast, _tissue(rng, breast, view, density), 0.0)
    outside = _stray_light(rng, shape) + np.abs(rng.normal(0, BACKGROUND_NOISE, shape))
    label = _label(rng, f"{laterality[0]} {view}", breast)
    frame = _frame(rng, shape) & ~breast
    image = np.where(breast, image, np.maximum(outside, label))
    image[frame] = FRAME_LEVEL
    image = cv2.GaussianBlur(image, (0, 0), 0.6) + rng.normal(0, 30.0, shape)
    if laterality == "RIGHT":
        image, breast = _mirrored_with_label(image, breast, label)
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16), np.ascontiguousarray(breast)


def _outline(
    rng: np.random.Generator, view: str, shape: tuple[int, int]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return how far the breast reaches from the chest wall in each row, and the nipple's place."""
    rows, columns = shape
    row = np.arange(rows)
    centre = rows * rng.uniform(*((0.58, 0.66) if view == "MLO" else (0.45, 0.55)))
    reach = columns * rng.uniform(0.40, 0.62)
    half = rows * rng.uniform(0.26, 0.34)
    below = np.clip(1 - (np.abs(row - centre) / half) ** 2.2, 0, None) ** 0.5
    widths = reach * below
    if view == "MLO":
        armpit = columns * rng.uniform(0.28, 0.42)
        rise = np.sin(np.pi / 2 * np.clip(row / centre, 0, 1)) ** 1.5
        widths = np.where(row < centre, armpit + (reach - armpit) * rise, widths)
    wave = cv2.GaussianBlur(rng.standard_normal((rows, 1)), (0, 0), 1, sigmaY=rows / 12)[:, 0]
    widths = widths * (1 + 0.02 * wave / wave.std())
    return widths, (centre, widths[int(centre)])


def _nipple(
    rng: np.random.Generator, place: tuple[float, float], shape: tuple[int, int]
) -> np.ndarray:
    radius = rng.uniform(3.5, 5.5) / MAMMOGRAM_PIXEL_MM
    row, column = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot((row - place[0]) / radius, (column - place[1] + 0.3 * radius) / radius)
    return distance < 1


def _tissue(rng: np.random.Generator, breast: np.ndarray, view: str, density: float) -> np.ndarray:
    padded = np.pad(breast, ((0, 0), (1, 0)), mode="edge").astype(np.uint8)
    padded = np.pad(padded, ((1, 1), (0, 1)), mode="edge")
    to_skin = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1] * MAMMOGRAM_PIXEL_MM
    thickness = RIM_SHARE + (1 - RIM_SHARE) * (1 - np.exp(-to_skin / RIM_MM))
    texture = _texture(rng, breast.shape)
    gland = 1 - np.exp(-to_skin / 15.0)
    level = 1 + (0.15 + 0.25 * density) * gland * texture + 0.3 * density * gland
    if view == "MLO":
        level += 0.8 * _pectoral(rng, breast.shape)
    return TISSUE_LEVEL * thickness * np.clip(level, 0.4, 2.2)


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw the parenchyma at half the size: at 0.18 mm a pixel it has no finer detail."""
    half = (-(-shape[0] // 2), -(-shape[1] // 2))
    texture = 0.6 * power_law_noise(rng, half)
    texture += 0.4 * clustered_lumps(rng, half, pixel_mm=2 * MAMMOGRAM_PIXEL_MM)
    return cv2.resize(texture, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _pectoral(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return the muscle: a triangle in the upper corner at the chest wall, its edge soft."""
    height, width = shape[0] * rng.uniform(0.4, 0.6), shape[1] * rng.uniform(0.2, 0.28)
    row, column = np.ogrid[: shape[0], : shape[1]]
    inside = (row / height + column / width < 1).astype(np.float32)
    return cv2.GaussianBlur(inside, (0, 0), 5)


def _stray_light(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return light that leaks onto the film from the side opposite the chest wall."""
    depth = shape[1] * rng.uniform(0.01, 0.03)
    decay = np.exp(-np.arange(shape[1])[::-1] / depth)
    along = 1 + 0.3 * np.sin(np.linspace(0, rng.uniform(1, 4), shape[0]) + rng.uniform(0, 6))
    return rng.uniform(0, 12000) * along[:, None] * decay


def _frame(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return the film's bright edge on one to three sides, of uneven width."""
    frame = np.zeros(shape, bool)
    sides = rng.permutation(["top", "bottom", "far"])[: rng.integers(1, 4)]
    for side in sides:
        lines, depth = (shape[0], shape[1]) if side == "far" else (shape[1], shape[0])
        first, last = depth * rng.uniform(0.004, 0.015, 2)
        widths = np.linspace(first, last, lines)[:, None] > np.arange(depth)
        if side == "far":
            frame |= widths[:, ::-1]
        else:
            frame |= widths.T if side == "top" else widths.T[::-1]
    return frame


def _label(rng: np.random.Generator, text: str, breast: np.ndarray) -> np.ndarray:
    """Return lead letters in the upper or lower corner away from the breast."""
    label = np.zeros(breast.shape, np.uint8)
    scale = rng.uniform(1.6, 2.2)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 8)
    column = breast.shape[1] - width - round(0.06 * breast.shape[1])
    row = round(breast.shape[0] * rng.uniform(0.10, 0.16))
    near = cv2.dilate(breast.astype(np.uint8), np.ones((41, 41), np.uint8))
    if near[row - height : row + 10, column : column + width].any():
        row = round(breast.shape[0] * 0.93)
    cv2.putText(label, text, (column, row), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 8)
    letters = cv2.GaussianBlur(label.astype(np.float32), (0, 0), 1.0) / 255
    return np.where(breast, 0, LABEL_LEVEL * letters)


def _mirrored_with_label(
    image: np.ndarray, breast: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror the film, but leave the letters readable."""
    letters = label > 0
    rows, columns = np.flatnonzero(letters.any(axis=1)), np.flatnonzero(letters.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image = image.copy()
    image[box] = image[box][:, ::-1]
    return image[:, ::-1], breast[:, ::-1]
