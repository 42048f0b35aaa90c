"""Wilson's interval, its clustered form and the bootstrap, against tables, scipy and loops."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mcalc.evaluation.intervals import bootstrap_interval, clustered_wilson, resampled, wilson
from mcalc.evaluation.scores import score_resamples


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_newcombes_published_intervals(part, whole, low, high):
    """Newcombe 1998, Table I, method 3."""
    assert np.round(wilson(part, whole), 4) == pytest.approx([low, high])


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("part", "whole"), [(0, 7), (7, 7), (3, 7), (400, 1000)])
def test_wilson_is_scipys(part, whole, confidence):
    ends = binomtest(part, whole).proportion_ci(confidence, method="wilson")
    assert wilson(part, whole, confidence) == pytest.approx((ends.low, ends.high), abs=1e-9)


def test_a_share_of_nothing_is_no_number():
    assert np.isnan(wilson(0, 0)).all()
    assert np.isnan(clustered_wilson([True], [False], ["a"])).all()


def test_one_patient_has_a_share_but_no_interval():
    value, low, high = clustered_wilson([True, False], [True, True], ["a", "a"])
    assert value == 0.5
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("hits", [0, 3, 12, 20])
def test_with_one_roi_a_patient_it_is_wilsons_own_interval(hits):
    right = np.arange(20) < hits
    found = clustered_wilson(right, np.ones(20, dtype=bool), np.arange(20))
    ends = binomtest(hits, 20).proportion_ci(method="wilson")
    assert found == pytest.approx((hits / 20, ends.low, ends.high), abs=1e-9)


@pytest.mark.parametrize("copies", [2, 5])
def test_copies_of_a_patients_rois_tell_nothing_new(copies):
    right = np.repeat(np.arange(20) < 12, copies)
    found = clustered_wilson(right, np.ones_like(right), np.repeat(np.arange(20), copies))
    ends = binomtest(12, 20).proportion_ci(method="wilson")
    assert found == pytest.approx((0.6, ends.low, ends.high), abs=1e-9)


def test_all_right_is_as_sure_as_there_are_patients():
    """No interval of zero width: ten patients, thirty ROIs, none wrong."""
    value, low, high = clustered_wilson([True] * 30, [True] * 30, np.arange(30) // 3)
    assert (value, high) == (1, 1)
    assert low == pytest.approx(binomtest(10, 10).proportion_ci(method="wilson").low, abs=1e-9)


def test_the_effective_number_is_that_of_a_loop_over_patients():
    generator = np.random.default_rng(3)
    patients = generator.integers(0, 40, 150).astype(str)
    hits, counted = generator.random(150) < 0.6, generator.random(150) < 0.8
    share = np.sum(hits & counted) / np.sum(counted)
    squares = 0.0
    for patient in set(patients[counted]):
        own = (patients == patient) & counted
        squares += (np.sum(hits & own) - share * np.sum(own)) ** 2
    effective = share * (1 - share) / (squares / counted.sum() ** 2)
    assert effective < counted.sum()
    low, high = wilson(share * effective, effective)
    assert clustered_wilson(hits, counted, patients) == pytest.approx((share, low, high), abs=1e-9)


# --- bootstrap ----------------------------------------------------------------------------------


def test_every_resample_draws_as_many_patients_and_the_seed_decides_which():
    drawn = resampled(30, 500, 1)
    assert (drawn.sum(axis=1) == 30).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(30), abs=0.2)
    assert (resampled(30, 500, 1) == drawn).all()
    assert (resampled(30, 500, 2) != drawn).any()


def test_the_bootstrap_spreads_as_the_patients_differ():
    """The Brier score's standard error over 200 patients, to Monte-Carlo error (1.6 % of it)."""
    generator = np.random.default_rng(1)
    clusters = np.repeat(np.arange(200), generator.integers(1, 6, 200))
    labels = generator.random(len(clusters)) < 0.4
    probabilities = np.clip(generator.random(200)[clusters] * 0.7 + labels * 0.3, 0, 1)
    drawn = resampled(200, 2000, 1)
    values = score_resamples(labels, probabilities, clusters, drawn, screening_prevalence=0.01)
    errors = (probabilities - labels) ** 2
    mean, sizes = errors.mean(), np.bincount(clusters)
    sums = np.bincount(clusters, weights=errors - mean)
    expected = np.sqrt(np.sum(sums**2)) / sizes.sum()
    assert values["brier"].std() == pytest.approx(expected, rel=0.06)
    low, high, defined = bootstrap_interval(values["brier"], mean)
    assert defined == 2000
    assert (low, high) == pytest.approx((mean - 1.96 * expected, mean + 1.96 * expected), rel=0.03)


def test_resamples_without_the_score_are_left_out_and_counted():
    values = np.r_[np.full(300, np.nan), np.linspace(0, 1, 701)]
    low, high, defined = bootstrap_interval(values, 0.5)
    assert defined == 701
    assert (low, high) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize("missing", [51, 100])
def test_a_score_that_most_resamples_lack_has_no_interval(missing):
    values = np.r_[np.full(missing, np.nan), np.full(100 - missing, 0.5)]
    low, high, defined = bootstrap_interval(values, 0.5)
    assert np.isnan([low, high]).all()
    assert defined == 100 - missing


def test_a_score_that_grows_in_resamples_is_reflected_and_never_below_zero():
    values = np.linspace(0.1, 0.3, 1001)
    assert bootstrap_interval(values, 0.12, reflected=True)[:2] == pytest.approx((0, 0.135))
