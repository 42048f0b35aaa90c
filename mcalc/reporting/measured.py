"""What a run's answers are worth: the study's measures with intervals over patients."""

import numpy as np
import pandas as pd

from mcalc.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    clustered_wilson,
    resampled,
)
from mcalc.evaluation.levels import units, with_clusters
from mcalc.evaluation.score_rows import Settings, score_rows
from mcalc.records import BENIGN

# The study's names, and those of `evaluation.scores` where the positive class is counted as theirs.
MEASURES = {
    "recall": "sensitivity",
    "precision": "ppv",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "f1": "f1",
    "mcc": "mcc",
    "auc": "auc",
}


def measure(
    predictions: pd.DataFrame, positive_class: str, settings: Settings
) -> dict[str, Interval]:
    """Return each of MEASURES with its interval, image by image as the study counts.

    Parameters
    ----------
    predictions : DataFrame
        PREDICTIONS rows, those of all folds together.
    positive_class : {'benign', 'malignant'}
    settings : score_rows.Settings

    Returns
    -------
    dict of Interval
        The interval that `evaluation.score_rows` prefers, over patients: all images of a patient
        count as one draw. Ends are NaN where patients are too few or all alike.
    """
    sample = units(with_clusters(predictions), "image")
    if positive_class == BENIGN:
        sample = sample.assign(
            malignant=~sample["malignant"], probability=1 - sample["probability"]
        )
    rows = {row["score"]: row for row in score_rows(sample, settings) if row["preferred"]}
    return {
        name: Interval(*(rows[score][part] for part in ("value", "low", "high")))
        for name, score in MEASURES.items()
    }


def measure_accuracy(predictions: pd.DataFrame, settings: Settings) -> Interval:
    """Return the share of images that are called rightly, with its interval over patients."""
    rows = with_clusters(predictions)
    right = (rows["label"] == rows["predicted"]).to_numpy()
    counted = np.ones(len(rows), dtype=bool)
    return clustered_wilson(right, counted, rows["cluster"].to_numpy(), settings.confidence)


def measure_mean(rows: pd.DataFrame, column: str, settings: Settings) -> Interval:
    """Return the mean of a column with its interval over patients.

    Parameters
    ----------
    rows : DataFrame
        With `roi_id` and `patient_id`: one row a ROI or image.
    column : str
        Of numbers; infinite ones, such as the PSNR of an unchanged image, are left out.
    settings : score_rows.Settings

    Returns
    -------
    Interval
        Ends are the percentiles of resamples of patients (`evaluation.intervals`); NaN for a single
        patient, or where all say the same.
    """
    finite = with_clusters(rows[np.isfinite(rows[column])])
    if finite.empty:
        return Interval(np.nan, np.nan, np.nan)
    mean = float(finite[column].mean())
    patients = finite.groupby("cluster")[column].agg(["sum", "size"])
    if len(patients) < 2:
        return Interval(mean, np.nan, np.nan)
    drawn = resampled(len(patients), settings.resamples, settings.seed)
    means = (drawn @ patients["sum"].to_numpy()) / (drawn @ patients["size"].to_numpy())
    return Interval(mean, *bootstrap_interval(means, mean, settings.confidence)[:2])


def in_columns(name: str, interval: Interval) -> dict[str, float]:
    """Return an interval as a table has it: the columns `name`, `name_low` and `name_high`."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval, strict=True))


def count_patients(rows: pd.DataFrame) -> int:
    """Return the number of patients that are known by name."""
    return len(set(rows["patient_id"]) - {""})
