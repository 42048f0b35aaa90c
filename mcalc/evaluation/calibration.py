"""Probabilities that mean what they say, and how far they do."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from mcalc.errors import UsageError
from mcalc.evaluation.intervals import clustered_wilson
from mcalc.evaluation.scores import BIN_EDGES, BINS, SMALLEST, bins_of, checked, log_losses

METHODS = ("none", "temperature", "platt", "isotonic")

Calibrator = Callable[[np.ndarray], np.ndarray]


def fit(method: str, labels, probabilities) -> Calibrator | None:
    """Return a function that maps probabilities to calibrated ones, fitted on these answers.

    Parameters
    ----------
    method : {'none', 'temperature', 'platt', 'isotonic'}
        'temperature' divides logits by one number (Guo et al. 2017); 'platt' takes a straight line
        of them, fitted to targets (m + 1)/(m + 2) and 1/(b + 2) for m malignant and b benign
        answers rather than to 1 and 0 (Platt 1999); 'isotonic' is the best non-decreasing step
        function (Zadrozny and Elkan 2002), constant beyond the probabilities that it has seen.
    labels : array of bool, shape (n,)
        True where malignant.
    probabilities : array of float, shape (n,)

    Returns
    -------
    function or None
        None where nothing can be fitted, as no answer is there or only one class; 'none' needs no
        answer.
    """
    if method not in METHODS:
        raise UsageError(f"Calibration {method!r} is unknown; use {', '.join(METHODS)}.")
    if method == "none":
        return lambda values: np.asarray(values, dtype=float)
    if not len(labels) or np.all(labels) or not np.any(labels):
        return None
    labels, probabilities = checked(labels, probabilities)
    return _FITS[method](labels, probabilities)


def _fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> Calibrator:
    logits = _logits(probabilities)

    def loss(log_temperature: float) -> float:
        return log_losses(labels, expit(logits / np.exp(log_temperature))).mean()

    # Beyond these a logit of 16 becomes 0.1 or 1600: no better fit is worth its name.
    temperature = np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(160))).x)
    return lambda values: expit(_logits(values) / temperature)


def _fit_platt(labels: np.ndarray, probabilities: np.ndarray) -> Calibrator:
    logits = _logits(probabilities)
    malignant, benign = labels.sum(), (~labels).sum()
    targets = np.where(labels, (malignant + 1) / (malignant + 2), 1 / (benign + 2))

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        steep = line[0] * logits + line[1]
        wrong = expit(steep) - targets
        return (
            float(np.mean(np.logaddexp(0, steep) - targets * steep)),
            np.array([np.mean(wrong * logits), np.mean(wrong)]),
        )

    line = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    return lambda values: expit(line[0] * _logits(values) + line[1])


def _fit_isotonic(labels: np.ndarray, probabilities: np.ndarray) -> Calibrator:
    steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    steps.fit(probabilities, labels.astype(float))
    return lambda values: np.clip(steps.predict(np.asarray(values, dtype=float)), 0, 1)


_FITS = {"temperature": _fit_temperature, "platt": _fit_platt, "isotonic": _fit_isotonic}


def _logits(probabilities) -> np.ndarray:
    return logit(np.clip(probabilities, SMALLEST, 1 - SMALLEST))


def reliability(labels, probabilities, patients, confidence: float = 0.95) -> list[dict]:
    """Return one row a bin of the probability of malignant: what was said and what was so.

    Each row has `bin` (0 to 9), its ends `bin_low` and `bin_high`, `n`, `mean_probability`, and
    `observed`, the share that is malignant, with the ends `low` and `high` of `clustered_wilson`.
    An empty bin has NaN for all but its ends and `n`.
    """
    labels, probabilities = checked(labels, probabilities)
    places = bins_of(probabilities)
    rows = []
    for number in range(BINS):
        here = places == number
        observed, low, high = clustered_wilson(labels, here, patients, confidence)
        rows.append(
            {
                "bin": number,
                "bin_low": BIN_EDGES[number],
                "bin_high": BIN_EDGES[number + 1],
                "n": int(here.sum()),
                "mean_probability": probabilities[here].mean() if here.any() else np.nan,
                "observed": observed,
                "low": low,
                "high": high,
            }
        )
    return rows
