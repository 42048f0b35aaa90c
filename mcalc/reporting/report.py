"""Stage `report`: the run's whole story in one HTML file that opens offline."""

import base64
import os
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.intervals import Interval
from mcalc.evaluation.score_rows import Settings
from mcalc.files import write_text
from mcalc.records import LABELS, TRAINED_AS
from mcalc.reporting.measured import count_patients, measure_accuracy, measure_mean
from mcalc.reporting.paper_section import paper_section
from mcalc.reporting.results import NETWORK_NAMES, Results
from mcalc.reporting.score_tables import shown_rows
from mcalc.reporting.shown_tables import show_table
from mcalc.reporting.study_tables import make_tables
from mcalc.reporting.table import Table
from mcalc.reporting.truth_bench import KINDS, conclude

FIGURES = (
    *("figure3", "figure4a", "figure4b", "truth", "figure5", "figure6"),
    *("auc", "calibration", "top_losses"),
)

# How many of the ROIs set aside are listed one by one.
LISTED = 20

METHODS = {"otsu": "Otsu alone", "otsu_grown": "Otsu grown to the skin line"}


def write_report(
    results: str | os.PathLike,
    *,
    run_name: str,
    report: str | os.PathLike,
    leakage: str | os.PathLike | None = None,
    league: str | os.PathLike | None = None,
    settings: Settings | None = None,
) -> str:
    """Write the report of a run to the HTML file `report`, figures and styles inside.

    Parameters
    ----------
    results : path
        The folder `results/{run}`, with the figures of the stage `figures` in `figures/`.
    run_name : str
        The data set's name.
    report : path
        The file to write.
    leakage : path or None
        The table of the leakage audit (LEAKAGE); its figure lies with the others.
    league : path or None
        The table of other studies' methods (LEAGUE); its figure lies with the others.
    settings : score_rows.Settings or None
        Confidence, resamples and seed of the intervals.

    Returns
    -------
    str
        One line that says how large the file is.

    Raises
    ------
    DataError
        If a file of the results or a figure is missing.
    """
    read = Results(results, run_name, settings)
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "listed": _listed,
        "spaced": _spaced,
        "ends": _ends,
    }
    text = environment.get_template("report.html.j2").render(
        _story(read)
        | {
            "leakage": _leakage(read, leakage) if leakage else None,
            "league": _league(read, league) if league else None,
        }
    )
    write_text(report, text)
    return f"{report}: {len(text.encode()) / 1e6:.1f} MB"


def _story(results: Results) -> dict:
    """Return all that the template speaks of."""
    card = results.card(results.runs.iloc[0])
    return {
        "run_name": results.run_name,
        "dataset": results.dataset,
        "data_hash": results.data_hash,
        "results": results,
        "tables": [show_table(table) for table in make_tables(results)],
        "figures": {name: _embed(results.folder / f"figures/{name}.png") for name in FIGURES},
        "data": _data(results),
        "cleaning": _cleaning(results),
        "choice": results.filter_choice,
        "contrast": _contrast(results),
        "confidence": f"{100 * results.settings.confidence:g} %",
        "paper": paper_section(results),
        "truth": _truth(results),
        "protocols": [_compare_sides(results, protocol) for protocol in results.protocols],
        "ranks": {protocol: _ranks(results, protocol) for protocol in results.protocols},
        "networks": [NETWORK_NAMES[network] for network in results.networks],
        "methods": METHODS,
        "card": card,
        "settings": card["settings"],
    }


def _data(results: Results) -> dict:
    rejected = results.rejected
    reasons = rejected.groupby(["stage", "reason"]).size().rename("ROIs").reset_index()
    first = rejected.head(LISTED)
    title = f"The first {len(first)} of {len(rejected)} ROIs set aside"
    return {
        "rois": len(results.rois),
        "labels": results.rois["label"].value_counts().reindex(LABELS, fill_value=0).to_dict(),
        "patients": count_patients(results.rois),
        "rejected": len(rejected),
        "counts": show_table(Table("rois", "ROIs that took part", "", _count_rois(results.rois))),
        "reasons": show_table(Table("reasons", "ROIs set aside, by stage and reason", "", reasons)),
        "first": show_table(Table("rejected", title, "", first)),
    }


def _count_rois(rois: pd.DataFrame) -> pd.DataFrame:
    """Count ROIs and patients by label and view, and both labels together."""
    rows = []
    for label in (*LABELS, "both"):
        of_label = rois if label == "both" else rois[rois["label"] == label]
        counts = {"label": label, "ROIs": len(of_label), "patients": count_patients(of_label)}
        for view in sorted(rois["view"].unique()):
            counts[f"{view or 'unknown'}_view"] = int((of_label["view"] == view).sum())
        rows.append(counts)
    return pd.DataFrame(rows)


def _cleaning(results: Results) -> dict:
    """Return the mean shares kept: of ROIs that hold background, of mammograms by origin."""
    cleaning = results.cleaning
    with_background = cleaning[cleaning["has_background"]]
    groups = {"ROIs": with_background, **dict(list(results.mammograms.groupby("origin")))}
    found = {}
    for name, rows in groups.items():
        if len(rows):
            kept = {m: measure_mean(rows, f"{m}_kept", results.settings) for m in METHODS}
            found[name] = {"count": len(rows), "patients": count_patients(rows), **kept}
    return found


def _contrast(results: Results) -> Interval:
    """Return how much contrast of the brightest details the chosen filter leaves."""
    scores = results.filter_scores
    scores = scores[scores["filter"] == results.filter_choice["filter"]]
    return measure_mean(scores, "contrast_retention", results.settings)


def _truth(results: Results) -> dict:
    """Return what the truth bench says of the order in which Table 4 puts the filters."""
    scores = results.truth_scores
    errors = results.filter_scores.groupby("filter")["mse"].mean()
    against_input = list(errors.sort_values().index)
    whole, *kinds = conclude(scores, against_input)
    return {
        "crops": scores["crop"].nunique(),
        "against_input": against_input,
        "whole": whole,
        "kinds": kinds,
        "names": KINDS,
    }


def _compare_sides(results: Results, protocol: str) -> dict:
    """Return what a protocol's validation images are, and how the best runs do on them."""
    sides = results.sides(protocol)
    valid = pd.concat([measured for _, measured in sides])
    shared = {
        name: set().union(
            *(set(measured[name]) & set(train[name]) - {""} for train, measured in sides)
        )
        for name in ("image_id", "roi_id", "patient_id")
    }
    best = results.best_runs[results.best_runs["protocol"] == protocol]
    first = results.first_run(protocol)
    rois = valid["roi_id"].nunique()
    return {
        "name": protocol,
        "images": len(valid),
        "trained_as": TRAINED_AS.get(protocol),
        "tested": protocol in results.tested_protocols,
        "shared_images": len(shared["image_id"]),
        "rois": rois,
        "patients": count_patients(valid),
        "shared_rois": len(shared["roi_id"]),
        "shared_patients": len(shared["patient_id"]),
        "roi_weight": 1 / rois,
        "majority": valid["label"].value_counts(normalize=True).max(),
        "best": {"network": NETWORK_NAMES[first["network"]], "test": first["test"]},
        "best_accuracy": first["accuracy"],
        "best_interval": measure_accuracy(results.best_predictions(first), results.settings),
        "undefined": int(best[["recall", "precision", "f1", "mcc"]].isna().any(axis=1).sum()),
    }


def _ranks(results: Results, protocol: str) -> dict:
    """Return the AUC of a protocol's first model, and of the best that must not be good."""
    rows = shown_rows(results, "scores", protocol)
    rows = rows[(rows["level"] == "roi") & (rows["calibration"] == "none") & rows["preferred"]]
    rows = rows[rows["score"] == "auc"]
    shortcuts = rows[rows["kind"] == "shortcut"].sort_values("value", ascending=False)
    named = {"first": rows.head(1), "shortcut": shortcuts.head(1)}
    return {
        name: {"model": row["shown_as"], "auc": Interval(row["value"], row["low"], row["high"])}
        for name, found in named.items()
        for _, row in found.iterrows()
    }


def _leakage(results: Results, table: str | os.PathLike) -> dict:
    """Return what the leakage audit found."""
    rows = records.read(table, records.LEAKAGE)
    return {
        "figure": _embed(results.folder / "figures/leakage.png", "show-leakage"),
        "rows": rows[rows["score"] == "balanced_accuracy"].to_dict("records"),
    }


def _league(results: Results, table: str | os.PathLike) -> dict:
    """Return what is told of the league: for each protocol how many methods, and the first."""
    rows = records.read(table, records.LEAGUE)
    return {
        "figure": _embed(results.folder / "figures/league.png", "show-league"),
        "methods": rows["model"].nunique(),
        "first": rows.drop_duplicates("protocol").to_dict("records"),
    }


def _embed(path: Path, command: str = "figures") -> str:
    try:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise DataError(
            f"{path}: the figure cannot be read ({error.strerror}); run mcalc {command} first."
        ) from error


def _percent(share: float, digits: int = 0) -> str:
    return f"{share:.{digits}%}"


def _ends(interval: Interval, layout: str = ".0%") -> str:
    """Return an interval's ends in words, or that there is none."""
    if np.isnan(interval.low):
        return "no interval: patients are too few, or all alike"
    return f"{interval.low:{layout}} to {interval.high:{layout}}"


def _listed(words: list[str]) -> str:
    """Join words as in `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _spaced(name: str) -> str:
    """Return a filter's name as words."""
    return name.replace("_", " ")
