"""The study's networks, their pretrained weights, and the learner that trains them."""

import os
from pathlib import Path

import torch
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy, error_rate
from fastai.optimizer import Adam
from fastai.torch_core import L, params
from fastai.vision.learner import create_body, model_meta, vision_learner
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchvision import models

from mcalc.errors import DataError, UsageError
from mcalc.learning import fastai1

RECIPES = ("fastai2", "fastai1")

NETWORKS = {
    "vgg16": models.vgg16,
    "vgg16_bn": models.vgg16_bn,
    "resnet34": models.resnet34,
    "alexnet": models.alexnet,
    "resnet50": models.resnet50,
}

# The classifier of 1000 ImageNet classes is replaced, so a file of weights may come without it.
_REPLACED = ("classifier.", "fc.")


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
        Must normalise the images itself.
    network : str
        A name in `NETWORKS`; fastai's head (concatenated pooling, 512 units) takes the place of
        the classifier.
    weights : dict or None
        A torchvision state dict for the body, as `load_weights` returns it; None leaves the
        random initialisation.
    recipe : {'fastai2', 'fastai1'}
        Whose head, groups of layers and optimiser; see `fastai1.learner_options`.
    """
    architecture = find_network(network)
    options = {"cut": model_meta[architecture]["cut"], "opt_func": Adam}
    if recipe == "fastai1":
        options |= fastai1.learner_options(network)
    learner = vision_learner(
        dataloaders,
        architecture,
        pretrained=False,
        normalize=False,
        loss_func=CrossEntropyLossFlat(),
        metrics=[error_rate, accuracy],
        **options,
    )
    if weights is not None:
        donor = architecture(weights=None)
        donor.load_state_dict(weights, strict=False)
        body = create_body(donor, cut=options["cut"])
        learner.model[0].load_state_dict(body.state_dict())
    learner.freeze()
    return learner


def find_network(network: str):
    """Return torchvision's constructor of a network; `UsageError` where the name is unknown."""
    if network not in NETWORKS:
        raise UsageError(f"Network {network!r} is unknown; use one of {', '.join(NETWORKS)}.")
    return NETWORKS[network]


def load_weights(network: str, weights: str) -> dict[str, torch.Tensor] | None:
    """Load pretrained weights for a network; never fall back to a random start.

    Parameters
    ----------
    network : str
        A name in `NETWORKS`.
    weights : str
        'none' for a random start; 'imagenet' for torchvision's IMAGENET1K_V1 file, looked for
        under TORCH_HOME and downloaded when it is not there; or the path of a state dict
        (.safetensors, or .pth/.pt read without unpickling objects).

    Returns
    -------
    dict of Tensor, or None for 'none'

    Raises
    ------
    DataError
        If the weights cannot be had or do not fit the network.
    """
    architecture = find_network(network)
    if weights == "none":
        return None
    state = _imagenet(network) if weights == "imagenet" else _from_file(Path(weights))
    needed = architecture(weights=None).state_dict()
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


def _imagenet(network: str) -> dict[str, torch.Tensor]:
    file = models.get_model_weights(network).IMAGENET1K_V1
    try:
        state = file.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # no network, a wrong hash, or a file that is no state dict
        name = os.path.basename(file.url)
        folder = os.path.join(torch.hub.get_dir(), "checkpoints")
        raise DataError(
            f"ImageNet weights of {network} could not be had ({_first_line(error)}): download "
            f"{file.url} and put it in {folder} as {name}, or set train.weights to a file's path "
            "or to none."
        ) from error
    return _checked_state(state, Path(file.url).name)


def _from_file(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; set train.weights to imagenet, none or a file.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not a readable state dict ({_first_line(error)}).") from error
    except Exception as error:  # weights_only refuses with pickle.UnpicklingError and its kin
        raise DataError(
            f"{path}: holds more than tensors and is not loaded; save its state_dict() alone, best "
            "as .safetensors."
        ) from error
    return _checked_state(state, path)


def _checked_state(state: object, path: str | os.PathLike) -> dict[str, torch.Tensor]:
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise DataError(f"{path}: not a state dict of tensors; save model.state_dict().")
    return state


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
