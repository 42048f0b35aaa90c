"""Stage `evaluate`: one row a run, recomputed from what the run wrote."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.evaluate import evaluate_runs

LABELS = np.array(["benign", "malignant"])


def write_run(folder: Path, test: int = 1, labels=None, probabilities=None, **settings) -> Path:
    """Write a run folder as training leaves it, with 40 answers of the given test."""
    generator = np.random.default_rng(test)
    labels = LABELS[generator.integers(0, 2, 40)] if labels is None else np.asarray(labels)
    if probabilities is None:
        probabilities = generator.random(len(labels))
    rows = [
        {
            "image_id": f"roi{number}_r0",
            "roi_id": f"roi{number}",
            "patient_id": f"P_{number}",
            "quarter_turns": 0,
            "label": label,
            "subset": "valid",
            "probability_malignant": probability,
            "predicted": LABELS[int(probability > 0.5)],
            "loss": 0.5,
        }
        for number, (label, probability) in enumerate(zip(labels, probabilities, strict=True))
    ]
    records.write(rows, folder / "predictions.csv", records.PREDICTIONS)
    history = [
        {
            "epoch": epoch,
            "phase": "all",
            "train_loss": 0.9 - epoch / 10,
            "valid_loss": 0.8 - epoch / 10,
            "error_rate": 0.5,
            "accuracy": 0.5,
        }
        for epoch in range(3)
    ]
    records.write(history, folder / "history.csv", records.HISTORY)
    card = {
        "protocol": "paper",
        "network": "alexnet",
        "test": test,
        "fold": 0,
        "batch_size": 16,
        "lr_min": 8e-6,
        "lr_max": 1e-4,
        "epochs": 2,
    }
    (folder / "run.json").write_text(json.dumps({"settings": card | settings}))
    return folder


def evaluate(folder: Path, *runs: Path, **options):
    evaluate_runs(list(runs), results=folder / "results.csv", **options)
    return records.read(folder / "results.csv", records.RUNS)


# --- refusals -----------------------------------------------------------------------------------


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere/run\.json: not the card of a run; train it"):
        evaluate(tmp_path, tmp_path / "nowhere")
    assert not (tmp_path / "results.csv").exists()


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", "7", '{"settings": null}'])
def test_a_broken_card_is_named(tmp_path, text):
    run = write_run(tmp_path / "run")
    (run / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run/run\.json.*train"):
        evaluate(tmp_path, run)


@pytest.mark.parametrize("key", ["protocol", "lr_min", "epochs"])
def test_a_card_without_a_setting_names_the_key(tmp_path, key):
    run = write_run(tmp_path / "run")
    card = json.loads((run / "run.json").read_text())
    del card["settings"][key]
    (run / "run.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=rf"run/run\.json: {key} is missing; train the run again"):
        evaluate(tmp_path, run)


@pytest.mark.parametrize("name", ["predictions.csv", "history.csv"])
def test_a_missing_table_is_named(tmp_path, name):
    run = write_run(tmp_path / "run")
    (run / name).unlink()
    with pytest.raises(DataError, match=f"run/{name}: cannot be read as a table"):
        evaluate(tmp_path, run)


@pytest.mark.parametrize("name", ["predictions.csv", "history.csv"])
def test_a_table_without_rows_is_named(tmp_path, name):
    """A header alone holds no epoch and no answer, from which nothing follows."""
    run = write_run(tmp_path / "run")
    (run / name).write_text((run / name).read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=name):
        evaluate(tmp_path, run)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("predictions.csv", ",malignant,", ",cancer,"),
        ("predictions.csv", "roi0_r0", "roi1_r0"),
        ("predictions.csv", ",P_3,0,", ",P_3,4,"),
        ("predictions.csv", "0.5", "-0.5"),
        ("history.csv", "all", "some"),
        ("history.csv", "0.5", "1.5"),
    ],
)
def test_a_table_that_holds_what_it_cannot_is_named(tmp_path, name, old, new):
    run = write_run(tmp_path / "run")
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new))
    with pytest.raises(DataError, match=f"run/{name}: the table does not hold what it should"):
        evaluate(tmp_path, run)


# --- results ------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", LABELS)
def test_every_measure_follows_from_the_predictions(tmp_path, positive):
    run = write_run(tmp_path / "run", test=5)
    answers = records.read(run / "predictions.csv", records.PREDICTIONS)
    labels, predicted = answers["label"], answers["predicted"]
    (row,) = evaluate(tmp_path, run, positive_class=positive).to_dict("records")
    order = [positive, *LABELS[LABELS != positive]]
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=order)
    names = ("true_positives", "false_negatives", "false_positives", "true_negatives")
    assert [row[name] for name in names] == matrix.ravel().tolist()
    assert row["positive_class"] == positive
    assert row["accuracy"] == pytest.approx((labels == predicted).mean())
    assert row["error_rate"] == pytest.approx((labels != predicted).mean())
    recall = sklearn_metrics.recall_score(labels, predicted, pos_label=positive)
    assert row["recall"] == pytest.approx(recall)
    assert row["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(labels, predicted))


def test_the_area_does_not_depend_on_the_positive_class(tmp_path):
    run = write_run(tmp_path / "run", test=3)
    answers = records.read(run / "predictions.csv", records.PREDICTIONS)
    expected = sklearn_metrics.roc_auc_score(
        answers["label"] == "malignant", answers["probability_malignant"]
    )
    for positive in LABELS:
        (row,) = evaluate(tmp_path, run, positive_class=positive).to_dict("records")
        assert row["auc"] == pytest.approx(expected)


def test_where_there_are_test_images_only_they_are_measured(tmp_path):
    run = write_run(tmp_path / "run", test=3)
    answers = records.read(run / "predictions.csv", records.PREDICTIONS)
    answers.loc[:9, "subset"] = "test"
    records.write(answers, run / "predictions.csv", records.PREDICTIONS)
    (row,) = evaluate(tmp_path, run).to_dict("records")
    right = (answers["label"] == answers["predicted"])[:10]
    assert row["accuracy"] == pytest.approx(right.mean())
    assert sum(row[f"true_{kind}"] for kind in ("positives", "negatives")) == right.sum()


def test_malignant_is_positive_unless_said_otherwise(tmp_path):
    table = evaluate(tmp_path, write_run(tmp_path / "run"))
    assert list(table["positive_class"]) == ["malignant"]


def test_settings_and_the_last_epochs_losses_are_kept(tmp_path):
    run = write_run(tmp_path / "run", test=7, protocol="patient", network="vgg16", batch_size=32)
    (row,) = evaluate(tmp_path, run).to_dict("records")
    assert (row["protocol"], row["network"], row["test"]) == ("patient", "vgg16", 7)
    assert (row["batch_size"], row["lr_min"], row["lr_max"], row["epochs"]) == (32, 8e-6, 1e-4, 2)
    assert (row["train_loss"], row["valid_loss"]) == (pytest.approx(0.7), pytest.approx(0.6))


def test_rows_are_ordered_by_protocol_test_and_fold_whatever_the_call(tmp_path):
    runs = [
        write_run(tmp_path / f"{protocol}{test}{fold}", test=test, protocol=protocol, fold=fold)
        for protocol in ("patient", "paper")
        for test in (10, 2)
        for fold in (1, 0)
    ]
    table = evaluate(tmp_path, *runs)
    keys = list(zip(table["protocol"], table["test"], table["fold"], strict=True))
    assert keys == sorted(keys)
    assert len(keys) == 8
    first = (tmp_path / "results.csv").read_bytes()
    evaluate(tmp_path, *reversed(runs))
    assert (tmp_path / "results.csv").read_bytes() == first


def test_two_runs_of_one_number_are_refused(tmp_path):
    runs = write_run(tmp_path / "a", test=1), write_run(tmp_path / "b", test=1)
    with pytest.raises(DataError, match=r"results\.csv"):
        evaluate(tmp_path, *runs)


@pytest.mark.parametrize(("benign", "malignant"), [(3, 4), (10, 13), (59, 59), (20, 41)])
def test_a_perfect_run_is_a_row_like_any_other(tmp_path, benign, malignant):
    """No error at all: every measure is 1, and nothing is refused for rounding above it."""
    labels = ["benign"] * benign + ["malignant"] * malignant
    probabilities = [0.1] * benign + [0.9] * malignant
    run = write_run(tmp_path / "run", labels=labels, probabilities=probabilities)
    (row,) = evaluate(tmp_path, run).to_dict("records")
    for name in ("recall", "precision", "specificity", "accuracy", "f1", "mcc", "auc"):
        assert row[name] == pytest.approx(1), name
    assert row["error_rate"] == 0


def test_a_run_that_answers_benign_always_has_no_precision(tmp_path):
    """The cell stays empty in the table; nothing stands there as 0."""
    run = write_run(tmp_path / "run", probabilities=np.full(40, 0.2))
    (row,) = evaluate(tmp_path, run).to_dict("records")
    assert np.isnan(row["precision"])
    assert np.isnan(row["mcc"])
    assert row["recall"] == 0
    assert row["specificity"] == 1
    assert ",nan" not in (tmp_path / "results.csv").read_text().lower()


def test_no_runs_give_an_empty_table(tmp_path):
    assert evaluate(tmp_path).empty
