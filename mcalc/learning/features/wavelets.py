"""What each sub-band of a wavelet decomposition holds (Fadil et al. 2020).

Specks are small and bright, so that they stand out in fine details, whatever the tissue behind.
"""

import warnings

import numpy as np
import pywt

from mcalc.learning.features.texture import describe, entropy

# A quarter turn swaps horizontal and vertical details.
TURNED = True

# Daubechies' wavelet with four vanishing moments: tissue, smooth at the scale of its eight taps,
# leaves little in the details, and specks do. The source does not say here which it takes.
WAVELET, LEVELS = "db4", 3
# The image is continued as if mirrored: no edge arises where it ends.
MODE = "symmetric"
DETAILS = ("horizontal", "vertical", "diagonal")


def extract(image: np.ndarray) -> dict[str, float]:
    """Return energy, entropy, mean, deviation, skewness and kurtosis of each sub-band.

    Parameters
    ----------
    image : ndarray, shape (size, size), uint8

    Returns
    -------
    dict of str to float
        Named as `approximation3_energy` and, from level 1 (the finest) on,
        `horizontal1_energy`; as `describe_band` gives them.
    """
    return {
        f"{name}_{statistic}": value
        for name, band in sub_bands(image).items()
        for statistic, value in describe_band(band).items()
    }


def sub_bands(image: np.ndarray, wavelet: str = WAVELET, mode: str = MODE) -> dict[str, np.ndarray]:
    """Return the sub-bands of the 2-D wavelet decomposition (Mallat 1989) by name.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8
        Taken as 0 to 1.
    wavelet, mode : str
        As PyWavelets names them.

    Returns
    -------
    dict of ndarray
        `approximation3`, `horizontal3` (what lies along rows), `vertical3`, `diagonal3`,
        `horizontal2` and so on to level 1.
    """
    with warnings.catch_warnings():
        # Of less than 56 pixels the wavelet is too long for the third level, which edges shape.
        warnings.simplefilter("ignore", UserWarning)
        coarse, *details = pywt.wavedec2(image / 255, wavelet, mode=mode, level=LEVELS)
    bands = {f"approximation{LEVELS}": coarse}
    for level, found in zip(range(LEVELS, 0, -1), details, strict=True):
        bands |= {f"{name}{level}": band for name, band in zip(DETAILS, found, strict=True)}
    return bands


def describe_band(band: np.ndarray) -> dict[str, float]:
    """Return what one sub-band holds.

    Parameters
    ----------
    band : ndarray
        Coefficients.

    Returns
    -------
    dict of str to float
        `energy`: the mean square. `entropy`: how evenly the energy is spread over coefficients,
        in bits. And those of `texture.describe`.
    """
    squares = np.square(band)
    return {"energy": float(squares.mean()), "entropy": entropy(squares), **describe(band)}
