"""The noise filters, by name; the one module that imports the extension `mcalc._native`."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mcalc import _native
from mcalc.errors import DataError, UsageError

FILTERS = ("adaptive_median", "median", "mean")
LARGEST_WINDOW = 31
_WINDOWS = {str(side) for side in range(1, LARGEST_WINDOW + 1, 2)}

_SOURCES = Path(__file__).parents[2] / "csrc"


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
        image : ndarray, shape (rows, columns), uint8
            The adaptive median takes uint16, too; OpenCV's median does up to a window of 5.

        Returns
        -------
        ndarray, shape (rows, columns), dtype of `image`
        """
        if self.name == "adaptive_median":
            return _native.adaptive_median(image, self.window)
        if self.name == "median":
            return cv2.medianBlur(image, self.window)
        window = (self.window, self.window)
        return cv2.blur(image, window, borderType=cv2.BORDER_REPLICATE)


def otsu_threshold(image: np.ndarray) -> int:
    """Return Otsu's threshold t of a uint8 or uint16 image; pixels > t are foreground."""
    return _native.otsu_threshold(image)


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
