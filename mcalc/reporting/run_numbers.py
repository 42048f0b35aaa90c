"""What a run has for each cell of the study's tables, with the uncertainty of its own sample."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from mcalc.evaluation.score_rows import Settings
from mcalc.records import BENIGN
from mcalc.reporting.measured import measure, measure_accuracy, measure_mean
from mcalc.reporting.results import NETWORK_NAMES, TRAINING_TABLES, Results

# The study's six settings of each network, in the order of its tests: batch size, lowest and
# highest learning rate, epochs.
SETTINGS = (
    (32, 8e-6, 1e-4, 15),
    (64, 8e-6, 1e-4, 15),
    (64, 8e-6, 1e-4, 30),
    (32, 2e-6, 1e-3, 15),
    (64, 2e-6, 1e-3, 15),
    (64, 2e-6, 1e-3, 30),
)
# The first test of each of the study's tables of training results.
FIRST_TESTS = {5: 1, 6: 7, 7: 13, 8: 19}

MEASURED = ("recall", "precision", "specificity", "accuracy", "f1", "mcc")

NAN = float("nan")


class Ours(NamedTuple):
    """A number of the run, in the unit of the page, with its interval (NaN where none)."""

    value: float
    low: float = NAN
    high: float = NAN


def run_numbers(run: Results, protocol: str) -> dict[str, Ours | str]:
    """Return for each cell, named as in '9/AlexNet/recall', the run's number or why it has none.

    All have intervals over patients (`measured`) but counts, which are exact, and the training
    loss, which is of one training.
    """
    found: dict[str, Ours | str] = {}
    for table in (_counts, _training, _measures):
        found |= table(run, protocol)
    if protocol not in run.protocols:
        found = {cell: f"the protocol {protocol} was not run" for cell in found}
    return found | dict(_filters(run))


def _counts(run: Results, protocol: str) -> dict[str, Ours | str]:
    """Table 2: ROIs before rotation, images after it."""
    before = run.rois["label"].value_counts()
    no_images = pd.DataFrame({"image_id": [], "label": []})
    images = run.splits[protocol] if protocol in run.protocols else no_images
    after = images.drop_duplicates("image_id")["label"].value_counts()
    before["total"], after["total"] = before.sum(), after.sum()
    return {
        f"2/{row}/{column}": Ours(float(counts.get(row, 0)))
        for row in ("benign", "malignant", "total")
        for column, counts in (("before", before), ("after", after))
    }


def _filters(run: Results) -> Iterator[tuple[str, Ours | str]]:
    """Table 4: means over ROIs; only the first of its filters is known by name."""
    scores = run.filter_scores[run.filter_scores["filter"] == "adaptive_median"]
    for column in ("psnr", "mse"):
        for row in ("second", "third"):
            yield f"4/{row}/{column}", "which filter this is, is not known"
        mean = measure_mean(scores, column, run.settings)
        absent = "the adaptive median filter was not scored"
        yield f"4/first/{column}", absent if np.isnan(mean.value) else Ours(*mean)


def _training(run: Results, protocol: str) -> dict[str, Ours | str]:
    """Tables 5 to 8: the run of the same network and setting, all in per cent."""
    found = {}
    runs = run.pooled_runs[run.pooled_runs["protocol"] == protocol]
    for table, first in FIRST_TESTS.items():
        of_table = runs[runs["network"].map(TRAINING_TABLES) == table]
        for test, setting in enumerate(SETTINGS, start=first):
            same = of_table[[_is_setting(row, setting) for _, row in of_table.iterrows()]]
            found |= {
                f"{table}/{test}/{name}": number
                for name, number in _losses(run, same, setting).items()
            }
    return found


def _is_setting(row: pd.Series, setting: tuple) -> bool:
    return np.allclose([row[n] for n in ("batch_size", "lr_min", "lr_max", "epochs")], setting)


def _losses(run: Results, runs: pd.DataFrame, setting: tuple) -> dict[str, Ours | str]:
    if runs.empty:
        size, low, high, epochs = setting
        absent = f"no run has batches of {size}, rates {low:g} to {high:g}, {epochs} epochs"
        return dict.fromkeys(("train_loss", "valid_loss", "error_rate", "accuracy"), absent)
    row = runs.iloc[0]
    value, low, high = measure_accuracy(run.test_predictions(row), run.settings)
    _, loss_low, loss_high = measure_mean(run.valid_predictions(row), "loss", run.settings)
    return {
        "train_loss": Ours(100 * row["train_loss"]),
        "valid_loss": Ours(100 * row["valid_loss"], 100 * loss_low, 100 * loss_high),
        "error_rate": Ours(*(100 * (1 - share) for share in (value, high, low))),
        "accuracy": Ours(*(100 * share for share in (value, low, high))),
    }


def _measures(run: Results, protocol: str) -> dict[str, Ours | str]:
    """Table 9: each network's best run, with benign as the positive class as in the study."""
    best = run.best_runs[run.best_runs["protocol"] == protocol]
    found = {}
    for table in FIRST_TESTS:
        rows = best[best["network"].map(TRAINING_TABLES) == table]
        network = next(name for name, number in TRAINING_TABLES.items() if number == table)
        numbers = dict.fromkeys(MEASURED, "the network was not trained")
        if len(rows):
            numbers = _measured(run.best_predictions(rows.iloc[0]), run.settings)
        found |= {f"9/{NETWORK_NAMES[network]}/{name}": ours for name, ours in numbers.items()}
    return found


def _measured(predictions: pd.DataFrame, settings: Settings) -> dict[str, Ours | str]:
    """Return the measures of Table 9 with benign as the positive class."""
    found = measure(predictions, BENIGN, settings)
    absent = "the run's matrix has an empty row or column"
    return {
        name: absent if np.isnan(found[name].value) else Ours(*found[name]) for name in MEASURED
    }
