"""Stage `score`: the tables of a protocol, and what it refuses or leaves empty."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from mcalc import records
from mcalc.cli import main
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.comparison_rows import comparison_rows
from mcalc.evaluation.levels import units
from mcalc.evaluation.runs import choose_inside, read_models
from mcalc.evaluation.score import TABLES, score_protocol
from mcalc.evaluation.score_rows import Settings, operating_rows, score_rows

FEW = Settings(resamples=100)


def predictions(patients: range, subset: str = "valid", quality: float = 0.3, seed: int = 0):
    """Return answers for two ROIs of each patient, two turns each, the better the higher quality.

    Every third patient is malignant.
    """
    rows = []
    for patient in patients:
        generator = np.random.default_rng([patient, seed])
        for roi in range(2):
            for turn in (0, 2):
                malignant = patient % 3 == 0
                answer = 0.35 + quality * malignant + generator.normal(0, 0.15)
                answer = float(np.clip(answer, 0, 1))
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


def write_run(folder: Path, rows: pd.DataFrame, test: int = 1, fold: int = 0, **settings) -> Path:
    run = folder / f"test{test}" / f"fold{fold}"
    records.write(rows, run / "predictions.csv", records.PREDICTIONS)
    card = {"protocol": "patient", "network": "alexnet", "test": test, "fold": fold}
    card |= {"batch_size": 8, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 1}
    (run / "run.json").write_text(json.dumps({"settings": card | settings}))
    return run


def write_catalog(folder: Path, rows: pd.DataFrame) -> Path:
    rois = rows.drop_duplicates("roi_id")
    frame = pd.DataFrame(
        {
            name: 1 if str(column.dtype) in ("int64", "float64") else ""
            for name, column in records.CATALOG.columns.items()
        },
        index=range(len(rois)),
    )
    frame["dataset"] = frame["source"] = frame["sha256"] = "x"
    for name in ("roi_id", "patient_id", "label"):
        frame[name] = rois[name].to_numpy()
    frame["laterality"] = np.where(rois["roi_id"].str.endswith("0"), "LEFT", "RIGHT")
    records.write(frame, folder / "catalog.csv", records.CATALOG)
    return folder / "catalog.csv"


def run_stage(folder: Path, runs: list[Path], **options) -> dict[str, pd.DataFrame]:
    """Return the tables that the stage writes; it checks them against their schemas itself."""
    options = {"settings": FEW, "protocol": "patient"} | options
    score_protocol(runs, scores=folder / "scores", **options)
    return {
        name: pd.read_csv(folder / "scores" / f"{name}.csv", keep_default_na=True)
        for name in TABLES
    }


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """The rows of two folds, and the tables that the stage writes of them."""
    folder = tmp_path_factory.mktemp("pooled")
    folds = [predictions(range(first, first + 30), quality=0.1) for first in (0, 30)]
    runs = [write_run(folder, rows, fold=fold) for fold, rows in enumerate(folds)]
    rows = pd.concat(folds)
    tables = run_stage(folder, runs, catalog=write_catalog(folder, rows))
    for name, schema in TABLES.items():
        records.read(folder / "scores" / f"{name}.csv", schema)  # what is written can be read
    return rows, tables


def roi_scores(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of a model's ROIs, without the rest of the stage."""
    (model,) = read_models([write_run(folder, rows)], [], None, protocol="patient")
    return pd.DataFrame(score_rows(units(model.measured, "roi"), FEW))


def one(table: pd.DataFrame, **values) -> pd.Series:
    for name, value in values.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


# --- refusals -----------------------------------------------------------------------------------


def test_no_run_and_a_run_of_another_protocol_are_refused(tmp_path):
    with pytest.raises(DataError, match="no run of the protocol patient to score"):
        run_stage(tmp_path, [])
    run = write_run(tmp_path, predictions(range(9)), protocol="paper")
    with pytest.raises(DataError, match="a run of paper, not of patient"):
        run_stage(tmp_path, [run])
    assert not (tmp_path / "scores").exists()


def test_a_probability_that_is_no_number_is_refused_with_the_file(tmp_path):
    run = write_run(tmp_path, predictions(range(9)))
    table = pd.read_csv(run / "predictions.csv")
    table.loc[3, "probability_malignant"] = np.nan
    table.to_csv(run / "predictions.csv", index=False)
    with pytest.raises(DataError, match=r"predictions\.csv: .*column probability_malignant"):
        run_stage(tmp_path, [run])


def test_what_cannot_be_pooled_is_refused(tmp_path):
    runs = [write_run(tmp_path, predictions(range(9)), fold=fold) for fold in (0, 1)]
    with pytest.raises(DataError, match=r"test1_alexnet is measured on P0_0_r0 in two folds"):
        run_stage(tmp_path, runs)
    with pytest.raises(DataError, match="alexnet, test 1, fold 0 is given twice"):
        run_stage(tmp_path, [runs[0], runs[0]])
    other = write_run(tmp_path, predictions(range(9)), test=2)
    apart = write_run(tmp_path, predictions(range(9, 18)), fold=1)
    with pytest.raises(DataError, match="test2_alexnet has no answers in fold 1, others have"):
        run_stage(tmp_path, [runs[0], apart, other])


def test_a_shortcut_table_without_a_fold_in_its_name_is_refused(tmp_path):
    run = write_run(tmp_path, predictions(range(9)))
    table = predictions(range(9)).drop(columns="loss").assign(model="majority")
    records.write(table, tmp_path / "first.csv", records.SHORTCUTS)
    with pytest.raises(UsageError, match=r"first\.csv: the name tells no fold; call it fold0\.csv"):
        run_stage(tmp_path, [run], shortcuts=[tmp_path / "first.csv"])


# --- what there is ------------------------------------------------------------------------------


def test_folds_are_pooled_and_every_level_is_scored(pooled):
    """Numbers of each table are computed anew from all rows of both folds."""
    rows, tables = pooled
    scores = tables["scores"].query("calibration == 'none' and preferred")
    assert set(scores["level"]) == {"image", "roi", "lesion", "breast", "patient"}
    keys = {"image": ["image_id"], "roi": ["roi_id"], "patient": ["patient_id"]}
    for level, key in keys.items():
        way = {"image": "none"}.get(level, "mean")
        found = rows.groupby(key).agg(
            label=("label", "first"), answer=("probability_malignant", "mean")
        )
        malignant = found["label"] == "malignant"
        place = {"level": level, "aggregation": way}
        auc = one(scores, score="auc", **place)
        assert auc["value"] == pytest.approx(roc_auc_score(malignant, found["answer"]))
        assert auc["low"] < auc["value"] < auc["high"]
        brier = one(scores, score="brier", **place)["value"]
        assert brier == pytest.approx(brier_score_loss(malignant, found["answer"]))
        assert (auc["n"], auc["n_malignant"]) == (len(found), malignant.sum())
    assert set(scores["n_patients"]) == {60}
    assert set(scores["n_images"]) == {240}
    assert set(scores["n_rois"]) == {120}
    patients = scores.query("level == 'patient' and score == 'auc'")
    assert set(patients["aggregation"]) == {"mean", "max"}
    assert set(tables["conformal"]["n_rois"]) == {120}
    assert (tables["operating_points"]["chosen_on"] == "same_images").all()
    bins = tables["reliability"].query("calibration == 'platt'")
    assert (bins["n"].sum(), len(bins)) == (120, 10)
    assert tables["comparisons"].empty and tables["choices"].empty


def test_each_score_has_one_preferred_interval(pooled):
    scores = pooled[1]["scores"]
    preferred = scores[scores["preferred"]]
    place = ["calibration", "level", "aggregation", "score"]
    assert not preferred.duplicated(place).any()
    assert len(preferred) == len(scores.drop_duplicates(place))
    methods = preferred.groupby("score")["method"].agg(set)
    assert (methods["auc"], methods["sensitivity"], methods["mcc"], methods["ece"]) == (
        {"delong"},
        {"wilson"},
        {"bootstrap"},
        {"bootstrap_basic"},
    )


def test_the_workflow_expects_the_tables_that_the_stage_writes():
    common = Path(__file__).parents[2] / "workflow" / "rules" / "common.smk"
    names = common.read_text().partition("SCORE_FILES = (")[2].partition(")")[0]
    assert names.replace('"', "").replace(",", "").split() == [f"{name}.csv" for name in TABLES]


@pytest.mark.slow
def test_options_reach_the_stage(tmp_path, monkeypatch):
    run = write_run(tmp_path, predictions(range(12)))
    call = f"mcalc score {run} --protocol patient --scores {tmp_path}/s --confidence 0.9"
    call += " --resamples 100 --seed 3 --screening-prevalence 0.25 --aggregation max"
    monkeypatch.setattr("sys.argv", call.split())
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    scores = records.read(tmp_path / "s" / "scores.csv", records.SCORES)
    assert set(scores["confidence"]) == {0.9}
    assert scores["resamples"].max() == 100
    assert set(scores.query("level == 'patient'")["aggregation"]) == {"max"}
    options = {"confidence": 0.9, "resamples": 100, "seed": 3, "screening_prevalence": 0.25}
    run_stage(tmp_path, [run], settings=Settings(**options, aggregations=("max",)))
    assert (tmp_path / "s" / "scores.csv").read_bytes() == (
        tmp_path / "scores" / "scores.csv"
    ).read_bytes()


def test_models_are_compared_on_common_rois_with_shortcuts_beside_them(tmp_path):
    good = write_run(tmp_path, predictions(range(60), quality=0.4))
    poor = write_run(tmp_path, predictions(range(60), quality=0.02, seed=1), test=2)
    majority = predictions(range(60)).drop(columns="loss").assign(model="majority")
    majority["probability_malignant"] = 1 / 3
    records.write(majority, tmp_path / "fold0.csv", records.SHORTCUTS)
    models = read_models([good, poor], [tmp_path / "fold0.csv"], None, protocol="patient")
    pairs = pd.DataFrame(comparison_rows(models, FEW)).set_index(["model_a", "model_b"])
    assert len(pairs) == 3
    pair = pairs.loc[("test1_alexnet", "test2_alexnet")]
    assert pair["low"] > 0
    assert pair["delong_p"] < pair["delong_p_holm"] < 0.001
    assert pair["delong_p_holm"] <= 3 * pair["delong_p"] + 1e-12
    assert pair["smallest_difference"] == pytest.approx(
        (pair["high"] - pair["low"]) / 2 / 1.959964 * 2.801585, rel=1e-5
    )
    assert models[-1].identity == {
        "kind": "shortcut",
        "model": "majority",
        "network": "",
        "test": 0,
    }
    constant = pd.DataFrame(score_rows(units(models[-1].measured, "roi"), FEW))
    area = one(constant, score="auc", method="delong")
    assert (area["value"], area["low"], area["high"]) == (0.5, 0.5, 0.5)


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes(tmp_path):
    run = write_run(tmp_path, predictions(range(12)))
    written = []
    for seed in (1, 1, 2):
        run_stage(tmp_path, [run], settings=Settings(resamples=100, seed=seed))
        written.append((tmp_path / "scores" / "scores.csv").read_bytes())
    assert written[0] == written[1] != written[2]


# --- test images, kept apart --------------------------------------------------------------------


def nested(folder: Path) -> list[Path]:
    """Write two tests and two folds; test 2 is better in fold 0, test 1 in fold 1."""
    runs = []
    for test in (1, 2):
        for fold in (0, 1):
            quality = 0.3 if (test == 2) == (fold == 0) else 0.0
            parts = [
                predictions(range(60, 90), "valid", quality, seed=test),
                predictions(range(30 * fold, 30 * fold + 30), "test", quality, seed=test),
            ]
            runs.append(write_run(folder, pd.concat(parts), test, fold))
    return runs


def test_the_test_is_chosen_in_each_fold_without_its_test_images(tmp_path):
    models = read_models(nested(tmp_path), [], None, protocol="patient")
    (chosen,), choices = choose_inside(models)
    taken = [(row["fold"], row["test"]) for row in choices if row["chosen"]]
    assert taken == [(0, 2), (1, 1)]
    areas = []
    for model in (chosen, *models):
        assert model.measured["patient_id"].nunique() == 60
        malignant = model.measured["label"] == "malignant"
        areas.append(roc_auc_score(malignant, model.measured["probability_malignant"]))
    assert areas[0] > max(areas[1:]) + 0.1
    points = operating_rows(chosen, FEW)
    assert {row["chosen_on"] for row in points} == {"valid"}


def test_each_network_chooses_among_its_own_tests_too(tmp_path):
    """A third network of one test is the best of all; the others still choose among their own."""
    runs = nested(tmp_path)
    for fold in (0, 1):
        measured = range(30 * fold, 30 * fold + 30)
        rows = [predictions(range(60, 90), "valid", 0.6), predictions(measured, "test", 0.6)]
        runs.append(write_run(tmp_path, pd.concat(rows), 3, fold, network="vgg16"))
    models = read_models(runs, [], None, protocol="patient")
    chosen, choices = choose_inside(models)
    assert [(model.name, model.network, model.test) for model in chosen] == [
        ("chosen_inside", "", 0),
        ("chosen_alexnet", "alexnet", 0),
    ]
    taken = {(row["fold"], row["test"]) for row in choices if row["chosen_of_network"]}
    assert taken == {(0, 2), (1, 1), (0, 3), (1, 3)}
    assert {row["test"] for row in choices if row["chosen"]} == {3}
    for fold, test in ((0, 2), (1, 1)):
        taken, own = (
            model.measured[model.measured["fold"] == fold].reset_index(drop=True)
            for model in (chosen[1], models[test - 1])
        )
        pd.testing.assert_frame_equal(taken, own)


@pytest.mark.slow
def test_nothing_that_is_fitted_or_chosen_follows_the_test_labels(tmp_path):
    """All labels of the test images turned round: choices, thresholds, calibration stay."""
    runs = nested(tmp_path)
    before = run_stage(tmp_path, runs)
    for run in runs:
        table = records.read(run / "predictions.csv", records.PREDICTIONS)
        side = table["subset"] == "test"
        turned = table["label"].map({"benign": "malignant", "malignant": "benign"})
        table["label"] = turned.where(side, table["label"])
        records.write(table, run / "predictions.csv", records.PREDICTIONS)
    after = run_stage(tmp_path, runs)
    pd.testing.assert_frame_equal(before["choices"], after["choices"])
    for name, column in (
        ("operating_points", "threshold"),
        ("reliability", "mean_probability"),
        ("conformal", "both"),
    ):
        pd.testing.assert_series_equal(before[name][column], after[name][column])
    assert not before["scores"]["value"].equals(after["scores"]["value"])


def test_without_test_images_no_patient_calibrates_itself(tmp_path):
    (model,) = read_models(
        [write_run(tmp_path, predictions(range(31)))], [], None, protocol="patient"
    )
    pairs = model.fitting_pairs(seed=1)
    assert len(pairs) == 5
    for known, new in pairs:
        assert not set(known["cluster"]) & set(new["cluster"])
        assert len(known) + len(new) == 62
    assert sorted(roi for _, new in pairs for roi in new["unit"]) == sorted(
        set(model.rows["roi_id"])
    )


def test_a_fold_without_validation_answers_cannot_choose(tmp_path):
    rows = predictions(range(9), "test")
    runs = [write_run(tmp_path, rows, test) for test in (1, 2)]
    models = read_models(runs, [], None, protocol="patient")
    with pytest.raises(DataError, match=r"test1_alexnet has no answer for the validation images"):
        choose_inside(models)


# --- odd data: defined values -------------------------------------------------------------------


def test_one_class_is_scored_as_far_as_it_can_be(tmp_path):
    run = write_run(tmp_path, predictions(range(1, 30)).query("label == 'benign'"))
    tables = run_stage(tmp_path, [run])
    scores = tables["scores"].query("level == 'roi' and calibration == 'none' and preferred")
    scores = scores.set_index("score")
    assert np.isnan(scores.loc["auc", ["value", "low", "high"]].astype(float)).all()
    assert np.isnan(scores.loc["sensitivity", "value"])
    assert 0 < scores.loc["specificity", "low"] < scores.loc["specificity", "value"]
    platt = tables["scores"].query("calibration == 'platt'")
    assert len(platt) and platt["value"].isna().all()
    assert set(tables["reliability"]["calibration"]) == {"none"}


def test_missing_patient_ids_make_every_roi_its_own_cluster_and_are_said(tmp_path):
    run = write_run(tmp_path, predictions(range(20)).assign(patient_id=""))
    said = score_protocol([run], protocol="patient", scores=tmp_path / "s", settings=FEW)
    assert "some patients are not known, so that ROIs are taken for independent" in said
    assert "no scores of a lesion or breast or patient, whose ids are missing" in said
    scores = records.read(tmp_path / "s" / "scores.csv", records.SCORES)
    assert set(scores["cluster"]) == {"roi"}
    assert set(scores["level"]) == {"image", "roi"}
    assert set(scores["n_patients"]) == {0}


def test_one_patient_has_scores_and_no_interval(tmp_path):
    rows = predictions(range(1, 2))
    rows.loc[0:1, "label"] = "malignant"
    scores = roi_scores(tmp_path, rows)
    assert scores["value"].notna().any()
    assert scores[["low", "high"]].isna().all(axis=None)


def test_a_perfect_model_is_not_perfectly_sure(tmp_path):
    rows = predictions(range(30))
    rows["probability_malignant"] = np.where(rows["label"] == "malignant", 0.9, 0.1)
    scores = roi_scores(tmp_path, rows).query("preferred")
    for name, method in (("auc", "newcombe"), ("sensitivity", "wilson")):
        row = one(scores, score=name)
        assert (row["value"], row["high"], row["method"]) == (1, 1, method)
        assert 0.5 < row["low"] < 0.95
