"""Every score against scikit-learn or a loop, and what it is where it is not defined."""

import numpy as np
import pytest
from sklearn import metrics

from mcalc.errors import DataError
from mcalc.evaluation.metrics import Confusion, measures
from mcalc.evaluation.scores import SCORES, score, score_resamples

# Scores of two classes: not defined where one is missing.
RANKING = {"auc", "average_precision", "balanced_accuracy", "mcc"}


def draw(seed: int, many: int = 90, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities that lean towards them, many of them equal."""
    generator = np.random.default_rng(seed)
    labels = generator.random(many) < 0.4
    probabilities = np.clip(generator.random(many) * 0.8 + labels * 0.2, 0, 1)
    return labels, np.round(probabilities, digits)


def found(labels, probabilities, prevalence: float = 0.01) -> dict[str, float]:
    return score(labels, probabilities, screening_prevalence=prevalence)


# --- what cannot be scored ----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.5, np.inf])
def test_what_is_no_probability_is_refused_with_the_count(wrong):
    with pytest.raises(DataError, match=r"1 of 3 probabilities, such as .* predict again"):
        found([True, False, True], [0.2, wrong, 0.4])


def test_no_answer_at_all_is_refused():
    with pytest.raises(DataError, match="There is no answer to score"):
        found([], [])


@pytest.mark.parametrize("label", [True, False])
def test_one_class_leaves_out_what_asks_for_two_and_scores_the_rest(label):
    values = found([label] * 4, [0.9, 0.8, 0.2, 0.1])
    empty = RANKING | {"ppv_screening", "npv_screening"}
    empty |= {"specificity"} if label else {"sensitivity"}
    assert {name for name, value in values.items() if np.isnan(value)} == empty
    assert values["accuracy"] == 0.5


@pytest.mark.parametrize("constant", [0.0, 0.36, 0.5, 1.0])
def test_a_model_that_always_says_the_same_ranks_by_chance(constant):
    """A precision of nothing called is no number; the AUC is a half, not an error."""
    labels = np.array([True] * 36 + [False] * 64)
    values = found(labels, np.full(100, constant))
    assert values["auc"] == 0.5
    assert values["average_precision"] == pytest.approx(0.36)
    assert values["balanced_accuracy"] == 0.5
    assert np.isnan(values["mcc"])
    assert np.isnan(values["npv" if constant > 0.5 else "ppv"])
    assert np.isnan(values["npv_screening" if constant > 0.5 else "ppv_screening"])
    assert values["ece"] == pytest.approx(abs(constant - 0.36))
    assert np.isfinite(values["log_loss"])


# --- against others -----------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_scikit_learns(seed, digits):
    labels, probabilities = draw(seed, digits=digits)
    called = probabilities > 0.5
    expected = {
        "auc": metrics.roc_auc_score(labels, probabilities),
        "average_precision": metrics.average_precision_score(labels, probabilities),
        "accuracy": metrics.accuracy_score(labels, called),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, called),
        "sensitivity": metrics.recall_score(labels, called),
        "specificity": metrics.recall_score(~labels, ~called),
        "ppv": metrics.precision_score(labels, called),
        "npv": metrics.precision_score(~labels, ~called),
        "f1": metrics.f1_score(labels, called),
        "mcc": metrics.matthews_corrcoef(labels, called),
        "brier": metrics.brier_score_loss(labels, probabilities),
        "log_loss": metrics.log_loss(labels, np.clip(probabilities, 1e-7, 1 - 1e-7)),
    }
    values = found(labels, probabilities)
    assert tuple(values) == SCORES
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-7), name


def test_scores_are_those_of_table_9():
    labels, probabilities = draw(7)
    called = probabilities > 0.5
    counts = (labels & called, ~labels & called, labels & ~called, ~labels & ~called)
    theirs = measures(Confusion(*(int(side.sum()) for side in counts)))
    values = found(labels, probabilities)
    for ours, name in (("sensitivity", "recall"), ("ppv", "precision"), ("mcc", "mcc")):
        assert values[ours] == pytest.approx(theirs[name], abs=1e-12)


def test_predictive_values_at_screening_are_those_of_a_thousand_women():
    """Sensitivity 0.9 and specificity 0.8 among 10 ill and 990 well women: 9 and 198 are called."""
    labels = np.array([True] * 10 + [False] * 10)
    probabilities = np.array([0.9] * 9 + [0.1] + [0.9] * 2 + [0.1] * 8)
    values = found(labels, probabilities, prevalence=0.01)
    assert values["ppv_screening"] == pytest.approx(9 / (9 + 198), abs=1e-12)
    assert values["npv_screening"] == pytest.approx(792 / (792 + 1), abs=1e-12)
    own = found(labels, probabilities, prevalence=0.5)
    assert own["ppv_screening"] == pytest.approx(own["ppv"], abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_calibration_error_is_that_of_a_loop_over_bins(seed):
    labels, probabilities = draw(seed)
    error = 0.0
    for number in range(10):
        # Two digits are exact in hundredths, so no edge is a matter of rounding.
        hundredths = np.round(probabilities * 100).astype(int)
        here = (hundredths >= 10 * number) & (hundredths < 10 * (number + 1) + (number == 9))
        if here.any():
            gap = abs(labels[here].mean() - probabilities[here].mean())
            error += here.sum() / len(labels) * gap
    assert found(labels, probabilities)["ece"] == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize("digits", [1, 12])
def test_a_resample_is_scored_as_if_its_rows_were_written_out(digits):
    """Weights of 0, 1, 2, ... are the same as rows left out, kept, doubled, ..."""
    labels, probabilities = draw(11, digits=digits)
    clusters = np.arange(len(labels)) // 3
    weights = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), size=8)
    values = score_resamples(labels, probabilities, clusters, weights, screening_prevalence=0.01)
    for number, drawn in enumerate(weights):
        rows = np.repeat(np.arange(len(labels)), drawn[clusters])
        expected = found(labels[rows], probabilities[rows])
        for name in SCORES:
            assert values[name][number] == pytest.approx(expected[name], abs=1e-9), name
