"""Thresholds reach what they promise at the least cost; net benefit is its definition."""

import numpy as np
import pytest

from mcalc.errors import UsageError
from mcalc.evaluation.operating_points import net_benefit, threshold_for


def draw(seed: int, digits: int):
    generator = np.random.default_rng(seed)
    labels = generator.random(60) < 0.4
    return labels, np.round(np.clip(generator.random(60) * 0.7 + labels * 0.3, 0, 1), digits)


def reached(labels, probabilities, threshold) -> tuple[float, float]:
    called = probabilities >= threshold
    return called[labels].mean(), (~called)[~labels].mean()


def test_a_missing_class_has_no_threshold_and_a_wrong_name_is_refused():
    assert np.isnan(threshold_for([False], [0.2], "sensitivity", 0.9))
    assert np.isnan(threshold_for([True], [0.2], "specificity", 0.9))
    with pytest.raises(UsageError, match="'recall' cannot be fixed"):
        threshold_for([True], [0.2], "recall", 0.9)


@pytest.mark.parametrize("digits", [1, 6])
@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("side", [0, 1])
def test_no_other_threshold_reaches_the_target_at_less_cost(target, digits, side):
    labels, probabilities = draw(digits, digits)
    fixed = ("sensitivity", "specificity")[side]
    found = reached(labels, probabilities, threshold_for(labels, probabilities, fixed, target))
    assert found[side] >= target - 1e-12
    for other in [*probabilities, 0.0, 1.1]:
        measures = reached(labels, probabilities, other)
        assert measures[side] < target - 1e-12 or measures[1 - side] <= found[1 - side] + 1e-12


def test_full_specificity_may_call_nothing():
    """The benign answer is the highest, and equal to a malignant one."""
    threshold = threshold_for([True, False], [1.0, 1.0], "specificity", 0.95)
    assert threshold > 1


def test_net_benefit_weighs_false_alarms_by_the_odds():
    """Two found, one false alarm among five at a threshold of 0.2: 2/5 - 1/5 x 0.2/0.8."""
    labels = np.array([True, True, True, False, False])
    answers = np.array([0.9, 0.2, 0.1, 0.5, 0.1])
    once = np.ones((1, 5))
    found = net_benefit(labels, answers, np.arange(5), once, [0.2, 0.5])
    assert found == pytest.approx(np.array([[0.4 - 0.2 * 0.25, 0.2 - 0.2]]))
    drawn = np.array([[2, 0, 1, 1, 1], [0, 0, 0, 5, 0]])
    found = net_benefit(labels, answers, np.arange(5), drawn, [0.2])
    assert found == pytest.approx(np.array([[0.4 - 0.2 * 0.25], [-0.25]]))
