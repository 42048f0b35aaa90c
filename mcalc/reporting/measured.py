"""What a run's answers are worth: the study's measures with intervals over patients."""

import numpy as np
import pandas as pd

from mcalc.evaluation.intervals import Interval, clustered_wilson
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


def measure(predictions: pd.DataFrame, positive_class: str) -> dict[str, Interval]:
    """Return each of MEASURES with its 95 % interval, image by image as the study counts.

    Parameters
    ----------
    predictions : DataFrame
        PREDICTIONS rows, those of all folds together.
    positive_class : {'benign', 'malignant'}

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
    rows = {row["score"]: row for row in score_rows(sample, Settings()) if row["preferred"]}
    return {
        name: Interval(*(rows[score][part] for part in ("value", "low", "high")))
        for name, score in MEASURES.items()
    }


def measure_accuracy(predictions: pd.DataFrame) -> Interval:
    """Return the share of images that are called rightly, with its 95 % interval over patients."""
    rows = with_clusters(predictions)
    right = (rows["label"] == rows["predicted"]).to_numpy()
    return clustered_wilson(right, np.ones(len(rows), dtype=bool), rows["cluster"].to_numpy())


def count_patients(rows: pd.DataFrame) -> int:
    """Return the number of patients that are known by name."""
    return len(set(rows["patient_id"]) - {""})
