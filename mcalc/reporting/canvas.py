"""What all figures share: style, colours, a canvas, and files that are the same each time."""

from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mcalc.files import whole_file
from mcalc.reporting.results import NETWORK_NAMES

# Okabe and Ito's colours, which people with any colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, "#CC79A7", "#56B4E9", "#000000")
GREY = "#555555"

WIDTH = 13.33  # inches, as wide as a slide
HEADER, FOOTER = 0.5, 0.3  # inches
RESOLUTION = 150  # dots an inch

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "legend.fontsize": 12,
    # A run's or a ROI's name may hold a dollar sign.
    "text.parse_math": False,
    # Text stays text, and the ids in the file do not change from one time to the next.
    "svg.fonttype": "none",
    "svg.hashsalt": "mcalc",
}


def style() -> AbstractContextManager:
    """Return a context in which figures are drawn and saved; settings outside it do not matter."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def new_figure(
    title: str,
    rows: int,
    columns: int,
    *,
    height: float,
    width: float = WIDTH,
    below: float = 0,
    **options,
) -> tuple[Figure, np.ndarray]:
    """Return a figure with a title, its panels, and room for the footer.

    Parameters
    ----------
    title : str
    rows, columns : int
        Number of panels.
    height, width : float
        Inches, title and footer included; as wide as a slide unless told otherwise.
    below : float
        Inches to keep free between the panels and the footer, for a legend.
    **options
        Passed on to `Figure.subplots`.

    Returns
    -------
    figure : Figure
    panels : ndarray of Axes, shape (rows, columns)
    """
    figure = Figure((width, height), dpi=RESOLUTION, layout="constrained")
    bottom, top = (FOOTER + below) / height, 1 - HEADER / height
    figure.get_layout_engine().set(rect=(0.005, bottom, 0.99, top - bottom), hspace=0.03)
    figure.text(0.01, 1 - 0.1 / height, title, va="top", fontsize=17, fontweight="bold")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save_figure(figure: Figure, folder: Path, name: str, origin: str) -> None:
    """Write `folder/name.png` and `folder/name.svg` with `origin` in small print below."""
    figure.text(0.99, 0.008, origin, ha="right", va="bottom", fontsize=9, color=GREY)
    _settle_layout(figure)
    for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        with whole_file(folder / f"{name}.{ending}") as temporary:
            figure.savefig(temporary, format=ending, metadata=metadata)


def show_image(panel: Axes, image: np.ndarray, *, black: float = 0, white: float = 255, **options):
    """Show a (rows, columns) image without ticks; levels `black` and `white` end the grey scale."""
    panel.set(xticks=[], yticks=[])
    panel.grid(False)
    panel.spines[:].set_visible(False)
    return panel.imshow(image, vmin=black, vmax=white, **{"cmap": "gray"} | options)


def log_axis(panel: Axes) -> None:
    """Make the x axis of `panel` logarithmic, with ticks such as 1e-4."""
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=6))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scientific(value, digits=0)))


def name_curves(figure: Figure, panels: np.ndarray, *, columns: int | None = None) -> None:
    """Put one legend for all panels between them and the footer, `columns` names in a row."""
    curves = {}
    for panel in panels.flat:
        handles, labels = panel.get_legend_handles_labels()
        curves |= dict(zip(labels, handles, strict=True))
    position = (0.5, FOOTER / figure.get_figheight())
    options = {"loc": "lower center", "bbox_to_anchor": position, "ncols": columns or len(curves)}
    figure.legend(curves.values(), curves, **options)


def name_run(run: pd.Series) -> str:
    """Return a row of `Results.runs` in words, in two lines."""
    return f"{NETWORK_NAMES[run['network']]}\ntest {run['test']}"


def with_interval(row: pd.Series, *, digits: int = 3) -> str:
    """Return `value`, `low` and `high` of a row as in 0.714 (0.433 to 0.891)."""
    value, low, high = (f"{row[name]:.{digits}f}" for name in ("value", "low", "high"))
    if np.isnan(row["value"]):
        return "n/a"
    return f"{value} (no interval)" if np.isnan(row["low"]) else f"{value} ({low} to {high})"


def scientific(value: float, *, digits: int = 1) -> str:
    """Return `value` as in 3.1e-4."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _settle_layout(figure: Figure) -> None:
    """Lay the panels out once and round where they lie.

    The layout's solver gives last digits that differ from one time to the next.
    """
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    for panel in figure.axes:
        panel.set_position(np.round(panel.get_position(original=True).bounds, 5))
