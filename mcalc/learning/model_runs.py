"""What a method of the league that is no network leaves of a fold: its card and its answers."""

import importlib.metadata
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import __version__, records
from mcalc.evaluation.scores import log_losses
from mcalc.files import write_text

RECORDED_VERSIONS = ("scikit-learn", "numpy", "scipy", "scikit-image", "PyWavelets")


@dataclass(frozen=True)
class Settings:
    """What is fitted, and how; written into its card as it stands.

    Attributes
    ----------
    model : str
        A method of the league (`league.read_league`) that learns from features.
    protocol : str
        The split's.
    fold : int
    seed : int
        Same seed, same answers.
    """

    model: str
    protocol: str
    fold: int = 0
    seed: int = 1


def answered(rows: pd.DataFrame, malignant: np.ndarray) -> pd.DataFrame:
    """Return PREDICTIONS rows: SPLIT rows of one fold with their probabilities of malignant."""
    is_malignant = (rows["label"] == records.MALIGNANT).to_numpy()
    return rows.drop(columns="fold").assign(
        probability_malignant=malignant,
        predicted=np.where(malignant > 0.5, records.MALIGNANT, records.BENIGN),
        loss=log_losses(is_malignant, malignant),
    )


def write_run(
    run: Path, settings: Settings, rows: pd.DataFrame, predictions: pd.DataFrame, fitted: dict
) -> None:
    """Write the card and the predictions of a method on one fold, whose SPLIT rows are `rows`."""
    versions = {name: importlib.metadata.version(name) for name in RECORDED_VERSIONS}
    card = {
        "classes": list(records.LABELS),
        "settings": asdict(settings),
        "fitted": fitted,
        "images": rows["subset"].value_counts().to_dict(),
        "versions": {"mcalc": __version__, **versions},
        "intended_use": "Research, not diagnosis.",
    }
    records.write(predictions, run / "predictions.csv", records.PREDICTIONS)
    write_text(run / "run.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
