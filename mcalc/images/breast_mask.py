"""Find the breast on a film mammogram or a ROI crop and blank the rest (artefact removal).

The published recipe (`otsu`) thresholds after Otsu (IEEE Trans. Syst. Man Cybern. 9:62, 1979),
opens, closes and keeps the largest component. On film it loses a quarter of the breast: the fatty
rim is darker than the threshold. `otsu_grown` starts from that region and grows it down to the
level of the film's background, as hysteresis thresholding does (Canny, IEEE PAMI 8:679, 1986).

All lengths are shares of the longest side, so that films and crops of any size are treated alike.
"""

from typing import NamedTuple

import cv2
import numpy as np

from mcalc.errors import DataError, UsageError
from mcalc.images.filters import otsu_threshold

METHODS = ("otsu", "otsu_grown")

# The mask is sought on an image of at most this many pixels a side: a film pixel is 0.05 mm.
WORKING_SIDE = 1000

# Air, as evidence: a flat dark region at the image's edge, this large a share of the image...
AIR_SHARE = 0.10
# ... within this share of the grey range above the darkest level ...
AIR_TOLERANCE = 0.04
# ... and this much flatter than the rest (tissue of any kind is textured, exposed film is not),
# seen at this scale (a share of the longest side), where the film's grain no longer counts.
AIR_FLATNESS = 0.25
AIR_SCALE = 0.01

# The skin line lies where the image rises this share of the tissue's level above the background.
SKIN_LEVEL = 0.02

OPENING, CLOSING = 0.04, 0.02  # diameters of the elements that shape the Otsu region
SKIN_OPENING = 0.008  # removes hairs and scratches from the grown contour, keeps the nipple
EDGE_ZONE, EDGE_OPENING = 0.05, 0.03  # near the edge remnants of the film border go as well
FRAME_DEPTH, GLOW_DEPTH = 0.04, 0.15  # how far a frame and stray light reach into the film
FRAME_LINES, GLOW_LINES = 0.10, 0.03  # share of a side's lines that must show them
FRAME_FILL = 0.5  # a frame is a box, light decays: mean over start level of the leading run
GLOW_MARGIN = 1.15  # light varies along a side by about as much
# Where there is no film the digitizer reads its highest level (this share of the type's), on this
# share of the image at least. In a stretched image the highest level says nothing.
SATURATED, FRAME_SHARE = 0.9949, 0.002


class _Background(NamedTuple):
    level: float
    spread: float


def breast_mask(
    image: np.ndarray, *, method: str = "otsu_grown", stretched: bool = False
) -> np.ndarray:
    """Return where the breast is; labels, wedges, film border and background are outside.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8 or uint16
        A mammogram or a ROI crop, bright tissue on dark ground.
    method : {'otsu_grown', 'otsu'}
        'otsu' is the published recipe: Otsu's threshold, opening, closing, largest component.
        'otsu_grown' takes that region without film border as a seed and grows it to the skin.
    stretched : bool
        True where the levels are no longer the digitizer's, as in converted images: then the
        brightest tissue may have the type's highest level, which on a film only a bare edge has.

    Returns
    -------
    ndarray, shape (rows, columns), bool
        One connected component; all True where `has_background` is False.

    Raises
    ------
    UsageError
        If `method` is unknown.
    DataError
        If `image` is not a 2-D array of 8 or 16 bits, or is empty.

    Notes
    -----
    Skin folds of the abdomen or the arm that continue the breast stay in the mask: they are
    tissue. So does what lies on the breast (a marker, a letter that overlaps it).
    """
    if method not in METHODS:
        raise UsageError(f"Unknown method {method!r} of a mask; known: {', '.join(METHODS)}.")
    reduced = _reduce(_checked(image))
    smooth = cv2.medianBlur(reduced, 3)
    background = _find_background(reduced)
    if background is None:
        return np.ones(image.shape, bool)
    saturated = None if stretched else SATURATED * np.iinfo(image.dtype).max
    region = (
        _otsu_region(smooth) if method == "otsu" else _grown_region(smooth, background, saturated)
    )
    return _enlarge(region, image.shape) if region.any() else np.ones(image.shape, bool)


def has_background(image: np.ndarray) -> bool:
    """Tell whether `image` (2-D, uint8 or uint16) shows film background beside the breast.

    A crop that was cut from inside the breast has none, however its histogram looks. Air is a
    dark region that reaches the image's edge or its frame, lies near the darkest level and is
    much flatter than the rest; without all of this evidence nothing is deleted.
    """
    return _find_background(_reduce(_checked(image))) is not None


def remove_background(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a copy of `image` that is 0 outside `mask` (bool, same shape), unchanged inside."""
    if mask.shape != image.shape:
        raise UsageError(f"A mask of shape {mask.shape} does not fit an image of {image.shape}.")
    return np.where(mask, image, np.zeros((), image.dtype))


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16) or image.size == 0:
        raise DataError(
            f"A breast mask needs a 2-D image of 8 or 16 bits, not shape {image.shape} "
            f"of {image.dtype}."
        )
    return image


def _otsu_region(smooth: np.ndarray) -> np.ndarray:
    side = max(smooth.shape)
    opened = _opened(smooth > otsu_threshold(smooth), OPENING * side, outside=False)
    closed = cv2.morphologyEx(opened.astype(np.uint8), cv2.MORPH_CLOSE, _disk(CLOSING * side))
    return _largest(closed)


def _grown_region(
    smooth: np.ndarray, background: _Background, saturated: float | None
) -> np.ndarray:
    """Grow the Otsu region of `smooth` to the skin line; shape as `smooth`, bool.

    From the level `saturated` on there is no film, where it is given.
    """
    side = max(smooth.shape)
    bright = smooth > otsu_threshold(smooth)
    tissue = float(np.median(smooth[bright]))
    rise = max(SKIN_LEVEL * (tissue - background.level), 4 * background.spread)
    frame, glow = _film_border(smooth.astype(np.float32), background.level + rise)
    if saturated is not None:
        frame |= _reaching_edge(smooth >= saturated, FRAME_SHARE)
    seed = _largest(_opened(bright & ~frame, OPENING * side, outside=False))
    above = ((smooth > background.level + GLOW_MARGIN * glow + rise) | seed) & ~frame
    smoothed = _opened(above, SKIN_OPENING * side, outside=True)
    inner = np.zeros(smooth.shape, bool)
    zone = round(EDGE_ZONE * side)
    inner[zone : -zone or None, zone : -zone or None] = True
    smoothed &= inner | _opened(smoothed, EDGE_OPENING * side, outside=True)
    return _filled(_connected_to(seed & ~frame, smoothed | (seed & ~frame)))


def _find_background(reduced: np.ndarray) -> _Background | None:
    """Return level and spread of the air in `reduced`, or None where there is no evidence."""
    scale = max(AIR_SCALE * max(reduced.shape), 0.8)
    smooth = cv2.GaussianBlur(cv2.medianBlur(reduced, 3).astype(np.float32), (0, 0), scale)
    low, high = np.percentile(smooth, (1, 99))
    tolerance = AIR_TOLERANCE * (high - low)
    if tolerance < 1:  # less than one level of the type: too little to tell anything apart
        return None
    zone = max(1, round(FRAME_DEPTH * max(reduced.shape)))
    air = _reaching_edge(smooth <= low + tolerance, AIR_SHARE, zone)
    core = cv2.erode(air.astype(np.uint8), _disk(2 * scale)) > 0
    if not core.any() or air.all():
        return None
    texture = np.abs(smooth - cv2.GaussianBlur(smooth, (0, 0), 2 * scale))
    if np.median(texture[core]) > AIR_FLATNESS * np.median(texture[~air]):
        return None
    levels = reduced[core].astype(np.float32)
    level = float(np.median(levels))
    return _Background(level, 1.4826 * float(np.median(np.abs(levels - level))))


def _reaching_edge(mask: np.ndarray, share: float, zone: int = 1) -> np.ndarray:
    """Return the components of `mask` that cover `share` and come within `zone` of the edge."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    near = [labels[:zone], labels[-zone:], labels[:, :zone], labels[:, -zone:]]
    wanted = np.zeros(len(statistics), bool)
    wanted[np.concatenate([strip.ravel() for strip in near])] = True
    wanted &= statistics[:, cv2.CC_STAT_AREA] >= share * mask.size
    wanted[0] = False
    return wanted[labels]


def _film_border(image: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the film's frame and the stray light along its sides.

    Each side is seen as a stack of lines that run from the edge inwards. Where the breast does
    not lie, a line leaves the bright border after a short way; what these lines have in common
    is the border, and it continues under the breast.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), float32
    limit : float
        The level up to which a pixel is background.

    Returns
    -------
    frame : ndarray, shape (rows, columns), bool
        Straight bright strips: nothing can be seen there.
    glow : ndarray, shape (rows, columns), float32
        Light that decays from the edge; tissue is brighter than it.
    """
    frame, glow = np.zeros(image.shape, bool), np.zeros(image.shape, np.float32)
    for turn in range(4):
        lines, framed, lit = (np.rot90(array, turn) for array in (image, frame, glow))
        count, depth = lines.shape
        runs = _leading_runs(lines > limit)
        reach = int(GLOW_DEPTH * depth)
        free = runs < reach
        if free.sum() < max(2, GLOW_LINES * count):
            continue
        profile = np.minimum.accumulate(np.median(lines[free, :reach], axis=0))
        lit[:, :reach] = np.maximum(lit[:, :reach], profile)
        framed |= np.arange(depth) < _frame_width(lines, runs)[:, None]
    return frame, glow


def _frame_width(lines: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Return each line's frame width in pixels: a straight, maybe tilted strip, or zeros."""
    count, depth = lines.shape
    thin = np.flatnonzero((runs > 0) & (runs <= FRAME_DEPTH * depth))
    sums = np.cumsum(lines[thin, : int(FRAME_DEPTH * depth) + 1], axis=1, dtype=np.float64)
    means = sums[np.arange(len(thin)), runs[thin] - 1] / runs[thin]
    boxes = thin[means > FRAME_FILL * lines[thin, :2].max(axis=1)]
    if len(boxes) < max(2, FRAME_LINES * count):
        return np.zeros(count, int)
    boxes = boxes[:: 1 + len(boxes) // 200]
    slope, start = _line_through(boxes, runs[boxes])
    return np.clip(np.rint(start + slope * np.arange(count)) + 1, 0, FRAME_DEPTH * depth)


def _line_through(places: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Fit slope and start after Theil and Sen; scipy.stats has it, and takes a second to load."""
    one, other = np.triu_indices(len(places), 1)
    slope = float(np.median((values[other] - values[one]) / (places[other] - places[one])))
    return slope, float(np.median(values) - slope * np.median(places))


def _leading_runs(mask: np.ndarray) -> np.ndarray:
    """Return for each row of `mask` how many True it begins with."""
    return np.where(mask.all(axis=1), mask.shape[1], np.argmin(mask, axis=1))


def _opened(mask: np.ndarray, diameter: float, *, outside: bool) -> np.ndarray:
    """Open `mask` with a disk, as if everything beyond the image were `outside`."""
    disk = _disk(diameter)
    rim = len(disk)
    padded = cv2.copyMakeBorder(
        mask.astype(np.uint8), rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=int(outside)
    )
    return cv2.morphologyEx(padded, cv2.MORPH_OPEN, disk)[rim:-rim, rim:-rim] > 0


def _disk(diameter: float) -> np.ndarray:
    size = 2 * round(diameter / 2) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _largest(mask: np.ndarray) -> np.ndarray:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])


def _connected_to(seed: np.ndarray, mask: np.ndarray) -> np.ndarray:
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    touched = np.zeros(labels.max() + 1, bool)
    touched[labels[seed]] = True
    touched[0] = False
    return touched[labels]


def _filled(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of `mask`: what no path over pixels that share a side leads out of."""
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    return (labels != labels[0, 0])[1:-1, 1:-1]


def _reduce(image: np.ndarray) -> np.ndarray:
    scale = WORKING_SIDE / max(image.shape)
    if scale >= 1:
        return image
    size = [max(1, round(length * scale)) for length in image.shape[::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _enlarge(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if mask.shape == shape:
        return mask
    grey = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1)
    return cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
