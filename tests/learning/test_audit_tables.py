"""What the published tables alone tell: `mcalc audit-tables`."""

import json
import shutil

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mcalc.errors import DataError
from mcalc.evaluation.score_rows import Settings
from mcalc.learning.audit_tables import audit_tables, table_scores


@pytest.fixture(scope="module")
def scores(shared_data) -> pd.DataFrame:
    found = table_scores(shared_data / "cbis_ddsm_csv", Settings(resamples=500))
    return pd.DataFrame(found).set_index(["rows", "model"])


def test_one_of_the_two_tables_is_not_enough(shared_data, tmp_path):
    shutil.copy(shared_data / "cbis_ddsm_csv/calc_case_description_train_set.csv", tmp_path)
    with pytest.raises(DataError, match="no ROI of the published testing table lies here"):
        table_scores(tmp_path, Settings())


def test_five_fields_have_the_auc_that_no_network_needs_pixels_for(scores):
    """Issue 6 gives 0.863 (0.798 to 0.920), and 0.792 without those without callback."""
    whole = scores.loc[("all", "five_fields")]
    assert whole["auc"] == pytest.approx(0.863, abs=0.01)
    assert whole["bootstrap_low"] == pytest.approx(0.798, abs=0.015)
    assert whole["bootstrap_high"] == pytest.approx(0.920, abs=0.015)
    assert (whole["n"], whole["n_malignant"], whole["n_patients"]) == (326, 129, 151)
    for rows in ("not_tested", "dropped"):
        part = scores.loc[(rows, "five_fields")]
        assert part["auc"] == pytest.approx(0.792, abs=0.01)
        assert (part["n"], part["n_malignant"]) == (259, 129)


def test_the_auc_is_that_of_a_plain_logistic_regression(shared_data, scores):
    names = ["breast density", "calc type", "calc distribution", "assessment", "subtlety"]
    tables = [
        pd.read_csv(
            shared_data / f"cbis_ddsm_csv/calc_case_description_{part}_set.csv",
            dtype=str,
            keep_default_na=False,
        ).replace("N/A", "")
        for part in ("train", "test")
    ]
    train, test = tables
    dummies = pd.get_dummies(pd.concat(tables)[names])
    # A category that only test rows hold has a constant column in training, so no weight.
    model = LogisticRegression(max_iter=1000).fit(
        dummies[: len(train)], train["pathology"] == "MALIGNANT"
    )
    answers = model.predict_proba(dummies[len(train) :])[:, 1]
    expected = roc_auc_score(test["pathology"] == "MALIGNANT", answers)
    assert scores.loc[("all", "five_fields"), "auc"] == pytest.approx(expected, abs=1e-4)


def test_flags_are_worth_what_their_counts_say(scores):
    """67 of 197 benign test ROIs are without callback: AUC 0.5 + 67 / 197 / 2."""
    auc = scores["auc"]
    assert auc[("all", "without_callback")] == pytest.approx(0.5 + 67 / 197 / 2)
    assert auc[("not_tested", "without_callback")] == 0.5
    assert ("dropped", "without_callback") not in auc  # nothing is left to read
    assert auc[("all", "empty_distribution")] > 0.65
    assert (auc.xs("majority", level="model") == 0.5).all()


@pytest.mark.slow
def test_what_is_printed_is_what_is_written(shared_data, tmp_path):
    text = audit_tables(shared_data / "cbis_ddsm_csv", json=tmp_path / "tables.json")
    found = json.loads((tmp_path / "tables.json").read_text())
    assert "All ROIs: 326 of the published test set, 129 malignant, 151 patients." in text
    for row in found:
        assert f"{row['auc']:.3f}" in text
        assert row["model"] in text
