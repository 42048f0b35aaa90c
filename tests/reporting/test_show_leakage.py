"""Stage `show-leakage`: the table, its words and the figure."""

import re

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.score_rows import Settings
from mcalc.reporting.show_leakage import show_leakage

PATIENTS = 12


def write_answers(folder, protocol: str, model: str = "histogram", hits: float = 0.8):
    """Write answers of which the share `hits` is right, for one image of each of two ROIs."""
    draw = np.random.default_rng(len(protocol))
    rows = []
    for labels in records.AUDITED_LABELS:
        for repeat in range(3):
            for number in range(2 * PATIENTS):
                label = records.LABELS[number % 2]
                right = draw.random() < hits
                rows.append(
                    {
                        "protocol": protocol,
                        "model": model,
                        "labels": labels,
                        "repeat": repeat,
                        "fold": number % 4,
                        "training_images": 77,
                        "image_id": f"roi{number}_r0",
                        "roi_id": f"roi{number}",
                        "patient_id": f"P_{number // 2}",
                        "label": label,
                        "roi_trained": protocol == "paper",
                        "patient_trained": protocol == "paper",
                        "probability_malignant": float((label == "malignant") == right),
                    }
                )
    path = folder / f"{protocol}.csv"
    records.write(rows, path, records.LEAKAGE_ANSWERS)
    return path


def show(folder, answers, catalog, **changes) -> tuple[str, pd.DataFrame]:
    said = show_leakage(
        answers,
        catalog=catalog,
        run_name="usual",
        leakage=folder / "leakage.csv",
        figures=folder,
        settings=Settings(resamples=300),
        **changes,
    )
    return said, records.read(folder / "leakage.csv", records.LEAKAGE)


@pytest.fixture(scope="module")
def shown(tmp_path_factory, usual_run):
    folder = tmp_path_factory.mktemp("leakage")
    answers = [write_answers(folder, name) for name in ("patient", "paper")]
    answers.append(write_answers(folder, "image", hits=1.0))
    said, table = show(folder, answers, usual_run / "catalog.csv")
    return folder, said, table


def test_each_number_has_its_interval_its_patients_and_its_protocol(shown):
    _, _, table = shown
    assert list(table["protocol"].unique()) == ["patient", "paper", "image"]
    assert set(table["score"]) == {"balanced_accuracy", "accuracy", "auc"}
    sure = table[table["protocol"] != "image"]
    assert (sure["low"] <= sure["value"]).all()
    assert (sure["value"] <= sure["high"]).all()
    assert set(table["n_patients"]) == {PATIENTS}
    assert set(table["training_images"]) == {77}


def test_where_every_answer_is_right_no_width_of_zero_is_told(shown):
    folder, said, table = shown
    row = table[(table["protocol"] == "image") & (table["score"] == "balanced_accuracy")].iloc[0]
    assert row["value"] == 1
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])
    assert "image 1.000 (no interval) on shuffled labels" in said
    assert "1.000 to 1.000" not in (folder / "leakage.md").read_text()


def test_the_markdown_carries_run_and_data_in_the_order_given(shown):
    folder, _, _ = shown
    text = (folder / "leakage.md").read_text()
    rows = re.findall(r"^\| (patient|paper|image) +\| (true|shuffled)", text, re.MULTILINE)
    order = [
        (name, kind) for name in ("patient", "paper", "image") for kind in ("true", "shuffled")
    ]
    assert rows == order
    assert "Run usual, data " in text
    assert "made-up phantom" in text
    assert "95% intervals over patients; 3 repeats; 77 training images" in text


def test_the_figure_tells_protocols_relatives_and_values(shown):
    folder, _, table = shown
    drawing = (folder / "leakage.svg").read_text()
    assert (folder / "leakage.png").stat().st_size > 10_000
    for protocol in ("patient", "paper", "image"):
        assert f"{protocol} (12 patients)" in drawing
    assert "same ROI in training: 100% of images" in drawing
    row = table[(table["protocol"] == "paper") & (table["score"] == "balanced_accuracy")].iloc[0]
    assert f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in drawing
    assert "made-up phantom" in drawing


def test_the_same_answers_give_the_same_files(shown, usual_run, tmp_path):
    folder, _, _ = shown
    answers = [folder / f"{name}.csv" for name in ("patient", "paper", "image")]
    show(tmp_path, answers, usual_run / "catalog.csv")
    for name in ("leakage.csv", "leakage.md", "leakage.png", "leakage.svg"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_protocol_twice_another_model_or_no_answer_is_refused(tmp_path, usual_run):
    catalog = usual_run / "catalog.csv"
    paper = write_answers(tmp_path, "paper")
    with pytest.raises(DataError, match=r"paper\.csv: the answers under paper are given twice"):
        show(tmp_path, [paper, paper], catalog)
    other = write_answers(tmp_path, "patient", model="alexnet")
    with pytest.raises(DataError, match=r"answers of alexnet, others are of histogram"):
        show(tmp_path, [paper, other], catalog)
    records.write([], tmp_path / "empty.csv", records.LEAKAGE_ANSWERS)
    with pytest.raises(DataError, match=r"empty\.csv: the table has no row"):
        show(tmp_path, [tmp_path / "empty.csv"], catalog)
    assert not (tmp_path / "leakage.csv").exists()
