"""The figure of the truth bench: one speck before and after each filter."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcalc.errors import DataError
from mcalc.images.shards import read_png
from mcalc.reporting.canvas import GREY, new_figure, show_image
from mcalc.reporting.results import Results
from mcalc.reporting.truth_bench import KINDS, describe_level


def truth(results: Results) -> Figure:
    """Draw one speck: clean, with noise, and after each filter; a row for each kind of noise.

    Of each kind the middle level is shown. The stage `bench-filters` chose the crop: the one on
    which the filters leave the middle share of the specks' contrast.
    """
    crop, clean = _read_clean(results)
    scores = results.truth_scores
    scores = scores[scores["crop"] == crop]
    kinds = list(scores["noise"].unique())
    filters = [name for name in scores["filter"].unique() if name != "none"]
    columns = 2 + len(filters)
    title = f"A speck before and after each filter (made-up crop {crop})"
    height, width = 0.9 + 2.95 * len(kinds), 0.4 + 2.55 * max(4, columns)
    figure, panels = new_figure(title, len(kinds), columns, height=height, width=width)
    for row, kind in zip(panels, kinds, strict=True):
        _draw_kind(row, results, clean, scores[scores["noise"] == kind], ["none", *filters])
    for panel, name in zip(panels[0], ["Clean truth", "Noise, no filter", *filters], strict=True):
        windows = results.filter_choice["filters"]
        side = (
            f" {windows[name]} \N{MULTIPLICATION SIGN} {windows[name]}" if name in windows else ""
        )
        panel.set_title(name.replace("_", " ").capitalize() + side, fontsize=13)
    return figure


def _read_clean(results: Results) -> tuple[int, np.ndarray]:
    """Return the number of the crop that is shown and its clean image."""
    found = sorted((results.folder / "filters/speck").glob("*-truth.png"))
    if len(found) != 1:
        raise DataError(
            f"{results.folder / 'filters/speck'}: holds no picture of a speck; run bench-filters."
        )
    return int(found[0].name.partition("-")[0]), read_png(found[0])


def _title(results: Results, name: str) -> str:
    side = results.filter_choice["filters"].get(name, "")
    return f"{name.replace('_', ' ').capitalize()} {side} \N{MULTIPLICATION SIGN} {side}"


def _draw_kind(
    row: np.ndarray, results: Results, clean: np.ndarray, scores: pd.DataFrame, filters: list[str]
) -> None:
    levels = scores["level"].unique()
    scores = scores[scores["level"] == levels[len(levels) // 2]].set_index("filter")
    kind, level, crop = scores[["noise", "level", "crop"]].iloc[0]
    # The clean crop's levels and a little more, so that noise does not wash the speck out.
    margin = 0.15 * np.ptp(clean)
    grey = {"black": clean.min() - margin, "white": clean.max() + margin}
    show_image(row[0], clean, **grey)
    row[0].set_ylabel(f"{KINDS[kind]}\n{describe_level(kind, level)}", fontsize=13)
    for panel, name in zip(row[1:], filters, strict=True):
        path = results.folder / f"filters/speck/{crop}-{kind}-{level:g}-{name}.png"
        show_image(panel, read_png(path), **grey)
        _describe(panel, scores.loc[name])


def _describe(panel: Axes, scores: pd.Series) -> None:
    left = f"contrast left: {scores['contrast_left']:.0%}"
    panel.set_xlabel(f"PSNR {scores['psnr']:.1f} dB\n{left}", fontsize=11, color=GREY)
