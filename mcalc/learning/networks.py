"""The networks, their pretrained weights, and the learner that trains them."""

from functools import partial
from pathlib import Path

import torch
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy, error_rate
from fastai.optimizer import Adam
from fastai.torch_core import L, params
from fastai.vision.learner import add_head, create_body, model_meta, vision_learner
from torch import nn
from torchvision import models

from mcalc.errors import DataError, UsageError
from mcalc.learning import architectures, fastai1, timm_networks
from mcalc.learning.pretrained import read_state, torchvision_state
from mcalc.records import LABELS

RECIPES = ("fastai2", "fastai1")

# The study's.
NETWORKS = {
    "vgg16": models.vgg16,
    "vgg16_bn": models.vgg16_bn,
    "resnet34": models.resnet34,
    "alexnet": models.alexnet,
    "resnet50": models.resnet50,
}
# Those of other studies and of later years.
OTHER_NETWORKS = architectures.ARCHITECTURES | timm_networks.ARCHITECTURES
NAMES = (*NETWORKS, *OTHER_NETWORKS)

# The classifier of 1000 ImageNet classes is replaced, so a file of weights may come without it.
_REPLACED = ("classifier.", "fc.")

_MEASURED = {"loss_func": CrossEntropyLossFlat(), "metrics": [error_rate, accuracy]}


def _vgg16_split(model):
    """Split VGG16 into three groups of layers where fastai splits VGG16 with batch norm."""
    return L(model[0][0][:15], model[0][0][15:], model[1:]).map(params)


# fastai knows VGG16 with batch norm only; the study's network has none.
model_meta.setdefault(models.vgg16, {"cut": -2, "split": _vgg16_split, "weights": "DEFAULT"})


def build_learner(
    dataloaders: DataLoaders,
    network: str,
    weights: dict[str, torch.Tensor] | None,
    *,
    recipe: str = "fastai2",
) -> Learner:
    """Return fastai's `vision_learner` for one of the networks, its body frozen.

    Parameters
    ----------
    dataloaders : DataLoaders
        As `batches.make_batches` returns them; must normalise the images itself.
    network : str
        One of `NAMES`. In the study's, and in timm's, fastai's head (concatenated pooling, 512
        units) takes the place of the classifier; `dscnn` and `mvgg16` have their own.
    weights : dict or None
        A state dict for the body, as `load_weights` returns it; None leaves the random
        initialisation.
    recipe : {'fastai2', 'fastai1'}
        Whose head, groups of layers and optimiser; see `fastai1.learner_options`. Networks that
        v1 does not know keep their groups.

    Raises
    ------
    UsageError
        If the network is unknown, or cannot see images of their size.
    """
    _check_name(network)
    build = _build_of_study if network in NETWORKS else _build_other
    learner = build(dataloaders, network, weights, recipe)
    learner.freeze()
    return learner


def build_body(network: str, weights: dict[str, torch.Tensor] | None, size: int) -> nn.Module:
    """Return a network's body, what comes before its head, for images of `size` x `size`.

    It takes (n, 3, size, size), normalised by `imagenet_stats`, and returns (n, channels, rows,
    columns), or of a transformer (n, channels).

    Parameters
    ----------
    network : str
    weights : dict or None
        As `load_weights` returns it; None leaves the random initialisation.
    size : int
        In pixels.
    """
    if network in NETWORKS:
        return _body_of_study(network, weights, model_meta[NETWORKS[network]]["cut"])
    body = OTHER_NETWORKS[network].make_body(size)
    if weights is not None:
        if isinstance(body, timm_networks.Trunk):
            body.load_pretrained(weights)
        else:
            body.load_state_dict(weights, strict=False)
    return body


def load_weights(network: str, weights: str) -> dict[str, torch.Tensor] | None:
    """Load pretrained weights for a network; never fall back to a random start.

    Parameters
    ----------
    network : str
        One of `NAMES`.
    weights : str
        'none' for a random start; 'imagenet' for weights of ImageNet-1k: torchvision's
        IMAGENET1K_V1 (`pretrained.torchvision_state`) or timm's (`timm_networks.imagenet_state`);
        or the path of a state dict (.safetensors, or .pth/.pt read without unpickling objects) in
        the names of torchvision, of timm or of `architectures`.

    Returns
    -------
    dict of Tensor, or None for 'none'

    Raises
    ------
    UsageError
        If the network is unknown, or there are no ImageNet weights of it.
    DataError
        If the weights cannot be had or do not fit the network.
    """
    _check_name(network)
    if weights == "none":
        return None
    state = _imagenet(network) if weights == "imagenet" else read_state(Path(weights))
    state = timm_networks.convert_names(state) if network == "efficientnet_lite0" else state
    needed = _needed(network, state)
    for name, tensor in needed.items():
        if name.startswith(_REPLACED) or name.endswith("num_batches_tracked"):
            continue
        if name not in state:
            raise DataError(f"{weights}: not weights of {network}: {name} is missing.")
        if state[name].shape != tensor.shape:
            raise DataError(
                f"{weights}: not weights of {network}: {name} has shape "
                f"{tuple(state[name].shape)}, not {tuple(tensor.shape)}."
            )
    return {
        name: state[name] for name in needed if name in state and not name.startswith(_REPLACED)
    }


def packages_of(network: str, weights: str) -> tuple[str, ...]:
    """Return the packages that a run of a network follows from, beside torch, fastai and theirs."""
    packages = OTHER_NETWORKS[network].packages if network in OTHER_NETWORKS else ()
    if (network, weights) == ("efficientnet_lite0", "imagenet"):
        packages += (timm_networks.LITE0_PACKAGE,) if timm_networks.has_lite0_package() else ()
    return packages


def own_stats(network: str) -> tuple[list[float], list[float]] | None:
    """Return the mean and deviation by which a network's body normalises anew, if it does."""
    return OTHER_NETWORKS[network].stats if network in OTHER_NETWORKS else None


def _check_name(network: str) -> None:
    if network not in NAMES:
        raise UsageError(f"Network {network!r} is unknown; use one of {', '.join(NAMES)}.")


def _build_of_study(
    dataloaders: DataLoaders, network: str, weights: dict[str, torch.Tensor] | None, recipe: str
) -> Learner:
    architecture = NETWORKS[network]
    options = {"cut": model_meta[architecture]["cut"], "opt_func": Adam}
    if recipe == "fastai1":
        options |= fastai1.learner_options(network)
    learner = vision_learner(
        dataloaders, architecture, pretrained=False, normalize=False, **_MEASURED, **options
    )
    if weights is not None:
        body = _body_of_study(network, weights, options["cut"])
        learner.model[0].load_state_dict(body.state_dict())
    return learner


def _build_other(
    dataloaders: DataLoaders, network: str, weights: dict[str, torch.Tensor] | None, recipe: str
) -> Learner:
    other = OTHER_NETWORKS[network]
    body = build_body(network, weights, dataloaders.train.dataset.pixels.shape[-1])
    # As vision_learner does, which cuts each network that it does not know at its last pooling.
    model = add_head(body, None, None, head=other.make_head(len(LABELS), recipe))
    options = {"opt_func": Adam}
    if recipe == "fastai1":  # what it says of every network
        known = fastai1.learner_options("vgg16")
        options = {name: known[name] for name in ("opt_func", "wd", "wd_bn_bias", "train_bn")}
    splitter = partial(_split_at, other.boundary)
    return Learner(dataloaders, model, splitter=splitter, **_MEASURED, **options)


def _body_of_study(network: str, weights: dict[str, torch.Tensor] | None, cut: int) -> nn.Module:
    donor = NETWORKS[network](weights=None)
    if weights is not None:
        donor.load_state_dict(weights, strict=False)
    return create_body(donor, cut=cut)


def _split_at(boundary: str, model: nn.Sequential) -> list[list[nn.Parameter]]:
    """Split the body before the first parameter whose name begins with `boundary`."""
    names = [name for name, _ in model[0].named_parameters()]
    first = next(place for place, name in enumerate(names) if name.startswith(f"{boundary}."))
    body = params(model[0])
    return [body[:first], body[first:], params(model[1])]


def _imagenet(network: str) -> dict[str, torch.Tensor]:
    if network in OTHER_NETWORKS:
        return OTHER_NETWORKS[network].imagenet_state()
    return torchvision_state(network)


def _needed(network: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the shapes that weights must have, by the names that they must have."""
    with torch.device("meta"):
        if network in NETWORKS:
            return NETWORKS[network](weights=None).state_dict()
        body = OTHER_NETWORKS[network].make_body(timm_networks.native_size(state))
    return getattr(body, "model", body).state_dict()
