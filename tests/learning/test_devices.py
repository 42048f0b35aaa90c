"""What a GPU gets, and what happens when its memory is full: played on the CPU, where none is."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback, CancelFitException
from fastai.callback.fp16 import MixedPrecision
from fastai.torch_core import set_seed

from mcalc.errors import DataError, UsageError
from mcalc.images.stack import Stack
from mcalc.learning import devices
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.devices import InPieces, find_precision, suit_device
from mcalc.learning.fitting import Settings, fit_network
from mcalc.learning.inference import predict_images
from mcalc.learning.networks import build_learner

CPU, GPU = torch.device("cpu"), torch.device("cuda")
BATCH = 7


@pytest.fixture(scope="module")
def images() -> Stack:
    pixels = np.random.default_rng(1).integers(0, 256, (8, 64, 64)).astype(np.uint8)
    return Stack(pixels, [f"roi{number}" for number in range(8)])


@pytest.fixture(scope="module")
def rows(images) -> pd.DataFrame:
    """Six ROIs train, two validate, each in four turns."""
    return pd.DataFrame(
        {
            "image_id": f"{roi_id}_r{turns}",
            "roi_id": roi_id,
            "patient_id": roi_id,
            "quarter_turns": turns,
            "label": ("benign", "malignant")[number % 2],
            "fold": 0,
            "subset": "valid" if number > 5 else "train",
        }
        for number, roi_id in enumerate(images)
        for turns in range(4)
    )


def make_learner(rows, images):
    set_seed(1, reproducible=True)
    plain = Augmentation(flip=False, max_rotate=0, max_zoom=1, max_lighting=0)
    batches = make_batches(rows, images, batch_size=BATCH, augmentation=plain, device=CPU)
    learner = build_learner(batches, "alexnet", None)
    learner.unfreeze()
    return learner


# --- a full memory ------------------------------------------------------------------------------


def settings(**changes) -> Settings:
    values = {"protocol": "patient", "network": "alexnet", "test": 1, "fold": 0, "batch_size": 8}
    values |= {"lr_min": 1e-4, "lr_max": 1e-3, "epochs": 2, "head_epochs": 1, "weights": "none"}
    return Settings(**values | {"lr_find_iterations": 6} | changes)


@pytest.fixture
def small_memory(monkeypatch):
    """A function of a number: memory that holds no more images than so many in training."""

    def limit(most: int) -> None:
        forward = torch.nn.Sequential.forward

        def within_limit(self, images):
            if self.training and len(images) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return forward(self, images)

        monkeypatch.setattr(torch.nn.Sequential, "forward", within_limit)

    return limit


def fit(rows, images, **changes):
    return fit_network(
        rows,
        images,
        settings=settings(**changes),
        weights=None,
        augmentation=Augmentation(),
        device=CPU,
    )


@pytest.mark.parametrize(("most", "pieces"), [(4, 2), pytest.param(2, 4, marks=pytest.mark.slow)])
def test_batches_are_halved_until_they_fit_and_it_is_said(
    rows, images, small_memory, capsys, most, pieces
):
    small_memory(most)
    trained = fit(rows, images)
    said = capsys.readouterr().out
    assert f"each is computed in {pieces} pieces from here" in said
    assert "out of GPU memory with batches of 8" in said
    assert len(trained.history) == 3
    assert np.isfinite([row["train_loss"] for row in trained.history]).all()
    assert len(predict_images(trained.learner, rows, images)) == 8


def test_it_may_be_told_to_stop(rows, images, small_memory):
    small_memory(4)
    said = r"out of GPU memory with batches of 8; lower batch_size, or set train\.out_of_memory"
    with pytest.raises(DataError, match=said):
        fit(rows, images, out_of_memory="stop")


@pytest.mark.slow
def test_pieces_too_small_for_batch_norm_are_no_way_out(rows, images, small_memory):
    small_memory(1)
    with pytest.raises(DataError, match="batches of 8 in 4 pieces; take a GPU with more memory"):
        fit(rows, images)


@pytest.mark.slow
def test_a_training_that_was_halved_goes_on_so(rows, images, small_memory, tmp_path, monkeypatch):
    """Memory is full after the head; what was kept of it is used, and the number of pieces, too."""
    from mcalc.learning.checkpoints import Checkpoint

    def checkpoint() -> Checkpoint:
        kept = Checkpoint(tmp_path / "checkpoint.pt", "key")
        kept.find()
        return kept

    options = {"weights": None, "augmentation": Augmentation(), "device": CPU}
    save = Checkpoint.save

    def save_and_fill_memory(self, *arguments):
        save(self, *arguments)
        small_memory(4)

    monkeypatch.setattr(Checkpoint, "save", save_and_fill_memory)
    first = checkpoint()
    trained = fit_network(rows, images, settings=settings(), checkpoint=first, **options)
    assert [row["phase"] for row in trained.history] == ["head", "all", "all"]
    again = checkpoint()
    assert (again.course.pieces, again.course.epochs) == (2, 2)
    assert json.dumps(again.course.history) == json.dumps(trained.history)


@pytest.mark.parametrize("pieces", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_the_gradients_of_the_pieces_are_those_of_the_batch(rows, images, pieces):
    """AlexNet's body has no batch norm; that of the head, and dropout, are set aside."""

    def gradients(pieces: int) -> tuple[torch.Tensor, float]:
        learner = make_learner(rows, images)
        for layer in learner.model.modules():
            if isinstance(layer, (torch.nn.BatchNorm1d, torch.nn.Dropout)):
                layer.eval()
                layer.train = lambda mode=True: None
        if pieces > 1:
            learner.add_cb(InPieces(pieces))
        note = NoteGradients()
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, 1e-3, cbs=[note])
        return note.gradients, note.recorded

    whole, loss = gradients(1)
    summed, same = gradients(pieces)
    torch.testing.assert_close(summed, whole, rtol=1e-4, atol=1e-6)
    assert same == pytest.approx(loss, rel=1e-5)


class NoteGradients(Callback):
    """Note the first step's gradients and loss, and end."""

    def before_step(self):
        own = [p.grad.flatten() for p in self.model.parameters() if p.grad is not None]
        self.gradients, self.recorded = torch.cat(own), float(self.learn.loss)
        raise CancelFitException


# --- what a GPU gets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "able", "wanted", "found"),
    [
        (GPU, True, "auto", "bfloat16"),
        (GPU, False, "auto", "float32"),
        (GPU, True, "float32", "float32"),
        (CPU, True, "auto", "float32"),
    ],
)
def test_bfloat16_is_for_gpus_that_compute_in_it(monkeypatch, device, able, wanted, found):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: able)
    assert find_precision(device, wanted) == found


def test_a_gpu_gets_channels_last_and_mixed_precision_and_a_cpu_neither(rows, images):
    learner = make_learner(rows, images)
    before = len(learner.cbs)
    suit_device(learner, CPU, "float32", 1)
    assert len(learner.cbs) == before
    suit_device(learner, GPU, "bfloat16", 2)
    kinds = [type(callback) for callback in learner.cbs[before:]]
    assert set(kinds) == {ChannelsLast, MixedPrecision, InPieces}


def test_answers_are_computed_in_float32(rows, images):
    """Mixed precision would fail here, where there is no GPU, or warn."""
    learner = make_learner(rows, images)
    wanted = predict_images(learner, rows, images)["probability_malignant"]
    learner.add_cb(MixedPrecision("bf16"))
    found = predict_images(learner, rows, images)["probability_malignant"]
    np.testing.assert_array_equal(found, wanted)
    assert any(isinstance(callback, MixedPrecision) for callback in learner.cbs)


@pytest.mark.parametrize("changes", [{"precision": "float8"}, {"out_of_memory": "wait"}])
def test_an_unknown_choice_is_named(changes):
    (value,) = changes.values()
    with pytest.raises(UsageError, match=f"'{value}' is unknown; use"):
        settings(**changes)


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.find_device("auto") == CPU
    with pytest.raises(UsageError, match="finds no GPU here"):
        devices.find_device("cuda")
