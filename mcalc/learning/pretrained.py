"""State dicts of pretrained networks: from torchvision's files, or from a file of the user's."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchvision import models

from mcalc.errors import DataError


def torchvision_state(network: str) -> dict[str, torch.Tensor]:
    """Return torchvision's IMAGENET1K_V1 state dict of a network of torchvision's.

    It is looked for under TORCH_HOME and downloaded when it is not there.

    Raises
    ------
    DataError
        If it cannot be had, or the file is not whole.
    """
    file = models.get_model_weights(network).IMAGENET1K_V1
    try:
        state = file.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # no network, a wrong hash, or a file that is no state dict
        name = os.path.basename(file.url)
        folder = os.path.join(torch.hub.get_dir(), "checkpoints")
        raise DataError(
            f"ImageNet weights of {network} could not be had ({first_line(error)}): download "
            f"{file.url} and put it in {folder} as {name}, or set train.weights to a file's path "
            "or to none."
        ) from error
    return _checked_state(state, Path(file.url).name)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict: .safetensors, or .pth/.pt without unpickling objects.

    Raises
    ------
    DataError
        If there is no such file, or it holds anything but a state dict.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; set train.weights to imagenet, none or a file.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not a readable state dict ({first_line(error)}).") from error
    except Exception as error:  # weights_only refuses with pickle.UnpicklingError and its kin
        raise DataError(
            f"{path}: holds more than tensors and is not loaded; save its state_dict() alone, best "
            "as .safetensors."
        ) from error
    return _checked_state(state, path)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _checked_state(state: object, path: str | os.PathLike) -> dict[str, torch.Tensor]:
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise DataError(f"{path}: not a state dict of tensors; save model.state_dict().")
    return state
