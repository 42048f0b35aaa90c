"""How well the published tables alone tell the classes, called by hand without any image."""

import json as as_json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.data.datasets.cbis_ddsm import list_table_rows
from mcalc.errors import DataError
from mcalc.evaluation.score_rows import Settings, score_rows
from mcalc.files import write_text
from mcalc.learning.shortcut_models import OF_TABLES, SHORTCUTS, fit_and_answer, read_features

# Which ROIs train and which are asked for, by whether they are without callback.
ROWS = {
    "all": "all ROIs",
    "not_tested": "ROIs without callback train, and are not asked for",
    "dropped": "ROIs without callback are dropped from both sides",
}


def audit_tables(
    root: str | os.PathLike,
    *,
    json: str | os.PathLike | None = None,
    seed: int = 1,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> str:
    """Return what `table_scores` finds as text for people; write it as JSON, too, if asked."""
    settings = Settings(confidence=confidence, resamples=resamples, seed=seed)
    found = table_scores(Path(root), settings)
    if json:
        write_text(json, as_json.dumps(found, indent=2) + "\n")
    parts = []
    for rows, meaning in ROWS.items():
        of_rows = [row for row in found if row["rows"] == rows]
        counts = of_rows[0]
        parts.append(
            f"{meaning[0].upper()}{meaning[1:]}: {counts['n']} of the published test set, "
            f"{counts['n_malignant']} malignant, {counts['n_patients']} patients."
        )
        parts.append(_as_table(of_rows, confidence))
    return "\n".join(parts)


def table_scores(root: Path, settings: Settings) -> list[dict]:
    """Train the shortcut models of tables on the published training table and test them.

    Parameters
    ----------
    root : Path
        The folder of CBIS-DDSM's tables of calcifications, as TCIA publishes them.
    settings : Settings
        `seed`, `confidence` and `resamples` count.

    Returns
    -------
    list of dict
        One for each of ROWS and model: `rows`, `model`, `reads`, `auc`, DeLong's interval over
        patients `low` and `high`, that of the bootstrap over patients `bootstrap_low` and
        `bootstrap_high` (NaN where there is none), `n`, `n_malignant` and `n_patients` of the test
        ROIs. A model to which all ROIs are alike is not there.

    Raises
    ------
    DataError
        If a table is missing, broken, or of one class.
    """
    rois = _read_rois(root)
    apart = (rois["pathology"] == "BENIGN_WITHOUT_CALLBACK").to_numpy()
    official = rois["official_split"].to_numpy()
    sides = {
        "all": (official == "train", official == "test"),
        "not_tested": (official == "train", (official == "test") & ~apart),
        "dropped": ((official == "train") & ~apart, (official == "test") & ~apart),
    }
    found = []
    for rows, (training, asked) in sides.items():
        kept = rois[training | asked]
        read, _ = read_features(kept, {}, OF_TABLES)
        learns, answers = training[training | asked], asked[training | asked]
        labels = kept["label"].to_numpy(dtype=str)
        for name, values in read.items():
            probability = fit_and_answer(
                name, values[learns], labels[learns], values[answers], seed=settings.seed
            )
            score = _auc(kept[answers], probability, settings)
            found.append({"rows": rows, "model": name, "reads": SHORTCUTS[name].reads} | score)
    return found


def _read_rois(root: Path) -> pd.DataFrame:
    rois = pd.DataFrame(list_table_rows(root, abnormalities=("calcification",)))
    for side in ("train", "test"):
        if side not in set(rois["official_split"]):
            raise DataError(
                f"{root}: no ROI of the published {side}ing table lies here; put both tables of "
                "calcifications that TCIA offers into the folder."
            )
    return rois


def _auc(rois: pd.DataFrame, probability: np.ndarray, settings: Settings) -> dict:
    sample = pd.DataFrame(
        {
            "cluster": rois["patient_id"].to_numpy(),
            "malignant": (rois["label"] == records.MALIGNANT).to_numpy(),
            "probability": probability,
        }
    )
    rows = [row for row in score_rows(sample, settings) if row["score"] == "auc"]
    bootstrap = next(row for row in rows if row["method"] == "bootstrap")
    preferred = next(row for row in rows if row["preferred"])
    return {
        "auc": preferred["value"],
        "low": preferred["low"],
        "high": preferred["high"],
        "bootstrap_low": bootstrap["low"],
        "bootstrap_high": bootstrap["high"],
        "n": len(sample),
        "n_malignant": int(sample["malignant"].sum()),
        "n_patients": sample["cluster"].nunique(),
    }


def _as_table(rows: list[dict], confidence: float) -> str:
    cells = [
        {
            "model": row["model"],
            "reads": row["reads"],
            "AUC": f"{row['auc']:.3f}",
            f"{confidence:.0%} DeLong": _ends(row["low"], row["high"]),
            f"{confidence:.0%} bootstrap": _ends(row["bootstrap_low"], row["bootstrap_high"]),
        }
        for row in rows
    ]
    return pd.DataFrame(cells).to_markdown(index=False, tablefmt="simple", disable_numparse=True)


def _ends(low: float, high: float) -> str:
    return "none" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
