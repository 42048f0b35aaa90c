"""Stage `show-leakage`: how much of a result is memory, as a table and one figure."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.leakage import score_answers
from mcalc.evaluation.score_rows import Settings
from mcalc.files import write_text
from mcalc.reporting.canvas import (
    BLUE,
    GREY,
    VERMILION,
    new_figure,
    save_figure,
    style,
    with_interval,
)
from mcalc.reporting.results import NETWORK_NAMES

SHOWN = "balanced_accuracy"

# What each kind of labels is called, its colour, and where it stands beside a protocol's line.
KINDS = {
    "true": ("true labels", BLUE, -0.16),
    "shuffled": ("labels dealt out at random: nothing can be learned", VERMILION, 0.16),
}
MODELS = {"histogram": "a random forest on grey-level histograms"} | NETWORK_NAMES


def show_leakage(
    answers: list[str | os.PathLike],
    *,
    catalog: str | os.PathLike,
    run_name: str,
    leakage: str | os.PathLike,
    figures: str | os.PathLike,
    settings: Settings | None = None,
) -> str:
    """Write the scores to the table `leakage` (LEAKAGE), as Markdown beside it, and the figure.

    Parameters
    ----------
    answers : list of path
        The tables that `audit_leakage` wrote (LEAKAGE_ANSWERS), in the order in which they are
        shown; of one model.
    catalog : path
        The data set, whose hash the figure carries.
    run_name : str
    leakage : path
        The CSV file; the Markdown file has its name with the ending `.md`.
    figures : path
        The folder in which `leakage.png` and `leakage.svg` are written.
    settings : score_rows.Settings or None
        Confidence, resamples and seed of the intervals.

    Raises
    ------
    DataError
        If a table holds no answer, two are of one protocol, or they are of several models.
    """
    rows = pd.DataFrame(_scores(answers, settings or Settings()))
    rois = records.read(catalog, records.CATALOG)
    origin = f"Run {run_name}, data {records.data_hash(rois)}."
    if (rois["dataset"] == "phantom").any():
        origin += " The run's data are a made-up phantom."
    records.write(rows, leakage, records.LEAKAGE)
    write_text(Path(leakage).with_suffix(".md"), _as_markdown(rows, origin))
    with style():
        save_figure(_draw(rows), Path(figures), "leakage", f"{_counted(rows)} {origin}")
    return f"{leakage}: {'; '.join(_sentences(rows))}"


def _scores(answers: list[str | os.PathLike], settings: Settings) -> list[dict]:
    rows, seen = [], {}
    for path in map(Path, answers):
        table = records.read(path, records.LEAKAGE_ANSWERS)
        if table.empty:
            raise DataError(f"{path}: the table has no row; audit the protocol again.")
        protocol, model = table[["protocol", "model"]].iloc[0]
        if protocol in seen:
            raise DataError(f"{path}: the answers under {protocol} are given twice; leave one out.")
        if seen and model not in seen.values():
            raise DataError(
                f"{path}: the answers of {model}, others are of {next(iter(seen.values()))}; show "
                "each model by itself."
            )
        seen[protocol] = model
        rows += score_answers(table, settings)
    return rows


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["score"] == SHOWN]


def _sentences(rows: pd.DataFrame) -> list[str]:
    """Return what is said of each protocol: the control's balanced accuracy."""
    shuffled = _shown(rows)[lambda table: table["labels"] == "shuffled"]
    return [
        f"{row['protocol']} {with_interval(row)} on shuffled labels"
        for _, row in shuffled.iterrows()
    ]


def _counted(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return (
        f"{first['confidence']:.0%} intervals over patients; "
        f"{first['repeats']} repeats; {first['training_images']:g} training images under every "
        "protocol."
    )


def _as_markdown(rows: pd.DataFrame, origin: str) -> str:
    columns = ["protocol", "labels", "n_patients", "n_images", "roi_trained", "patient_trained"]
    wide = rows.assign(cell=[with_interval(row) for _, row in rows.iterrows()])
    wide = wide.pivot(index=columns, columns="score", values="cell").reset_index()
    order = {name: place for place, name in enumerate(rows["protocol"].unique())}
    wide = wide.sort_values(
        ["protocol", "labels"],
        key=lambda column: column.map(order) if column.name == "protocol" else column == "shuffled",
    )
    for name in ("roi_trained", "patient_trained"):
        wide[name] = [f"{share:.1%}" for share in wide[name]]
    body = wide.rename(columns=lambda name: name.replace("_", " ")).to_markdown(index=False)
    model = MODELS[rows["model"].iloc[0]]
    return (
        f"**What {model} answers, by protocol**\n\n{body}\n\nROI trained, patient trained: share "
        f"of the images whose ROI, whose patient has another image in training. {_counted(rows)} "
        f"{origin}\n"
    )


def _draw(rows: pd.DataFrame) -> Figure:
    rows = _shown(rows)
    protocols = list(rows["protocol"].unique())
    title = f"How much is memory: {MODELS[rows['model'].iloc[0]]}"
    figure, panels = new_figure(title, 1, 1, height=2.1 + 0.95 * len(protocols), below=0.45)
    panel = panels[0, 0]
    panel.axvline(0.5, color=GREY, linestyle="--", linewidth=1.5)
    panel.text(0.5, -0.62, " chance", color=GREY, va="center", fontsize=12)
    for labels, (words, colour, shift) in KINDS.items():
        _draw_kind(panel, rows[rows["labels"] == labels], words, colour, shift)
    panel.set_yticks(range(len(protocols)), [_name(rows, name) for name in protocols])
    panel.set(xlim=(-0.02, 1.32), ylim=(len(protocols) - 0.5, -0.8), xlabel="Balanced accuracy")
    panel.set_xticks(np.arange(0, 1.01, 0.1))
    panel.grid(axis="y", visible=False)
    handles, words = panel.get_legend_handles_labels()
    figure.legend(handles, words, loc="lower left", ncols=2, bbox_to_anchor=(0.005, 0.035))
    return figure


def _draw_kind(panel: Axes, rows: pd.DataFrame, words: str, colour: str, shift: float) -> None:
    places, values = np.arange(len(rows)) + shift, rows["value"].to_numpy()
    # Where no interval is known none is drawn.
    ends = np.abs(rows[["low", "high"]].to_numpy() - values[:, None]).T
    panel.errorbar(values, places, xerr=ends, fmt="o", color=colour, capsize=5, label=words)
    for place, (_, row) in zip(places, rows.iterrows(), strict=True):
        panel.text(1.03, place, with_interval(row), color=colour, va="center", fontsize=12)


def _name(rows: pd.DataFrame, protocol: str) -> str:
    """Return a protocol's name, and how many images have relatives in training."""
    row = rows[rows["protocol"] == protocol].iloc[0]
    shares = [
        f"{words} in training: {row[f'{what}_trained']:.0%} of images"
        for what, words in (("roi", "same ROI"), ("patient", "same patient"))
    ]
    return "\n".join([f"{protocol} ({row['n_patients']} patients)", *shares])
