"""The 3-D half: anisotropic kernels, what it learns from and what not, and a whole path to it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mcalc import records
from mcalc.errors import DataError
from mcalc.images.stack import Stack, read_slices_stack
from mcalc.learning.anisotropic import AnisotropicResNet
from mcalc.learning.model_runs import answered
from mcalc.learning.volumes import (
    TurnedVolumes,
    ask_volumes,
    load_network,
    save_network,
    train_volumes,
)

CPU = torch.device("cpu")
QUICK = {"seed": 3, "epochs": 1, "batch_size": 4, "lr_max": 1e-3, "device": CPU}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def split(rois: int, *, turns: int = 4) -> pd.DataFrame:
    """Return SPLIT rows of one fold: every third ROI validates, every second is malignant."""
    return pd.DataFrame(
        [
            {
                "image_id": f"roi{number:02}_r{turn}",
                "roi_id": f"roi{number:02}",
                "patient_id": f"P{number}",
                "quarter_turns": turn,
                "label": records.LABELS[number % 2],
                "fold": 0,
                "subset": "valid" if number % 3 == 2 else "train",
            }
            for number in range(rois)
            for turn in range(turns)
        ]
    )


def draw(rois: int, *, slices: int = 6, size: int = 16, difference: int = 0) -> Stack:
    """Draw stacks of noise; those of malignant ROIs have bright specks in the middle slice."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(60, 120, (rois, slices, size, size)).astype(np.uint8)
    pixels[1::2, slices // 2, 3::5, 3::5] += difference
    return Stack(pixels, [f"roi{number:02}" for number in range(rois)])


def state(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


# --- the network --------------------------------------------------------------------------------


def test_no_kernel_looks_within_and_across_slices_at_once():
    kernels = {
        layer.kernel_size for layer in AnisotropicResNet().modules() if isinstance(layer, nn.Conv3d)
    }
    assert kernels == {(1, 5, 5), (1, 3, 3), (3, 1, 1), (1, 1, 1)}
    for depth, rows, columns in kernels:
        assert rows == columns
        assert 1 in (depth, rows)


def test_an_answer_follows_from_neighbours_in_depth_and_in_the_slice():
    """The first stage sees 1 + 2 slices and, of pixels, a square: nothing oblique is cut off."""
    network = AnisotropicResNet().eval()
    volume = torch.zeros(1, 1, 9, 32, 32, requires_grad=True)
    nn.init.normal_(volume)
    features = network.stages[0](torch.relu(network.stem(volume)))
    features[0, :, 4, 8, 8].sum().backward()
    touched = (volume.grad[0, 0] != 0).nonzero()
    assert set(touched[:, 0].tolist()) == {3, 4, 5}
    assert np.ptp(touched[:, 1].numpy()) == np.ptp(touched[:, 2].numpy()) == 8


@pytest.mark.parametrize("shape", [(1, 16, 16), (4, 33, 33), (16, 48, 48)])
def test_stacks_of_any_size_get_a_score_a_label(shape):
    assert AnisotropicResNet().eval()(torch.zeros(2, 1, *shape)).shape == (2, 2)


def test_it_is_small_enough_for_a_cpu():
    assert sum(weights.numel() for weights in AnisotropicResNet().parameters()) < 200_000


def test_each_slice_is_turned_counter_clockwise_on_its_own():
    rows, volumes = split(2), draw(2)
    pixels = torch.from_numpy(volumes.pixels)
    found, labels = TurnedVolumes(rows, volumes, pixels)[[0, 1, 2, 3, 6]]
    assert labels.tolist() == [0, 0, 0, 0, 1]
    for image, roi, turns in zip(found, (0, 0, 0, 0, 1), (0, 1, 2, 3, 2), strict=True):
        for slice_number in range(6):
            expected = np.rot90(volumes.pixels[roi, slice_number], turns)
            np.testing.assert_array_equal(image[0, slice_number], expected)


# --- what it learns from ------------------------------------------------------------------------


def test_every_row_that_does_not_train_is_answered_in_order():
    rows, volumes = split(9), draw(9)
    asked = rows[rows["subset"] != "train"]
    network = train_volumes(rows, volumes, **QUICK)
    answers = ask_volumes(network, rows, volumes, batch_size=5, device=CPU)
    assert (answers.shape, answers.dtype) == ((len(asked),), np.float64)
    assert ((answers > 0) & (answers < 1)).all()
    for place in (0, 7, 11):
        row = asked.iloc[[place]]
        alone = ask_volumes(network, row, volumes, batch_size=5, device=CPU)
        assert alone[0] == pytest.approx(answers[place], abs=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    rows, volumes = split(6), draw(6)
    first = state(train_volumes(rows, volumes, **QUICK))
    torch.rand(7)  # whatever was drawn before
    assert state(train_volumes(rows, volumes, **QUICK)) == first
    assert state(train_volumes(rows, volumes, **QUICK | {"seed": 4})) != first


def test_no_validation_label_or_pixel_changes_what_is_learned():
    rows, volumes = split(9), draw(9)
    before = state(train_volumes(rows, volumes, **QUICK))
    other = draw(9)
    for roi_id in rows.loc[rows["subset"] == "valid", "roi_id"].unique():
        other[roi_id][:] = np.random.default_rng(1).integers(0, 256, other[roi_id].shape)
    garbled = rows.copy()
    garbled.loc[garbled["subset"] == "valid", "label"] = records.MALIGNANT
    assert state(train_volumes(garbled, other, **QUICK)) == before
    other["roi00"][:] = 0
    assert state(train_volumes(garbled, other, **QUICK)) != before


@pytest.mark.slow
def test_bright_specks_in_one_slice_are_learned():
    rows, volumes = split(24), draw(24, difference=100)
    options = QUICK | {"epochs": 12, "batch_size": 8, "lr_max": 5e-3}
    network = train_volumes(rows, volumes, **options)
    answers = ask_volumes(network, rows, volumes, batch_size=8, device=CPU)
    asked = rows[rows["subset"] != "train"]
    is_malignant = (asked["label"] == records.MALIGNANT).to_numpy()
    assert answers[is_malignant].min() > answers[~is_malignant].max()


# --- weights, refusals --------------------------------------------------------------------------


def test_weights_come_back(tmp_path):
    network = train_volumes(split(6), draw(6), **QUICK)
    save_network(network, tmp_path / "weights.safetensors")
    assert state(load_network(tmp_path / "weights.safetensors")) == state(network)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("content", [None, b"", b"garbage of some length"])
def test_what_holds_no_weights_is_named(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"weights\.safetensors: not the weights of a network of"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, {"batch_size": 99}, "Batch size 99 is larger than the 16 training images; lower"),
        ({"label": records.BENIGN}, {}, "All 16 training images are benign; split again"),
        ({}, {"lr_max": 1e30, "epochs": 3}, "diverged, its weights are no numbers any more; lower"),
    ],
)
def test_a_training_that_cannot_do_is_refused(change, options, said):
    with pytest.raises(DataError, match=said):
        train_volumes(split(6).assign(**change), draw(6), **QUICK | options)


# --- a whole path -------------------------------------------------------------------------------


def test_stacks_go_from_files_to_answers_by_the_command_line(tmp_path, mcalc):
    at = {name: tmp_path / name for name in ("c.csv", "r.csv", "0", "0.csv", "s.npy", "split.csv")}
    listed = ["--catalog", at["c.csv"]]
    aside = ["--rejected", at["r.csv"], "--rejected", at["0.csv"]]
    root = tmp_path / "root"
    calls = [
        ["phantom-stacks", root, "--patients", 10, "--slices", 4, 5],
        ["catalog", root, "--dataset", "tomosynthesis", *listed, "--rejected", at["r.csv"]]
        + ["--patients", root / "patients.csv"],
        ["convert", *listed, "--shard", 0, "--images", at["0"], "--rejected", at["0.csv"]],
        ["split", *listed, *aside, "--protocol", "patient", "--split", at["split.csv"]],
        ["stack-slices", *listed, *aside, "--stack", at["s.npy"], "--slices", 4, "--size", 24],
    ]
    for call in calls:
        code, _, said = mcalc(*call)
        assert code == 0, said
    rows = records.read_fold(at["split.csv"], 0)
    assert sorted(path.stem for path in at["0"].iterdir()) == sorted(rows["roi_id"].unique())

    # The 2-D half: whatever a network answered.
    asked = rows[rows["subset"] == "valid"]
    half = np.linspace(0.1, 0.9, len(asked))
    base = tmp_path / "tsochatzidis2019_resnet34_imagenet/fold0"
    records.write(answered(asked, half), base / "predictions.csv", records.PREDICTIONS)
    (base / "run.json").write_text('{"settings": {"protocol": "patient", "fold": 0}}')
    save_file({"0.weight": torch.zeros(3, 4)}, base / "weights.safetensors")
    run = tmp_path / "ensemble"
    code, said, told = mcalc(
        *("fit-ensemble", "xiao2021_ensemble", "--split", at["split.csv"], "--base", base),
        *("--protocol", "patient", "--run", run, "--slices", at["s.npy"], "--seed", 3),
        *("--epochs", 1, "--batch-size", 16, "--device", "cpu"),
    )
    assert code == 0, told
    assert "xiao2021_ensemble, both halves, error rate" in said

    network = load_network(run / "volumes.safetensors")
    volumes = read_slices_stack(at["s.npy"], list(rows["roi_id"]))
    other = ask_volumes(network, rows, volumes, batch_size=16, device=CPU)
    answers = records.read(run / "predictions.csv", records.PREDICTIONS)
    assert list(answers["image_id"]) == list(asked["image_id"])
    np.testing.assert_allclose(answers["probability_malignant"], (half + other) / 2, atol=1e-6)
    fitted = json.loads((run / "run.json").read_text())["fitted"]
    assert fitted["halves"]["3-D"] == {"epochs": 1, "batch_size": 16, "lr_max": 1e-3}
    assert fitted["parameters"] == 12 + sum(one.numel() for one in network.parameters())
