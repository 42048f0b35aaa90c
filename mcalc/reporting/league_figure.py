"""The figure of the league: a row a method, its AUC and accuracy under each protocol."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcalc.reporting.canvas import GREY, PALETTE, name_curves, new_figure

MARKERS = "oDs^vP*"
SCORES = {"auc": "AUC", "accuracy": "accuracy"}
# How far the lines of a row's protocols lie apart, in rows.
APART = 0.5


def draw_league(rows: pd.DataFrame) -> Figure:
    """Draw LEAGUE rows; methods in the order of the first protocol's rows."""
    protocols, models = (list(rows[name].unique()) for name in ("protocol", "model"))
    # A legend of one name a protocol and one for what is printed, two side by side.
    below = 0.2 + 0.27 * (1 + len(protocols) // 2)
    height = 1.9 + below + (0.26 + 0.1 * len(protocols)) * len(models)
    figure, panels = new_figure(
        "Methods of other studies on the same folds, ROI by ROI",
        1,
        2,
        height=height,
        below=below,
        sharey=True,
        width_ratios=(1, 1.45),
    )
    for panel, (score, words) in zip(panels[0], SCORES.items(), strict=True):
        panel.axvline(0.5, color=GREY, linestyle="--", linewidth=1.5)
        for number, protocol in enumerate(protocols):
            shift = APART * ((number + 0.5) / len(protocols) - 0.5)
            own = rows[rows["protocol"] == protocol]
            places = np.array([models.index(name) for name in own["model"]]) + shift
            _draw_protocol(panel, own, score, places, number)
        panel.set(xlabel=words, xlim=(-0.03, 1.03), ylim=(len(models) - 0.4, -1.4))
        panel.set_xticks(np.arange(0, 1.01, 0.2))
        panel.grid(axis="y", visible=False)
    _add_columns(panels[0, 1], rows.drop_duplicates("model"))
    panels[0, 0].set_yticks(range(len(models)), models, fontsize=11)
    name_curves(figure, panels, columns=2)
    return figure


def _draw_protocol(
    panel: Axes, rows: pd.DataFrame, score: str, places: np.ndarray, number: int
) -> None:
    values = rows[score].to_numpy()
    # Where no interval is known none is drawn.
    ends = np.abs(rows[[f"{score}_low", f"{score}_high"]].to_numpy() - values[:, None]).T
    first = rows.iloc[0]
    words = f"{first['protocol']} ({first['n_rois']} ROIs, {first['n_patients']} patients)"
    options = {"fmt": MARKERS[number % len(MARKERS)], "color": PALETTE[number % len(PALETTE)]}
    panel.errorbar(
        values, places, xerr=ends, capsize=3, markersize=6, linewidth=1.6, label=words, **options
    )


def _add_columns(panel: Axes, rows: pd.DataFrame) -> None:
    """Mark the printed accuracies, and write time, size and the source's question beside."""
    places = np.arange(len(rows))
    words = "accuracy printed by the source: other data, split or question"
    style = {"marker": "|", "s": 130, "color": "black", "linewidth": 2.2}
    panel.scatter(rows["printed_accuracy"], places, label=words, zorder=3, **style)
    panel.set_xlim(-0.03, 1.9)
    columns = ((1.32, "seconds"), (1.6, "numbers\nlearned"), (1.86, "printed"))
    for right, name in columns:
        panel.text(right, -0.65, name, ha="right", va="bottom", fontsize=10.5, fontweight="bold")
    for place, (_, row) in zip(places, rows.iterrows(), strict=True):
        cells = (
            "" if np.isnan(row["seconds"]) else f"{row['seconds']:,.0f}",
            _short(row["parameters"]),
            "" if np.isnan(row["printed_accuracy"]) else f"{row['printed_accuracy']:.1%}",
        )
        for (right, _), cell in zip(columns, cells, strict=True):
            panel.text(right, place, cell, ha="right", va="center", fontsize=10.5)


def _short(count: int) -> str:
    """Return a count as in 24 M, 6.7 k, 310."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:  # what would be rounded up to it
            return f"{count / size:.3g} {letter}"
    return str(count)
