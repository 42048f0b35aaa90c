"""Number, size, brightness, shape, spacing and spread of the bright specks of a crop.

The kinds of features follow Wang et al., Sci Rep 6:27327, 2016, who describe segmented
microcalcifications so; each one here stands for a word of a radiologist's report.
"""

from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.morphology import disk

# A quarter turn of the image does not change the features.
TURNED = False

# The smallest disc of the top-hats has so many times the image's side as its diameter; the others
# are two and four times larger: diameters of a 24th, a 12th and a 6th of the side.
DISC_SHARE, DISC_STEPS = 24, (1, 2, 4)

# A speck rises somewhere so many deviations above the tissue; what adjoins belongs to it from the
# lower number on, and from this share of its own peak on.
PEAK, FOOT, OF_PEAK = 8, 3, 0.5

# Of a tissue that is flat to a few grey levels, this is taken for the deviation.
FLATTEST = 3.0
# What was blanked beside the breast is black; it counts where there is less tissue than so.
LEAST_TISSUE = 0.1

# A speck covers one pixel of so many, at least: 1 of 64 x 64 or 128 x 128, 3 of 224 x 224.
SMALLEST_SHARE = 1 / 2**14


class Specks(NamedTuple):
    """Specks numbered 1 to `number` in `labels` (0: tissue), and how far each pixel stands out.

    `labels` is (rows, columns) int32, `contrast` (rows, columns) uint8, in grey levels above the
    tissue around.
    """

    labels: np.ndarray
    number: int
    contrast: np.ndarray


def extract(image: np.ndarray) -> dict[str, float]:
    """Return what the specks of an image look like and how they lie.

    Lengths are in percent of the image's side, areas in percent of the image: nobody knows how far
    a crop was shrunk. A deviation is the standard deviation over specks. Without specks all are 0,
    and with one speck all that takes two.

    Parameters
    ----------
    image : ndarray, shape (size, size), uint8

    Returns
    -------
    dict of str to float
        `number`, `area_total`; of diameters of discs of the same areas `diameter_mean`,
        `_deviation` and `_largest`; of the highest contrast in a speck, in grey levels,
        `contrast_mean`, `_deviation` and `_largest`; of 1 - minor / major axis (0: round)
        `elongation_mean`, `_deviation` and `_largest`; of the share of the convex hull that is
        filled `solidity_mean` and `_deviation`; `lucency_mean`, the share that a hole has of a
        speck; `alignment`, from 0 (elongated specks point anywhere) to 1 (all are lines and point
        one way); of the distance from a speck's centre to the nearest other `spacing_mean` and
        `_deviation`; `spread`, the standard distance of centres from their mean; and
        `cluster_elongation`, 1 - minor / major axis of all centres (1: they lie on a line).
    """
    labels, number, contrast = find_specks(image)
    specks = [
        _measure(labels[box] == label, contrast[box], box)
        for label, box in enumerate(ndimage.find_objects(labels, number), start=1)
    ]
    # One speck of no size stands for none.
    area, peak, elongation, solidity, lucency, *place = np.array(specks or [(0.0,) * 9]).T
    percent = 100 / len(image)
    diameter = percent * 2 * np.sqrt(area / np.pi)
    return {
        "number": float(number),
        "area_total": float(percent**2 / 100 * area.sum()),
        **_summary("diameter", diameter, largest=True),
        **_summary("contrast", peak, largest=True),
        **_summary("elongation", elongation, largest=True),
        **_summary("solidity", solidity),
        "lucency_mean": float(lucency.mean()),
        "alignment": float(np.hypot(place[2].mean(), place[3].mean())),
        **_lie(percent * np.stack(place[:2], axis=1)),
    }


def find_specks(image: np.ndarray) -> Specks:
    """Find the specks: what is brighter than its surroundings and small.

    White top-hats (the image less its opening by a disc) remove tissue that is wider than a disc.
    One disc cannot serve: specks measure 0.1 to 1 mm, and the tissue's spectrum falls so steeply
    that what the largest disc leaves of it hides the smallest specks. So each of three top-hats is
    expressed in deviations from its own median - 1.4826 times the median absolute deviation, which
    the specks themselves hardly change - and a pixel counts with the highest of the three.

    A threshold with hysteresis keeps the foot of a speck and drops tissue that just crosses the
    lower threshold. Then each speck is cut at half its own peak: otherwise bright specks would
    look larger than dim ones of the same size, and neighbours would run together. Last, what is
    smaller than a 16,384th of the image is dropped as noise, which is nothing up to 128 x 128.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8
    """
    contrast, height = _heights(image)
    feet, _ = ndimage.label(height >= FOOT, np.ones((3, 3)))
    inside = feet > 0
    of_pixel, heights = feet[inside], height[inside]
    peaks = np.zeros(feet.max() + 1)
    np.maximum.at(peaks, of_pixel, heights)
    kept = np.zeros(image.shape, np.uint8)
    kept[inside] = (peaks[of_pixel] >= PEAK) & (heights >= OF_PEAK * peaks[of_pixel])
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(kept, connectivity=8)
    large = statistics[:, cv2.CC_STAT_AREA] >= SMALLEST_SHARE * image.size
    large[0] = False
    numbers = (np.cumsum(large) * large).astype(np.int32)
    return Specks(numbers[labels], int(large.sum()), contrast)


def _heights(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the top-hat of the largest disc, and the highest of all in deviations (float32)."""
    tissue = (image > 0).astype(np.uint8)
    if tissue.mean() < LEAST_TISSUE:
        tissue[:] = 1
    # Repeating a small disc is as good as a large one, and several times faster.
    shape = disk(max(1, min(image.shape) // (2 * DISC_SHARE)))
    height = np.zeros(image.shape, np.float32)
    for steps in DISC_STEPS:
        tophat = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, shape, iterations=steps)
        counts = cv2.calcHist([tophat], [0], tissue, [256], [0, 256]).ravel()
        middle = _median(counts)
        deviations = np.bincount(np.abs(np.arange(256) - middle), counts)
        deviation = max(1.4826 * _median(deviations), FLATTEST)
        height = np.maximum(height, (tophat - np.float32(middle)) / np.float32(deviation))
    return tophat, height


def _median(counts: np.ndarray) -> int:
    """Return the (lower) median of the values 0, 1, ... that occur so many times."""
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _measure(mask: np.ndarray, contrast: np.ndarray, box: tuple[slice, slice]) -> tuple:
    """Return area, peak, elongation, solidity, lucency, row, column and twice the direction.

    Lengths in pixels; the last two are cosine and sine of twice the angle of the major axis, times
    the anisotropy (0: round, 1: a line).
    """
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    area = moments["m00"]
    # A pixel is a square, whose own variance is a twelfth.
    across, down = (moments[name] / area + 1 / 12 for name in ("mu20", "mu02"))
    both, mixed = across + down, 2 * moments["mu11"] / area
    difference = np.hypot(across - down, mixed)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled, hull = _pixels_within(outlines[0]), _pixels_within(cv2.convexHull(outlines[0]))
    return (
        area,
        contrast[mask].max(),
        1 - np.sqrt((both - difference) / (both + difference)),
        filled / hull,
        1 - area / filled,
        box[0].start + moments["m01"] / area,
        box[1].start + moments["m10"] / area,
        (across - down) / both,
        mixed / both,
    )


def _pixels_within(polygon: np.ndarray) -> float:
    """Return how many pixel centres lie in or on a polygon of pixel centres (Pick's theorem)."""
    corners = polygon[:, 0]
    steps = np.abs(corners - np.roll(corners, 1, axis=0))
    return cv2.contourArea(polygon) + np.gcd(steps[:, 0], steps[:, 1]).sum() / 2 + 1


def _summary(name: str, values: np.ndarray, *, largest: bool = False) -> dict[str, float]:
    found = {f"{name}_mean": float(values.mean()), f"{name}_deviation": float(values.std())}
    return found | ({f"{name}_largest": float(values.max())} if largest else {})


def _lie(centres: np.ndarray) -> dict[str, float]:
    """Return spacing, spread and elongation of points, shape (n, 2), in their units."""
    spacing, minor, major = np.zeros(1), 0.0, 0.0
    if len(centres) > 1:
        spacing = KDTree(centres).query(centres, 2)[0][:, 1]
        minor, major = np.linalg.eigvalsh(np.cov(centres.T, bias=True)).clip(0)
    elongation = 1 - np.sqrt(minor / major) if major > 0 else 0.0
    return _summary("spacing", spacing) | {
        "spread": float(np.sqrt(minor + major)),
        "cluster_elongation": float(elongation),
    }
