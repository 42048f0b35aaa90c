"""Breast tissue as a film shows it: correlated noise and clustered lumps.

All functions draw in arbitrary density units (larger is brighter); textures are made on a larger
periodic image, of sides that suit the Fourier transform, and cut to shape.
"""

from functools import lru_cache

import numpy as np
from scipy import fft

# CBIS-DDSM's films are digitised at about 45 micrometres a pixel.
PIXEL_MM = 0.045

# Mammograms have a power spectrum of about 1/f^3 (Burgess, Jacobson, Judy, Med. Phys. 28, 2001).
SPECTRAL_EXPONENT = 3.0

# Clustered lumps: directions that clusters may have, lumps a cluster, extent, area a cluster.
DIRECTIONS, LUMPS, CLUSTER_MM, CLUSTER_AREA_MM2 = 6, 12, 1.5, 3.0


def power_law_noise(
    rng: np.random.Generator, shape: tuple[int, int], exponent: float = SPECTRAL_EXPONENT
) -> np.ndarray:
    """Draw Gaussian noise whose power spectrum falls as 1 / f^`exponent`.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Rows and columns.
    exponent : float
        3 for breast tissue.

    Returns
    -------
    ndarray, shape `shape`, float32
        Mean 0, standard deviation 1.
    """
    periodic = _periodic_shape(shape)
    spectrum = fft.rfft2(rng.standard_normal(periodic, dtype=np.float32))
    frequency = np.hypot(fft.fftfreq(periodic[0])[:, None], fft.rfftfreq(periodic[1]))
    frequency[0, 0] = np.inf
    amplitude = (frequency ** (-exponent / 2)).astype(np.float32)
    return _standardised(fft.irfft2(spectrum * amplitude, s=periodic), shape)


def clustered_lumps(
    rng: np.random.Generator, shape: tuple[int, int], *, pixel_mm: float = PIXEL_MM
) -> np.ndarray:
    """Draw a clustered lumpy background (Bochud, Abbey, Eckstein, Optics Express 4, 1999).

    Clusters lie at random; each holds some lumps around its centre, all elongated in the
    cluster's own direction, with the profile exp(-2 r^0.5).

    Returns
    -------
    ndarray, shape `shape`, float32
        Mean 0, standard deviation 1.
    """
    periodic = _periodic_shape(shape)
    area_mm2 = periodic[0] * periodic[1] * pixel_mm**2
    clusters = int(rng.poisson(max(4.0, area_mm2 / CLUSTER_AREA_MM2)))
    lumps = rng.poisson(LUMPS, clusters) + 1
    centres = np.repeat(rng.uniform((0, 0), periodic, (clusters, 2)), lumps, axis=0)
    places = centres + rng.normal(0, CLUSTER_MM / pixel_mm, centres.shape)
    rows, columns = (np.rint(places).astype(int) % periodic).T
    turns = np.repeat(rng.integers(0, DIRECTIONS, clusters), lumps)
    pixels = rows * periodic[1] + columns
    spectrum = 0
    for turn in range(DIRECTIONS):
        counts = np.bincount(pixels[turns == turn], minlength=periodic[0] * periodic[1])
        impulses = counts.reshape(periodic).astype(np.float32)
        lump = _lump_spectrum(periodic, np.pi * turn / DIRECTIONS, pixel_mm)
        spectrum = spectrum + fft.rfft2(impulses) * lump
    return _standardised(fft.irfft2(spectrum, s=periodic), shape)


# Whole mammograms are of one size: their lumps (1.4 MB each) are kept from one patient to the next.
@lru_cache(maxsize=8 * DIRECTIONS)
def _lump_spectrum(shape: tuple[int, int], direction: float, pixel_mm: float) -> np.ndarray:
    return fft.rfft2(_lump(shape, direction, pixel_mm))


def _lump(shape: tuple[int, int], direction: float, pixel_mm: float) -> np.ndarray:
    """Return one lump centred on the pixel (0, 0) of a periodic image."""
    rows = (fft.fftfreq(shape[0], 1 / shape[0]) * pixel_mm).astype(np.float32)[:, None]
    columns = (fft.fftfreq(shape[1], 1 / shape[1]) * pixel_mm).astype(np.float32)
    along = rows * np.float32(np.sin(direction)) + columns * np.float32(np.cos(direction))
    across = rows * np.float32(np.cos(direction)) - columns * np.float32(np.sin(direction))
    return np.exp(-2 * np.sqrt(np.hypot(along / 2, across / np.float32(0.7))))


def _periodic_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return sides an eighth longer, so that opposite edges of the cut differ, and fast."""
    return tuple(fft.next_fast_len(side + side // 8, real=True) for side in shape)


def _standardised(texture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    cut = texture[: shape[0], : shape[1]]
    return (cut - cut.mean()) / cut.std()
