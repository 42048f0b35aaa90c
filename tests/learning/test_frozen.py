"""Features that networks give: of a pretrained body, and before the end of a trained network."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torchvision import models

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.images.shards import write_png
from mcalc.images.stack import Stack, read_stack, stack_images
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.features import frozen
from mcalc.learning.networks import OTHER_NETWORKS
from mcalc.learning.train import Settings, train_run


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (5, 64, 64)).astype(np.uint8)


def draw(network: str, folder, size: int = 64) -> str:
    """Write random weights of a network into a file."""
    torch.manual_seed(5)
    if network in OTHER_NETWORKS:
        body = OTHER_NETWORKS[network].make_body(size)
        state = getattr(body, "model", body).state_dict()
    else:
        state = getattr(models, network)(weights=None).state_dict()
    torch.save(state, folder / f"{network}.pth")
    return str(folder / f"{network}.pth")


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory) -> str:
    return draw("alexnet", tmp_path_factory.mktemp("weights"))


# --- a pretrained body --------------------------------------------------------------------------


def test_features_without_weights_are_refused(images):
    with pytest.raises(UsageError, match="need pretrained weights, not none; give imagenet or a"):
        frozen.extract_batch(images, "alexnet", "none")
    with pytest.raises(UsageError, match="'resnet18' is unknown"):
        frozen.extract_batch(images, "resnet18", "imagenet")
    with pytest.raises(DataError, match=r"nowhere\.pth: no such file"):
        frozen.extract_batch(images, "alexnet", "nowhere.pth")


@pytest.mark.slow
def test_alexnets_features_are_the_means_over_torchvisions(images, alexnet):
    donor = models.alexnet(weights=None).eval()
    donor.load_state_dict(torch.load(alexnet))
    normal = torch.tensor(images[:, None] / 255).repeat(1, 3, 1, 1).float()
    normal -= torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    normal /= torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        expected = donor.features(normal).mean(dim=(2, 3)).numpy()
    found = frozen.extract_batch(images, "alexnet", alexnet)
    assert found.dtype == np.float32 and found.shape == (5, 256)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_images_are_normalised_as_in_training(images):
    stack = Stack(images, [f"roi{number}" for number in range(5)])
    rows = pd.DataFrame({"roi_id": list(stack), "quarter_turns": 0, "label": "benign"})
    rows["subset"] = ["train"] * 2 + ["valid"] * 3
    device, augmentation = torch.device("cpu"), Augmentation()
    loaders = make_batches(rows, stack, batch_size=2, augmentation=augmentation, device=device)
    seen = torch.cat([batch for batch, _ in loaders.valid])
    found = frozen._normalised(torch.tensor(images[2:]))
    # fastai's augmentation samples images anew at their own places, even where it changes nothing.
    torch.testing.assert_close(found, seen.as_subclass(torch.Tensor), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_same_images_give_the_same_bytes_whatever_happened_before(images, alexnet):
    torch.manual_seed(1)
    first = frozen.extract_batch(images, "alexnet", alexnet)
    torch.manual_seed(2)
    assert frozen.extract_batch(images, "alexnet", alexnet).tobytes() == first.tobytes()


@pytest.mark.slow
def test_an_images_features_do_not_depend_on_the_others(images, alexnet, monkeypatch):
    """Whatever the size of the batches, and in the order of the images."""
    first = frozen.extract_batch(images, "alexnet", alexnet)
    monkeypatch.setattr(frozen, "BATCH_SIZE", 2)
    again = frozen.extract_batch(images[::-1], "alexnet", alexnet)[::-1]
    np.testing.assert_allclose(again, first, rtol=1e-4, atol=1e-6)
    assert len(np.unique(first.round(6), axis=0)) == len(images)


@pytest.mark.slow
def test_a_quarter_turn_changes_them_as_the_module_says(images, alexnet):
    turned = frozen.extract_batch(np.rot90(images, 1, (1, 2)), "alexnet", alexnet)
    assert frozen.TURNED
    assert not np.allclose(turned, frozen.extract_batch(images, "alexnet", alexnet), rtol=1e-3)


@pytest.mark.parametrize(
    ("network", "columns"),
    [
        ("dscnn", 512),
        pytest.param("mvgg16", 512, marks=pytest.mark.slow),
        pytest.param("vit_small", 384, marks=pytest.mark.slow),
        pytest.param("resnet34", 512, marks=pytest.mark.slow),
    ],
)
def test_a_network_gives_as_many_features_as_its_body_has_channels(
    images, tmp_path, network, columns
):
    found = frozen.extract_batch(images, network, draw(network, tmp_path))
    assert found.shape == (5, columns)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


# --- a trained network --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with images, two folds and AlexNet trained on the first; malignant ROIs are odd."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "images").mkdir()
    rows = []
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (64, 64)).astype(np.uint8)
        write_png(folder / f"images/roi{number}.png", image)
        row = {"roi_id": f"roi{number}", "patient_id": "", "label": records.LABELS[number % 2]}
        rows += [row | {"quarter_turns": t, "image_id": f"roi{number}_r{t}"} for t in range(4)]
    folds = [
        pd.DataFrame(rows).assign(fold=fold, subset=["valid"] * 8 + ["train"] * 16)
        for fold in range(2)
    ]
    folds[1]["subset"] = folds[1]["subset"].to_numpy()[::-1]
    records.write(pd.concat(folds), folder / "split.csv", records.SPLIT)
    stack_images([folder / "images"], stack=folder / "stack.npy")
    settings = Settings(
        *("paper", "alexnet", 1, 0),
        **{"batch_size": 9, "lr_min": 1e-5, "lr_max": 1e-4, "epochs": 1, "head_epochs": 0},
        **{"lr_find_iterations": 6, "weights": "none"},
    )
    options = {"settings": settings, "augmentation": Augmentation(), "device": "cpu"}
    train_run(folder / "split.csv", folder / "stack.npy", run=folder / "run", **options)
    return folder


def read(folder, fold: int) -> tuple[pd.DataFrame, Stack]:
    rows = records.read_fold(folder / "split.csv", fold)
    return rows, read_stack(folder / "stack.npy", list(rows["roi_id"]))


def test_under_the_networks_own_last_layer_they_say_what_the_network_said(trained):
    """Of the images that did not train, whose predictions the run holds; in the rows' order."""
    rows, images = read(trained, 0)
    found = frozen.trained_features(trained / "run", rows, images)
    assert found.shape == (24, 512) and found.dtype == np.float32
    weights = load_file(trained / "run/weights.safetensors")
    last = sorted(name for name in weights if name.startswith("1."))[-1]
    scores = torch.tensor(found) @ weights[last].T
    predicted = records.read(trained / "run/predictions.csv", records.PREDICTIONS)
    asked = (rows["subset"] == "valid").to_numpy()
    assert list(rows.loc[asked, "image_id"]) == list(predicted["image_id"])
    malignant = scores.softmax(1)[:, 1].numpy()[asked]
    np.testing.assert_allclose(malignant, predicted["probability_malignant"], atol=1e-5)


@pytest.mark.slow
def test_training_images_are_not_augmented(trained):
    rows, images = read(trained, 0)
    first, second = (frozen.trained_features(trained / "run", rows, images) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("change", ["fold", "pixel"])
def test_a_network_that_trained_on_others_is_refused(trained, change):
    """It may have learned the images that do not train here."""
    rows, images = read(trained, 1 if change == "fold" else 0)
    if change == "pixel":
        images["roi3"][0, 0] ^= 1
    with pytest.raises(DataError, match="run: trained on another split, fold or images than these"):
        frozen.trained_features(trained / "run", rows, images)


def test_a_folder_that_is_no_run_is_named(trained, tmp_path):
    with pytest.raises(DataError, match=r"run\.json: not the card of a run"):
        frozen.trained_features(tmp_path, *read(trained, 0))
    (tmp_path / "run.json").symlink_to(trained / "run/run.json")
    with pytest.raises(DataError, match=r"weights\.safetensors: not the weights of this run"):
        frozen.trained_features(tmp_path, *read(trained, 0))
