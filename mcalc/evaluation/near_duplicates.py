"""Images that look alike although they are of different ROIs, found by a perceptual hash."""

import cv2
import numpy as np
from scipy.fft import dctn

# The side to which an image is reduced, and how many frequencies along each axis are kept.
SIDE = 32
FREQUENCIES = 8

# Distances are computed for so many pairs at a time (8 bytes each).
PAIRS = 4_000_000


def perceptual_hash(image: np.ndarray) -> np.uint64:
    """Return 64 bits: the signs of an image's 8 x 8 lowest frequencies, the mean's row left out.

    The frequencies 1 to 8 along each axis are those of Zauner (2010, "Implementation and
    Benchmarking of Perceptual Image Hash Functions", section 3.2.1), of the cosine transform
    after reduction to 32 x 32. Here bits are signs, not comparisons with the median: a quarter
    turn then moves and inverts the bits of all images alike, so that the distance of two images
    does not change when both are turned.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (rows, columns)
    """
    reduced = cv2.resize(image.astype(np.float64), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    kept = slice(1, 1 + FREQUENCIES)
    signs = dctn(reduced)[kept, kept].ravel() > 0
    return np.packbits(signs).view(">u8").astype(np.uint64)[0]


def turned_hashes(image: np.ndarray) -> np.ndarray:
    """Return the hashes of an image turned by 0 to 3 quarter turns, uint64, shape (4,)."""
    return np.array([perceptual_hash(np.rot90(image, turns)) for turns in range(4)])


def find_pairs(hashes: np.ndarray, limit: int) -> np.ndarray:
    """Return the pairs of images whose hashes differ in at most `limit` bits under some turn.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (images, 4)
        What `turned_hashes` returns of each.
    limit : int
        Largest Hamming distance, 0 to 64.

    Returns
    -------
    ndarray of int, shape (pairs, 2)
        Each pair once, the smaller number first.
    """
    count = len(hashes)
    step = max(1, PAIRS // max(1, count))
    found = [np.empty((0, 2), int)]
    for first in range(0, count, step):
        upright = hashes[first : first + step, :1]
        alike = np.zeros((len(upright), count), bool)
        for turned in hashes.T:
            alike |= np.bitwise_count(upright ^ turned) <= limit
        pairs = np.argwhere(alike) + (first, 0)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)
