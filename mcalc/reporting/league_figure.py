"""The figure of the league: a row a method, its AUC and accuracy under each protocol."""

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcalc.reporting.canvas import GREY, PALETTE, name_curves, new_figure

# A marker and a colour for each protocol that there is; no two are alike in either.
LOOKS = tuple(zip("oDs^vP*X", (*PALETTE, "#999999"), strict=True))
SCORES = {"auc": "AUC", "accuracy": "accuracy"}
# How far the lines of a row's protocols lie apart, in rows.
APART = 0.6
# Points; on a page, where a slide's width shrinks to a half, they can still be read.
LETTERS = 13
# Of the accuracy's panel, the share that is its axis, and where the columns beside it end.
AXIS = 0.53
COLUMNS = {"seconds": 0.69, "numbers\nlearned": 0.83, "printed": 1.0}


def draw_league(rows: pd.DataFrame) -> Figure:
    """Draw LEAGUE rows; methods in the order of the first protocol's rows."""
    models = list(rows["model"].unique())
    protocols = list(rows.groupby("protocol", sort=False))
    # A legend of one name a protocol, one for guessing and one for what is printed, two side by
    # side.
    below = 0.2 + 0.27 * ((len(protocols) + 3) // 2)
    row = 0.28 + 0.08 * len(protocols)
    header = 0.6 / row
    figure, panels = new_figure(
        "Methods of other studies on the same folds, ROI by ROI",
        1,
        2,
        height=1.6 + below + row * (len(models) + header),
        below=below,
        sharey=True,
        width_ratios=(1, 1 / AXIS),
    )
    shown = rows[[f"{score}{end}" for score in SCORES for end in ("", "_low")]]
    # Seldom is anything below 0.4, and what is above has the more room.
    left = np.floor(10 * np.nanmin([0.4, shown.min().min()])) / 10 - 0.02
    for panel, (score, words) in zip(panels[0], SCORES.items(), strict=True):
        panel.set(xlim=(left, 1.02), ylim=(len(models) - 0.4, -0.5 - header))
        panel.set_xticks(np.arange(1, left, -0.2))
        panel.set_xlabel(words)
        panel.grid(axis="y", visible=False)
        for place in range(0, len(models), 2):
            panel.axhspan(place - 0.5, place + 0.5, color="#F6F6F6", zorder=0)
        _draw_guessing(panel, protocols, score)
        for number, (_, own) in enumerate(protocols):
            shift = APART * ((number + 0.5) / len(protocols) - 0.5)
            places = np.array([models.index(name) for name in own["model"]]) + shift
            _draw_protocol(panel, own, score, places, number)
    _add_columns(panels[0, 1], rows.drop_duplicates("model"))
    panels[0, 0].set_yticks(range(len(models)), models, fontsize=LETTERS)
    name_curves(figure, panels, columns=2)
    return figure


def _guessed(rows: pd.DataFrame, score: str) -> float:
    """Return what who knows no image reaches: who says the larger class has its share right."""
    share = rows["n_malignant"].iloc[0] / rows["n"].iloc[0]
    return 0.5 if score == "auc" else max(share, 1 - share)


def _draw_guessing(panel: Axes, protocols: list[tuple[str, pd.DataFrame]], score: str) -> None:
    """Draw a grey line for all protocols; one that differs from all others has its own colour."""
    found = [_guessed(rows, score) for _, rows in protocols]
    for value, (_, colour) in zip(found, LOOKS, strict=False):
        alone = found.count(value) == 1 and len(found) > 1
        panel.axvline(value, color=colour if alone else GREY, linestyle="--", linewidth=1.5)
    if score == "accuracy":  # named once, after the protocols, which the first panel names
        words = "guessing: AUC 0.5, accuracy the share of the larger class"
        panel.plot([], [], color=GREY, linestyle="--", linewidth=1.5, label=words)


def _draw_protocol(
    panel: Axes, rows: pd.DataFrame, score: str, places: np.ndarray, number: int
) -> None:
    values = rows[score].to_numpy()
    # Where no interval is known none is drawn.
    ends = np.abs(rows[[f"{score}_low", f"{score}_high"]].to_numpy() - values[:, None]).T
    first = rows.iloc[0]
    words = f"{first['protocol']} ({first['n_rois']} ROIs, {first['n_patients']} patients)"
    marker, colour = LOOKS[number]
    style = {"fmt": marker, "color": colour, "capsize": 3, "markersize": 6, "linewidth": 1.6}
    panel.errorbar(values, places, xerr=ends, label=words, **style)


def _add_columns(panel: Axes, rows: pd.DataFrame) -> None:
    """Mark the printed accuracies, and write time, size and what is printed beside."""
    places = np.arange(len(rows))
    words = "accuracy printed by the source: other data, split or question"
    style = {"marker": "|", "s": 130, "color": "black", "linewidth": 2.2}
    panel.scatter(rows["printed_accuracy"], places, label=words, zorder=3, **style)
    left, right = panel.get_xlim()
    panel.set_xlim(left, left + (right - left) / AXIS)
    panel.spines["bottom"].set_bounds(left, right)
    panel.xaxis.label.set_x(AXIS / 2)
    place = {"transform": panel.get_yaxis_transform(), "ha": "right", "fontsize": LETTERS}
    for name, end in COLUMNS.items():
        panel.text(end, -0.65, name, va="bottom", fontweight="bold", **place)
    for number, (_, row) in enumerate(rows.iterrows()):
        cells = (
            "" if np.isnan(row["seconds"]) else f"{row['seconds']:,.0f}",
            _short(row["parameters"]),
            "" if np.isnan(row["printed_accuracy"]) else _printed(row["printed"]),
        )
        for end, cell in zip(COLUMNS.values(), cells, strict=True):
            panel.text(end, number, cell, va="center", **place)


def _printed(printed: str) -> str:
    """Return an accuracy in its source's digits: up to 96% of 'accuracy up to 96 %'."""
    return re.search(r"(up to )?[\d.]+( ?%)?", printed)[0].replace(" %", "%")


def _short(count: int) -> str:
    """Return a count as in 24 M, 6.7 k, 310."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:  # what would be rounded up to it
            return f"{count / size:.3g} {letter}"
    return str(count)
