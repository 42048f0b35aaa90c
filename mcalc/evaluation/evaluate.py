"""Stage `evaluate`: one row of results for each training run."""

import os
from pathlib import Path

from mcalc import records
from mcalc.evaluation.metrics import area_under_curve, confusion, measures
from mcalc.evaluation.runs import SETTING_KEYS, read_rows, read_settings


def evaluate_runs(
    runs: list[str | os.PathLike],
    *,
    results: str | os.PathLike,
    positive_class: str = records.MALIGNANT,
) -> str:
    """Write the table `results` (RUNS): settings and measures of each run folder in `runs`.

    Losses are those of the last epoch; all measures follow from the run's predictions on its
    test images, or its validation images where the protocol keeps no test images.
    `positive_class` is 'malignant', or 'benign' as in the study.
    """
    rows = [_evaluate(Path(run), positive_class) for run in runs]
    rows.sort(key=lambda row: (row["protocol"], row["test"], row["fold"]))
    records.write(rows, results, records.RUNS)
    return f"{results}: {len(rows)} runs"


def _evaluate(run: Path, positive_class: str) -> dict:
    settings = read_settings(run / "run.json")
    history = read_rows(run / "history.csv", records.HISTORY)
    predictions = records.evaluated(read_rows(run / "predictions.csv", records.PREDICTIONS))
    counts = confusion(
        predictions["label"], predictions["predicted"], positive_class=positive_class
    )
    return {
        **{key: settings[key] for key in SETTING_KEYS},
        "train_loss": history["train_loss"].iloc[-1],
        "valid_loss": history["valid_loss"].iloc[-1],
        "positive_class": positive_class,
        **counts._asdict(),
        **measures(counts),
        "error_rate": 1 - measures(counts)["accuracy"],
        "auc": area_under_curve(predictions["label"], predictions["probability_malignant"]),
    }
