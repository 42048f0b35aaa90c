"""A training that is killed goes on: the same weights, tables and card, bit for bit."""

import functools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner

from mcalc import records
from mcalc.errors import DataError
from mcalc.images.stack import stack_images
from mcalc.learning import plateau
from mcalc.learning.batches import Augmentation
from mcalc.learning.checkpoints import Checkpoint, StoppedError
from mcalc.learning.fitting import Settings
from mcalc.learning.train import train_run

FILES = ("weights.safetensors", "run.json", "history.csv", "lr_find.csv", "predictions.csv")
# Two epochs of the head and two of all layers; three batches each.
EPOCHS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Five ROIs of 64 x 64; four train with all their turns and one validates."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    rows = []
    for number in range(5):
        image = np.random.default_rng(number).integers(0, 256, (64, 64)).astype(np.uint8)
        cv2.imwrite(str(folder / f"images/roi{number}.png"), image)
        rows += [
            {
                "image_id": f"roi{number}_r{turns}",
                "roi_id": f"roi{number}",
                "patient_id": f"P_{number}",
                "quarter_turns": turns,
                "label": "malignant" if number % 2 else "benign",
                "fold": 0,
                "subset": "valid" if number == 4 else "train",
            }
            for turns in range(4)
        ]
    stack_images([folder / "images"], stack=folder / "stack.npy")
    records.write(pd.DataFrame(rows), folder / "split.csv", records.SPLIT)
    return folder


def train(data: Path, run: Path, recipe: str = "fastai2", **changes) -> str:
    values = {"protocol": "patient", "network": "alexnet", "test": 1, "fold": 0, "batch_size": 5}
    values |= {"lr_min": 1e-4, "lr_max": 1e-3, "epochs": 2, "head_epochs": 2, "weights": "none"}
    values |= {"lr_find_iterations": 6, "seed": 3, "recipe": recipe}
    return train_run(
        data / "split.csv",
        data / "stack.npy",
        run=run,
        settings=Settings(**values | changes),
        augmentation=Augmentation(),
        device="cpu",
    )


def contents(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """A function of recipe and network: what a training leaves that nobody disturbed."""

    @functools.cache
    def get(recipe: str = "fastai2", network: str = "alexnet") -> dict[str, bytes]:
        folder = tmp_path_factory.mktemp("undisturbed")
        train(data, folder / "run", recipe, network=network)
        return contents(folder / "run")

    return get


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


@pytest.fixture
def kill_after(monkeypatch):
    """Break the process off when a file of the training was saved so many times."""

    def prepare(saved: int) -> None:
        left, save = [saved], Checkpoint.save

        def save_and_die(self, *arguments):
            save(self, *arguments)
            left[0] -= 1
            if not left[0]:
                raise Killed

        monkeypatch.setattr(Checkpoint, "save", save_and_die)

    yield prepare


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "recipe"),
    [(network, "fastai2") for network in ("alexnet", "resnet34", "resnet50", "vgg16")]
    + [("alexnet", "fastai1")],
)
def test_a_training_killed_after_each_epoch_ends_with_the_same_bytes(
    data, tmp_path, undisturbed, kill_after, monkeypatch, capsys, network, recipe
):
    """After each of the epochs, and after the finder, whose curve is saved, too."""
    run, shown = tmp_path / "run", []
    for kills in range(1, EPOCHS + 2):
        kill_after(1)
        with pytest.raises(Killed):
            train(data, run, recipe, network=network)
        monkeypatch.undo()
        assert [path.name for path in run.iterdir()] == ["checkpoint.pt"]
        said = capsys.readouterr().out
        assert ("goes on from" in said) == (kills > 1)
        shown.append(re.findall(r"^\[(\d+), '?[\d.]+", said, flags=re.MULTILINE))
        torch.manual_seed(99 + kills)
        np.random.seed(99 + kills)
    train(data, run, recipe, network=network)
    # Each epoch was done once: two of the head, then the finder, then two of all layers.
    assert shown == [["0"], ["1"], [], ["0"], ["1"]]
    assert "\n[" not in capsys.readouterr().out
    assert contents(run) == undisturbed(recipe, network)
    assert {path.name for path in run.iterdir()} == set(FILES)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "recipe"), [("alexnet", "fastai1"), ("dscnn", "fastai2")])
def test_rates_lowered_on_a_plateau_stay_so_in_a_training_that_was_killed(
    data, tmp_path, monkeypatch, capsys, network, recipe
):
    """Killed after each save, where each epoch counts as a plateau (test_train.py counts them)."""
    monkeypatch.setattr(plateau, "count_plateaus", len)
    changes = {"network": network, "schedule": "plateau", "head_epochs": 0, "epochs": 4}
    changes |= {"lr_min": 1e-3, "lr_max": 1e-2}
    train(data, tmp_path / "undisturbed", recipe, **changes)
    assert capsys.readouterr().out.count("learning rates times") == 3
    for _ in range(1 + 4):
        with monkeypatch.context() as context:
            save = Checkpoint.save

            def save_and_die(self, *arguments, save=save):
                save(self, *arguments)
                raise Killed

            context.setattr(Checkpoint, "save", save_and_die)
            with pytest.raises(Killed):
                train(data, tmp_path / "run", recipe, **changes)
        torch.manual_seed(99)
    train(data, tmp_path / "run", recipe, **changes)
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_plateau_training_stopped_in_the_middle_of_an_epoch_ends_the_same(
    data, tmp_path, signal_at, monkeypatch
):
    """In the last epoch, whose rates follow from the losses of those before."""
    monkeypatch.setattr(plateau, "count_plateaus", len)
    changes = {"schedule": "plateau", "head_epochs": 0, "epochs": 5, "lr_min": 1e-3, "lr_max": 1e-2}
    train(data, tmp_path / "undisturbed", **changes)
    signal_at(6 + 4 * 3 + 2)
    with pytest.raises(StoppedError):
        train(data, tmp_path / "run", **changes)
    monkeypatch.undo()
    monkeypatch.setattr(plateau, "count_plateaus", len)
    kept = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert (kept["course"]["epochs"], kept["course"]["batches"]) == (4, 2)
    train(data, tmp_path / "run", **changes)
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")


class SignalAt(Callback):
    """Send a signal to this process at a training batch, counted from the first of all."""

    order = 0

    def __init__(self, batch: int, number: int) -> None:
        self.left, self.number = batch, number

    def before_batch(self):
        if self.training:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.number)


@pytest.fixture
def signal_at(monkeypatch):
    """Have a signal sent in a training batch: 1 to 6 head, 7 to 12 finder, 13 to 18 all."""

    def prepare(batch: int, number: int = signal.SIGTERM) -> None:
        create = Learner.__init__

        def with_signal(self, *arguments, **options):
            create(self, *arguments, **options)
            self.add_cb(SignalAt(batch, number))

        monkeypatch.setattr(Learner, "__init__", with_signal)

    return prepare


@pytest.mark.parametrize(
    ("batch", "recipe"),
    [
        (14, "fastai2"),
        *[
            pytest.param(batch, recipe, marks=pytest.mark.slow)
            for batch in (1, 5, 8, 13, 17)
            for recipe in ("fastai2", "fastai1")
        ],
    ],
)
def test_sigterm_in_any_batch_saves_and_loses_nothing(
    data, tmp_path, undisturbed, signal_at, monkeypatch, capsys, batch, recipe
):
    signal_at(batch)
    with pytest.raises(StoppedError, match=r"stopped by SIGTERM.*run it again to go on") as stop:
        train(data, tmp_path / "run", recipe)
    assert stop.value.exit_code == 143
    assert "\n" not in str(stop.value)
    monkeypatch.undo()
    train(data, tmp_path / "run", recipe)
    assert "goes on from" in capsys.readouterr().out
    assert contents(tmp_path / "run") == undisturbed(recipe)


@pytest.mark.slow
def test_a_training_stopped_twice_in_one_epoch_still_ends_the_same(
    data, tmp_path, undisturbed, signal_at, monkeypatch
):
    for batch in (1, 1):
        signal_at(batch, signal.SIGINT)
        with pytest.raises(StoppedError, match="SIGINT"):
            train(data, tmp_path / "run")
        monkeypatch.undo()
    kept = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert (kept["course"]["epochs"], kept["course"]["batches"]) == (0, 2)
    train(data, tmp_path / "run")
    assert contents(tmp_path / "run") == undisturbed()


def test_signals_do_what_they_did_before_when_the_training_has_ended(data, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train(data, tmp_path / "run", epochs=1, head_epochs=0)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"seed": 4}, {"lr_max": 2e-3}, {"epochs": 3}])
def test_a_checkpoint_of_another_training_is_not_used(
    data, tmp_path, kill_after, monkeypatch, capsys, change
):
    kill_after(2)
    with pytest.raises(Killed):
        train(data, tmp_path / "run")
    monkeypatch.undo()
    train(data, tmp_path / "run", **change)
    assert "begins anew" in capsys.readouterr().out
    train(data, tmp_path / "fresh", **change)
    assert contents(tmp_path / "run") == contents(tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_a_damaged_checkpoint_is_said_and_not_used(
    data, tmp_path, undisturbed, kill_after, monkeypatch, capsys, damage
):
    kill_after(1)
    with pytest.raises(Killed):
        train(data, tmp_path / "run")
    monkeypatch.undo()
    path = tmp_path / "run/checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "other": b"other"}[damage])
    train(data, tmp_path / "run")
    assert "begins anew: " in capsys.readouterr().out
    assert contents(tmp_path / "run") == undisturbed()


def test_a_loss_that_is_no_number_stops_after_its_epoch(data, tmp_path, monkeypatch):
    epochs = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, *_: epochs.append(self.course.epochs))
    with pytest.raises(
        DataError, match=r"^\S*run: the training diverged.*lower lr_max \(now 1e\+25\)"
    ):
        train(data, tmp_path / "run", lr_max=1e25, epochs=5, head_epochs=0)
    assert epochs == [0]


@pytest.mark.slow
def test_the_command_stops_with_143_and_goes_on(data, tmp_path):
    """The installed command, ended by SIGTERM when its first checkpoint is there."""
    command = [sys.executable, "-c", "from mcalc.cli import main; main()", "train"]
    command += [data / "stack.npy", "--split", data / "split.csv", "--run", tmp_path / "run"]
    command += ["--protocol", "patient", "--network", "alexnet", "--weights", "none"]
    command += ["--batch-size", 4, "--epochs", 400, "--lr-find-iterations", 6, "--device", "cpu"]
    command = list(map(str, command))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if line.startswith("[0,"):
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert (tmp_path / "run/checkpoint.pt").exists()
    command[command.index("400")] = "1"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "begins anew" in done.stdout  # another number of epochs is another training
    assert not (tmp_path / "run/checkpoint.pt").exists()
