"""Prediction sets hold the truth as often as promised, and say when they cannot tell."""

import numpy as np
import pytest

from mcalc.evaluation.conformal import prediction_sets, set_limits


def test_the_limit_is_the_answer_that_the_definition_names():
    """Nine answers, 0.8 wanted: the (9 + 1) 0.8 = 8th smallest unlikeliness."""
    unlikely = np.arange(1, 10) / 10
    assert set_limits(np.ones(9), 1 - unlikely, 0.8, by_class=False) == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("labels", [[], [True], [False] * 8])
def test_too_few_answers_rule_nothing_out(labels):
    """Ninety per cent of one answer is no answer: every set holds both labels."""
    limits = set_limits(np.array(labels, bool), np.full(len(labels), 0.5), 0.9, by_class=False)
    assert np.isinf(limits).all()
    assert prediction_sets([0.0, 0.5, 1.0], limits).all()


def test_a_class_without_answers_is_never_ruled_out():
    limits = set_limits(np.zeros(50, bool), np.linspace(0, 0.5, 50), 0.9, by_class=True)
    assert np.isfinite(limits[0]) and np.isinf(limits[1])
    assert prediction_sets([0.0], limits).tolist() == [[True, True]]


def test_sets_are_an_answer_both_or_none():
    sets = prediction_sets([0.1, 0.5, 0.9], np.array([0.4, 0.4]))
    assert sets.tolist() == [[True, False], [False, False], [False, True]]
    assert prediction_sets([0.5], np.array([0.6, 0.6])).tolist() == [[True, True]]


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("wanted", [0.8, 0.9])
def test_new_answers_are_covered_as_often_as_promised(wanted, by_class):
    """Over 400 draws of 60 answers and 60 new ones; by class, each class on its own."""
    generator = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        labels = generator.random(120) < 0.3
        answers = 1 / (1 + np.exp(-(generator.normal(size=120) + 1.5 * labels - 1)))
        limits = set_limits(labels[:60], answers[:60], wanted, by_class=by_class)
        held = prediction_sets(answers[60:], limits)[np.arange(60), labels[60:].astype(int)]
        covered.append([held.mean(), held[labels[60:]].mean(), held[~labels[60:]].mean()])
    shares = np.mean(covered, axis=0)
    assert wanted - 0.01 < shares[0] < wanted + 0.05
    if by_class:
        assert (shares[1:] > wanted - 0.01).all()
    else:
        assert shares[1] < wanted - 0.05  # the rarer class pays
