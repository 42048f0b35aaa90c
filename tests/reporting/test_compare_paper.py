"""Every printed number gets one verdict, and the run's own numbers are what they should be."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mcalc import records
from mcalc.errors import DataError
from mcalc.reporting.compare_paper import compare_paper
from mcalc.reporting.published import read_paper
from mcalc.reporting.run_numbers import SETTINGS

CELL = ["table", "row", "column"]


def read(folder: Path) -> pd.DataFrame:
    rows = records.read(folder / "paper.csv", records.COMPARISON)
    return rows.set_index(rows["table"].astype(str) + "/" + rows["row"] + "/" + rows["column"])


def real(folder: Path, **changes) -> pd.DataFrame:
    """Compare a run again as though it were of real data, by the study's first setting."""
    catalog = pd.read_csv(folder / "catalog.csv", keep_default_na=False)
    catalog.assign(dataset="cbis_ddsm").to_csv(folder / "catalog.csv", index=False)
    card = folder / "runs/paper/vgg16/test1/fold0/run.json"
    content = json.loads(card.read_text())
    content["settings"]["weights"] = changes.pop("weights", "imagenet")
    card.write_text(json.dumps(content))
    runs = pd.read_csv(folder / "evaluation/paper.csv", keep_default_na=False)
    size, low, high, epochs = SETTINGS[0]
    setting = {"batch_size": size, "lr_min": low, "lr_max": high, "epochs": epochs}
    runs.assign(**setting | changes).to_csv(folder / "evaluation/paper.csv", index=False)
    if "true_positives" in changes:
        write_answers(card.with_name("predictions.csv"), **changes)
    compare_paper(folder, run_name="x", comparison=folder / "paper.csv")
    return read(folder)


def write_answers(path: Path, *, positive_class: str, **counts) -> None:
    """Write predictions that give these counts, each of a patient of its own."""
    positive = records.LABELS.index(positive_class)
    rows = []
    for name in ("true_positives", "false_positives", "false_negatives", "true_negatives"):
        predicted = positive if name.endswith("positives") else 1 - positive
        label = predicted if name.startswith("true") else 1 - predicted
        # Named by what they are, whichever class counts as positive.
        name_of = f"{records.LABELS[label]}_{records.LABELS[predicted]}"
        for number in range(counts[name]):
            rows.append(
                {
                    "image_id": f"{name_of}{number}_r0",
                    "roi_id": f"{name_of}{number}",
                    "patient_id": f"P_{name_of}{number}",
                    "quarter_turns": 0,
                    "label": records.LABELS[label],
                    "subset": "valid",
                    "probability_malignant": (0.2, 0.8)[predicted],
                    "predicted": records.LABELS[predicted],
                    "loss": 0.5,
                }
            )
    records.write(rows, path, records.PREDICTIONS)


def test_every_printed_cell_of_tables_2_to_9_is_there_once(usual_run):
    printed = {
        f"{number}/{row}/{column}": digits
        for number, table in read_paper("leong2022").tables.items()
        if number.isdigit()
        for row, cells in table.rows.items()
        for column, digits in cells.items()
        if digits is not None
    }
    assert read(usual_run)["printed"].to_dict() == printed
    assert len(printed) == 5 + 6 + 4 * 6 * 4 + 4 * 6


def test_what_arithmetic_excludes_is_impossible_whatever_the_data(usual_run, make_run):
    excluded = {f"2/{row}/after" for row in ("benign", "malignant", "total")}
    excluded |= {f"9/{name}/f1" for name in ("ResNet34", "ResNet50", "VGG16", "AlexNet")}
    excluded |= {"9/ResNet34/mcc"}
    excluded |= {"5/2/accuracy", "5/4/accuracy", "6/9/accuracy", "7/16/accuracy"}
    for rows in (read(usual_run), real(make_run())):
        assert set(rows.index[rows["verdict"] == "impossible"]) == excluded
        assert rows.loc["9/ResNet34/mcc", "why"].endswith("it would be 0.9850.")
        assert rows.loc["2/benign/after", "why"].startswith("4 x 1077 = 4308, not 4958")


def test_nothing_of_a_phantom_is_compared(usual_run):
    rows = read(usual_run)
    rest = rows[rows["verdict"] != "impossible"]
    assert set(rest["verdict"]) == {"not_comparable"}
    assert rows.loc["2/benign/before", "why"] == "other data: phantom"
    assert rows.loc["2/benign/before", "ours"] == 4
    assert (rest["why"] != "").all()


def test_random_weights_are_not_compared(make_run):
    rows = real(make_run(), weights="none")
    assert rows.loc["5/1/accuracy", "why"] == "the networks started from none weights"


def test_a_number_within_the_interval_is_reproduced_and_one_beyond_differs(make_run):
    """Of 7 images 5 are called rightly: Wilson's interval, from his formula, holds 76.55 %."""
    counts = {"true_positives": 2, "false_positives": 1, "false_negatives": 1, "true_negatives": 3}
    rows = real(make_run(), positive_class="malignant", **counts, train_loss=0.427083)
    n, share, z = 7, 5 / 7, 1.959964
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    cell = rows.loc["5/1/accuracy"]
    assert cell[["ours", "low", "high"]].tolist() == pytest.approx(
        [100 * share, 100 * (centre - half), 100 * (centre + half)]
    )
    assert cell["difference"] == pytest.approx(100 * share - 76.5507)
    assert (cell["verdict"], cell["why"]) == ("reproduced", "")
    assert rows.loc["5/1/train_loss", "verdict"] == "reproduced"
    assert rows.loc["5/1/valid_loss", "verdict"] == "differs"
    assert rows.loc["2/benign/before", "verdict"] == "differs"
    assert rows.loc["5/3/accuracy", "why"].startswith("no run has batches of 64, rates 8e-06")
    assert rows.loc["9/AlexNet/recall", "why"] == "the network was not trained"


@pytest.mark.slow
def test_benign_is_positive_as_in_the_study_whatever_the_run_counts(make_run):
    counts = {"true_positives": 2, "false_positives": 1, "false_negatives": 4, "true_negatives": 8}
    turned = dict(zip(counts, reversed(counts.values()), strict=True))
    malignant = real(make_run("a"), positive_class="malignant", **counts)
    benign = real(make_run("b"), positive_class="benign", **turned)
    pd.testing.assert_frame_equal(malignant, benign)
    vgg = malignant.loc[[f"9/VGG16/{name}" for name in ("recall", "precision", "f1", "mcc")]]
    assert vgg["ours"].tolist() == pytest.approx([8 / 9, 8 / 12, 16 / 21, 12 / 1944**0.5])
    assert (vgg["low"] < vgg["ours"]).all()
    assert (vgg["ours"] < vgg["high"]).all()


def test_a_network_with_one_answer_has_no_mcc_to_compare(make_run):
    counts = {"true_positives": 0, "false_positives": 0, "false_negatives": 4, "true_negatives": 4}
    rows = real(make_run(), positive_class="malignant", **counts)
    assert rows.loc["9/VGG16/mcc", "why"] == "the run's matrix has an empty row or column"


def test_only_the_first_filter_of_table_4_is_known(usual_run):
    rows = read(usual_run)
    assert rows.loc["4/second/mse", "why"] == "which filter this is, is not known"
    first = rows.loc["4/first/mse"]
    scores = records.read_all(sorted((usual_run / "filters").glob("[0-9]*.csv")), records.FILTERS)
    expected = scores.loc[scores["filter"] == "adaptive_median", "mse"]
    assert first["ours"] == pytest.approx(expected.mean())
    assert first["low"] < first["ours"] < first["high"]
    assert expected.min() <= first["low"] and first["high"] <= expected.max()


def test_a_protocol_that_was_not_run_is_said(make_run):
    folder = make_run(protocols=("patient",))
    rows = read(folder)
    compared = rows[(rows["verdict"] != "impossible") & (rows["table"] != 4)]
    assert set(compared["why"]) == {"the protocol paper was not run"}
    line = compare_paper(
        folder, run_name="x", comparison=folder / "patient.csv", protocol="patient"
    )
    assert line.endswith("131 printed numbers, 0 reproduced, 0 differs, 12 impossible, "
                         "119 not comparable")  # fmt: skip


def test_the_settings_are_those_of_the_preset(pytestconfig):
    path = pytestconfig.rootpath / "workflow/presets/paper.yaml"
    settings = yaml.safe_load(path.read_text())["train"]["settings"]
    assert [tuple(setting.values()) for setting in settings] == list(SETTINGS)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="run the workflow first"):
        compare_paper(tmp_path / "nowhere", run_name="x", comparison=tmp_path / "paper.csv")
