"""McNemar's test, Holm's correction and DeLong's test where nothing differs."""

from math import comb

import numpy as np
import pytest
from scipy.stats import chi2

from mcalc.evaluation.comparison import delong_test, holm, mcnemar


def answers(only_first: int, only_second: int, both: int = 5):
    first = np.array([True] * (only_first + both) + [False] * (only_second + both))
    second = np.array([False] * only_first + [True] * (both + only_second) + [False] * both)
    return first, second


def test_the_worked_example_of_sixteen_and_six():
    """b = 6, c = 16: exact p 0.0525, with Edwards's correction chi-squared 3.68, p 0.055."""
    found = mcnemar(*answers(6, 16))
    assert (found.only_first, found.only_second) == (6, 16)
    assert round(found.exact, 4) == 0.0525
    assert found.corrected == pytest.approx(chi2.sf(81 / 22, 1), abs=1e-12)
    assert round(found.corrected, 3) == 0.055
    assert round(found.clustered, 3) == 0.033  # chi-squared 4.55 without correction


@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 0), (7, 7), (2, 11), (40, 61)])
def test_the_exact_p_is_a_sum_of_binomial_chances(b, c):
    tail = sum(comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert mcnemar(*answers(b, c)).exact == pytest.approx(min(1, 2 * tail), abs=1e-9)


def test_models_that_err_alike_do_not_differ():
    right = np.array([True, False, True])
    assert mcnemar(right, right)[2:] == (1, 1, 1)


def test_copies_of_a_roi_are_no_more_witnesses():
    """Each answer three times, as three ROIs of a patient: the clustered p does not move."""
    first, second = answers(6, 16)
    once = mcnemar(first, second)
    thrice = mcnemar(np.repeat(first, 3), np.repeat(second, 3), np.repeat(np.arange(len(first)), 3))
    assert thrice.clustered == pytest.approx(once.clustered, abs=1e-12)
    assert thrice.exact < once.exact / 10


def test_patients_whose_differences_cancel_tell_nothing():
    first, second = np.array([True, False]), np.array([False, True])
    assert mcnemar(first, second, ["a", "a"]).clustered == 1


def test_holm_multiplies_step_by_step():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_leaves_out_what_is_not_known():
    found = holm([0.6, np.nan, 0.02, 0.7])
    assert np.isnan(found[1])
    assert found[[0, 2, 3]] == pytest.approx([1, 0.06, 1])
    assert len(holm([])) == 0


def test_models_that_rank_alike_have_p_one_and_two_sure_ones_none():
    assert delong_test(0.0, 0.0) == 1
    assert delong_test(1e-17, 3e-18) == 1
    assert np.isnan(delong_test(0.5, 0.0))
    assert np.isnan(delong_test(np.nan, np.nan))
