"""The area under the ROC curve: its variance, interval and smallest visible difference."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from mcalc.evaluation.intervals import Interval


def auc_covariance(labels, probabilities, patients=None) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUC of each model and their covariance, over patients with several ROIs each.

    With V10(X) the share of benign answers that a malignant one lies above (ties half) and V01(Y)
    the share of malignant answers above a benign one, both from mid-ranks, M malignant and N benign
    answers, and patient i's sums A_i of V10 - AUC and B_i of V01 - AUC,

        Cov = I10/((I10-1) M^2) sum A A' + I01/((I01-1) N^2) sum B B'
              + I/((I-1) M N) sum (A B' + B A'),

    where I10, I01 and I count the patients with malignant, benign and any answers.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities : array of float, shape (models, n)
        Any scores: only their order counts.
    patients : array, shape (n,), or None
        Equal values are one cluster; None makes each answer its own, which is DeLong's method.

    Returns
    -------
    aucs : array of float, shape (models,)
        NaN where a class is missing.
    covariance : array of float, shape (models, models)
        NaN where fewer than two patients have a class.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44:837 (1988); Sun and Xu, IEEE Signal Process
    Lett 21:1389 (2014), for mid-ranks; Obuchowski, Biometrics 53:567 (1997), for clusters.
    """
    labels, answers = np.asarray(labels, dtype=bool), np.atleast_2d(probabilities)
    models = len(answers)
    unknown = np.full((models, models), np.nan)
    malignant, benign = int(labels.sum()), int((~labels).sum())
    if not malignant or not benign:
        return np.full(models, np.nan), unknown
    patients = np.arange(len(labels)) if patients is None else np.asarray(patients)
    _, cluster = np.unique(patients, return_inverse=True)
    aucs, centred = _placements(labels, answers)
    sick, well = (_sums(centred, cluster, side) for side in (labels, ~labels))
    with_sick, with_well = (len(np.unique(cluster[side])) for side in (labels, ~labels))
    if min(with_sick, with_well) < 2:
        return aucs, unknown
    both = cluster.max() + 1
    crossed = sick.T @ well / (malignant * benign) * both / (both - 1)
    covariance = sick.T @ sick / malignant**2 * with_sick / (with_sick - 1)
    covariance += well.T @ well / benign**2 * with_well / (with_well - 1)
    return aucs, covariance + crossed + crossed.T


def _placements(labels: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each model's AUC and each answer's V10 or V01 less the AUC, shape (models, n)."""
    within = np.empty(answers.shape)
    for side in (labels, ~labels):
        within[:, side] = rankdata(answers[:, side], axis=1)
    others = np.where(labels, (~labels).sum(), labels.sum())
    # How many of the other class an answer lies above, ties half, as a share.
    above = (rankdata(answers, axis=1) - within) / others
    shares = np.where(labels, above, 1 - above)
    aucs = shares[:, labels].mean(axis=1)
    return aucs, shares - aucs[:, None]


def _sums(centred: np.ndarray, cluster: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return each patient's sums over the answers of one class, shape (patients, models)."""
    sums = np.zeros((cluster.max() + 1, len(centred)))
    np.add.at(sums, cluster[side], centred[:, side].T)
    return sums


def auc_interval(auc: float, variance: float, confidence: float = 0.95) -> Interval:
    """Return DeLong's interval of an AUC on the logit scale, which keeps it between 0 and 1.

    The ends are expit(logit(auc) -+ z sd / (auc (1 - auc))). NaN ends where the variance is NaN or
    where the AUC is 0 or 1 (`perfect_auc_interval` is for those). A variance of 0 elsewhere is a
    model that cannot but have this AUC, such as 0.5 of equal answers, and its ends are equal.

    References
    ----------
    Pepe, The Statistical Evaluation of Medical Tests (2003), section 5.2.
    """
    if np.isnan(auc) or np.isnan(variance) or not 0 < auc < 1:
        return Interval(float(auc), np.nan, np.nan)
    spread = norm.isf((1 - confidence) / 2) * np.sqrt(variance) / (auc * (1 - auc))
    logit = np.log(auc / (1 - auc))
    low, high = 1 / (1 + np.exp(-(logit + np.array([-spread, spread]))))
    return Interval(float(auc), float(low), float(high))


def perfect_auc_interval(
    auc: float, malignant: int, benign: int, confidence: float = 0.95
) -> Interval:
    """Return an interval of an AUC of any size, also of 0 and 1, where DeLong's variance is 0.

    The ends are the areas A with |A - auc| = z sd(A), with Hanley and McNeil's variance
    A (1 - A) (1 + k (1 - A)/(2 - A) + k A/(1 + A)) / (m n), k = (m + n)/2 - 1.

    Parameters
    ----------
    auc : float
    malignant, benign : int
        How many of each: patients, where answers of one patient are alike. NaN ends where 0.
    confidence : float

    References
    ----------
    Newcombe, Stat Med 25:559 (2006), method 5.
    """
    if np.isnan(auc) or not malignant or not benign:
        return Interval(float(auc), np.nan, np.nan)
    quantile = norm.isf((1 - confidence) / 2)
    more = (malignant + benign) / 2 - 1

    def excess(area: float) -> float:
        factor = 1 + more * ((1 - area) / (2 - area) + area / (1 + area))
        return (area - auc) ** 2 - quantile**2 * area * (1 - area) * factor / (malignant * benign)

    # At 0 and 1 the equation has a second root, the AUC itself.
    low = brentq(excess, 0, min(auc, 1 - 1e-12)) if auc > 0 else 0.0
    high = brentq(excess, max(auc, 1e-12), 1) if auc < 1 else 1.0
    return Interval(float(auc), low, high)


def smallest_difference(variance: float, power: float = 0.8, significance: float = 0.05) -> float:
    """Return the difference of two AUCs that a two-sided test of this significance shows.

    (z_(1 - significance/2) + z_power) sqrt(variance), where `variance` is that of the difference,
    V_aa + V_bb - 2 V_ab of `auc_covariance`: with a true difference of this size, the share `power`
    of studies with as many patients, as hard for both models, would find it.
    """
    return float((norm.isf(significance / 2) + norm.isf(1 - power)) * np.sqrt(max(variance, 0)))
