"""Stage `fit-ensemble`: the 2-D half alone, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from mcalc import records
from mcalc.images.array_file import write_array
from mcalc.learning.model_runs import answered

MODEL = "xiao2021_ensemble"


@pytest.fixture
def study(tmp_path):
    """A split, and the run of a network that answered for its validation images."""
    rows = pd.DataFrame(
        [
            {
                "image_id": f"roi{number}_r0",
                "roi_id": f"roi{number}",
                "patient_id": f"P{number}",
                "quarter_turns": 0,
                "label": records.LABELS[number % 2],
                "fold": 0,
                "subset": "valid" if number < 4 else "train",
            }
            for number in range(10)
        ]
    )
    records.write(rows, tmp_path / "split.csv", records.SPLIT)
    base = tmp_path / "tsochatzidis2019_resnet34_imagenet/fold0"
    answers = answered(rows[rows["subset"] == "valid"], np.array([0.1, 0.9, 0.4, 0.6]))
    records.write(answers, base / "predictions.csv", records.PREDICTIONS)
    card = {"settings": {"protocol": "patient", "fold": 0}}
    (base / "run.json").write_text(json.dumps(card))
    save_file({"0.weight": np.zeros((3, 4), np.float32)}, base / "weights.safetensors")
    return tmp_path


def call(mcalc, study, *, model=MODEL, protocol="patient", more=()):
    base = study / "tsochatzidis2019_resnet34_imagenet/fold0"
    places = ("--split", study / "split.csv", "--run", study / "run", "--base", base)
    return mcalc("fit-ensemble", model, *places, "--protocol", protocol, *more)


def test_the_answers_are_those_of_the_2d_half_and_the_card_says_so(study, mcalc):
    code, said, _ = call(mcalc, study)
    assert code == 0
    assert "2-D half alone" in said
    own, half = (
        (study / place / "predictions.csv").read_bytes()
        for place in ("run", "tsochatzidis2019_resnet34_imagenet/fold0")
    )
    assert own == half
    fitted = json.loads((study / "run/run.json").read_text())["fitted"]
    assert fitted["parameters"] == 12
    assert fitted["halves"]["3-D"].startswith("none: the images are no stacks")


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"model": "wang2016_svm"}, 2, "wang2016_svm has no 3-D half; fit it with"),
        ({"model": "xiao2022"}, 2, "Model 'xiao2022' is unknown"),
        ({"protocol": "paper"}, 3, "answers of patient, fold 0, for other images"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(study, mcalc, change, code, said):
    found, _, told = call(mcalc, study, **change)
    assert found == code
    assert said in told
    assert "Traceback" not in told
    assert not (study / "run").exists()


def test_a_half_that_answered_for_other_images_is_told(study, mcalc):
    rows = records.read(study / "split.csv", records.SPLIT)
    rows.loc[4, "subset"] = "valid"
    records.write(rows, study / "split.csv", records.SPLIT)
    code, _, told = call(mcalc, study)
    assert code == 3
    assert "train the 2-D half on this fold" in told


def test_stacks_that_lack_an_image_of_the_split_are_told(study, mcalc):
    write_array(
        study / "slices.npy",
        iter([np.zeros((4, 8, 8), np.uint8)]),
        shape=(4, 8, 8),
        roi_ids=["roi0"],
    )
    code, _, told = call(mcalc, study, more=("--slices", study / "slices.npy"))
    assert code == 3
    assert "9 images of the split are missing, such as roi1; run stack-slices again" in told
    assert not (study / "run").exists()
