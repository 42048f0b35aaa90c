"""Grey levels: which of them become black and white, and the way from 16 bits to 8."""

import math

import numpy as np

from mcalc.errors import DataError, UsageError

INTENSITIES = ("minmax", "full_range", "percentile", "dicom_window", "fixed")
PERCENTILES = (0.5, 99.5)
TYPES = {8: np.uint8, 16: np.uint16}
HIGHEST = 65535


def check_intensity(
    intensity: str, percentiles: tuple[float, float], window: tuple[float, float] | None
) -> None:
    """Raise `UsageError` unless the three settings belong together, see `find_limits`."""
    if intensity not in INTENSITIES:
        raise UsageError(f"Intensity {intensity!r} is unknown; use {', '.join(INTENSITIES)}.")
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise UsageError(
            f"Percentiles {percentiles[0]:g} and {percentiles[1]:g}: give two from 0 to 100, the "
            "lower first, as in 0.5 99.5."
        )
    if intensity == "fixed" and window is None:
        raise UsageError("The intensity fixed needs a window, such as --window 10000 60000.")
    if intensity != "fixed" and window is not None:
        raise UsageError(f"The intensity {intensity} takes no window; only fixed does.")
    if window is not None and not 0 <= window[0] < window[1] <= HIGHEST:
        raise UsageError(
            f"Window {window[0]:g} to {window[1]:g}: give two grey levels from 0 to {HIGHEST}, "
            "black before white, as in 10000 60000."
        )


def find_limits(
    pixels: np.ndarray,
    intensity: str = "minmax",
    *,
    percentiles: tuple[float, float] = PERCENTILES,
    window: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Return the grey levels that become black and white.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
    intensity : {'minmax', 'full_range', 'percentile', 'fixed'}
        The image's darkest and brightest pixel; the ends of its type (0 and 65535 for 16 bits);
        two percentiles of its pixels; or the levels of `window`.
    percentiles : (low, high)
        From 0 to 100, for 'percentile'; between two pixels a percentile is interpolated.
    window : (low, high), optional
        For 'fixed', in the levels of `pixels`, also beyond those of its type.

    Returns
    -------
    (low, high) : pair of float
        low < high.

    Raises
    ------
    DataError
        If all pixels would be black, or all white (reason 'constant_image').
    """
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        raise _nothing_to_see(f"every pixel is {low:.0f}")
    if intensity == "full_range":
        return 0.0, float(np.iinfo(pixels.dtype).max)
    if intensity == "minmax":
        return low, high
    if intensity == "fixed":
        black, white = window
        if high <= black or low >= white:
            raise _nothing_to_see(f"every pixel lies outside the window {black:g} to {white:g}")
        return black, white
    black, white = np.percentile(pixels, percentiles)
    if black == white:
        raise _nothing_to_see(f"percentiles {percentiles[0]:g} to {percentiles[1]:g} are {black:g}")
    return float(black), float(white)


def linear_window(centre: float, width: float) -> tuple[float, float]:
    """Return the levels that a DICOM window makes black and white.

    The function LINEAR of DICOM PS3.3, C.11.2.1.2.1: black up to centre - 0.5 - (width - 1) / 2,
    white from centre - 0.5 + (width - 1) / 2, linear between.

    Raises
    ------
    DataError
        If the width is 1 or less, which leaves nothing but black and white (reason 'bad_field').
    """
    if not (width > 1 and math.isfinite(centre + width)):
        raise DataError(
            f"a window with centre {centre:g} and width {width:g} shows nothing but black and "
            "white; set convert.intensity to minmax or percentile.",
            "bad_field",
        )
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def map_levels(values: np.ndarray, low: float, high: float, *, bits: int) -> np.ndarray:
    """Map `values` (float) linearly: `low` and less to 0, `high` and more to the type's highest.

    Each is rounded to the nearest level; uint8 for `bits` 8, uint16 for 16.
    """
    top = np.iinfo(TYPES[bits]).max
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * top).astype(TYPES[bits])


def to_8_bits(image: np.ndarray) -> np.ndarray:
    """Return an image of uint8 or uint16 as uint8, each level rounded to the nearest.

    0 to 65535 are divided by 257, so that black stays black and white white; no level lies
    half-way between two. An image of uint8 is returned as it is.
    """
    if image.dtype == np.uint8:
        return image
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def in_8_bit_levels(image: np.ndarray) -> np.ndarray:
    """Return an image of uint8 or uint16 as float64 from 0 to 255, nothing rounded.

    The unit of what is measured on images: errors of 8- and 16-bit images can be compared.
    """
    return image * (255 / np.iinfo(image.dtype).max)


def _nothing_to_see(why: str) -> DataError:
    return DataError(f"{why}; there is nothing to see.", "constant_image")
