"""Classifiers on features: patients stay together, noise stays noise, and sizes are as counted."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from mcalc.errors import DataError
from mcalc.learning import heads, platt, stacked_autoencoder
from mcalc.learning.heads import HEADS, ask_head, count_parameters, fit_head
from mcalc.learning.league import read_league
from mcalc.learning.stacked_autoencoder import StackedAutoencoder
from mcalc.records import BENIGN, LABELS, MALIGNANT

# An autoencoder takes seconds where others take none.
SLOW_AUTOENCODER = pytest.param("autoencoder", marks=pytest.mark.slow)
QUICK = [SLOW_AUTOENCODER if name == "autoencoder" else name for name in HEADS]
WITH_CHANCE = ("forest", SLOW_AUTOENCODER)
WITH_INNER_FOLDS = ("svm", "selected_svm", "neighbours", "linear")
WITH_SUPPORT_VECTORS = ("svm", "selected_svm")


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Few trees, and one thread, since others may use the cores; a slow test has all alphas."""
    monkeypatch.setattr(heads, "TREES", 10)
    if not request.node.get_closest_marker("slow"):
        one = {"stackedautoencoder__alpha": [0.1]}
        monkeypatch.setitem(HEADS, "autoencoder", HEADS["autoencoder"]._replace(grid=one))
    with threadpool_limits(1):
        yield


@pytest.fixture
def small_grids(monkeypatch):
    """Two values of the first hyper-parameter, one of the others, and fewer inner folds."""
    monkeypatch.setattr(heads, "INNER_FOLDS", 3)
    for name, head in HEADS.items():
        grid = {
            key: values[: 1 + (key == next(iter(head.grid)))] for key, values in head.grid.items()
        }
        monkeypatch.setitem(HEADS, name, head._replace(grid=grid))


def draw_patients(
    seed: int, *, patients: int = 40, rows: int = 3, columns: int = 6, tells: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features by which patients are known, labels dealt out at random, and patients.

    By `tells` the first column is larger of malignant patients.
    """
    draw = np.random.default_rng(seed)
    malignant = draw.permutation(patients) % 2 == 1
    known = draw.normal(size=(patients, columns))
    known[:, 0] += tells * malignant
    features = np.repeat(known, rows, axis=0) + 0.05 * draw.normal(size=(patients * rows, columns))
    names = np.array([f"P{seed}_{number}" for number in range(patients)])
    labels = np.where(malignant, MALIGNANT, BENIGN)
    return features, np.repeat(labels, rows), np.repeat(names, rows)


def of_patients(*patients: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return drawn features, labels and patients, of whom each has (benign, malignant) rows."""
    labels = np.concatenate([[BENIGN] * benign + [MALIGNANT] * bad for benign, bad in patients])
    groups = np.repeat([f"P{number}" for number in range(len(patients))], [*map(sum, patients)])
    return np.random.default_rng(len(labels)).normal(size=(len(labels), 4)), labels, groups


def area(head: str, seeds: range, *, tells: float = 0.0, memory: bool = False) -> float:
    """Return the area under the ROC curve of answers for other patients, pooled over seeds.

    With `memory`, for other rows of the patients that were learned from.
    """
    truth, answers = [], []
    for seed in seeds:
        features, labels, groups = draw_patients(seed, rows=4, tells=tells)
        learned = np.arange(len(labels)) % 4 < 3
        model = fit_head(head, features[learned], labels[learned], groups[learned], seed=seed)
        if memory:
            features, labels = features[~learned], labels[~learned]
        else:
            features, labels, _ = draw_patients(seed + 1000, tells=tells)
        truth.append(labels == MALIGNANT)
        answers.append(ask_head(model, features))
    return roc_auc_score(np.concatenate(truth), np.concatenate(answers))


# --- what is learned ----------------------------------------------------------------------------


@pytest.mark.parametrize("head", QUICK)
def test_where_labels_are_dealt_out_at_random_other_patients_are_guessed(small_grids, head):
    assert 0.35 < area(head, range(3)) < 0.65


@pytest.mark.parametrize("head", ("forest", "neighbours", "boosted"))
def test_such_labels_are_known_of_patients_that_were_learned_from(small_grids, head):
    """What a split that does not keep patients apart would show: the test above can fail."""
    assert area(head, range(2), memory=True) > 0.8


@pytest.mark.parametrize("seed", range(6))
def test_inner_folds_that_turn_the_classes_round_do_not_turn_what_is_known_by_heart(
    small_grids, seed
):
    """With labels dealt out at random they do so every other time; a free sigmoid would, too."""
    assert area("svm", range(seed, seed + 1), memory=True) > 0.5


@pytest.mark.parametrize("head", HEADS)
def test_what_tells_the_classes_is_found(small_grids, head):
    assert area(head, range(1), tells=4.0) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_guessing_and_finding_hold_with_all_hyper_parameters(head):
    assert 0.4 < area(head, range(5)) < 0.6
    assert area(head, range(1), tells=4.0) > 0.9


@pytest.mark.parametrize("head", HEADS)
def test_answers_are_the_same_for_the_same_seed_and_lie_between_0_and_1(small_grids, head):
    features, labels, groups = draw_patients(5, patients=20)
    asked = np.concatenate([features, 1e6 * features, np.zeros((1, features.shape[1]))])
    first, second = (
        ask_head(fit_head(head, features, labels, groups, seed=3), asked) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert first.shape == (len(asked),)
    assert ((first >= 0) & (first <= 1)).all()


@pytest.mark.parametrize("head", WITH_CHANCE)
def test_another_seed_may_answer_otherwise(head):
    features, labels, groups = draw_patients(5, patients=20)
    first, second = (
        ask_head(fit_head(head, features, labels, groups, seed=seed), features) for seed in (1, 2)
    )
    assert (first != second).any()


@pytest.mark.parametrize("head", HEADS)
def test_columns_that_never_change_and_columns_of_any_size_do_no_harm(small_grids, head):
    features, labels, groups = draw_patients(7, patients=20, tells=6.0)
    features = np.hstack([features * [1e-6, 1e6, 1, 1, 1, 1], np.full((len(labels), 3), 7.0)])
    answers = ask_head(fit_head(head, features, labels, groups, seed=1), features)
    assert roc_auc_score(labels == MALIGNANT, answers) > 0.9


# A share of one column is none.
@pytest.mark.parametrize("head", [head for head in HEADS if head != "selected_svm"])
def test_a_single_column_is_enough(small_grids, head):
    features, labels, groups = draw_patients(9, patients=20, columns=1, tells=8.0)
    answers = ask_head(fit_head(head, features, labels, groups, seed=1), features)
    assert roc_auc_score(labels == MALIGNANT, answers) > 0.9


# --- patients -----------------------------------------------------------------------------------


@pytest.fixture
def handed(monkeypatch) -> list[tuple[str, list]]:
    """What is chosen and calibrated by: who was given folds, and the folds."""
    found = []
    for module, name in ((heads, "GridSearchCV"), (platt, "cross_val_predict")):
        real = getattr(module, name)

        def watched(*arguments, name=name, real=real, **options):
            found.append((name, options["cv"]))
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, watched)
    return found


def parted(folds: list, groups: np.ndarray) -> set[str]:
    """Return the patients who are on both sides of a fold."""
    return {name for fold in folds for name in set(groups[fold[0]]) & set(groups[fold[1]])}


@pytest.mark.parametrize("head", WITH_INNER_FOLDS)
@pytest.mark.parametrize("seed", range(3))
def test_inner_folds_keep_patients_together(small_grids, handed, head, seed):
    draw = np.random.default_rng(seed)
    features, labels, groups = of_patients(
        *[(size, 0) for size in draw.integers(1, 7, 8)],
        *[(0, size) for size in draw.integers(1, 7, 7)],
        *[(2, 1), (1, 3)],  # patients with lesions of both kinds
    )
    order = draw.permutation(len(labels))
    features, labels, groups = features[order], labels[order], groups[order]
    fit_head(head, features, labels, groups, seed=seed)
    expected = ["GridSearchCV"] + ["cross_val_predict"] * (head in WITH_SUPPORT_VECTORS)
    assert [name for name, _ in handed] == expected
    for _, folds in handed:
        assert 2 <= len(folds) <= heads.INNER_FOLDS
        assert not parted(folds, groups)
        for training, held in folds:
            assert not set(training) & set(held)
            assert set(labels[training]) == set(LABELS)


def test_patients_that_nobody_names_would_be_parted(small_grids, handed):
    """The test above can fail: as if each row were a patient of its own."""
    features, labels, groups = draw_patients(1, patients=10)
    fit_head("svm", features, labels, np.arange(len(labels)).astype(str), seed=1)
    assert all(parted(folds, groups) for _, folds in handed)


@pytest.mark.parametrize("head", WITH_SUPPORT_VECTORS)
def test_support_vector_machines_are_calibrated_on_every_row_once(small_grids, handed, head):
    features, labels, groups = draw_patients(1, patients=16)
    fit_head(head, features, labels, groups, seed=1)
    _, folds = handed[-1]
    assert sorted(row for _, held in folds for row in held) == list(range(len(labels)))


@pytest.mark.parametrize("head", HEADS)
def test_two_patients_of_each_class_are_enough(small_grids, head):
    features, labels, groups = of_patients((3, 0), (3, 0), (0, 3), (0, 3))
    answers = ask_head(fit_head(head, features, labels, groups, seed=1), features)
    assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.parametrize("head", ("svm", "linear"))
def test_a_patient_with_most_of_the_rows_does_not_stop_a_model(small_grids, monkeypatch, head):
    """An inner fold may then hold one class alone."""
    monkeypatch.setattr(heads, "INNER_FOLDS", 5)
    patients = [(0, 2), (0, 1), (1, 1), (3, 0), (4, 1), (1, 2), (0, 1), (3, 0), (0, 4), (5, 0)]
    features, labels, groups = of_patients(*patients)
    for seed in range(6):
        answers = ask_head(fit_head(head, features, labels, groups, seed=seed), features)
        assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("head", ("svm", "neighbours", "linear"))
def test_however_rows_are_shared_among_patients_a_model_is_fitted(small_grids, monkeypatch, head):
    monkeypatch.setattr(heads, "INNER_FOLDS", 5)
    for seed in range(60):
        draw = np.random.default_rng(seed)
        patients = draw.integers(0, 5, (draw.integers(4, 12), 2)) * draw.integers(0, 2, (1, 2))
        patients = [(2, 0), (3, 0), (0, 1), (0, 2), *patients[patients.any(axis=1)].tolist()]
        features, labels, groups = of_patients(*patients)
        answers = ask_head(fit_head(head, features, labels, groups, seed=seed), features)
        assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.parametrize(
    ("patients", "words"),
    [
        ([(3, 0), (2, 0), (1, 0)], "0 malignant patients"),
        ([(0, 3), (0, 2)], "0 benign patients"),
        ([(3, 0), (2, 0), (0, 8)], "1 malignant patient"),
        ([(1, 0), (0, 2), (0, 2)], "1 benign patient"),
    ],
)
@pytest.mark.parametrize("head", ("svm", "forest"))
def test_too_few_patients_of_a_class_are_told(head, patients, words):
    features, labels, groups = of_patients(*patients)
    with pytest.raises(DataError, match=rf"^{words}.* split again .*\.$"):
        fit_head(head, features, labels, groups, seed=1)


# --- how large they are -------------------------------------------------------------------------


def two_heaps(rows: int, columns: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features of which each column alone tells the classes, a patient a row."""
    malignant = np.arange(rows) % 2 == 1
    features = np.where(malignant, 5.0, -5.0)[:, None] + np.zeros((rows, columns))
    features += np.random.default_rng(2).normal(size=features.shape) / 10
    return features, np.where(malignant, MALIGNANT, BENIGN), np.arange(rows).astype(str)


def counted(head: str, rows: int, columns: int = 1) -> int:
    return count_parameters(fit_head(head, *two_heaps(rows, columns), seed=1))


def test_a_tree_counts_its_root_and_its_two_answers():
    assert counted("forest", 40) == heads.TREES * 3


def test_boosted_trees_count_their_nodes():
    """A leaf has five rows or more, so that ten can be parted once a tree."""
    for rows, nodes in ((10, 3), (8, 1)):
        features, labels, groups = two_heaps(rows)
        labels[:4] = labels[:4][::-1]  # no tree finds them all, and none has nothing left to do
        assert (
            count_parameters(fit_head("boosted", features, labels, groups, seed=1)) == 100 * nodes
        )


def test_neighbours_count_all_that_they_remember():
    assert counted("neighbours", 30, 4) == 30 * 4


def test_a_regression_counts_its_weights_and_one_more():
    assert counted("linear", 30, 4) == 4 + 1


def test_an_autoencoder_counts_its_encoders_and_its_output():
    assert counted("autoencoder", 30, 15) == (15 * 30 + 30) + (30 * 15 + 15) + (15 + 1)


def test_a_support_vector_machine_counts_its_vectors_and_their_weights(monkeypatch):
    # Two rows a class lie so that with a small penalty all of them are support vectors.
    monkeypatch.setitem(HEADS, "svm", HEADS["svm"]._replace(grid={"svc__C": [1e-3]}))
    assert counted("svm", 8, 3) == 8 * 3 + 8 + 1


def test_a_machine_after_a_selection_counts_the_columns_that_are_left(monkeypatch):
    grid = {"svc__C": [1e-3], "selectpercentile__percentile": [25]}
    monkeypatch.setitem(HEADS, "selected_svm", HEADS["selected_svm"]._replace(grid=grid))
    assert counted("selected_svm", 8, 12) == 8 * 3 + 8 + 1


def test_every_head_is_used_by_a_method():
    assert set(HEADS) == {entry.head for entry in read_league().values() if entry.head}


# --- the stacked autoencoder --------------------------------------------------------------------


def checkerboard(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return exclusive or: malignant where two signs agree."""
    draw = np.random.default_rng(seed)
    features = draw.choice([-1.0, 1.0], (rows, 2)) + 0.2 * draw.normal(size=(rows, 2))
    return features, np.where(features.prod(axis=1) > 0, MALIGNANT, BENIGN)


def ring(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    features = np.random.default_rng(seed).normal(size=(rows, 2))
    return features, np.where((features**2).sum(axis=1) > 1.4, MALIGNANT, BENIGN)


@pytest.mark.slow
@pytest.mark.parametrize("draw", (checkerboard, ring))
def test_the_autoencoder_learns_what_no_line_tells(draw):
    groups = np.arange(200).astype(str)
    asked, truth = draw(2)

    def found(head: str) -> float:
        return roc_auc_score(
            truth == MALIGNANT, ask_head(fit_head(head, *draw(1), groups, seed=1), asked)
        )

    assert found("linear") < 0.7
    assert found("autoencoder") > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("patients", (20, 60))
def test_the_autoencoder_does_not_answer_alike_for_all_where_a_feature_tells(patients):
    features, labels, groups = draw_patients(3, patients=patients, columns=15, tells=2.0)
    answers = ask_head(fit_head("autoencoder", features, labels, groups, seed=1), features)
    assert np.ptp(answers) > 0.1


def rebuilt(features: np.ndarray, network: MLPClassifier) -> float:
    """Return the share of variance that a linear map of the first hidden code gives back."""
    code = expit(features @ network.coefs_[0] + network.intercepts_[0])
    code = np.hstack([code, np.ones((len(code), 1))])
    left = features - code @ np.linalg.lstsq(code, features, rcond=None)[0]
    return 1 - left.var() / features.var()


@pytest.mark.parametrize("seed", range(3))
def test_layers_learn_to_rebuild_their_input_before_they_learn_classes(monkeypatch, seed):
    """Two units for two factors: with the last training cut short, the code has found them."""

    class Hasty(MLPClassifier):
        def set_params(self, **options):
            return super().set_params(**options | {"max_iter": 1})

    draw = np.random.default_rng(seed)
    factors = np.repeat(draw.normal(size=(200, 2)), 5, axis=1)
    features = np.hstack([factors, draw.normal(size=(200, 4))])
    labels = draw.choice(LABELS, 200)
    plain = MLPClassifier(
        (2,), activation="logistic", solver="lbfgs", max_iter=1, random_state=seed
    ).fit(features, labels)
    monkeypatch.setattr(stacked_autoencoder, "MLPClassifier", Hasty)
    trained = StackedAutoencoder(hidden=(2,), random_state=seed).fit(features, labels)
    assert rebuilt(features, trained.network_) > rebuilt(features, plain) + 0.05


def test_the_autoencoder_answers_with_probabilities_that_sum_to_one_and_the_likelier_class():
    features, labels = ring(1)
    model = StackedAutoencoder(alpha=0.1, random_state=1).fit(features, labels)
    answers = model.predict_proba(features)
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    assert ((answers >= 0) & (answers <= 1)).all()
    np.testing.assert_array_equal(model.predict(features), model.classes_[answers.argmax(axis=1)])
    again = StackedAutoencoder(alpha=0.1, random_state=1).fit(features, labels)
    np.testing.assert_array_equal(again.predict_proba(features), answers)
    other = StackedAutoencoder(alpha=0.1, random_state=2).fit(features, labels)
    assert (other.predict_proba(features) != answers).any()


@pytest.mark.parametrize("hidden", ((3,), (8, 4), (6, 5, 4)))
def test_the_autoencoder_may_have_any_number_of_layers(hidden):
    features, labels = ring(1)
    model = StackedAutoencoder(hidden=hidden).fit(features, labels)
    sizes = (2, *hidden, 1)
    assert model.parameters == sum((a + 1) * b for a, b in pairwise(sizes))
