"""Noise of three kinds, added to phantoms whose clean image and specks are known."""

import math
from typing import NamedTuple

import numpy as np

from mcalc.errors import UsageError

# The levels that are allowed: weaker noise is lost when 8 bits are rounded, so that an image would
# equal its truth and its PSNR be infinite.
LEVELS = {
    "gaussian": (0.5, 100.0),
    "poisson": (10.0, 100_000.0),
    "salt_and_pepper": (0.01, 0.5),
}


class Noise(NamedTuple):
    """A `kind` of noise at a `level`.

    Attributes
    ----------
    kind : {'gaussian', 'poisson', 'salt_and_pepper'}
    level : float
        For 'gaussian' the standard deviation in grey levels of 255; for 'poisson' the expected
        count of quanta in a white pixel (more is less noise: the standard deviation at a grey level
        v of 255 is sqrt(255 v / level)); for 'salt_and_pepper' the share of pixels that become
        black or white, half of them each.
    """

    kind: str
    level: float

    @classmethod
    def parse(cls, text: str) -> "Noise":
        """Read `kind:level`, such as `gaussian:5`; `UsageError` says what is wrong."""
        kind, _, level = text.partition(":")
        if kind not in LEVELS:
            raise UsageError(f"Noise {kind!r} is unknown; use {', '.join(LEVELS)}.")
        low, high = LEVELS[kind]
        try:
            value = float(level)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise UsageError(
                f"Noise {kind!r} needs a level from {low:g} to {high:g}, as in {kind}:{low:g}; "
                f"{level!r} is none."
            )
        return cls(kind, value)

    @property
    def name(self) -> str:
        """The text that `parse` reads."""
        return f"{self.kind}:{self.level:g}"


def add_noise(
    noise: Noise, rng: np.random.Generator, background: np.ndarray, specks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add one draw of noise to an image with its specks and to the same image without them.

    Both get the same noise, so that what differs between them is what became of the specks. The
    quanta of a sum are the sum of quanta: those of the background are drawn once for both.

    Parameters
    ----------
    noise : Noise
    rng : numpy.random.Generator
    background, specks : ndarray, shape (rows, columns), float
        What they give in shares of white, both 0 or more; their sum is the clean image.

    Returns
    -------
    noisy, without_specks : ndarray, shape (rows, columns), float64
        In shares of white; Gaussian noise may lead below 0 or above 1.
    """
    clean = background + specks
    if noise.kind == "gaussian":
        grains = rng.normal(0, noise.level / 255, clean.shape)
        return clean + grains, background + grains
    if noise.kind == "poisson":
        quanta = rng.poisson(background * noise.level)
        more = rng.poisson(specks * noise.level)
        return (quanta + more) / noise.level, quanta / noise.level
    chance = rng.random(clean.shape)
    hit, impulses = chance < noise.level, np.where(chance < noise.level / 2, 0.0, 1.0)
    return np.where(hit, impulses, clean), np.where(hit, impulses, background)
