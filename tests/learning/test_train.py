"""Stage `train`: AlexNet on tiny pictures; what a run leaves behind can be used and repeated."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner
from fastai.vision.learner import create_vision_model
from safetensors.torch import load_file
from torchvision import models
from typer.testing import CliRunner

from mcalc import records
from mcalc.cli import app
from mcalc.errors import McalcError, UsageError
from mcalc.evaluation.evaluate import evaluate_runs
from mcalc.images.stack import stack_images
from mcalc.learning.batches import Augmentation
from mcalc.learning.plateau import PATIENCE, count_plateaus
from mcalc.learning.train import Settings, train_run

FILES = {"weights.safetensors", "run.json", "history.csv", "lr_find.csv", "predictions.csv"}
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Eight ROIs of 64 x 64 in two shards, malignant ones with specks; a split of two folds."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(8):
        generator = np.random.default_rng(number)
        image = generator.normal(90, 15, (64, 64))
        if number % 2:
            image[generator.integers(0, 64, 60), generator.integers(0, 64, 60)] = 255
        path = folder / str(number % 3 // 2) / f"roi{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))
        rows += [
            {
                "image_id": f"roi{number}_r{turns}",
                "roi_id": f"roi{number}",
                "patient_id": f"P_{number}",
                "quarter_turns": turns,
                "label": "malignant" if number % 2 else "benign",
            }
            for turns in range(4)
        ]
    order = np.random.default_rng(5).permutation(len(rows))  # no order that sorting would restore
    folds = []
    for fold in range(2):
        table = pd.DataFrame(rows).iloc[order].assign(fold=fold)
        valid = table["roi_id"].isin([f"roi{2 * fold}", f"roi{2 * fold + 1}", "roi6"])
        folds.append(table.assign(subset=np.where(valid, "valid", "train")))
    records.write(pd.concat(folds), folder / "split.csv", records.SPLIT)
    stack_images([folder / "0", folder / "1"], stack=folder / "stack.npy")
    return folder


def settings(**changes) -> Settings:
    values = {
        "protocol": "patient",
        "network": "alexnet",
        "test": 3,
        "fold": 0,
        "batch_size": 4,
        "lr_min": 1e-5,
        "lr_max": 1e-4,
        "epochs": 2,
        "head_epochs": 1,
        "lr_find_iterations": 6,
        "weights": "none",
        "seed": 7,
    }
    return Settings(**values | changes)


def train(data: Path, run: Path, **changes) -> str:
    return train_run(
        data / "split.csv",
        data / "stack.npy",
        run=run,
        settings=settings(**changes),
        augmentation=Augmentation(),
        device="cpu",
        threads=1,
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """A run, made in a working folder of its own; `trained.parent` is that folder."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        said = train(data, Path("run"))
    finally:
        os.chdir(before)
    (folder / "run/said.txt").write_text(said)
    return folder / "run"


def predictions(run: Path) -> pd.DataFrame:
    return records.read(run / "predictions.csv", records.PREDICTIONS)


def split_rows(data: Path, fold: int) -> pd.DataFrame:
    table = records.read(data / "split.csv", records.SPLIT)
    return table[(table["fold"] == fold) & (table["subset"] == "valid")]


# --- refusals -----------------------------------------------------------------------------------


def test_an_unknown_network_is_refused_before_anything_is_written(data, tmp_path):
    with pytest.raises(UsageError, match="'resnet18' is unknown; use one of vgg16"):
        train(data, tmp_path / "run", network="resnet18")
    assert not (tmp_path / "run").exists()


def test_cuda_without_a_gpu_is_refused_with_what_to_use(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"train\.device is cuda.*no GPU here; use cpu or auto"):
        train_run(
            data / "split.csv",
            data / "stack.npy",
            run=tmp_path / "run",
            settings=settings(),
            augmentation=Augmentation(),
            device="cuda",
        )
    assert not (tmp_path / "run").exists()


def test_a_missing_split_is_named(data, tmp_path):
    with pytest.raises(McalcError, match=r"nowhere\.csv: cannot be read as a table"):
        train_run(
            tmp_path / "nowhere.csv",
            data / "stack.npy",
            run=tmp_path / "run",
            settings=settings(),
            augmentation=Augmentation(),
        )


def test_missing_images_are_counted(data, tmp_path):
    stack_images([data / "1"], stack=tmp_path / "few.npy")
    with pytest.raises(McalcError, match=r"few\.npy: \d images of the split are missing"):
        train_run(
            data / "split.csv",
            tmp_path / "few.npy",
            run=tmp_path / "run",
            settings=settings(),
            augmentation=Augmentation(),
        )


def test_a_fold_that_the_split_does_not_hold_is_named(data, tmp_path):
    """Fold 9 of a split with folds 0 and 1: the sentence speaks of the fold, not of batches."""
    with pytest.raises(McalcError, match=r"(?i)fold"):
        train(data, tmp_path / "run", fold=9)


def test_a_batch_larger_than_the_training_set_is_refused(data, tmp_path):
    with pytest.raises(McalcError, match="Batch size 64 is larger than the 20 training images"):
        train(data, tmp_path / "run", batch_size=64)
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_says_so(data, tmp_path):
    """A learning rate that turns every weight to NaN: the sentence names the rate to lower."""
    with pytest.raises(McalcError, match=r"lr_max|learning rate"):
        train(data, tmp_path / "run", lr_max=1e25, epochs=1)


# --- what a run leaves --------------------------------------------------------------------------


def test_the_folder_holds_the_five_files_and_nothing_lies_beside_it(trained):
    """Nothing is pickled, cached or left over, neither in the run nor where the call was made."""
    assert {path.name for path in trained.iterdir()} - {"said.txt"} == FILES
    assert [path.name for path in trained.parent.iterdir()] == ["run"]
    for path in trained.iterdir():
        start = path.read_bytes()[:2]
        assert start[:1] != b"\x80", f"{path} is a pickle"
        assert start != b"PK", f"{path} is an archive of torch"


def test_the_predictions_are_the_validation_images_in_the_splits_order(trained, data):
    table, wanted = predictions(trained), split_rows(data, 0)
    assert len(table) == 12
    for column in ("image_id", "roi_id", "patient_id", "quarter_turns", "label"):
        assert list(table[column]) == list(wanted[column]), column


def test_probability_prediction_and_loss_belong_together(trained):
    table = predictions(trained)
    malignant = table["probability_malignant"].to_numpy()
    assert list(table["predicted"]) == ["malignant" if p > 0.5 else "benign" for p in malignant]
    of_the_label = np.where(table["label"] == "malignant", malignant, 1 - malignant)
    np.testing.assert_allclose(table["loss"], -np.log(of_the_label), rtol=1e-4, atol=1e-6)


def test_the_history_tells_both_phases_and_its_end_agrees_with_the_predictions(trained):
    history = records.read(trained / "history.csv", records.HISTORY)
    assert list(history["phase"]) == ["head", "all", "all"]
    assert list(history["epoch"]) == [0, 1, 2]
    table = predictions(trained)
    wrong = (table["label"] != table["predicted"]).mean()
    last = history.iloc[-1]
    assert last["error_rate"] == pytest.approx(wrong, abs=1e-6)
    assert last["accuracy"] == pytest.approx(1 - wrong, abs=1e-6)
    assert last["valid_loss"] == pytest.approx(table["loss"].mean(), rel=1e-4)
    assert f"error rate {wrong:.4f} after 3 epochs" in (trained / "said.txt").read_text()


def test_the_finders_curve_rises_through_the_rates(trained):
    curve = records.read(trained / "lr_find.csv", records.LR_FIND)
    assert 1 <= len(curve) <= 6
    assert curve["learning_rate"].is_monotonic_increasing
    assert curve["learning_rate"].iloc[0] == pytest.approx(1e-7, rel=0.1)


def test_the_card_is_complete(trained, data):
    """What was trained on what, how, by which versions, for which use."""
    card = json.loads((trained / "run.json").read_text())
    assert card["classes"] == ["benign", "malignant"]
    assert card["network"] == "alexnet"
    assert card["size"] == 64
    assert card["channels"] == "the grey level, three times"
    assert card["normalisation"]["mean"] == [0.485, 0.456, 0.406]
    assert card["normalisation"]["std"] == [0.229, 0.224, 0.225]
    wanted = {"network": "alexnet", "test": 3, "fold": 0, "batch_size": 4, "seed": 7}
    wanted |= {"lr_min": 1e-5, "lr_max": 1e-4, "epochs": 2, "head_epochs": 1, "weights": "none"}
    wanted |= {"protocol": "patient", "head_lr": 1e-3, "lr_find_iterations": 6}
    wanted |= {"recipe": "fastai2", "precision": "auto", "out_of_memory": "halve"}
    wanted |= {"schedule": "one_cycle"}
    assert card["settings"] == wanted
    assert (card["precision"], card["batch_pieces"]) == ("float32", 1)
    assert card["augmentation"] == Augmentation()._asdict()
    assert card["images"] == {"train": 20, "valid": 12}
    assert len(card["data_hash"]) == 12
    assert set(card["versions"]) >= {"mcalc", "torch", "torchvision", "fastai", "numpy"}
    assert card["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert "not diagnosis" in card["intended_use"]
    assert 1e-7 < card["lr_find_valley"] < 10


def test_the_weights_alone_reproduce_the_predictions(trained, data):
    """A fresh network with the file's weights, the card's normalisation, plain PyTorch."""
    model = create_vision_model(models.alexnet, 2, pretrained=False)
    model.load_state_dict(load_file(trained / "weights.safetensors"), strict=True)
    model.eval()
    table = predictions(trained)
    images = []
    for row in table.to_dict("records"):
        (path,) = data.glob(f"*/{row['roi_id']}.png")
        grey = np.rot90(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), row["quarter_turns"])
        grey = torch.tensor(grey.astype(np.float32) / 255)
        images.append((grey.expand(3, -1, -1) - MEAN) / DEVIATION)
    with torch.no_grad():
        probabilities = torch.softmax(model(torch.stack(images)), dim=1)
    np.testing.assert_allclose(
        probabilities[:, 1].numpy(), table["probability_malignant"], rtol=0, atol=1e-5
    )


def test_the_run_can_be_evaluated(trained, tmp_path):
    evaluate_runs([trained], results=tmp_path / "results.csv")
    (row,) = records.read(tmp_path / "results.csv", records.RUNS).to_dict("records")
    assert (row["network"], row["protocol"], row["test"]) == ("alexnet", "patient", 3)


def contents(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in sorted(FILES)}


def test_the_same_seed_gives_the_same_bytes(trained, data, tmp_path):
    """Weights, tables and card, in a process whose random state is another by now."""
    torch.manual_seed(12345)
    np.random.seed(12345)
    train(data, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(trained)


def test_another_seed_or_fold_gives_another_run(trained, data, tmp_path):
    train(data, tmp_path / "run", seed=8, fold=1, head_epochs=0, epochs=1)
    assert list(predictions(tmp_path / "run")["image_id"]) == list(split_rows(data, 1)["image_id"])
    history = records.read(tmp_path / "run/history.csv", records.HISTORY)
    assert list(history["phase"]) == ["all"]
    assert (tmp_path / "run/weights.safetensors").read_bytes() != (
        trained / "weights.safetensors"
    ).read_bytes()
    cards = [json.loads((run / "run.json").read_text()) for run in (trained, tmp_path / "run")]
    assert cards[0]["data_hash"] != cards[1]["data_hash"]


@pytest.mark.slow
def test_test_images_are_predicted_and_have_no_part_in_the_weights(data, tmp_path):
    table = records.read(data / "split.csv", records.SPLIT).query("fold == 0")
    table.loc[table["roi_id"] == "roi6", "subset"] = "test"
    for name, rows in (("with", table), ("without", table[table["subset"] != "test"])):
        (tmp_path / name).mkdir()
        records.write(rows, tmp_path / name / "split.csv", records.SPLIT)
        for part in ("stack.npy", "stack.csv"):
            (tmp_path / name / part).symlink_to(data / part)
        train(tmp_path / name, tmp_path / name / "run")
    one, other = (tmp_path / name / "run" for name in ("with", "without"))
    weights = "weights.safetensors"
    assert (one / weights).read_bytes() == (other / weights).read_bytes()
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    predicted = predictions(one)
    assert set(predicted.loc[predicted["subset"] == "test", "roi_id"]) == {"roi6"}
    valid = predicted[predicted["subset"] == "valid"].reset_index(drop=True)
    pd.testing.assert_frame_equal(valid, predictions(other), rtol=1e-5)


@pytest.mark.slow
def test_the_finder_leaves_the_weights_as_they_were(data, tmp_path):
    """It tries rates up to 10; with all others near nothing the start is still there after it."""
    tiny = {"lr_min": 1e-12, "lr_max": 1e-12, "head_lr": 1e-12, "epochs": 1}
    for name, iterations in (("few", 6), ("many", 25)):
        train(data, tmp_path / name, lr_find_iterations=iterations, **tiny)
    few, many = (load_file(tmp_path / name / "weights.safetensors") for name in ("few", "many"))
    learned = [name for name in few if "running" not in name and "num_batches" not in name]
    assert len(learned) > 10
    for name in learned:
        torch.testing.assert_close(few[name], many[name], atol=1e-6, rtol=0, msg=name)


@pytest.mark.slow
def test_pretrained_weights_are_where_training_starts(data, tmp_path):
    """With a learning rate of nearly nothing the body still holds the file's values."""
    torch.manual_seed(4)
    state = models.alexnet(weights=None).state_dict()
    torch.save(state, tmp_path / "alexnet.pth")
    tiny = {"lr_min": 1e-12, "lr_max": 1e-12, "head_lr": 1e-12, "epochs": 1}
    train(data, tmp_path / "run", weights=str(tmp_path / "alexnet.pth"), **tiny)
    held = load_file(tmp_path / "run/weights.safetensors")
    for name in ("features.0.weight", "features.10.bias"):
        torch.testing.assert_close(
            held[name.replace("features", "0.0")], state[name], atol=1e-6, rtol=0
        )
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["settings"]["weights"] == str(tmp_path / "alexnet.pth")


@pytest.mark.parametrize("rate", [0.0, -1e-4, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["lr_min", "lr_max", "head_lr"])
def test_a_learning_rate_that_is_no_positive_number_is_named(name, rate):
    rates = {"lr_min": 1e-5, "lr_max": 1e-4, name: rate}
    with pytest.raises(UsageError, match=f"{name} is "):
        Settings("paper", "alexnet", 1, 0, batch_size=4, epochs=1, **rates)


# --- the schedule `plateau` ---------------------------------------------------------------------


def test_an_unknown_schedule_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="Schedule 'cosine' is unknown; use one_cycle or plateau"):
        settings(schedule="cosine")


def test_a_card_from_before_schedules_were_chosen_means_one_cycle():
    old = {name: value for name, value in vars(settings()).items() if name != "schedule"}
    assert Settings(**old) == settings()
    assert settings().schedule == "one_cycle"


@pytest.mark.parametrize("seed", range(5))
def test_plateaus_are_counted_as_pytorchs_own_schedule_counts_them(seed):
    """Losses that fall more and more slowly, with noise."""
    losses = 1 / np.arange(1, 31) + np.random.default_rng(seed).normal(0, 0.02, 30)
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.1, patience=PATIENCE - 1, threshold=0, eps=0
    )
    for done, loss in enumerate(losses, start=1):
        schedule.step(loss)
        rate = optimiser.param_groups[0]["lr"]
        assert count_plateaus(list(losses[:done])) == round(-np.log10(rate))
    assert count_plateaus(list(losses)) > 1


def test_a_plateau_is_two_epochs_without_a_lower_loss():
    assert count_plateaus([]) == count_plateaus([3, 2, 1, 1]) == 0
    assert count_plateaus([3, 2, 2, 2]) == count_plateaus([1, 2, 1.5]) == 1
    assert count_plateaus([1, 2, 0.9, 2, 0.8, 2]) == 0
    assert count_plateaus([1, 1, 1, 1, 1, 0.5, 1, 1]) == 3


class NoteRates(Callback):
    """Note each group's learning rate and the momentum in the batches of all epochs."""

    order = 100

    def __init__(self, rates: list) -> None:
        self.rates = rates

    def before_batch(self):
        if self.training:
            self.rates.append([(hypers["lr"], hypers["mom"]) for hypers in self.opt.hypers])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["fastai2", "fastai1"])
def test_rates_stay_and_fall_to_a_tenth_after_each_plateau(
    data, tmp_path, monkeypatch, capsys, recipe
):
    """Rates so high that the loss soon rises, and one such epoch is enough; discriminative."""
    monkeypatch.setattr("mcalc.learning.plateau.PATIENCE", 1)
    rates, create = [], Learner.__init__

    def with_notes(self, *arguments, **options):
        create(self, *arguments, **options)
        self.add_cb(NoteRates(rates))

    monkeypatch.setattr(Learner, "__init__", with_notes)
    changes = {"schedule": "plateau", "lr_min": 1e-3, "lr_max": 1e-2, "epochs": 6, "recipe": recipe}
    train(data, tmp_path / "run", head_epochs=0, **changes)
    history = records.read(tmp_path / "run/history.csv", records.HISTORY)
    losses = list(history["valid_loss"])
    batches = len(rates[6:]) // 6
    first, last = (np.array([batch[group][0] for batch in rates[6:]]) for group in (0, -1))
    expected = [0.1 ** count_plateaus(losses[:epoch]) for epoch in range(6)]
    assert expected[-1] < 1
    np.testing.assert_allclose(last, 1e-2 * np.repeat(expected, batches))
    np.testing.assert_allclose(first, 1e-3 * np.repeat(expected, batches))
    assert {momentum for batch in rates[6:] for _, momentum in batch} == {0.9}
    assert capsys.readouterr().out.count("learning rates times") == len(set(expected)) - 1
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["settings"]["schedule"] == "plateau"


def test_the_command_hands_the_schedule_on(monkeypatch, tmp_path):
    asked = []

    def note(*paths, settings, **options):
        asked.append(settings.schedule)
        return "done"

    monkeypatch.setattr("mcalc.learning.train.train_run", note)
    command = ["train", "stack.npy", "--split", "s.csv", "--run", "r", "--protocol", "patient"]
    command += ["--network", "resnet50", "--weights", "none"]
    for more in ([], ["--schedule", "plateau"]):
        assert CliRunner().invoke(app, command + more).exit_code == 0
    assert asked == ["one_cycle", "plateau"]
    assert CliRunner().invoke(app, [*command, "--schedule", "cosine"]).exit_code == 2
