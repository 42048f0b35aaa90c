"""Whether two models that answered for the same ROIs differ by more than chance."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, chi2, norm


class McNemar(NamedTuple):
    """Answers that only one of two models has right, and how likely so uneven a split is."""

    only_first: int
    only_second: int
    exact: float
    corrected: float
    clustered: float


def delong_test(difference: float, variance: float) -> float:
    """Return the two-sided p of a difference of AUCs with this variance (DeLong et al. 1988).

    1 where both are 0: models that rank alike. NaN where the variance is 0 and the difference is
    not, as of two models that cannot err, or where either is NaN.
    """
    # What rounding leaves of the variance of two equal models is no variance.
    if variance <= 1e-15:
        return 1.0 if abs(difference) <= 1e-12 else np.nan
    return float(2 * norm.sf(abs(difference) / np.sqrt(variance)))


def mcnemar(first_right, second_right, patients=None) -> McNemar:
    """Compare the answers of two models, right or wrong, for the same ROIs.

    Parameters
    ----------
    first_right, second_right : array of bool, shape (n,)
    patients : array, shape (n,), or None
        Equal values are one cluster; None makes each answer its own.

    Returns
    -------
    McNemar
        With b and c the answers that only the first and only the second has right: `exact`, the
        two-sided binomial p of b among b + c; `corrected`, chi-squared of (|b - c| - 1)^2/(b + c);
        `clustered`, chi-squared of (sum d_i)^2 / sum d_i^2 with d_i patient i's b - c, which does
        not take two ROIs of a patient for two witnesses. With one ROI a patient it is
        (b - c)^2/(b + c). All are 1 where b + c is 0.

    References
    ----------
    McNemar, Psychometrika 12:153 (1947); Edwards, Psychometrika 13:185 (1948), for the correction;
    Obuchowski, Stat Med 17:1495 (1998), and Yang, Sun and Hardin, Biom J 52:638 (2010), for
    clusters.
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    apart = only_first + only_second
    if not apart:
        return McNemar(0, 0, 1.0, 1.0, 1.0)
    patients = np.arange(len(first)) if patients is None else np.asarray(patients)
    _, cluster = np.unique(patients, return_inverse=True)
    surplus = np.bincount(cluster, weights=first.astype(float) - second)
    squares = np.sum(surplus**2)
    return McNemar(
        only_first,
        only_second,
        float(binomtest(only_first, apart).pvalue),
        float(chi2.sf(max(abs(only_first - only_second) - 1, 0) ** 2 / apart, 1)),
        float(chi2.sf(surplus.sum() ** 2 / squares, 1)) if squares else 1.0,
    )


def holm(p_values) -> np.ndarray:
    """Return p-values corrected for being a family, by Holm's step-down method.

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than one before it (Holm,
    Scand J Stat 6:65, 1979). NaN stays NaN and does not count into the family.
    """
    p_values = np.asarray(p_values, dtype=float)
    corrected = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
