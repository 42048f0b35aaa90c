"""Figures 3, 5 and 6: how the networks learned, and what their best runs got right."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mcalc import records
from mcalc.evaluation.intervals import Interval
from mcalc.reporting.canvas import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    VERMILION,
    WIDTH,
    log_axis,
    name_curves,
    name_run,
    new_figure,
    scientific,
    show_image,
)
from mcalc.reporting.measured import count_patients, measure_accuracy
from mcalc.reporting.results import NETWORK_NAMES, Results

# Of history.csv: column, words, colour, marker; the panels of Figure 5 from top to bottom.
CURVES = (
    (("train_loss", "training loss", BLUE, "o"), ("valid_loss", "validation loss", ORANGE, "s")),
    (("error_rate", "validation error rate", VERMILION, "D"),),
)


def figure3(results: Results) -> Figure:
    """Draw the learning-rate finder's curve of each network's best run, its advice marked."""
    networks = results.networks
    rows = 1 if len(networks) <= 3 else 2
    columns = -(-len(networks) // rows)
    title = "Figure 3. Learning-rate finder before all layers are trained, each network's best run"
    figure, panels = new_figure(title, rows, columns, height=5 if rows == 1 else 7.5)
    for panel in panels.flat[len(networks) :]:
        panel.set_visible(False)
    for panel, network in zip(panels.flat, networks, strict=False):
        for number, protocol in enumerate(results.trained_protocols):
            run = _best_run(results, protocol, network)
            _draw_finder(panel, results, run, number)
        log_axis(panel)
        panel.set(title=NETWORK_NAMES[network], xlabel="learning rate", ylabel="loss")
        panel.legend(title="protocol, advice (valley)", title_fontsize=12, alignment="left")
    return figure


def figure5(results: Results) -> Figure:
    """Draw loss and error rate by epoch of each network's best run, a pair of rows a protocol."""
    protocols, networks = results.trained_protocols, results.networks
    rows = 2 * len(protocols)
    figure, panels = new_figure(
        "Figure 5. Learning curves, each network's best run",
        rows,
        len(networks),
        height=1.9 + 2.1 * rows,
        below=0.4,
        sharex="col",
    )
    for number, protocol in enumerate(protocols):
        for column, network in zip(panels.T, networks, strict=True):
            run = _best_run(results, protocol, network)
            _draw_history(column[2 * number : 2 * number + 2], results, run)
        panels[2 * number, 0].set_ylabel(f"{protocol}\nloss")
        panels[2 * number + 1, 0].set_ylabel(f"{protocol}\nerror rate")
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    name_curves(figure, panels)
    return figure


def figure6(results: Results) -> Figure:
    """Draw the confusion matrix of each network's best run, one row of panels a protocol."""
    protocols, networks = results.protocols, results.networks
    side = min(3.2, (WIDTH - 1) / len(networks))
    figure, panels = new_figure(
        "Figure 6. Confusion matrices on the validation images, each network's best run",
        len(protocols),
        len(networks),
        height=1.4 + (side + 0.8) * len(protocols),
    )
    for row, protocol in zip(panels, protocols, strict=True):
        for panel, network in zip(row, networks, strict=True):
            run = _best_run(results, protocol, network)
            _draw_confusion(panel, run)
            predictions = results.best_predictions(run)
            interval = measure_accuracy(predictions, results.settings)
            panel.set_title(f"{name_run(run)}\n{_say_correct(interval)}", fontsize=12)
        row[0].set_ylabel(f"{protocol}\n{count_patients(predictions)} patients\nactual")
    for panel in panels[-1]:
        panel.set_xlabel("predicted")
    return figure


def _best_run(results: Results, protocol: str, network: str) -> pd.Series:
    best = results.best_runs
    return best[(best["protocol"] == protocol) & (best["network"] == network)].iloc[0]


def _draw_finder(panel: Axes, results: Results, run: pd.Series, number: int) -> None:
    curve = records.read(results.run_folder(run) / "lr_find.csv", records.LR_FIND)
    curve = curve[np.isfinite(curve["loss"])]
    valley = float(results.card(run)["lr_find_valley"])
    panel.plot(
        curve["learning_rate"],
        curve["loss"],
        color=PALETTE[number % len(PALETTE)],
        linestyle=("-", "--", ":")[number % 3],
        marker="o",
        markersize=11,
        markeredgecolor="white",
        # The advice is one of the curve's rates.
        markevery=[int((curve["learning_rate"] - valley).abs().to_numpy().argmin())],
        label=f"{run['protocol']}, {scientific(valley)}",
    )


def _draw_history(panels: np.ndarray, results: Results, run: pd.Series) -> None:
    """Draw losses into the first of two panels, the error rate into the second."""
    history = records.read(results.run_folder(run) / "history.csv", records.HISTORY)
    epochs = history["epoch"] + 1
    head = int((history["phase"] == "head").sum())
    size = 7 if len(history) <= 10 else 3.5
    for panel, curves in zip(panels, CURVES, strict=True):
        if head:
            panel.axvspan(0.5, head + 0.5, color="#EDEDED", lw=0, label="head alone is trained")
        for column, words, colour, marker in curves:
            options = {"color": colour, "marker": marker, "markersize": size, "label": words}
            panel.plot(epochs, history[column], **options)
        panel.set_xlim(0.5, len(history) + 0.5)
        panel.margins(y=0.1)
        panel.set_ylim(bottom=0)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panels[1].set_ylim(-0.05, 1.05)
    panels[0].set_title(name_run(run), fontsize=13)


def _say_correct(accuracy: Interval) -> str:
    said = f"{accuracy.value:.1%} correct"
    return said if np.isnan(accuracy.low) else f"{said} ({accuracy.low:.0%} to {accuracy.high:.0%})"


def _draw_confusion(panel: Axes, run: pd.Series) -> None:
    """Draw counts and shares of the actual class, rows and columns in the order of LABELS."""
    positive = [run["true_positives"], run["false_negatives"]]
    negative = [run["false_positives"], run["true_negatives"]]
    counts = np.array([positive, negative], int)
    if run["positive_class"] != records.LABELS[0]:
        counts = counts[::-1, ::-1]
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    show_image(panel, shares, white=100, cmap="Blues", aspect="equal")
    panel.plot((0.5, 0.5), (-0.5, 1.5), (-0.5, 1.5), (0.5, 0.5), color="white", linewidth=3)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        colour = "white" if share > 55 else "black"
        text = {"ha": "center", "color": colour}
        panel.text(column, row - 0.02, f"{count}", va="bottom", fontsize=19, **text)
        panel.text(column, row + 0.06, f"{share:.1f}%", va="top", fontsize=13, **text)
    panel.set_xticks((0, 1), records.LABELS)
    panel.set_yticks((0, 1), records.LABELS, rotation=90, va="center")
    panel.tick_params(length=0, colors=GREY)
