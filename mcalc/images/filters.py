"""The filters on grey images, and the one module that imports the extension `mcalc._native`.

`adaptive_median`, `median` and `otsu_threshold` are functions of arrays; `Filter` is a noise filter
as the stages name it. What the extension does is explained in docs/filters.md.
"""

import hashlib
import json
import operator
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mcalc import _native
from mcalc.errors import DataError, UsageError

FILTERS = ("adaptive_median", "median", "mean")
LARGEST_WINDOW = 31
OTSU_METHODS = ("otsu1979", "leong2022")
_WINDOWS = {str(side) for side in range(1, LARGEST_WINDOW + 1, 2)}

_SOURCES = Path(__file__).parents[2] / "csrc"


def adaptive_median(image: np.ndarray, max_window: int = 7, *, threads: int = 1) -> np.ndarray:
    """Remove impulse noise with the adaptive median filter, and keep what is no impulse.

    Around each pixel a square window grows from 3 x 3 until its median lies strictly between its
    minimum and its maximum; the pixel is then kept if it, too, lies strictly between them, and
    replaced by the median otherwise. Where no window up to `max_window` does, the result is the
    median of the largest. Outside the image the nearest border pixel is repeated.

    Parameters
    ----------
    image : ndarray, shape (rows, columns) or (images, rows, columns), uint8 or uint16
        A grey image, or a stack of them filtered one by one. Any strides, any byte order; a colour
        image would be taken for a stack of narrow images.
    max_window : int
        Side of the largest window in pixels, odd, 1 to 31; 1 changes nothing.
    threads : int
        How many threads work, at most. The result does not depend on it.

    Returns
    -------
    ndarray, shape of `image`, uint8 or uint16, C-contiguous

    Raises
    ------
    ValueError, TypeError
        If an argument is of another shape, type or range, or an image has no pixel.

    References
    ----------
    R. C. Gonzalez, R. E. Woods, Digital Image Processing, 3rd ed., section 5.3.3.
    """
    max_window, threads = _odd("max_window", max_window), _positive("threads", threads)
    return _native.adaptive_median(_native_order(image), max_window, threads)


def median(image: np.ndarray, window: int, *, threads: int = 1) -> np.ndarray:
    """Replace each pixel by the median of the square window around it.

    The extension sorts windows up to 9 x 9 many pixels at a time. For uint8, OpenCV is the faster
    with 3 x 3 and, thanks to its method of constant time, from 11 x 11 on, and is called there.

    Parameters
    ----------
    image : ndarray, shape (rows, columns) or (images, rows, columns), uint8 or uint16
        As for `adaptive_median`.
    window : int
        Side of the window in pixels, odd, 1 to 31; 1 changes nothing.
    threads : int
        How many threads work, at most. The result does not depend on it.

    Returns
    -------
    ndarray, shape of `image`, uint8 or uint16, C-contiguous

    Raises
    ------
    ValueError, TypeError
        If an argument is of another shape, type or range, or an image has no pixel.
    """
    window, threads = _odd("window", window), _positive("threads", threads)
    image = _native_order(image)
    by_opencv = image.dtype == np.uint8 and (window == 3 or window > 9)
    if not by_opencv or image.ndim not in (2, 3) or image.size == 0:
        return _native.median(image, window, threads)
    if image.ndim == 2:
        return cv2.medianBlur(np.ascontiguousarray(image), window)
    filtered = np.empty(image.shape, image.dtype)

    def filter_one(number: int) -> None:
        cv2.medianBlur(np.ascontiguousarray(image[number]), window, filtered[number])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(filter_one, range(len(image))))
    return filtered


def otsu_threshold(image: np.ndarray, method: str = "otsu1979") -> int:
    """Return Otsu's threshold t of a grey image; pixels > t are foreground.

    It is the value that sets apart {pixel <= t} and {pixel > t} with the largest between-class
    variance, over all 256 or 65,536 levels; the smallest of several that are equally good.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8 or uint16
        Any strides, any byte order.
    method : {"otsu1979", "leong2022"}
        All pixels, or those from grey level 1 on only, as in Leong et al. 2022, whose sums begin
        there: black is left out of both classes.

    Returns
    -------
    int
        Where all pixels that count have one value, that value: nothing is foreground. Where none
        count, 0.

    Raises
    ------
    ValueError, TypeError
        If the image is not 2-D, empty or of another type, or the method is unknown.

    References
    ----------
    N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9(1), 1979.
    Y. S. Leong et al., Frontiers in Public Health 10:875305, 2022.
    """
    if method not in OTSU_METHODS:
        raise ValueError(f"method is {method!r}; give one of {', '.join(OTSU_METHODS)}.")
    return _native.otsu_threshold(_native_order(image), method == "otsu1979")


class Filter(NamedTuple):
    """A noise filter: its `name` and the side of its (largest) square `window` in pixels, odd."""

    name: str
    window: int

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Read `name:window`, such as `adaptive_median:7`."""
        name, _, window = text.partition(":")
        if name not in FILTERS:
            raise UsageError(f"Filter {name!r} is unknown; use one of {', '.join(FILTERS)}.")
        if window not in _WINDOWS:
            raise UsageError(
                f"Filter {text!r}: the window must be an odd number from 1 to {LARGEST_WINDOW}, "
                f"as in {name}:3."
            )
        return cls(name, int(window))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Filter `image`; the border is continued by repeating its pixels.

        Parameters
        ----------
        image : ndarray, shape (rows, columns), uint8 or uint16

        Returns
        -------
        ndarray, shape (rows, columns), dtype of `image`
        """
        if self.name == "adaptive_median":
            return adaptive_median(image, self.window)
        if self.name == "median":
            return median(image, self.window)
        window = (self.window, self.window)
        return cv2.blur(image, window, borderType=cv2.BORDER_REPLICATE)


def read_choice(path: str | os.PathLike) -> Filter | None:
    """Return the filter that the stage `choose-filter` wrote into `path`, None for 'none'."""
    try:
        decision = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(decision["window"], int):
            raise TypeError("the window is no number")
        if decision["filter"] == "none":
            return None
        return Filter.parse(f"{decision['filter']}:{decision['window']}")
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise DataError(f"{path}: not a filter's choice; run choose-filter again.") from error


def _odd(name: str, window: object) -> int:
    allowed = f"give an odd number from 1 to {LARGEST_WINDOW}."
    try:
        side = operator.index(window)
    except TypeError:
        raise TypeError(f"{name} is {window!r}; {allowed}") from None
    if not 1 <= side <= LARGEST_WINDOW or side % 2 == 0:
        raise ValueError(f"{name} is {side}; {allowed}")
    return side


def _positive(name: str, number: object) -> int:
    try:
        number = operator.index(number)
    except TypeError:
        raise TypeError(f"{name} is {number!r}; give a number of 1 or more.") from None
    if number < 1:
        raise ValueError(f"{name} is {number}; give 1 or more.")
    return min(number, 1024)  # more than any machine has; the extension starts no idle threads


def _native_order(image: object) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image is a {type(image).__name__}; give a numpy array.")
    return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))


def _check_extension() -> None:
    """Refuse an extension built from other sources than those in the tree (none when installed)."""
    if not _SOURCES.is_dir():
        return
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.glob("*.[ch]pp")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    if digest.hexdigest()[:12] != _native.source_hash:
        raise UsageError(
            "The C++ extension was built from other sources than csrc/; build it again with "
            "`pip install -e .`."
        )


_check_extension()
