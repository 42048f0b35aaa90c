"""DeLong's variance against a published example and loops over all pairs of answers."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mcalc.evaluation.comparison import delong_test
from mcalc.evaluation.delong import (
    auc_covariance,
    auc_interval,
    perfect_auc_interval,
    smallest_difference,
)


def draw(seed: int, many: int = 60, patients: int = 25):
    """Return labels, the answers of three models with ties, and patients."""
    generator = np.random.default_rng(seed)
    labels = generator.random(many) < 0.4
    common = generator.normal(size=many) + labels
    answers = np.round(common + generator.normal(size=(3, many)), 1)
    return labels, answers, generator.integers(0, patients, many)


def pairs(labels, answers):
    """Return V10 and V01 by looking at every pair, O(n^2)."""
    malignant, benign = answers[labels], answers[~labels]
    wins = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in benign] for x in malignant])
    return wins.mean(axis=1), wins.mean(axis=0)


# --- not defined --------------------------------------------------------------------------------


def test_one_class_has_no_auc_and_no_variance():
    aucs, covariance = auc_covariance([True, True], [[0.1, 0.2]])
    assert np.isnan(aucs).all() and np.isnan(covariance).all()


def test_one_patient_of_a_class_has_an_auc_but_no_variance():
    """Nothing tells how much malignant patients differ where there is one."""
    labels = [True, True, False, False]
    aucs, covariance = auc_covariance(labels, [[0.9, 0.4, 0.3, 0.5]], ["a", "a", "b", "c"])
    assert aucs == pytest.approx([0.75])
    assert np.isnan(covariance).all()
    assert np.isnan(auc_interval(aucs[0], covariance[0, 0])[1:]).all()


def test_equal_answers_cannot_but_rank_by_chance():
    aucs, covariance = auc_covariance([True, False, True, False], [[0.3] * 4])
    assert (aucs[0], covariance[0, 0]) == (0.5, 0)
    assert auc_interval(0.5, 0) == pytest.approx((0.5, 0.5, 0.5))


# --- against others -----------------------------------------------------------------------------


def test_the_ratings_of_hanley_and_mcneil_give_the_published_error():
    """109 computed tomographies rated 1 to 5 (Radiology 143:29, 1982).

    Stata's manual of roctab prints for them, by DeLong: 0.8932, 0.0307, 0.83295 to 0.95339.
    """
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    ratings = np.repeat([*range(5), *range(5)], [*normal, *abnormal])
    labels = np.arange(109) >= 58
    (auc,), covariance = auc_covariance(labels, [ratings])
    error = np.sqrt(covariance[0, 0])
    assert (round(auc, 4), round(error, 4)) == (0.8932, 0.0307)
    assert auc - norm.isf(0.025) * error == pytest.approx(0.83295, abs=5e-6)
    assert auc + norm.isf(0.025) * error == pytest.approx(0.95339, abs=5e-6)


@pytest.mark.parametrize("seed", range(4))
def test_covariance_and_test_are_those_of_all_pairs(seed):
    labels, answers, _ = draw(seed)
    aucs, covariance = auc_covariance(labels, answers)
    placements = [pairs(labels, row) for row in answers]
    for first in range(3):
        assert aucs[first] == pytest.approx(roc_auc_score(labels, answers[first]), abs=1e-12)
        for second in range(3):
            expected = sum(
                np.cov(placements[first][side], placements[second][side])[0, 1] / count
                for side, count in enumerate((labels.sum(), (~labels).sum()))
            )
            assert covariance[first, second] == pytest.approx(expected, abs=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    z = (aucs[0] - aucs[1]) / np.sqrt(variance)
    assert delong_test(aucs[0] - aucs[1], variance) == pytest.approx(2 * norm.cdf(-abs(z)))


@pytest.mark.parametrize("seed", range(4))
def test_the_covariance_over_patients_is_obuchowskis(seed):
    """Her three sums, by loops over patients."""
    labels, answers, patients = draw(seed)
    aucs, covariance = auc_covariance(labels, answers, patients.astype(str))
    sums = {}
    for model in range(2):
        v10, v01 = pairs(labels, answers[model])
        for patient in set(patients):
            own_sick, own_well = patients[labels] == patient, patients[~labels] == patient
            sums[model, patient] = (
                np.sum(v10[own_sick] - aucs[model]),
                np.sum(v01[own_well] - aucs[model]),
            )
    sick, well = labels.sum(), (~labels).sum()
    with_sick, with_well = len(set(patients[labels])), len(set(patients[~labels]))
    both = len(set(patients))
    s10 = with_sick / ((with_sick - 1) * sick)
    s01 = with_well / ((with_well - 1) * well)
    s11 = both / (both - 1)
    s10 *= sum(sums[0, p][0] * sums[1, p][0] for p in set(patients))
    s01 *= sum(sums[0, p][1] * sums[1, p][1] for p in set(patients))
    crossed = s11 * sum(
        sums[0, p][0] * sums[1, p][1] + sums[0, p][1] * sums[1, p][0] for p in set(patients)
    )
    expected = s10 / sick + s01 / well + crossed / (sick * well)
    assert covariance[0, 1] == pytest.approx(expected, abs=1e-12)


def test_the_logit_interval_is_its_equation_and_stays_below_one():
    value, low, high = auc_interval(0.95, 0.03**2)
    logit, spread = np.log(0.95 / 0.05), norm.isf(0.025) * 0.03 / (0.95 * 0.05)
    assert low == pytest.approx(1 / (1 + np.exp(-(logit - spread))), abs=1e-12)
    assert high == pytest.approx(1 / (1 + np.exp(-(logit + spread))), abs=1e-12)
    assert low < value < high < 1


@pytest.mark.parametrize("auc", [0.0, 0.3, 0.9, 1.0])
def test_the_interval_of_a_perfect_area_solves_newcombes_equation(auc):
    _, low, high = perfect_auc_interval(auc, 12, 20)
    for end in {low, high} - {0.0, 1.0}:
        factor = 1 + 15 * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(end - auc) == pytest.approx(
            norm.isf(0.025) * np.sqrt(end * (1 - end) * factor / 240), abs=1e-6
        )
    assert low < high
    assert low <= auc <= high


def test_more_patients_make_a_perfect_area_surer():
    lows = [perfect_auc_interval(1, many, many).low for many in (2, 10, 100)]
    assert lows == sorted(lows)
    assert lows[0] < 0.6 < 0.97 < lows[2]


def test_the_smallest_difference_is_found_in_four_of_five_studies():
    """Normal differences of that size around which chance has the given variance."""
    difference = smallest_difference(0.04**2)
    assert difference == pytest.approx(2.801585 * 0.04, abs=1e-6)
    drawn = np.random.default_rng(1).normal(difference, 0.04, 4000)
    found = np.mean([delong_test(each, 0.04**2) < 0.05 for each in drawn])
    assert found == pytest.approx(0.8, abs=0.02)
