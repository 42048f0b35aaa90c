"""The tables of scores say what the stage `score` wrote, about the models that may be shown."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mcalc import records
from mcalc.evaluation.score_rows import Settings
from mcalc.reporting.results import Results
from mcalc.reporting.score_figures import auc, calibration
from mcalc.reporting.study_tables import make_tables
from mcalc.reporting.tables import write_tables

# Numbers that have no interval, since nothing was drawn: settings, counts as shares, tests of a
# hypothesis; and the loss of training, which is of one training.
EXACT = {
    *("lr_min", "lr_max", "target", "wanted", "threshold", "train_loss"),
    *("rotated_sibling", "same_roi", "same_lesion", "same_breast", "same_patient"),
    *("near_duplicate", "delong_p", "mcnemar_p", "smallest_difference"),
}
# Tables of data before any split, and of made-up crops without patients.
BEFORE_SPLITS = ("table2", "table4", "cleaning")
WITHOUT_PATIENTS = ("table3", "truth_psnr", "truth_ssim", "truth_contrast")


@pytest.fixture(scope="module")
def tables(usual_run) -> dict[str, pd.DataFrame]:
    return {table.name: table.rows for table in make_tables(Results(usual_run, "usual"))}


def test_every_number_has_its_interval_its_patients_and_its_protocol(tables):
    assert {"scores", "levels", "calibration", "operating_points", "conformal"} <= set(tables)
    for name, rows in tables.items():
        if name in WITHOUT_PATIENTS:
            continue
        assert "patients" in rows, name
        assert name in BEFORE_SPLITS or "protocol" in rows, name
        for column in rows.select_dtypes("floating"):
            if column in EXACT or column.endswith(("_low", "_high")):
                continue
            low, value, high = (rows[f"{column}{end}"] for end in ("_low", "", "_high"))
            assert low.isna().equals(high.isna()), (name, column)
            # The expected calibration error's interval may lie below it (docs/statistics.md).
            inside = (low <= value + 1e-6) & (value <= high + 1e-6)
            assert (inside | low.isna()).all() or column == "ece", (name, column)


def test_the_first_protocol_of_every_table_is_the_honest_one(tables):
    for name, rows in tables.items():
        if "protocol" in rows:
            assert list(rows["protocol"].unique()) == ["patient", "paper"], name


def test_the_auc_is_that_of_rois_whose_turns_are_averaged(tables, usual_run):
    results = Results(usual_run, "usual")
    shown = tables["scores"].set_index(["protocol", "model"])
    for _, run in results.best_runs[results.best_runs["protocol"] == "paper"].iterrows():
        rois = results.best_predictions(run).groupby(["roi_id", "label"], as_index=False)
        rois = rois["probability_malignant"].mean()
        expected = roc_auc_score(rois["label"] == "malignant", rois["probability_malignant"])
        name = f"{ {'vgg16': 'VGG16', 'resnet34': 'ResNet34'}[run['network']] }, test {run['test']}"
        row = shown.loc[("paper", name)]
        assert row["auc"] == pytest.approx(expected)
        assert (row["ROIs"], row["patients"]) == (8, 4)
    constant = shown.loc[("paper", "only the share of malignant")]
    assert tuple(constant[["auc", "auc_low", "auc_high"]]) == (0.5, 0.5, 0.5)


def test_differences_are_those_of_the_models_named(tables):
    areas = tables["scores"].set_index(["protocol", "model"])["auc"]
    pairs = tables["comparisons"]
    assert len(pairs) == 2 * 2, "against the other network and the shortcut, by protocol"
    for _, pair in pairs.iterrows():
        first, other = (areas[pair["protocol"], pair[name]] for name in ("model", "against"))
        assert pair["auc_difference"] == pytest.approx(first - other)


def test_without_test_images_the_best_tests_are_shown(usual_run):
    results = Results(usual_run, "usual")
    best = results.best_runs[results.best_runs["protocol"] == "paper"]
    shown = results.shown_models("paper")
    assert set(shown[:-1]) == {f"test{row['test']}_{row['network']}" for _, row in best.iterrows()}
    first = results.first_run("paper")
    assert shown[0] == f"test{first['test']}_{first['network']}"
    assert shown[-1] == "majority"


@pytest.mark.slow
def test_where_test_images_are_kept_no_test_is_shown_that_was_picked_afterwards(make_scored_run):
    two = {"networks": ("vgg16", "resnet34"), "tests": 2}
    chosen_run = Results(make_scored_run(protocols=("nested",), folds=2, **two), "chosen")
    assert chosen_run.shown_models("nested") == [
        *("chosen_inside", "chosen_vgg16", "chosen_resnet34", "majority")
    ]
    tables = {table.name: table.rows for table in make_tables(chosen_run)}
    nested = tables["scores"].query("protocol == 'nested'")
    assert list(nested["model"]) == [
        "network and test chosen in each fold",
        "VGG16, test chosen in each fold",
        "ResNet34, test chosen in each fold",
        "only the share of malignant",
    ]
    assert set(tables["levels"].query("protocol == 'nested'")["model"]) == {
        "network and test chosen in each fold"
    }
    assert set(tables["operating_points"].query("protocol == 'nested'")["chosen_on"]) == {"valid"}


def test_one_network_alone_under_test_images_is_shown_as_it_is(make_scored_run):
    results = Results(make_scored_run(protocols=("nested",)), "one")
    assert results.shown_models("nested") == ["test1_vgg16", "majority"]


def test_the_figures_show_the_numbers_of_the_tables(tables, usual_run):
    results = Results(usual_run, "usual")
    shown = tables["scores"].query("protocol == 'paper'")
    panel = auc(results).axes[1]
    assert panel.get_title(loc="left") == "paper: 8 ROIs of 4 patients"
    assert [label.get_text() for label in panel.get_yticklabels()] == list(shown["model"])
    words = [text.get_text() for text in panel.texts]
    first = shown.iloc[0]
    assert words[0] == f"{first['auc']:.2f} ({first['auc_low']:.2f} to {first['auc_high']:.2f})"
    left, right = calibration(results).axes[2:4]
    assert left.get_title(loc="left").startswith(f"paper: {first['model']}\n8 ROIs of 4 patients")
    curve = results.scored("decision_curve", "paper")
    curve = curve[(curve["model"] == results.shown_models("paper")[0])]
    curve = curve[curve["calibration"] == "none"]
    drawn = next(line for line in right.lines if "acting" in line.get_label())
    np.testing.assert_allclose(drawn.get_ydata(), curve["net_benefit"])


@pytest.mark.slow
def test_confidence_resamples_and_seed_reach_every_table_of_images(usual_run, tmp_path):
    widths = []
    for name, settings in (("wide", Settings()), ("narrow", Settings(confidence=0.5))):
        write_tables(usual_run, run_name="usual", tables=tmp_path / name, settings=settings)
        for table in ("table4", "table5_vgg16", "table9", "cleaning"):
            written = pd.read_csv(tmp_path / name / f"{table}.csv")
            names = [column.removesuffix("_low") for column in written if column.endswith("_low")]
            width = [(written[f"{name}_high"] - written[f"{name}_low"]).sum() for name in names]
            widths.append(sum(width))
    wide, narrow = widths[:4], widths[4:]
    assert all(small < large for small, large in zip(narrow, wide, strict=True))
    assert "In brackets 50 % intervals" in (tmp_path / "narrow/table9.md").read_text()


def test_what_stands_beside_the_studys_numbers_has_its_interval(usual_run):
    """Every number of the run beside the study's has its interval, but counts and training loss."""
    rows = records.read(usual_run / "paper.csv", records.COMPARISON)
    ours = rows[rows["ours"].notna() & (rows["table"] != 2) & (rows["column"] != "train_loss")]
    assert len(ours) > 5
    known = ours.dropna(subset=["low"])
    assert len(known) >= 0.8 * len(ours)
    assert (known["low"] <= known["ours"] + 1e-4).all()
