"""Figures of what the stage `score` found: who ranks best, and how far probabilities hold."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcalc.reporting.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    name_curves,
    new_figure,
    with_interval,
)
from mcalc.reporting.results import Results
from mcalc.reporting.score_tables import shown_rows

# Of reliability: calibration, colour, marker. The answers as they are come last, on top.
CALIBRATIONS = (
    ("temperature", GREEN, "^"),
    ("platt", ORANGE, "s"),
    ("isotonic", VERMILION, "D"),
    ("none", BLUE, "o"),
)


def auc(results: Results) -> Figure:
    """Draw the AUC of each model that is shown, ROI by ROI, one panel a protocol."""
    tables = [_areas(results, protocol) for protocol in results.protocols]
    heights = [len(table) + 2.5 for table in tables]
    figure, panels = new_figure(
        "Area under the ROC curve, ROI by ROI: networks, and models that must not be good",
        len(tables),
        1,
        height=1.3 + 0.36 * sum(heights),
        below=0.4,
        height_ratios=heights,
    )
    for panel, rows, protocol in zip(panels[:, 0], tables, results.protocols, strict=True):
        _draw_areas(panel, rows)
        panel.set_title(f"{protocol}: {_count(rows)}", loc="left")
    panels[-1, 0].set_xlabel("AUC")
    name_curves(figure, panels)
    return figure


def calibration(results: Results) -> Figure:
    """Draw reliability and decision curve of each protocol's first model, ROI by ROI."""
    protocols = results.protocols
    figure, panels = new_figure(
        "Do probabilities mean what they say? The first model of each protocol, ROI by ROI",
        len(protocols),
        2,
        height=1.3 + 4.6 * len(protocols),
        below=0.75,
    )
    for (left, right), protocol in zip(panels, protocols, strict=True):
        bins = shown_rows(results, "reliability", protocol, first=True)
        _draw_reliability(left, bins)
        left.set_title(f"{protocol}: {bins['shown_as'].iloc[0]}\n{_count(bins)}", loc="left")
        _draw_decision(right, shown_rows(results, "decision_curve", protocol, first=True))
        right.set_title(f"{protocol}: net benefit of acting on the answers", loc="left")
    name_curves(figure, panels, columns=4)
    return figure


def _areas(results: Results, protocol: str) -> pd.DataFrame:
    rows = shown_rows(results, "scores", protocol)
    whole = (rows["level"] == "roi") & (rows["calibration"] == "none")
    return rows[whole & (rows["score"] == "auc") & rows["preferred"]].reset_index(drop=True)


def _count(rows: pd.DataFrame) -> str:
    """Return how much a panel stands on."""
    first = rows.iloc[0]
    patients = f"{first['n_patients']} patients" if first["n_patients"] else "unnamed patients"
    return f"{first['n_rois']} ROIs of {patients}"


def _draw_areas(panel: Axes, rows: pd.DataFrame) -> None:
    panel.axvline(0.5, color=GREY, linestyle="--", linewidth=1.5)
    is_shortcut = rows["kind"] == "shortcut"
    groups = (
        (~is_shortcut, BLUE, "o", "networks"),
        (is_shortcut, VERMILION, "D", "models that must not be good"),
    )
    for group, colour, marker, words in groups:
        of_group = rows[group]
        values = of_group["value"].to_numpy()
        # Where no interval is known none is drawn.
        ends = np.abs(of_group[["low", "high"]].to_numpy() - values[:, None]).T
        panel.errorbar(
            values, of_group.index, xerr=ends, fmt=marker, color=colour, capsize=4, label=words
        )
    for place, row in rows.iterrows():
        colour = VERMILION if row["kind"] == "shortcut" else BLUE
        panel.text(
            1.04, place, with_interval(row, digits=2), color=colour, va="center", fontsize=11
        )
    panel.set_yticks(rows.index, rows["shown_as"], fontsize=11)
    panel.set(xlim=(-0.03, 1.28), ylim=(len(rows) - 0.4, -0.6))
    panel.set_xticks(np.arange(0, 1.01, 0.1))
    panel.grid(axis="y", visible=False)


def _draw_reliability(panel: Axes, bins: pd.DataFrame) -> None:
    panel.plot((0, 1), (0, 1), color=GREY, linestyle="--", linewidth=1.5)
    for method, colour, marker in CALIBRATIONS:
        rows = bins[(bins["calibration"] == method) & (bins["n"] > 0)]
        if rows.empty:
            continue
        said, observed = rows["mean_probability"], rows["observed"].to_numpy()
        words = "as answered, with intervals (left)" if method == "none" else f"after {method}"
        panel.plot(said, observed, color=colour, marker=marker, linewidth=1.2, label=words)
        if method == "none":
            ends = np.abs(rows[["low", "high"]].to_numpy() - observed[:, None]).T
            panel.errorbar(said, observed, yerr=ends, fmt="none", color=colour, capsize=4)
    panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    panel.set(xlabel="probability of malignant, said", ylabel="share malignant, observed")


def _draw_decision(panel: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["calibration"] == "none"]
    threshold = rows["threshold"]
    panel.fill_between(threshold, rows["low"], rows["high"], color=BLUE, alpha=0.15, linewidth=0)
    panel.plot(threshold, rows["net_benefit"], color=BLUE, label="acting on the answers (right)")
    panel.plot(threshold, rows["all_net_benefit"], color=ORANGE, label="calling all malignant")
    panel.axhline(0, color=GREY, linestyle="--", linewidth=1.5, label="calling none malignant")
    # Far below 0 nobody would act; what matters is which line is on top.
    top = max(0.05, rows[["net_benefit", "all_net_benefit", "high"]].max(axis=None))
    panel.set(xlim=(0, 1), ylim=(-0.5 * top, 1.05 * top))
    panel.set(xlabel="probability from which one would act", ylabel="net benefit")
