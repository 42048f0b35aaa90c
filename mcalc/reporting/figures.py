"""Stage `figures`: Figures 3 to 6 of the study, scores, the truth bench, the highest losses."""

import os
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from mcalc.evaluation.score_rows import Settings
from mcalc.reporting.canvas import save_figure, style
from mcalc.reporting.image_figures import figure4a, figure4b, top_losses
from mcalc.reporting.results import Results
from mcalc.reporting.score_figures import auc, calibration
from mcalc.reporting.training_figures import figure3, figure5, figure6
from mcalc.reporting.truth_figure import truth

# By file name; each function draws a figure from a run's results.
FIGURES: dict[str, Callable[[Results], Figure]] = {
    "figure3": figure3,
    "figure4a": figure4a,
    "figure4b": figure4b,
    "truth": truth,
    "figure5": figure5,
    "figure6": figure6,
    "auc": auc,
    "calibration": calibration,
    "top_losses": top_losses,
}


def write_figures(
    results: str | os.PathLike,
    *,
    run_name: str,
    figures: str | os.PathLike,
    settings: Settings | None = None,
) -> str:
    """Draw each of `FIGURES` into the folder `figures`, as PNG and as SVG.

    Every figure says in small print from which run and data it comes; the same results give the
    same bytes.

    Parameters
    ----------
    results : path
        The folder `results/{run}`, with the cleaned and enhanced images and the truth bench's.
    run_name : str
        The data set's name.
    figures : path
        The folder to write.
    settings : score_rows.Settings or None
        Confidence of the intervals.

    Returns
    -------
    str
        One line that says how many figures were drawn.

    Raises
    ------
    DataError
        If a file of the results is missing or does not hold what it should.
    """
    read = Results(results, run_name, settings)
    folder = Path(figures)
    for name, draw in FIGURES.items():
        with style():
            save_figure(draw(read), folder, name, _origin(read))
    return f"{folder}: {len(FIGURES)} figures"


def _origin(results: Results) -> str:
    origin = f"run {results.run_name}, data {results.data_hash}"
    is_phantom = results.dataset == "phantom"
    return f"{origin}. The run's data are a made-up phantom." if is_phantom else origin
