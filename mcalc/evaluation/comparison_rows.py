"""Every pair of a protocol's models, compared on the ROIs that both answered for."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import norm

from mcalc.evaluation.comparison import delong_test, holm, mcnemar
from mcalc.evaluation.delong import auc_covariance, smallest_difference
from mcalc.evaluation.levels import units
from mcalc.evaluation.runs import Model
from mcalc.evaluation.score_rows import Settings, counts_of
from mcalc.evaluation.scores import THRESHOLD


def comparison_rows(models: list[Model], settings: Settings) -> list[dict]:
    """Return a row for each pair of models; all pairs of a protocol are one family for Holm."""
    rois = {model.name: units(model.measured, "roi") for model in models}
    rows = [_pair(first, second, rois, settings) for first, second in combinations(rois, 2)]
    for p_value in ("delong_p", "mcnemar_clustered_p"):
        corrected = holm([row[p_value] for row in rows])
        for row, value in zip(rows, corrected, strict=True):
            row[f"{p_value}_holm"] = value
    return rows


def _pair(first: str, second: str, rois: dict[str, pd.DataFrame], settings: Settings) -> dict:
    answers = rois[first].merge(rois[second][["unit", "probability"]], on="unit")
    both = answers[["probability_x", "probability_y"]].to_numpy().T
    malignant, cluster = answers["malignant"].to_numpy(), answers["cluster"].to_numpy()
    aucs, covariance = auc_covariance(malignant, both, cluster)
    difference = aucs[0] - aucs[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    spread = norm.isf((1 - settings.confidence) / 2) * np.sqrt(np.maximum(variance, 0))
    right = (both > THRESHOLD) == malignant
    test = mcnemar(*right, cluster)
    return {
        "model_a": first,
        "model_b": second,
        "auc_a": aucs[0],
        "auc_b": aucs[1],
        "auc_difference": difference,
        "low": np.maximum(difference - spread, -1),
        "high": np.minimum(difference + spread, 1),
        "delong_p": delong_test(difference, variance),
        "smallest_difference": smallest_difference(variance),
        "only_a_right": test.only_first,
        "only_b_right": test.only_second,
        "mcnemar_exact_p": test.exact,
        "mcnemar_corrected_p": test.corrected,
        "mcnemar_clustered_p": test.clustered,
        **counts_of(answers.rename(columns={"probability_x": "probability"})),
    }
