"""The measures of Table 9, against scikit-learn and against what the study printed."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mcalc.evaluation.metrics import Confusion, area_under_curve, confusion, measures

LABELS = np.array(["benign", "malignant"])


def draw(seed: int, many: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities of malignant (with ties) and the labels they predict."""
    generator = np.random.default_rng(seed)
    labels = LABELS[generator.integers(0, 2, many)]
    lean = np.where(labels == "malignant", 0.15, -0.15)
    probabilities = np.round(np.clip(generator.random(many) + lean, 0, 1), 2)
    return labels, probabilities, LABELS[(probabilities > 0.5).astype(int)]


def test_the_studys_alexnet_row_follows_from_its_confusion_matrix():
    """Table 9 with benign positive: 765, 63, 87 and 407 give what the paper prints."""
    found = measures(Confusion(765, 87, 63, 407))
    assert round(found["recall"], 4) == 0.9239
    assert round(found["precision"], 4) == 0.8979
    assert round(found["specificity"], 4) == 0.8239
    assert round(found["accuracy"], 4) == 0.8865


def test_the_studys_alexnet_row_agrees_with_scikit_learn():
    """F1 and Matthews' coefficient of the same matrix, from 1,322 single answers."""
    counts = Confusion(
        true_positives=765, false_positives=87, false_negatives=63, true_negatives=407
    )
    labels = ["benign"] * 828 + ["malignant"] * 494
    predicted = ["benign"] * 765 + ["malignant"] * 63 + ["benign"] * 87 + ["malignant"] * 407
    assert confusion(labels, predicted, positive_class="benign") == counts
    found = measures(counts)
    f1 = sklearn_metrics.f1_score(labels, predicted, pos_label="benign")
    assert found["f1"] == pytest.approx(f1, rel=1e-12)
    mcc = sklearn_metrics.matthews_corrcoef(labels, predicted)
    assert found["mcc"] == pytest.approx(mcc, rel=1e-12)


@pytest.mark.parametrize("positive", LABELS)
@pytest.mark.parametrize("seed", range(5))
def test_every_measure_is_scikit_learns(seed, positive):
    labels, _, predicted = draw(seed)
    negative = LABELS[LABELS != positive][0]
    found = measures(confusion(labels, predicted, positive_class=positive))
    recall, precision = sklearn_metrics.recall_score, sklearn_metrics.precision_score
    expected = {
        "recall": recall(labels, predicted, pos_label=positive),
        "precision": precision(labels, predicted, pos_label=positive),
        "specificity": recall(labels, predicted, pos_label=negative),
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "f1": sklearn_metrics.f1_score(labels, predicted, pos_label=positive),
        "mcc": sklearn_metrics.matthews_corrcoef(labels, predicted),
    }
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_positive_class_turns_the_matrix_over(seed):
    """Benign positive: hits and correct rejections change places, and so do the errors."""
    labels, _, predicted = draw(seed)
    tp, fp, fn, tn = confusion(labels, predicted, positive_class="malignant")
    assert confusion(labels, predicted, positive_class="benign") == (tn, fn, fp, tp)
    assert confusion(labels, predicted) == (tp, fp, fn, tn)
    assert tp + fp + fn + tn == len(labels)


def test_a_ratio_without_a_denominator_is_nan_not_zero():
    never_malignant = measures(Confusion(0, 0, 4, 6))
    assert math.isnan(never_malignant["precision"])
    assert math.isnan(never_malignant["mcc"])
    assert never_malignant["recall"] == never_malignant["f1"] == 0
    assert never_malignant["specificity"] == 1
    only_benign_images = measures(Confusion(0, 1, 0, 9))
    assert math.isnan(only_benign_images["recall"])
    assert only_benign_images["precision"] == 0
    only_correct_benign = measures(Confusion(0, 0, 0, 9))
    assert math.isnan(only_correct_benign["f1"])
    assert only_correct_benign["accuracy"] == 1
    assert all(math.isnan(value) for value in measures(Confusion(0, 0, 0, 0)).values())


def test_no_measure_leaves_its_bounds():
    """Matthews' coefficient of a perfect or a perfectly wrong classifier is 1 or -1, not more."""
    beyond = []
    for one in range(1, 60):
        for other in range(1, 60):
            for counts in (Confusion(one, 0, 0, other), Confusion(0, one, other, 0)):
                mcc = measures(counts)["mcc"]
                assert abs(mcc) == pytest.approx(1)
                if abs(mcc) > 1:
                    beyond.append((*counts, mcc))
    assert not beyond, f"{len(beyond)} matrices, such as {beyond[0]}"


def test_large_counts_do_not_overflow():
    found = measures(Confusion(10**9, 10**9, 10**9, 10**9))
    assert found["mcc"] == 0
    assert found["accuracy"] == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_area_under_the_curve_counts_pairs(seed):
    """The share of pairs in which the malignant one is the more suspicious; ties count half."""
    labels, probabilities, _ = draw(seed)
    malignant, benign = (probabilities[labels == label] for label in ("malignant", "benign"))
    wins = (malignant[:, None] > benign).mean() + (malignant[:, None] == benign).mean() / 2
    assert area_under_curve(labels, probabilities) == pytest.approx(wins, rel=1e-12)


def test_the_area_of_perfect_reversed_and_useless_answers():
    labels = ["benign", "malignant", "benign", "malignant"]
    assert area_under_curve(labels, [0.1, 0.9, 0.2, 0.8]) == 1
    assert area_under_curve(labels, [0.9, 0.1, 0.8, 0.2]) == 0
    assert area_under_curve(labels, [0.5] * 4) == 0.5


@pytest.mark.parametrize("label", LABELS)
def test_the_area_needs_both_classes(label):
    assert math.isnan(area_under_curve([label] * 3, [0.1, 0.5, 0.9]))
