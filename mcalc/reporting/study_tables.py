"""All tables of a run: 2 to 9 of the study, the scores, the truth bench, artefact removal."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mcalc.records import OVERLAPS, SUBSETS, TRAINED_AS
from mcalc.reporting.measured import (
    MEASURES,
    count_patients,
    in_columns,
    measure,
    measure_accuracy,
    measure_mean,
)
from mcalc.reporting.results import NETWORK_NAMES, TRAINING_TABLES, Results
from mcalc.reporting.score_tables import score_tables
from mcalc.reporting.table import Table, explain_intervals, warn_of_a_mistake
from mcalc.reporting.truth_bench import pivot, summarise

TRAINING_COLUMNS = (
    *("protocol", "test", "batch_size", "lr_min", "lr_max", "epochs"),
    *("images", "patients", "train_loss"),
    *(f"{name}{end}" for name in ("valid_loss", "error_rate") for end in ("", "_low", "_high")),
    *("accuracy", "accuracy_low", "accuracy_high"),
)
MEASURE_COLUMNS = (
    *("protocol", "network", "test", "images", "patients"),
    *("true_positives", "false_positives", "false_negatives", "true_negatives"),
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
)
CLEANING_METHODS = ("otsu", "otsu_grown")
SCORE_COLUMNS = ["mse", "psnr", "ssim", "contrast_retention"]

# What is measured against the truth: the table's title, decimals, and what more there is to say.
TRUTH_MEASURES = {
    "psnr": ("PSNR against the clean truth, in decibels", 1, ""),
    "ssim": ("SSIM against the clean truth", 3, ""),
    "contrast_left": (
        "Share of the specks' contrast that is left",
        2,
        "1: as bright against the tissue as in the truth; 0: gone.",
    ),
}


def make_tables(results: Results) -> Iterator[Table]:
    """Yield the study's tables in its order, then the tables of what it did not measure."""
    yield _rotation(results)
    yield _augmentation(results)
    yield _filters(results)
    for network in results.networks:
        yield _training(results, network)
    yield _measures(results)
    yield _overlap(results)
    yield from score_tables(results)
    yield _cleaning(results)
    yield from _truth(results)


def _rotation(results: Results) -> Table:
    columns = {"ROIs": results.rois["label"].value_counts()}
    for protocol, split in results.splits.items():
        first = split[split["fold"] == 0]
        for subset in SUBSETS:
            rows = first[first["subset"] == subset]
            if len(rows) and not (protocol in TRAINED_AS and subset == "train"):
                columns[f"{protocol}_{subset}"] = rows["label"].value_counts()
    rows = pd.DataFrame(columns).fillna(0).astype(int).sort_index()
    rows.loc["both"] = rows.sum()
    rows.insert(1, "images", rows["ROIs"] * 4)
    patients = {label: count_patients(rois) for label, rois in results.rois.groupby("label")}
    patients["both"] = count_patients(results.rois)
    rows.insert(0, "patients", [patients[label] for label in rows.index])
    return Table(
        "table2",
        "Table 2. ROIs, and images after rotation by 0, 90, 180 and 270 degrees",
        "The columns to the right count the images that train and validate under each protocol"
        + _in_first_fold(results),
        rows.rename_axis("label").reset_index(),
    )


def _in_first_fold(results: Results) -> str:
    folds = max(split["fold"].nunique() for split in results.splits.values())
    return f", those of the first fold where there are {folds}." if folds > 1 else "."


def _augmentation(results: Results) -> Table:
    card = results.card(results.runs.iloc[0])
    values, recipe = card["augmentation"], card["settings"].get("recipe", "fastai2")
    chance = "probability 7/8" if recipe == "fastai1" else "probability 0.5"
    rows = [
        ("flips and quarter turns", "on" if values["flip"] else "off", chance),
        ("rotation", f"{values['max_rotate']:g}", "degrees at most, either way"),
        ("zoom", f"{values['max_zoom']:g}", "times at most"),
        ("lighting", f"{values['max_lighting']:g}", "change of brightness and contrast at most"),
    ]
    if values.get("max_warp"):
        rows.append(
            ("warp", f"{values['max_warp']:g}", "of half the image at most, at each corner")
        )
    return Table(
        "table3",
        "Table 3. Augmentation in training",
        "Drawn anew for each image in each epoch; validation images are not changed.",
        pd.DataFrame(rows, columns=["transform", "value", "meaning"]),
    )


def _filters(results: Results) -> Table:
    rows = []
    for name, scores in results.filter_scores.groupby("filter", sort=False):
        row = {"filter": name, "ROIs": len(scores), "patients": count_patients(scores)}
        for column in SCORE_COLUMNS:
            row |= in_columns(column, measure_mean(scores, column, results.settings))
        rows.append(row | {"chosen": "yes" if name == results.filter_choice["filter"] else ""})
    rows = pd.DataFrame(rows).sort_values("mse", ignore_index=True)
    return Table(
        "table4",
        "Table 4. Filters against the unfiltered image, means over ROIs",
        "In grey levels of 255. A small error says that a filter changes little, not that it "
        "removes noise; contrast retention is the share of the brightest details' contrast left. "
        "The PSNR leaves out images that a filter did not change. Of all patients, before any "
        f"split. {explain_intervals(results)}",
        rows,
    )


def _training(results: Results, network: str) -> Table:
    runs = results.pooled_runs
    trained = runs["protocol"].isin(results.trained_protocols)
    rows = runs[trained & (runs["network"] == network)]
    measured = [_measure_accuracy(results, row) for _, row in rows.iterrows()]
    rows = pd.concat([rows, pd.DataFrame(measured, index=rows.index)], axis="columns")
    number = TRAINING_TABLES[network]
    return Table(
        f"table{number}_{network}",
        f"Table {number}. Training results of {NETWORK_NAMES[network]}",
        "Losses of the last epoch; that of training is of one training and has no interval. Error "
        "rate and accuracy on the validation images, or on the test images of protocols that keep "
        f"some. {explain_intervals(results)}",
        rows[list(TRAINING_COLUMNS)],
    )


def _measures(results: Results) -> Table:
    best = results.best_runs
    measured = [_measure(results, row) for _, row in best.iterrows()]
    best = best.drop(columns=list(MEASURES)).join(pd.DataFrame(measured))
    return Table(
        "table9",
        "Table 9. Measures of each network's best test",
        f"Positive class: {best['positive_class'].iloc[0]}. The best test was chosen on the images "
        "it is measured on, as in the study, which flatters it. The AUC is of all folds' answers "
        f"together. {explain_intervals(results)}"
        + _say_of_test_images(results)
        + warn_of_a_mistake(results),
        best[list(MEASURE_COLUMNS)],
    )


def _measure_accuracy(results: Results, row: pd.Series) -> dict:
    predictions = results.test_predictions(row)
    _, low, high = measure_accuracy(predictions, results.settings)
    _, *loss = measure_mean(results.valid_predictions(row), "loss", results.settings)
    return _count(predictions) | {
        **{"accuracy_low": low, "accuracy_high": high},
        **{"error_rate_low": 1 - high, "error_rate_high": 1 - low},
        **{"valid_loss_low": loss[0], "valid_loss_high": loss[1]},
    }


def _measure(results: Results, row: pd.Series) -> dict:
    predictions = results.best_predictions(row)
    found = _count(predictions)
    for name, interval in measure(predictions, row["positive_class"], results.settings).items():
        found |= in_columns(name, interval)
    return found


def _count(predictions: pd.DataFrame) -> dict:
    return {"images": len(predictions), "patients": count_patients(predictions)}


def _say_of_test_images(results: Results) -> str:
    """Return what must be said where protocols keep images that no choice has seen."""
    if not results.tested_protocols:
        return ""
    return (
        f" Not so under {', '.join(results.tested_protocols)}: there it was chosen on validation "
        "images, in each fold anew (test is the first fold's), and measured on test images."
    )


def _overlap(results: Results) -> Table:
    counts = results.overlap.groupby(["protocol", "overlap"])[["shared", "evaluated"]].sum()
    # Of no image known, such as the breast without a side: n/a, not 0.
    shares = (counts["shared"] / counts["evaluated"].where(counts["evaluated"] > 0)).unstack()
    rows = []
    for protocol in results.protocols:
        measured = pd.concat([rows for _, rows in results.sides(protocol)])
        counted = {"images": len(measured), "patients": count_patients(measured)}
        shared = {f"same_{name}": shares.loc[protocol, name] for name in OVERLAPS[1:-1]}
        first, last = OVERLAPS[0], OVERLAPS[-1]
        shared = {first: shares.loc[protocol, first]} | shared | {last: shares.loc[protocol, last]}
        rows.append({"protocol": protocol} | counted | shared)
    return Table(
        "overlap",
        "What the images that measure share with the images that trained, by protocol",
        "Share of the measured images with another turn of the same ROI, the same ROI, lesion, "
        "breast or patient, or a ROI that looks alike, among those that trained. Counted, not "
        "estimated: so without intervals. Above 0 a network may know an image again.",
        pd.DataFrame(rows),
    )


def _cleaning(results: Results) -> Table:
    cleaning, mammograms = results.cleaning, results.mammograms
    pictures = {
        "all ROIs": cleaning,
        "ROIs with background": cleaning[cleaning["has_background"]],
        **{f"mammograms, {name}": group for name, group in mammograms.groupby("origin")},
    }
    rows = []
    for name, group in pictures.items():
        for method in CLEANING_METHODS:
            row = {"pictures": name, "method": method, "n": len(group)}
            row["patients"] = count_patients(group)
            row |= in_columns("kept", measure_mean(group, f"{method}_kept", results.settings))
            dice = group.get(f"{method}_dice", pd.Series(np.nan, group.index))
            dice = measure_mean(group.assign(dice=dice), "dice", results.settings)
            rows.append(row | in_columns("dice", dice))
    return Table(
        "cleaning",
        "Artefact removal: mean share of the pixels that each method keeps",
        f"Applied: {results.cleaning_method}. Dice compares with the true breast, known for "
        "phantoms only. 0 patients: not of this data set, so that each counts for itself. "
        f"{explain_intervals(results)}",
        pd.DataFrame(rows),
    )


def _truth(results: Results) -> Iterator[Table]:
    scores = results.truth_scores
    summary = summarise(scores)
    note = (
        f"Means over {scores['crop'].nunique()} made-up crops with 95% intervals (bootstrap over "
        "crops); none: no filter at all; best: the highest mean."
    )
    for column, (title, digits, more) in TRUTH_MEASURES.items():
        name = f"truth_{column.removesuffix('_left')}"
        yield Table(name, title, f"{note} {more}".strip(), pivot(summary, column, digits))
