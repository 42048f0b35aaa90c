"""Stage `score-league`: methods side by side, with the intervals of the networks."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import accuracy_score, roc_auc_score

from mcalc import records

MODELS = ("wang2016_svm", "fadil2020_dwt_forest")


def answers(fold: int, *, quality: float, subset: str = "valid") -> pd.DataFrame:
    """Return answers for two ROIs of twelve patients of a fold, two turns each."""
    rows = []
    for patient in range(12 * fold, 12 * fold + 12):
        draw = np.random.default_rng([patient, int(10 * quality)])
        malignant = patient % 3 == 0
        for roi in range(2):
            for turn in (0, 2):
                answer = float(np.clip(0.35 + quality * malignant + draw.normal(0, 0.2), 0, 1))
                rows.append(
                    {
                        "image_id": f"P{patient}_{roi}_r{turn}",
                        "roi_id": f"P{patient}_{roi}",
                        "patient_id": f"P{patient}",
                        "quarter_turns": turn,
                        "label": records.LABELS[malignant],
                        "subset": subset,
                        "probability_malignant": answer,
                        "predicted": records.LABELS[answer > 0.5],
                        "loss": 0.5,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture
def league(tmp_path):
    """Two methods in two folds; the second is a network, with its weights. Return their runs."""
    runs = []
    for model, quality in zip(MODELS, (0.2, 0.4), strict=True):
        for fold in range(2):
            run = tmp_path / model / f"fold{fold}"
            rows = answers(fold, quality=quality)
            records.write(rows, run / "predictions.csv", records.PREDICTIONS)
            card = {"settings": {"protocol": "patient", "fold": fold}}
            if model == MODELS[0]:
                card["settings"]["model"] = model
                card["fitted"] = {"parameters": 7 + 2 * fold}
            (run / "run.json").write_text(json.dumps(card))
            weights = {"0.weight": np.zeros((3, 4), np.float32), "0.bias": np.zeros(3, np.float32)}
            weights |= {"1.running_mean": np.zeros(3, np.float32)}
            save_file(weights, run / "weights.safetensors")
            (tmp_path / f"{model}{fold}.tsv").write_text(f"s\th:m:s\n{2.0 + fold}\t0:00:02\n")
            runs.append(run)
    rois = pd.concat([answers(fold, quality=0.2) for fold in range(2)]).drop_duplicates("roi_id")
    catalog = pd.DataFrame(
        {
            name: 1 if str(column.dtype) in ("int64", "float64") else ""
            for name, column in records.CATALOG.columns.items()
        },
        index=range(len(rois)),
    )
    catalog["dataset"] = catalog["source"] = catalog["sha256"] = "x"
    for name in ("roi_id", "patient_id", "label"):
        catalog[name] = rois[name].to_numpy()
    records.write(catalog, tmp_path / "catalog.csv", records.CATALOG)
    return runs


@pytest.fixture
def score(mcalc, tmp_path):
    """Call the command for some runs; return what it printed and the table, if there is one."""

    def call(runs, *options, times=True, protocol="patient"):
        given = [word for run in runs for word in ("--run", run)]
        if times:
            paths = [tmp_path / f"{run.parent.name}{run.name[-1]}.tsv" for run in runs]
            given += [word for path in paths for word in ("--time", path)]
        scores = tmp_path / "league.csv"
        result = mcalc(
            "score-league", *given, "--protocol", protocol, "--catalog", tmp_path / "catalog.csv",
            "--scores", scores, "--resamples", 200, *options,
        )  # fmt: skip
        table = records.read(scores, records.LEAGUE_SCORES) if scores.exists() else None
        return result, table

    return call


def test_folds_are_pooled_and_scores_are_those_of_scikit_learn(league, score):
    (code, _, _), table = score(league)
    assert code == 0
    table = table.set_index("model")
    for model, quality in zip(MODELS, (0.2, 0.4), strict=True):
        rows = pd.concat([answers(fold, quality=quality) for fold in range(2)])
        rois = rows.groupby("roi_id").agg(
            label=("label", "first"), answer=("probability_malignant", "mean")
        )
        malignant = rois["label"] == "malignant"
        assert table.loc[model, "auc"] == pytest.approx(roc_auc_score(malignant, rois["answer"]))
        called = rois["answer"] > 0.5
        assert table.loc[model, "accuracy"] == pytest.approx(accuracy_score(malignant, called))
        row = table.loc[model]
        assert (row["n_rois"], row["n_patients"], row["n_folds"]) == (48, 24, 2)
        for measure in records.LEAGUE_MEASURES:
            low, value, high = row[[f"{measure}_low", measure, f"{measure}_high"]]
            assert low <= value <= high


def test_the_better_method_comes_first_with_its_time_and_size(league, score):
    _, table = score(league)
    assert list(table["model"]) == [MODELS[1], MODELS[0]]
    assert list(table["seconds"]) == [2.5, 2.5]
    # Fifteen weights of the network, without what its batch norm measured; 7 and 9 on the cards.
    assert list(table["parameters"]) == [15, 8]


def test_test_images_measure_where_there_are_some(league, score):
    for run in league:
        rows = records.read(run / "predictions.csv", records.PREDICTIONS)
        rows.loc[rows.index % 2 == 0, "subset"] = "test"
        records.write(rows, run / "predictions.csv", records.PREDICTIONS)
    _, table = score(league)
    assert list(table["n_images"]) == [48, 48]


def test_a_fold_without_test_images_is_told_where_others_have_some(league, score):
    """It would count as a fold, of which nothing is measured."""
    for run in league[1::2]:
        rows = records.read(run / "predictions.csv", records.PREDICTIONS)
        records.write(rows.assign(subset="test"), run / "predictions.csv", records.PREDICTIONS)
    (code, _, told), table = score(league)
    assert (code, table) == (3, None)
    assert f"{league[0]}: no answer for a test image, which {league[1]} has; run all" in told
    assert "Traceback" not in told


def test_a_missing_time_is_an_empty_cell(league, score, tmp_path):
    for path in tmp_path.glob("wang*.tsv"):
        path.unlink()
    _, table = score(league)
    assert table.set_index("model")["seconds"].isna().to_dict() == {
        MODELS[1]: False,
        MODELS[0]: True,
    }


def _spoil_card(runs):
    (runs[1] / "run.json").write_text("{}")


def _rename_card(runs):
    path = runs[1] / "run.json"
    path.write_text(path.read_text().replace("wang2016_svm", "wang2016_autoencoder"))


def _spoil_weights(runs):
    path = runs[2] / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:20])


def _empty(runs):
    records.write([], runs[0] / "predictions.csv", records.PREDICTIONS)


def _spoil_time(runs):
    (runs[0].parents[1] / "wang2016_svm0.tsv").write_text("nothing\n")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_spoil_card, "run.json: not the card of a run; run it again."),
        (
            _rename_card,
            "wang2016_svm/fold1/run.json: the card of wang2016_autoencoder, but its folder is "
            "called wang2016_svm; give each run the folder of its method.",
        ),
        (_spoil_weights, "weights.safetensors: not the weights of a run; train it again."),
        (_empty, "predictions.csv: the table has no row; run it again."),
        (_spoil_time, "not a benchmark file of Snakemake's; leave it out."),
    ],
)
def test_a_run_that_cannot_be_read_is_named(league, score, harm, said):
    harm(league)
    (code, _, told), table = score(league)
    assert (code, table) == (3, None)
    assert said in told
    assert "Traceback" not in told


def test_methods_that_answered_for_other_images_are_not_ranked(league, score):
    rows = records.read(league[0] / "predictions.csv", records.PREDICTIONS)
    records.write(rows.iloc[4:], league[0] / "predictions.csv", records.PREDICTIONS)
    (code, _, told), _ = score(league)
    assert code == 3
    assert "answers for other images, sides or labels than" in told


def test_methods_whose_labels_contradict_each_other_are_not_ranked(league, score):
    for run in league[:2]:
        rows = records.read(run / "predictions.csv", records.PREDICTIONS)
        rows["label"] = rows["label"].map({"benign": "malignant", "malignant": "benign"})
        records.write(rows, run / "predictions.csv", records.PREDICTIONS)
    (code, _, told), _ = score(league)
    assert code == 3
    assert "answers for other images, sides or labels than" in told


def test_the_order_of_answers_does_not_matter(league, score):
    _, before = score(league)
    rows = records.read(league[0] / "predictions.csv", records.PREDICTIONS)
    records.write(rows.iloc[::-1], league[0] / "predictions.csv", records.PREDICTIONS)
    _, after = score(league)
    pd.testing.assert_frame_equal(before, after)


def test_an_image_that_two_folds_measure_is_refused_as_by_the_stage_score(league, score):
    for run in league[1::2]:
        rows = answers(0, quality=0.2)
        records.write(rows, run / "predictions.csv", records.PREDICTIONS)
    (code, _, told), _ = score(league)
    assert code == 3
    assert "in two folds, so that folds cannot be pooled" in told


@pytest.mark.parametrize("fitted", [None, {"parameters": "many"}, {"parameters": float("inf")}])
def test_a_damaged_card_is_named(league, score, fitted):
    card = {"settings": {"protocol": "patient", "fold": 0}, "fitted": fitted}
    (league[0] / "run.json").write_text(json.dumps(card))
    (code, _, told), _ = score(league)
    assert code == 3
    assert "run.json: not the card of a run; run it again." in told


def test_runs_may_be_named_from_within_their_folder(league, score, monkeypatch):
    monkeypatch.chdir(league[0].parent)
    (code, _, _), table = score([league[0].relative_to(league[0].parent)], times=False)
    assert code == 0
    assert list(table["model"]) == [MODELS[0]]


def test_runs_that_do_not_fit_together_are_refused(league, score):
    (code, _, told), _ = score(league, protocol="paper")
    assert code == 3
    assert "a run of patient, not of paper; score each by itself." in told
    (code, _, told), _ = score([*league, league[0]])
    assert code == 3
    assert "fold 0 of wang2016_svm is given twice." in told
    (code, _, told), _ = score(league[:3])
    assert code == 3
    assert "fadil2020_dwt_forest has no answers in fold 1, others have" in told
    (code, _, told), _ = score(league, "--time", "x.tsv", times=False)
    assert code == 2
    assert "4 runs and 1 times; give one --time a --run." in told
