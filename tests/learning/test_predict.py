"""Stage `predict`: a trained network measured on another split, and on its own once more."""

import json

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import DataError, McalcError
from mcalc.evaluation.evaluate import evaluate_runs
from mcalc.images.shards import write_png
from mcalc.images.stack import stack_images
from mcalc.learning.batches import Augmentation
from mcalc.learning.predict import predict_run
from mcalc.learning.train import Settings, train_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with images, two splits, and AlexNet trained on the first by the recipe fastai1."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "images").mkdir()
    rows = []
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (64, 64)).astype(np.uint8)
        write_png(folder / f"images/roi{number}.png", image)
        row = {"roi_id": f"roi{number}", "patient_id": "", "label": records.LABELS[number % 2]}
        rows += [
            row | {"quarter_turns": t, "image_id": f"roi{number}_r{t}", "fold": 0} for t in range(4)
        ]
    for name, turns in (("first", 0), ("second", 3)):
        table = pd.DataFrame(rows)
        valid = table["quarter_turns"] == turns
        table["subset"] = np.where(valid, "valid", "train")
        records.write(table, folder / f"{name}.csv", records.SPLIT)
    stack_images([folder / "images"], stack=folder / "stack.npy")
    settings = Settings(
        *("paper", "alexnet", 1, 0),
        **{"batch_size": 9, "lr_min": 1e-5, "lr_max": 1e-4, "epochs": 1, "head_lr": 1e-3},
        **{"lr_find_iterations": 17, "weights": "none", "recipe": "fastai1"},
    )
    train_run(
        folder / "first.csv",
        folder / "stack.npy",
        run=folder / "run",
        settings=settings,
        augmentation=Augmentation(max_warp=0.2),
        device="cpu",
    )
    return folder


def predict(folder, split: str, run, **changes) -> str:
    options = {"split": folder / f"{split}.csv", "protocol": "paper_resplit", "device": "cpu"}
    return predict_run(folder / "run", folder / "stack.npy", run=run, **options | changes)


def predictions(run) -> pd.DataFrame:
    return records.read(run / "predictions.csv", records.PREDICTIONS)


@pytest.mark.slow
def test_on_its_own_split_a_network_says_what_it_said_after_training(trained, tmp_path):
    predict(trained, "first", tmp_path / "run")
    pd.testing.assert_frame_equal(
        predictions(tmp_path / "run"), predictions(trained / "run"), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_on_another_split_it_is_measured_on_that_splits_images(trained, tmp_path):
    said = predict(trained, "second", tmp_path / "run")
    table = predictions(tmp_path / "run")
    assert list(table["image_id"]) == [f"roi{number}_r3" for number in range(6)]
    wrong = (table["label"] != table["predicted"]).mean()
    assert said.endswith(f"error rate {wrong:.4f} on 6 images")
    card, first = (
        json.loads((r / "run.json").read_text()) for r in (tmp_path / "run", trained / "run")
    )
    assert card["trained_as"] == "paper"
    assert card["settings"] == first["settings"] | {"protocol": "paper_resplit"}
    assert card["data_hash"] != first["data_hash"]
    evaluate_runs([tmp_path / "run"], results=tmp_path / "results.csv")
    (row,) = records.read(tmp_path / "results.csv", records.RUNS).to_dict("records")
    assert row["protocol"] == "paper_resplit"
    assert row["error_rate"] == pytest.approx(wrong)


@pytest.mark.slow
def test_a_card_of_fastai1_says_so_and_has_v1s_advice(trained):
    card = json.loads((trained / "run/run.json").read_text())
    assert card["settings"]["recipe"] == "fastai1"
    assert card["augmentation"]["max_warp"] == 0.2
    curve = records.read(trained / "run/lr_find.csv", records.LR_FIND)
    advised = card["lr_find_steepest"]
    assert advised is None or np.isclose(curve["learning_rate"], advised).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.safetensors", "history.csv"])
def test_a_run_that_is_not_whole_is_named(trained, tmp_path, name):
    for path in (trained / "run").iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    options = {"split": trained / "second.csv", "protocol": "paper_resplit", "device": "cpu"}
    with pytest.raises(McalcError, match=name):
        predict_run(tmp_path, trained / "stack.npy", run=tmp_path / "new", **options)
    assert not (tmp_path / "new/run.json").exists()


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (None, "not the card of a run"),
        ("[]", "not the card of a run"),
        ('{"settings": {}}', "protocol, network, fold, batch_size, recipe is missing"),
        (
            '{"settings": {"protocol": "paper", "network": "alexnet", "fold": 0, "batch_size": 2}}',
            "recipe is missing; train the run again",
        ),
    ],
)
def test_a_folder_that_is_no_run_is_named(tmp_path, card, said):
    if card is not None:
        (tmp_path / "run.json").write_text(card)
    options = {"split": tmp_path / "no.csv", "protocol": "paper_resplit", "device": "cpu"}
    with pytest.raises(DataError, match=f"run.json: {said}"):
        predict_run(tmp_path, tmp_path / "no.npy", run=tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
