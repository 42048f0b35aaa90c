"""Several folds of a test as one: pooled counts, the choice of the best test, tables and report."""

import pandas as pd
import pytest

from mcalc import records
from mcalc.reporting.figures import write_figures
from mcalc.reporting.folds import choose_tests, pool_folds
from mcalc.reporting.report import _compare_sides
from mcalc.reporting.results import Results
from mcalc.reporting.run_numbers import run_numbers
from mcalc.reporting.study_tables import _measures, _rotation, _training

FOLDS = 2


@pytest.fixture(scope="module")
def folded(folded_run) -> Results:
    return Results(folded_run, "folded")


def run_row(test: int, fold: int, wrong: int, **changes) -> dict:
    row = {
        **{"protocol": "patient", "network": "vgg16", "test": test, "fold": fold},
        **{"batch_size": 4, "lr_min": 1e-5, "lr_max": 1e-4, "epochs": 3},
        **{"train_loss": 0.1 * test, "valid_loss": 0.5 + fold, "error_rate": wrong / 20},
        **{"positive_class": "malignant", "true_positives": 10 - wrong, "false_positives": 0},
        **{"false_negatives": wrong, "true_negatives": 10, "recall": 0.0, "precision": 0.0},
        **{"specificity": 0.0, "accuracy": 0.0, "f1": 0.0, "mcc": 0.0, "auc": 0.5 + 0.1 * fold},
    }
    return row | changes


def test_folds_add_their_counts_and_average_their_losses():
    runs = pd.DataFrame([run_row(1, 0, 2), run_row(1, 1, 8), run_row(2, 0, 1)])
    first, second = pool_folds(runs, ["protocol", "test"]).to_dict("records")
    assert (first["true_positives"], first["false_negatives"]) == (10, 10)
    assert (first["recall"], first["accuracy"]) == (0.5, 0.75)
    assert first["error_rate"] == pytest.approx(0.25)
    assert first["valid_loss"] == pytest.approx(1.0)
    assert first["auc"] == pytest.approx(0.55)
    assert (second["test"], second["false_negatives"]) == (2, 1)


def test_the_best_test_has_the_lowest_mean_over_folds_not_the_luckiest_fold():
    runs = pd.DataFrame([run_row(1, 0, 0), run_row(1, 1, 9), run_row(2, 0, 3), run_row(2, 1, 3)])
    runs["choice_error"] = runs["error_rate"]
    never = pd.Series(False, index=runs.index)
    assert set(choose_tests(runs, never)["test"]) == {2}
    chosen = choose_tests(runs, ~never)
    assert list(zip(chosen["fold"], chosen["test"], strict=True)) == [(0, 1), (1, 2)]


def test_a_run_of_one_fold_is_pooled_to_itself(folded):
    runs = folded.runs.query("fold == 1").sort_values(["protocol", "test"], ignore_index=True)
    pooled = pool_folds(runs, ["protocol", "test"])
    pd.testing.assert_frame_equal(pooled, runs, check_dtype=False)


def test_the_best_run_is_measured_on_every_fold(folded):
    best = folded.best_runs.set_index("protocol")
    assert list(best.index) == ["nested", "patient", "paper"]
    counts = ["true_positives", "false_positives", "false_negatives", "true_negatives"]
    # A fold of paper evaluates a turn of all eight ROIs, the others four turns of two ROIs.
    assert best[counts].sum(axis=1).to_dict() == dict.fromkeys(best.index, 8 * FOLDS)
    means = folded.runs.groupby(["protocol", "test"])["error_rate"].mean()
    for protocol in ("paper", "patient"):
        assert best.loc[protocol, "test"] == means[protocol].idxmin()
        assert best.loc[protocol, "error_rate"] == pytest.approx(means[protocol].min())


def test_nested_chooses_by_validation_images_in_each_fold(folded):
    wrong = right = 0
    for fold in range(FOLDS):
        errors = []
        for test in (1, 2):
            path = folded.folder / f"runs/nested/vgg16/test{test}/fold{fold}/predictions.csv"
            rows = records.read(path, records.PREDICTIONS)
            rows["wrong"] = rows["label"] != rows["predicted"]
            valid, tested = (rows[rows["subset"] == name]["wrong"] for name in ("valid", "test"))
            run = folded.runs.query(f"protocol == 'nested' and test == {test} and fold == {fold}")
            errors.append((valid.mean(), run["valid_loss"].item(), test, tested.sum()))
        best = min(errors)
        wrong += best[3]
        right += 8 - best[3]
        chosen = folded.chosen_runs.query(f"protocol == 'nested' and fold == {fold}")
        assert list(chosen["test"]) == [best[2]]
    row = folded.best_runs.query("protocol == 'nested'").iloc[0]
    assert row["false_positives"] + row["false_negatives"] == wrong
    assert row["true_positives"] + row["true_negatives"] == right
    assert len(folded.best_predictions(row)) == wrong + right


def test_tables_count_each_image_once(folded):
    training = _training(folded, "vgg16").rows
    assert len(training) == 6
    assert not training.duplicated(["protocol", "test"]).any()
    rotation = _rotation(folded)
    both = rotation.rows.set_index("label").loc["both"]
    assert (both["paper_valid"], both["paper_train"], both["nested_test"]) == (8, 24, 8)
    assert "first fold where there are 2" in rotation.note
    assert "Not so under nested" in _measures(folded).note


def test_the_report_compares_the_sides_of_the_same_fold(folded):
    """Every ROI of patient trains in some fold, but never in the one that evaluates it."""
    patient, paper = (_compare_sides(folded, name) for name in ("patient", "paper"))
    assert (patient["images"], patient["rois"], patient["patients"]) == (16, 4, 2)
    assert (patient["shared_images"], patient["shared_rois"], patient["shared_patients"]) == (
        0,
        0,
        0,
    )
    assert (paper["images"], paper["rois"], paper["shared_rois"]) == (16, 8, 8)
    nested = _compare_sides(folded, "nested")
    assert (nested["images"], nested["shared_patients"]) == (16, 0)


@pytest.mark.slow
def test_comparison_and_figures_take_folds(make_scored_run, tmp_path):
    folder = make_scored_run(protocols=("paper", "nested"), tests=2, folds=3)
    results = Results(folder, "folded")
    numbers = run_numbers(results, "paper")
    assert numbers["2/total/after"].value == 32
    best = results.best_runs.query("protocol == 'paper'").iloc[0]
    assert numbers["9/VGG16/accuracy"].value == pytest.approx(best["accuracy"])
    write_figures(folder, run_name="folded", figures=tmp_path / "figures")
    assert (tmp_path / "figures/figure6.png").stat().st_size > 0
