"""Means with intervals over patients, against a naive resampling and against formulas."""

import numpy as np
import pandas as pd
import pytest

from mcalc.evaluation.score_rows import Settings
from mcalc.reporting.measured import measure_accuracy, measure_mean


def rows(patients: int, rois: int, between: float = 1.0, within: float = 1.0) -> pd.DataFrame:
    """Return values of patients who differ by `between`, and whose ROIs differ by `within`."""
    generator = np.random.default_rng(1)
    level = generator.normal(10, between, patients).repeat(rois)
    number = np.arange(patients * rois)
    return pd.DataFrame(
        {
            "roi_id": [f"r{n}" for n in number],
            "patient_id": [f"p{n // rois}" for n in number],
            "value": level + generator.normal(0, within, len(number)),
        }
    )


def test_a_mean_has_the_interval_of_drawing_patients_with_all_their_rois():
    table = rows(12, 1)
    # Patients with one to six ROIs each, so that no mean of means would do.
    table = table.loc[table.index.repeat(np.arange(12) % 6 + 1)].reset_index(drop=True)
    table["value"] += np.random.default_rng(2).normal(0, 1, len(table))
    found = measure_mean(table, "value", Settings())
    assert found.value == pytest.approx(table["value"].mean())
    generator = np.random.default_rng(3)
    groups = [group["value"].to_numpy() for _, group in table.groupby("patient_id")]
    means = [
        np.concatenate([groups[n] for n in generator.integers(0, 12, 12)]).mean()
        for _ in range(4000)
    ]
    # Monte-Carlo error of the ends of such an interval is some 3 % of its width.
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(
        np.quantile(means, (0.025, 0.975)), abs=0.1 * width
    )


def test_rois_of_one_patient_are_not_independent_witnesses():
    alike = measure_mean(rows(40, 8, within=0.01), "value", Settings())
    expected = 2 * 1.96 * rows(40, 8, within=0.01).groupby("patient_id")["value"].mean().sem()
    assert alike.high - alike.low == pytest.approx(expected, rel=0.1)
    apart = rows(40, 8, within=0.01).assign(patient_id="")
    unknown = measure_mean(apart, "value", Settings())
    assert unknown.high - unknown.low < 0.5 * expected, "without names each ROI counts for itself"


def test_confidence_and_seed_are_those_asked_for():
    table = rows(20, 2)
    usual, half, other = (
        measure_mean(table, "value", settings)
        for settings in (Settings(), Settings(confidence=0.5), Settings(seed=2))
    )
    assert usual.low < half.low < half.value < half.high < usual.high
    assert usual.low != other.low
    answers = pd.DataFrame({"label": "benign", "predicted": ["benign", "malignant"] * 20})
    answers = answers.assign(roi_id=answers.index.astype(str), patient_id=answers.index.astype(str))
    wide, narrow = (measure_accuracy(answers, Settings(confidence=c)) for c in (0.95, 0.5))
    assert wide.low < narrow.low < 0.5 < narrow.high < wide.high


@pytest.mark.parametrize(
    ("values", "patients", "mean"),
    [
        ([1.0, 2.0], ["a", "a"], 1.5),  # one patient alone
        ([2.0, 2.0, 2.0], ["a", "b", "c"], 2.0),  # all say the same
        ([1.0, np.inf, 3.0], ["a", "b", "a"], 2.0),  # an unchanged image has no PSNR
        ([np.inf], ["a"], np.nan),
    ],
)
def test_where_nothing_is_known_of_chance_no_interval_is_told(values, patients, mean):
    table = pd.DataFrame({"roi_id": list("rst")[: len(values)], "patient_id": patients})
    found = measure_mean(table.assign(value=values), "value", Settings())
    assert found.value == pytest.approx(mean, nan_ok=True)
    assert np.isnan(found.low) and np.isnan(found.high)
