"""Tables 2 to 9 of the study, the truth bench and what artefact removal kept, from a run."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from mcalc.records import OVERLAPS, SUBSETS, TRAINED_AS
from mcalc.reporting.measured import MEASURES, count_patients, measure, measure_accuracy
from mcalc.reporting.results import NETWORK_NAMES, TRAINING_TABLES, Results
from mcalc.reporting.truth_bench import pivot, summarise

TRAINING_COLUMNS = (
    *("protocol", "test", "batch_size", "lr_min", "lr_max", "epochs"),
    *("train_loss", "valid_loss", "error_rate", "accuracy", "accuracy_low", "accuracy_high"),
    *("images", "patients"),
)
MEASURE_COLUMNS = (
    *("protocol", "network", "test", "images", "patients", "positive_class"),
    *("true_positives", "false_positives", "false_negatives", "true_negatives"),
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
)
INTERVALS = (
    "In brackets 95% intervals over patients, all of whose images count as one draw; none where "
    "patients are too few or all alike."
)
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


class Table(NamedTuple):
    """A table as people read it: the file's `name`, a `title`, a `note` and the rows."""

    name: str
    title: str
    note: str
    rows: pd.DataFrame


def make_tables(results: Results) -> Iterator[Table]:
    """Yield the study's tables in its order, then the tables of what it did not measure."""
    yield _rotation(results)
    yield _augmentation(results)
    yield _filters(results)
    for network in results.networks:
        yield _training(results, network)
    yield _measures(results)
    yield _overlap(results)
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
    means = results.filter_scores.groupby("filter", sort=False)[SCORE_COLUMNS].mean()
    rows = means.sort_values("mse").reset_index()
    rows["chosen"] = (
        rows["filter"].eq(results.filter_choice["filter"]).map({True: "yes", False: ""})
    )
    return Table(
        "table4",
        "Table 4. Filters against the unfiltered image, means over ROIs",
        "In grey levels of 255. A small error says that a filter changes little, not that it "
        "removes noise; contrast retention is the share of the brightest details' contrast left.",
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
        "Losses of the last epoch; error rate and accuracy on the validation images, or on "
        f"the test images of protocols that keep some. {INTERVALS}",
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
        f"together. {INTERVALS}" + _say_of_test_images(results) + _warn_of_a_mistake(results),
        best[list(MEASURE_COLUMNS)],
    )


def _measure_accuracy(results: Results, row: pd.Series) -> dict:
    predictions = results.test_predictions(row)
    _, low, high = measure_accuracy(predictions)
    return {"accuracy_low": low, "accuracy_high": high} | _count(predictions)


def _measure(results: Results, row: pd.Series) -> dict:
    predictions = results.best_predictions(row)
    found = measure(predictions, row["positive_class"])
    return _count(predictions) | {
        f"{name}{end}": number
        for name, interval in found.items()
        for end, number in zip(("", "_low", "_high"), interval, strict=True)
    }


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


def _warn_of_a_mistake(results: Results) -> str:
    """Return what must be said of measures on images that a network has been trained on."""
    return "".join(
        f" {protocol} demonstrates a mistake and is no result: the networks that {trained} trained "
        "are measured on images split anew, most of which they have been trained on."
        for protocol, trained in TRAINED_AS.items()
        if protocol in results.protocols
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
    rows = []
    for method in ("otsu", "otsu_grown"):
        row = {"method": method, "ROIs_kept": cleaning[f"{method}_kept"].mean()}
        beside_air = cleaning.loc[cleaning["has_background"], f"{method}_kept"]
        row["ROIs_with_background_kept"] = beside_air.mean()
        for origin, group in mammograms.groupby("origin"):
            row[f"{origin}_mammograms_kept"] = group[f"{method}_kept"].mean()
            row[f"{origin}_dice"] = group[f"{method}_dice"].mean()
        rows.append(row)
    return Table(
        "cleaning",
        "Artefact removal: mean share of the pixels that each method keeps",
        f"Applied: {results.cleaning_method}. "
        f"{int(cleaning['has_background'].sum())} of {len(cleaning)} ROIs hold background. Dice "
        "compares with the true breast, known for phantoms only.",
        pd.DataFrame(rows).dropna(axis="columns", how="all"),
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
