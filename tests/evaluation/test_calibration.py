"""Calibration recovers what was bent, and never sees the labels that it is measured by."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from mcalc.errors import UsageError
from mcalc.evaluation.calibration import fit, reliability
from mcalc.evaluation.intervals import wilson


def draw(seed: int, many: int = 4000):
    """Return labels and the probabilities that they were drawn with."""
    generator = np.random.default_rng(seed)
    probabilities = expit(generator.normal(-0.5, 1.5, many))
    return generator.random(many) < probabilities, probabilities


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
@pytest.mark.parametrize("label", [True, False])
def test_one_class_cannot_be_fitted(method, label):
    assert fit(method, np.full(5, label), np.linspace(0.1, 0.9, 5)) is None
    assert fit(method, np.empty(0, dtype=bool), np.empty(0)) is None


def test_an_unknown_method_is_named():
    with pytest.raises(UsageError, match="Calibration 'beta' is unknown; use none, temperature"):
        fit("beta", [True], [0.5])


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_constant_and_certain_answers_stay_probabilities(method):
    labels = np.array([True, False, False, True])
    for answers in (np.full(4, 0.7), np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.0, 1, 1, 0])):
        found = fit(method, labels, answers)(np.array([0.0, 0.3, 1.0]))
        assert ((found >= 0) & (found <= 1)).all()


def test_temperature_finds_the_number_that_logits_were_multiplied_by():
    labels, truth = draw(1)
    found = fit("temperature", labels, expit(logit(truth) * 3))
    assert logit(found(expit(np.array([3.0])))) == pytest.approx([1], abs=0.1)


def test_platt_is_logistic_regression_where_there_are_many_answers():
    """Its targets differ from 1 and 0 by half a thousandth."""
    labels, truth = draw(2)
    bent = expit(logit(truth) * 2 + 1)
    found = fit("platt", labels, bent)(np.array([0.1, 0.5, 0.9]))
    regression = LogisticRegression(C=np.inf).fit(logit(bent)[:, None], labels)
    expected = regression.predict_proba(logit([[0.1], [0.5], [0.9]]))[:, 1]
    assert found == pytest.approx(expected, abs=3e-3)


def test_platts_targets_keep_it_from_being_sure_of_few_answers():
    """Two and two answers that are told apart: (2 + 1)/(2 + 2) and 1/(2 + 2)."""
    found = fit("platt", np.array([True, True, False, False]), np.array([0.8, 0.8, 0.2, 0.2]))
    assert found(np.array([0.8, 0.2])) == pytest.approx([0.75, 0.25], abs=1e-6)


def test_isotonic_is_the_share_of_each_step_and_never_falls():
    labels = np.array([False, True, False, True, True])
    found = fit("isotonic", labels, np.array([0.1, 0.2, 0.3, 0.6, 0.9]))
    assert found(np.array([0.0, 0.2, 0.3, 0.6, 1.0])) == pytest.approx([0, 0.5, 0.5, 1, 1])


def test_reliability_counts_each_bin():
    labels = np.array([True, False, True, True])
    rows = reliability(labels, np.array([0.05, 0.05, 0.3, 1.0]), ["a", "b", "c", "d"])
    assert [row["n"] for row in rows] == [2, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert rows[0]["observed"] == 0.5
    assert (rows[0]["low"], rows[0]["high"]) == pytest.approx(wilson(1, 2))
    assert np.isnan(rows[1]["observed"]) and np.isnan(rows[1]["mean_probability"])
    assert (rows[9]["bin_low"], rows[9]["bin_high"], rows[9]["mean_probability"]) == (0.9, 1, 1)
