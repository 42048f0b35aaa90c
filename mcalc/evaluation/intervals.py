"""How far chance alone may carry a score: intervals that know that a patient's ROIs are alike."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

# A bootstrap interval needs this share of the resamples to have the score at all.
ENOUGH = 0.5


class Interval(NamedTuple):
    """A value with the ends of its interval; each NaN where it is not defined."""

    value: float
    low: float
    high: float


def wilson(part, whole, confidence: float = 0.95):
    """Return low and high of Wilson's score interval of the proportion `part` / `whole`.

    Parameters
    ----------
    part, whole : float or array of float
        Counts, not necessarily whole numbers (`clustered_wilson` gives effective ones).
    confidence : float
        Between 0 and 1.

    Returns
    -------
    low, high : float or array of float
        NaN where `whole` is 0.

    References
    ----------
    Wilson, JASA 22:209 (1927); Newcombe, Stat Med 17:857 (1998), method 3.
    """
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    square = norm.isf((1 - confidence) / 2) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part / whole
        centre = (share + square / (2 * whole)) / (1 + square / whole)
        spread = np.sqrt(square * share * (1 - share) / whole + square**2 / (4 * whole**2))
        spread = spread / (1 + square / whole)
    # At a share of 0 or 1 an end is that share; rounding must not say otherwise.
    low, high = np.minimum(centre - spread, share), np.maximum(centre + spread, share)
    return np.maximum(low, 0)[()], np.minimum(high, 1)[()]


def clustered_wilson(hits, counted, patients, confidence: float = 0.95) -> Interval:
    """Return the share of the `counted` answers that are `hits`, with an interval over patients.

    Wilson's interval of an effective number of answers, n_e = p (1 - p) / v, where v is the
    variance of the ratio p = sum(x_i) / sum(n_i) between patients i, sum((x_i - p n_i)^2) /
    sum(n_i)^2. Where each patient counts once this is Wilson's interval itself. There are no more
    effective answers than answers; where p is 0 or 1 (then v is 0) as many as patients.

    Parameters
    ----------
    hits, counted : array of bool, shape (n,)
        Hits that are not counted are none. For sensitivity `counted` are the malignant answers, for
        PPV those called malignant.
    patients : array, shape (n,)
        Any values; equal ones are one cluster.
    confidence : float

    Returns
    -------
    Interval
        All NaN where nothing is counted; low and high NaN where one patient alone is.

    References
    ----------
    Rao and Scott, Biometrics 48:577 (1992): divide counts by the design effect.
    """
    counted = np.asarray(counted, dtype=bool)
    hits = np.asarray(hits, dtype=bool)[counted]
    _, cluster = np.unique(np.asarray(patients)[counted], return_inverse=True)
    if not len(hits):
        return Interval(np.nan, np.nan, np.nan)
    sizes, found = np.bincount(cluster), np.bincount(cluster, weights=hits)
    share, answers = hits.mean(), len(hits)
    if len(sizes) < 2:
        return Interval(float(share), np.nan, np.nan)
    variance = np.sum((found - share * sizes) ** 2) / answers**2
    effective = float(len(sizes))
    if 0 < share < 1:
        effective = min(share * (1 - share) / variance, answers) if variance else answers
    low, high = wilson(share * effective, effective, confidence)
    return Interval(float(share), float(low), float(high))


@lru_cache(maxsize=8)
def resampled(clusters: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each of the clusters was drawn, shape (resamples, clusters), float64.

    Each resample draws as many clusters as there are, with replacement. The same numbers give the
    same resamples, so that models which answer for the same patients are resampled together.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    weights = drawn.astype(float)
    weights.flags.writeable = False  # it is handed out again
    return weights


def bootstrap_interval(
    values: np.ndarray, estimate: float, confidence: float = 0.95, *, reflected: bool = False
) -> tuple[float, float, int]:
    """Return low, high and the number of resamples that have the score.

    Parameters
    ----------
    values : array of float, shape (resamples,)
        The score of every resample. One in which it is NaN, such as one without a malignant ROI, is
        left out; the ends are NaN where fewer than half (ENOUGH) are left. They are NaN where all
        agree, too: that says that patients are too few or alike, not that the score is certain.
    estimate : float
        The score of the sample itself.
    confidence : float
    reflected : bool
        False: the percentiles low and high of the resamples (Field and Welsh, JRSS B 69:369, 2007).
        True: 2 estimate - high and 2 estimate - low, kept within 0 and 1, for a score such as the
        expected calibration error, which is larger in a resample than in its sample, as it is
        larger in the sample than in truth (the basic interval of Davison and Hinkley, 1997, section
        5.2).
    """
    defined = values[~np.isnan(values)]
    if len(defined) < max(1, ENOUGH * len(values)) or np.ptp(defined) == 0:
        return np.nan, np.nan, len(defined)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    if reflected:
        low, high = np.clip([2 * estimate - high, 2 * estimate - low], 0, 1)
    return float(low), float(high), len(defined)
