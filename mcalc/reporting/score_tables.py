"""Tables of what the stage `score` found: networks beside models that must not be good."""

from collections.abc import Iterator

import pandas as pd

from mcalc.evaluation.runs import CHOSEN
from mcalc.reporting.results import NETWORK_NAMES, Results
from mcalc.reporting.table import Table, explain_intervals, warn_of_a_mistake

# Of each ROI, of each level, and of calibrated probabilities: the scores that are shown.
ROI_SCORES = (
    *("auc", "average_precision", "balanced_accuracy"),
    *("sensitivity", "specificity", "brier"),
)
LEVEL_SCORES = ("auc", "balanced_accuracy", "ppv", "npv", "ppv_screening", "npv_screening")
CALIBRATION_SCORES = ("brier", "log_loss", "ece")

# The models that must not be good, and what they are shown.
SHORTCUT_NAMES = {
    "majority": "the share of malignant",
    "five_fields": "the table's five fields",
    "empty_distribution": "whether a field is empty",
    "without_callback": "benign without callback",
    "crop_size": "crop size",
    "histogram": "grey-level histogram",
    "background": "background without specks",
}


def score_tables(results: Results) -> Iterator[Table]:
    """Yield the tables of scores, of levels, calibration, thresholds, sets and comparisons."""
    yield _scores(results)
    yield _comparisons(results)
    yield _levels(results)
    yield _calibration(results)
    yield _operating_points(results)
    yield _conformal(results)


def name_model(row: pd.Series) -> str:
    """Return a model's name in words from the columns that name it (SCORES)."""
    if row["kind"] == "shortcut":
        return f"only {SHORTCUT_NAMES[row['model']]}"
    if row["model"] == CHOSEN:
        return "network and test chosen in each fold"
    network = NETWORK_NAMES[row["network"]]
    if row["kind"] == "chosen":
        return f"{network}, test chosen in each fold"
    return f"{network}, test {row['test']}"


def shown_rows(results: Results, table: str, protocol: str, *, first: bool = False) -> pd.DataFrame:
    """Return the rows of a table of `score` about the models that are shown, in their order.

    `first` leaves those of the model alone that the protocol's result is told of. The column
    `shown_as` has a model's name in words.
    """
    rows = results.scored(table, protocol)
    shown = results.shown_models(protocol)[: 1 if first else None]
    rows = rows[rows["model"].isin(shown)]
    order = rows["model"].map(shown.index)
    rows = rows.assign(order=order).sort_values("order", kind="stable", ignore_index=True)
    return rows.assign(shown_as=rows["model"].map(_names(results, protocol)))


def _wide(rows: pd.DataFrame, scores: tuple[str, ...], more: tuple[str, ...] = ()) -> list[dict]:
    """Return a row for each model and value of `more`, its preferred scores with their ends."""
    rows = rows[rows["preferred"] & rows["score"].isin(scores)]
    found = []
    for keys, group in rows.groupby(["protocol", "shown_as", *more], sort=False):
        row = dict(zip(("protocol", "model", *more), keys, strict=True))
        counts = group.iloc[0]
        row |= {"ROIs": counts["n_rois"], "patients": counts["n_patients"], "n": counts["n"]}
        by_score = group.set_index("score")
        for score in scores:
            for column, end in (("value", ""), ("low", "_low"), ("high", "_high")):
                row[f"{score}{end}"] = by_score.loc[score, column]
        found.append(row)
    return found


def _each_protocol(results: Results, table: str, *, first: bool) -> pd.DataFrame:
    protocols = results.protocols
    return pd.concat([shown_rows(results, table, name, first=first) for name in protocols])


def _scores(results: Results) -> Table:
    rows = _each_protocol(results, "scores", first=False)
    rows = rows[(rows["level"] == "roi") & (rows["calibration"] == "none")]
    return Table(
        "scores",
        "Networks, and models that must not be good, ROI by ROI",
        "Positive class: malignant. A ROI's probability is the mean over its quarter turns. A "
        "network that is no better than a model which saw no calcification may have learned what "
        "that one did. Under protocols without test images each network is shown by the test that "
        "did best on the same images, which flatters it; with test images each fold chooses by the "
        f"log loss of its validation images. {explain_intervals(results)}"
        + warn_of_a_mistake(results),
        pd.DataFrame(_wide(rows, ROI_SCORES)).drop(columns="n"),
    )


def _comparisons(results: Results) -> Table:
    return Table(
        "comparisons",
        "The first model of each protocol against the others",
        "AUC difference: how much higher the first model's is (DeLong's test over patients); p by "
        "Holm's correction over all pairs of the protocol; McNemar's test over patients for calls "
        "at 0.5. Smallest difference: the true one that four in five such studies would show; "
        f"where models differ by less, finding nothing says little. {explain_intervals(results)}",
        pd.concat(
            [_compare_first(results, protocol) for protocol in results.protocols],
            ignore_index=True,
        ),
    )


def _compare_first(results: Results, protocol: str) -> pd.DataFrame:
    pairs = results.scored("comparisons", protocol)
    # Each pair stands there once; seen from its other side the difference has the other sign.
    ends = {
        "auc_difference": -pairs["auc_difference"],
        "low": -pairs["high"],
        "high": -pairs["low"],
    }
    turned = pairs.rename(columns={"model_a": "model_b", "model_b": "model_a"}).assign(**ends)
    names = _names(results, protocol)
    first, *others = results.shown_models(protocol)
    rows = pd.concat([pairs, turned]).query("model_a == @first").set_index("model_b").loc[others]
    return pd.DataFrame(
        {
            "protocol": protocol,
            "model": names[first],
            "against": [names[other] for other in others],
            "ROIs": rows["n_rois"].to_numpy(),
            "patients": rows["n_patients"].to_numpy(),
            "auc_difference": rows["auc_difference"].to_numpy(),
            "auc_difference_low": rows["low"].to_numpy(),
            "auc_difference_high": rows["high"].to_numpy(),
            "delong_p": rows["delong_p_holm"].to_numpy(),
            "smallest_difference": rows["smallest_difference"].to_numpy(),
            "mcnemar_p": rows["mcnemar_clustered_p_holm"].to_numpy(),
        }
    )


def _names(results: Results, protocol: str) -> dict[str, str]:
    """Return each model's name in words."""
    models = results.scored("scores", protocol).drop_duplicates("model")
    return {row["model"]: name_model(row) for _, row in models.iterrows()}


def _levels(results: Results) -> Table:
    rows = _each_protocol(results, "scores", first=True)
    rows = rows[rows["calibration"] == "none"]
    table = pd.DataFrame(_wide(rows, LEVEL_SCORES, ("level", "aggregation")))
    table = table.rename(columns={"aggregation": "by", "n": "answers"})
    return Table(
        "levels",
        "The first model of each protocol, by what an answer is about",
        "The probability of a lesion, breast or patient is the mean or maximum (by) over its ROIs. "
        "PPV and NPV screening: at the prevalence evaluate.screening_prevalence, a thought "
        "experiment, since crops that somebody outlined are not screens. "
        f"{explain_intervals(results)}",
        table,
    )


def _calibration(results: Results) -> Table:
    rows = _each_protocol(results, "scores", first=True)
    rows = rows[rows["level"] == "roi"]
    return Table(
        "calibration",
        "How far probabilities mean what they say, and after calibration",
        "Of the first model of each protocol, ROI by ROI. Calibration is fitted on validation "
        "images where there are test images, else on other patients. Lower is better. ECE: "
        "expected calibration error, which chance makes larger; its interval holds the truth less "
        f"often than promised (docs/statistics.md). {explain_intervals(results)}",
        pd.DataFrame(_wide(rows, CALIBRATION_SCORES, ("calibration",))).drop(columns="n"),
    )


def _operating_points(results: Results) -> Table:
    rows = _each_protocol(results, "operating_points", first=True)
    names = ("protocol", "shown_as", "n_rois", "n_patients", "fixed", "target", "threshold")
    measures = ("sensitivity", "specificity")
    ends = [f"{name}{end}" for name in measures for end in ("", "_low", "_high")]
    return Table(
        "operating_points",
        "Sensitivity at a fixed specificity, and the reverse",
        "Of the first model of each protocol, ROI by ROI. The threshold was chosen on validation "
        "images (valid), or on the same images, which flatters the measure that is fixed. "
        f"{explain_intervals(results)}",
        _renamed(rows[[*names, "chosen_on", *ends]]),
    )


def _conformal(results: Results) -> Table:
    rows = _each_protocol(results, "conformal", first=True)
    names = ("protocol", "shown_as", "n_rois", "n_patients", "option", "wanted")
    shares = ("coverage", "coverage_malignant", "coverage_benign", "answered", "accuracy_answered")
    ends = [f"{name}{end}" for name in shares for end in ("", "_low", "_high")]
    return Table(
        "conformal",
        "Sets of labels that are to hold the truth, and abstention",
        "Of the first model of each protocol, ROI by ROI. Wanted: the coverage that was asked "
        "for, of all ROIs together or of each class by itself. A set that holds both labels, or "
        "none, abstains; answered is the share of the others. With few patients all hold both. "
        f"{explain_intervals(results)}",
        _renamed(rows[[*names, *ends]]),
    )


def _renamed(rows: pd.DataFrame) -> pd.DataFrame:
    names = {"shown_as": "model", "n_rois": "ROIs", "n_patients": "patients"}
    return rows.rename(columns=names).reset_index(drop=True)
