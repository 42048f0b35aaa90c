"""Figures 4A, 4B and the highest losses: what became of the images, and which were hard."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from mcalc import records
from mcalc.images.filters import Filter
from mcalc.images.grey_levels import in_8_bit_levels
from mcalc.images.shards import read_png
from mcalc.reporting.canvas import BLUE, GREEN, GREY, VERMILION, name_run, new_figure, show_image
from mcalc.reporting.results import Results

# How many images of each network the figure of highest losses shows.
SHOWN = 6


def figure4a(results: Results) -> Figure:
    """Draw artefact removal on a whole mammogram: before, both methods' outlines, after.

    Of the real mammograms (or of the data set's, where there is none) the one is taken on which
    Otsu's method alone keeps the middle share of what the grown mask keeps: neither the best nor
    the worst case.
    """
    mammograms = results.mammograms
    if mammograms.empty:
        return _without_mammogram()
    first = "samples" if (mammograms["origin"] == "samples").any() else "dataset"
    mammograms = mammograms[mammograms["origin"] == first]
    share = mammograms["otsu_kept"] / mammograms["otsu_grown_kept"]
    shown = _middle(mammograms.assign(share=share), "share", "mammogram_id")
    title = f"Figure 4A. Artefact removal on {_describe_origin(results, first)}"
    figure, panels = new_figure(title, 1, 4, height=6.3)
    _draw_removal(panels[0], results, shown)
    return figure


def figure4b(results: Results) -> Figure:
    """Draw what each filter makes of a benign and a malignant ROI, and what it changes.

    Of each class the ROI is taken on which the first filter's error is the middle one.
    """
    filters = [Filter(name, side) for name, side in results.filter_choice["filters"].items()]
    labels = [label for label in records.LABELS if (results.rois["label"] == label).any()]
    rows = 2 * len(labels)
    title = "Figure 4B. Noise filters on one ROI of each class, and what each changes"
    columns = 1 + len(filters)
    height, width = 1.1 + 2.75 * rows, 0.4 + 2.75 * max(3, columns)
    figure, panels = new_figure(title, rows, columns, height=height, width=width)
    for number, label in enumerate(labels):
        _draw_filters(panels[2 * number : 2 * number + 2], results, label, filters)
    return figure


def top_losses(results: Results) -> Figure:
    """Draw the validation images with the highest loss of each network's best run, one a ROI."""
    protocols = results.protocols
    protocol = "patient" if "patient" in protocols else protocols[0]
    runs = results.best_runs[results.best_runs["protocol"] == protocol]
    hardest = [_hardest(results, run) for _, run in runs.iterrows()]
    columns = max(3, *map(len, hardest))
    title = f"Highest losses under the protocol {protocol}: Prediction/Actual/Loss/Probability"
    figure, panels = new_figure(title, len(runs), columns, height=0.9 + 2.85 * len(runs))
    for panel in panels.flat:
        panel.set_axis_off()
    for row, predictions, (_, run) in zip(panels, hardest, runs.iterrows(), strict=True):
        for panel, (_, prediction) in zip(row, predictions.iterrows(), strict=False):
            _draw_prediction(panel, results, prediction)
        row[0].set_ylabel(name_run(run))
    return figure


def _middle(rows: pd.DataFrame, column: str, name: str) -> pd.Series:
    """Return the row with the middle value of `column`; the column `name` settles ties."""
    return rows.sort_values([column, name]).iloc[len(rows) // 2]


def _without_mammogram() -> Figure:
    title = "Figure 4A. Artefact removal on a whole mammogram"
    figure, panels = new_figure(title, 1, 1, height=2)
    sentence = "There is no whole mammogram in this data set, so there is nothing to show here."
    panels[0, 0].text(0, 0.5, sentence, va="center", transform=panels[0, 0].transAxes)
    panels[0, 0].set_axis_off()
    return figure


def _describe_origin(results: Results, origin: str) -> str:
    if origin == "samples":
        return "a real film mammogram (CBIS-DDSM)"
    known = {"phantom": "a made-up phantom", "cbis_ddsm": "a real film mammogram (CBIS-DDSM)"}
    return known.get(results.dataset, "a mammogram of the data set")


def _draw_removal(panels: np.ndarray, results: Results, shown: pd.Series) -> None:
    folder = results.folder / "images/mammograms"
    image = read_png(folder / f"{shown['mammogram_id']}.png")
    # The square root brightens the fatty rim, which is dark on film.
    image = 255 * np.sqrt(image / 255)
    otsu, grown = (
        read_png(folder / f"{shown['mammogram_id']}.{name}.png") > 0
        for name in ("otsu", "otsu_grown")
    )
    applied = otsu if results.cleaning_method == "otsu" else grown
    after = np.where(applied, image, 0)
    for panel, content in zip(panels, (image, image, image, after), strict=True):
        show_image(panel, content)
    tint = np.zeros((*image.shape, 4))
    tint[grown & ~otsu] = (*np.array([213, 94, 0]) / 255, 0.45)
    panels[1].imshow(tint)
    for panel, mask, colour in ((panels[1], otsu, VERMILION), (panels[2], grown, GREEN)):
        panel.contour(mask, levels=[0.5], colors=[colour], linewidths=2.5)
    panels[0].set_title("Before")
    panels[1].set_title(f"Otsu alone keeps\n{_kept(shown, 'otsu')}")
    panels[2].set_title(f"Grown to the skin line keeps\n{_kept(shown, 'otsu_grown')}")
    panels[3].set_title("After: background blanked")
    lost = 1 - (otsu & grown).sum() / max(1, grown.sum())
    panels[1].set_xlabel(f"tinted: {lost:.0%} of the grown region, lost", color=VERMILION)
    panels[0].set_xlabel("square root of the grey levels", color=GREY)


def _kept(shown: pd.Series, method: str) -> str:
    text = f"{shown[f'{method}_kept']:.0%} of the film"
    truth = shown[f"{method}_dice"]
    return text if pd.isna(truth) else f"{text}, Dice {truth:.3f}"


def _draw_filters(panels: np.ndarray, results: Results, label: str, filters: list[Filter]) -> None:
    """Draw the images into the first row of panels, the differences into the second."""
    roi_id, scores = _choose_roi(results, label, filters[0].name)
    chosen = results.filter_choice["filter"]
    cleaned = read_png(results.image_path("cleaned", roi_id))
    # What was scored, before the chosen filter's images were rounded to 8 bits.
    filtered = [in_8_bit_levels(noise_filter(cleaned)) for noise_filter in filters]
    cleaned = in_8_bit_levels(cleaned)
    changes = [np.abs(image - cleaned) for image in filtered]
    strongest = max(1.0, float(np.percentile(changes, 99.5)))
    grey = {"black": cleaned.min(), "white": cleaned.max()}
    show_image(panels[0, 0], cleaned, **grey)
    _name_filter(panels[0, 0], "Cleaned, no filter", chosen == "none")
    panels[0, 0].set_ylabel(label, fontsize=15, fontweight="bold")
    panels[0, 0].set_xlabel(_short(roi_id), fontsize=10, color=GREY)
    for column, noise_filter, image, change in zip(
        panels[:, 1:].T, filters, filtered, changes, strict=True
    ):
        show_image(column[0], image, **grey)
        side = f"{noise_filter.window} \N{MULTIPLICATION SIGN} {noise_filter.window}"
        name = noise_filter.name.replace("_", " ").capitalize()
        _name_filter(column[0], f"{name} {side}", noise_filter.name == chosen)
        column[0].set_xlabel(_describe_scores(scores.loc[noise_filter.name]))
        drawn = show_image(column[1], change, white=strongest, cmap="inferno")
    _explain_change(panels[1, 0], drawn)


def _choose_roi(results: Results, label: str, filter_name: str) -> tuple[str, pd.DataFrame]:
    """Return the ROI of a class with the middle error, and its scores by filter."""
    scores = results.filter_scores.merge(results.rois[["roi_id", "label"]])
    of_label = scores[(scores["label"] == label) & (scores["filter"] == filter_name)]
    roi_id = _middle(of_label, "mse", "roi_id")["roi_id"]
    return roi_id, scores[scores["roi_id"] == roi_id].set_index("filter")


def _name_filter(panel: Axes, name: str, is_chosen: bool) -> None:
    if is_chosen:
        panel.set_title(f"{name}: chosen", color=BLUE, fontsize=12)
        panel.spines[:].set(visible=True, color=BLUE, linewidth=4)
    else:
        panel.set_title(name, fontsize=13)


def _explain_change(panel: Axes, drawn: AxesImage) -> None:
    """Put the scale of the differences beside them."""
    panel.set_axis_off()
    scale = panel.inset_axes((0.72, 0.05, 0.08, 0.9))
    panel.figure.colorbar(drawn, cax=scale, extend="max", ticks=MaxNLocator(6, integer=True))
    scale.yaxis.set_ticks_position("left")
    words = "What the\nfilter changes\n(grey levels\nof 255)"
    panel.text(0, 0.5, words, va="center", transform=panel.transAxes)


def _describe_scores(scores: pd.Series) -> str:
    ratio = f"{scores['psnr']:.1f} dB" if np.isfinite(scores["psnr"]) else "infinite"
    return f"MSE {scores['mse']:.2f}, PSNR {ratio}"


def _hardest(results: Results, run: pd.Series) -> pd.DataFrame:
    """Return the predictions of a best run with the highest loss, at most `SHOWN`.

    A ROI's four turns are one picture to the reader: its worst stands for it.
    """
    predictions = results.best_predictions(run)
    ordered = predictions.sort_values(["loss", "image_id"], ascending=[False, True])
    return ordered.drop_duplicates("roi_id").head(SHOWN)


def _draw_prediction(panel: Axes, results: Results, prediction: pd.Series) -> None:
    image = read_png(results.image_path("enhanced", prediction["roi_id"]))
    turned = np.rot90(image, prediction["quarter_turns"])
    panel.set_axis_on()
    show_image(panel, turned, black=image.min(), white=image.max())
    malignant = prediction["probability_malignant"]
    # As fastai's plot_top_losses: the probability of what was predicted.
    probability = malignant if prediction["predicted"] == records.MALIGNANT else 1 - malignant
    classes = f"{prediction['predicted']}/{prediction['label']}"
    colour = "black" if prediction["predicted"] == prediction["label"] else VERMILION
    text = f"{classes}\n{prediction['loss']:.2f} / {probability:.2f}"
    panel.set_title(text, fontsize=12, color=colour)
    turned_by = f"turned by {90 * prediction['quarter_turns']}°"
    panel.set_xlabel(f"{_short(prediction['roi_id'])}\n{turned_by}", fontsize=8, color=GREY)


def _short(name: str, length: int = 34) -> str:
    return name if len(name) <= length else f"…{name[1 - length :]}"
