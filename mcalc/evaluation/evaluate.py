"""Stage `evaluate`: one row of results for each training run."""

import json
import os
from pathlib import Path

import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.metrics import area_under_curve, confusion, measures

SETTING_KEYS = ("protocol", "network", "test", "fold", "batch_size", "lr_min", "lr_max", "epochs")


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
    settings = _read_settings(run / "run.json")
    history = _read_rows(run / "history.csv", records.HISTORY)
    predictions = records.evaluated(_read_rows(run / "predictions.csv", records.PREDICTIONS))
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


def _read_rows(path: Path, schema) -> pd.DataFrame:
    rows = records.read(path, schema)
    if rows.empty:
        raise DataError(f"{path}: the table has no row; train the run again.")
    return rows


def _read_settings(path: Path) -> dict:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
        missing = [key for key in SETTING_KEYS if key not in settings]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the card of a run; train it again.") from error
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing; train the run again.")
    return settings
