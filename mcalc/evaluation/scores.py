"""Every score of a set of answers, for one sample or for all its resamples at once."""

import numpy as np

from mcalc.errors import DataError

# A probability above it is called malignant.
THRESHOLD = 0.5
# Bins of equal width in which the expected calibration error is counted.
BINS = 10
BIN_EDGES = np.arange(BINS + 1) / BINS
# Log loss takes no probability of the true class below it, else one sure mistake made it infinite.
SMALLEST = 1e-7
# Answers times resamples whose rankings are counted at the same time: what a cache holds.
CELLS = 50_000

SCORES = (
    "auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "ppv_screening",
    "npv_screening",
    "f1",
    "mcc",
    "brier",
    "log_loss",
    "ece",
)


def score(labels, probabilities, *, screening_prevalence: float) -> dict[str, float]:
    """Return every score of SCORES; `score_resamples` says how each is defined."""
    clusters = np.arange(len(labels))
    weights = np.ones((1, len(labels)))
    found = score_resamples(
        labels, probabilities, clusters, weights, screening_prevalence=screening_prevalence
    )
    return {name: float(values[0]) for name, values in found.items()}


def score_resamples(
    labels, probabilities, clusters, weights, *, screening_prevalence: float
) -> dict[str, np.ndarray]:
    """Return every score of every resample, in each of which a cluster counts `weights` times.

    Parameters
    ----------
    labels : array of bool, shape (n,)
        True where malignant, the positive class.
    probabilities : array of float, shape (n,)
        Of malignant, 0 to 1; above 0.5 (THRESHOLD) is called malignant.
    clusters : array of int, shape (n,)
        The column of `weights` that an answer belongs to, such as its patient.
    weights : array of float, shape (resamples, clusters)
        How often a cluster was drawn; ones score the sample itself.
    screening_prevalence : float
        Share of malignant, between 0 and 1, for which `ppv_screening` and `npv_screening` hold, by
        Bayes' theorem from sensitivity and specificity: PPV = se p / (se p + (1 - sp)(1 - p)).

    Returns
    -------
    dict of array of float, shape (resamples,)
        `auc` is the share of pairs ranked rightly, a tie counting half; `average_precision` is
        sum((R_k - R_k-1) P_k) over the distinct probabilities; `balanced_accuracy` the mean of
        sensitivity and specificity; `brier` mean((p - y)^2) (Brier 1950); `log_loss` in nats, no
        probability taken below 1e-7 (SMALLEST); `ece` sum_b |sum_(i in b) (y_i - p_i)| / n over ten
        bins [0, 0.1), ..., [0.9, 1] of the probability of malignant (Naeini et al. 2015).
        A ratio whose denominator is 0 is NaN, never 0: all but `accuracy`, `brier`, `log_loss` and
        `ece` ask for both classes or for an answer of the kind that they are about.

    Raises
    ------
    DataError
        If there is no answer, or a probability is no number between 0 and 1.
    """
    labels, probabilities = checked(labels, probabilities)
    weights = np.asarray(weights, dtype=float)
    totals = weights @ _cluster_sums(labels, probabilities, clusters, weights.shape[1])
    tp, fp, fn, tn, squares, logs = totals[:, :6].T
    count = tp + fp + fn + tn
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    auc, average_precision = _ranking_scores(labels, probabilities, clusters, weights)
    root = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    prevalence = screening_prevalence
    found_sick, missed_sick = sensitivity * prevalence, (1 - sensitivity) * prevalence
    found_well = specificity * (1 - prevalence)
    called_well = (1 - specificity) * (1 - prevalence)
    return {
        "auc": auc,
        "average_precision": average_precision,
        "accuracy": _ratio(tp + tn, count),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "ppv_screening": _ratio(found_sick, found_sick + called_well),
        "npv_screening": _ratio(found_well, found_well + missed_sick),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "mcc": np.clip(_ratio(tp * tn - fp * fn, root), -1, 1),
        "brier": _ratio(squares, count),
        "log_loss": _ratio(logs, count),
        "ece": _ratio(np.abs(totals[:, 6:]).sum(axis=1), count),
    }


def checked(labels, probabilities) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays of bool and float; `DataError` where they cannot be scored."""
    labels, probabilities = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=float)
    if not len(labels):
        raise DataError("There is no answer to score; predict some images first.")
    wrong = ~((probabilities >= 0) & (probabilities <= 1))
    if wrong.any():
        raise DataError(
            f"{wrong.sum()} of {len(labels)} probabilities, such as {probabilities[wrong][0]}, are "
            "no numbers between 0 and 1; predict again."
        )
    return labels, probabilities


def bins_of(probabilities: np.ndarray) -> np.ndarray:
    """Return the bin (0 to BINS - 1) of each probability; a bin has its lower edge, the last both.

    Looked up among BIN_EDGES rather than multiplied, so that 0.3 is in the bin that starts there.
    """
    return np.minimum(np.searchsorted(BIN_EDGES, probabilities, side="right") - 1, BINS - 1)


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return -log of the true class's probability, in nats, no probability below SMALLEST."""
    of_truth = np.where(labels, probabilities, 1 - probabilities)
    return -np.log(np.maximum(of_truth, SMALLEST))


def _cluster_sums(labels, probabilities, clusters, many: int) -> np.ndarray:
    """Return what a score adds up, summed by cluster: shape (clusters, 6 + BINS)."""
    called = probabilities > THRESHOLD
    places = np.arange(len(labels))
    terms = np.zeros((len(labels), 6 + BINS))
    terms[:, 0], terms[:, 1] = labels & called, ~labels & called
    terms[:, 2], terms[:, 3] = labels & ~called, ~labels & ~called
    terms[:, 4] = (probabilities - labels) ** 2
    terms[:, 5] = log_losses(labels, probabilities)
    terms[places, 6 + bins_of(probabilities)] = labels - probabilities
    sums = np.zeros((many, terms.shape[1]))
    np.add.at(sums, np.asarray(clusters), terms)
    return sums


def _ranking_scores(labels, probabilities, clusters, weights) -> tuple[np.ndarray, np.ndarray]:
    """Return AUC and average precision, each of shape (resamples,)."""
    order = np.argsort(-probabilities, kind="stable")
    labels, clusters = labels[order], np.asarray(clusters)[order]
    starts = np.flatnonzero(np.diff(-probabilities[order], prepend=-np.inf))
    step = max(1, CELLS // len(labels))
    found = [
        _rank(labels, weights[first : first + step].T[clusters], starts)
        for first in range(0, len(weights), step)
    ]
    auc, precision = np.concatenate(found, axis=1)
    return auc, precision


def _rank(labels: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return AUC and average precision of answers in descending order, (2, resamples).

    `counts` is (n, resamples); answers that tie start at `starts`.
    """
    malignant = np.add.reduceat(counts * labels[:, None], starts)
    everything = np.add.reduceat(counts, starts)
    hits, called = np.cumsum(malignant, axis=0), np.cumsum(everything, axis=0)
    positives = hits[-1]
    negatives = called[-1] - positives
    # A tie group's benign answers lie above no malignant one below it, and half above its own.
    ordered = ((everything - malignant) * (hits - malignant / 2)).sum(axis=0)
    precision = (malignant * _ratio(hits, called, otherwise=0.0)).sum(axis=0)
    both = np.where(negatives > 0, positives, 0)
    return np.stack([_ratio(ordered, positives * negatives), _ratio(precision, both)])


def _ratio(numerator, denominator, otherwise: float = np.nan) -> np.ndarray:
    result = np.full(np.shape(denominator), otherwise)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)
