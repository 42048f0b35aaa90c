"""A Haar pyramid: statistics of its details, and which grey levels of it lie side by side.

After Fanizzi et al., Appl Sci 9:5388, 2019. Key points, which the same group adds in BMC
Bioinformatics 21(Suppl 2):91, 2020 (SURF), are left out: the method was patented, and open
libraries do not ship it. Co-occurrence is that of the approximations, the mean and range over four
directions; the source, by its abstract, takes it of every sub-image and finds that the diagonal
direction tells most.
"""

import numpy as np
import pywt

from mcalc.learning.features.texture import co_occurrence
from mcalc.learning.features.wavelets import DETAILS, describe_band

# A quarter turn swaps horizontal and vertical details.
TURNED = True

LEVELS = 3
# Of a level, pixels side by side: farther ones are side by side on the next.
DISTANCES = (1,)


def extract(image: np.ndarray) -> dict[str, float]:
    """Return statistics of each sub-band, and co-occurrence of each level's small image.

    Parameters
    ----------
    image : ndarray, shape (size, size), uint8

    Returns
    -------
    dict of str to float
        `horizontal1_energy` and so on, as `wavelets.extract` names them, of the Haar wavelet; and
        `level1_distance1_contrast_mean` and so on, as `texture.co_occurrence` names them, of the
        image averaged over squares of 2, 4 and 8 pixels, which the approximations are.
    """
    features, coarse = {}, image / 255
    for level in range(1, LEVELS + 1):
        # Where a side is odd the last row counts twice.
        coarse, details = pywt.dwt2(coarse, "haar", mode="symmetric")
        for name, band in zip(("approximation", *DETAILS), (coarse, *details), strict=True):
            found = describe_band(band)
            features |= {f"{name}{level}_{statistic}": value for statistic, value in found.items()}
        # A Haar approximation is the sum over a square, divided by its side.
        small = np.rint(coarse / 2**level * 255).astype(np.uint8)
        pairs = co_occurrence(small, DISTANCES)
        features |= {f"level{level}_{name}": value for name, value in pairs.items()}
    return features
