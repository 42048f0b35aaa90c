"""Networks of other studies that no library has: a depthwise-separable one, and a modified VGG16.

A network is a body, which pretrained weights are for, and a head. Both papers train in Keras; here
their networks are trained as the study's are.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torchvision import models

from mcalc.errors import UsageError
from mcalc.learning.pretrained import torchvision_state

# As many as fastai's head has, so that methods on top of a network read as many features.
HIDDEN_UNITS, DROPOUT = 512, 0.5
STEM_CHANNELS, STAGE_CHANNELS = 32, (64, 128, 256, 512)


class Architecture(NamedTuple):
    """How a network beside the study's is built.

    Attributes
    ----------
    make_body : callable
        Of the images' side in pixels; returns the body with random weights, which gives
        (n, channels, rows, columns) or (n, channels) for (n, 3, side, side).
    make_head : callable
        Of the number of classes and of the recipe; returns the head, whose last layer is linear.
    boundary : str
        What the name of the body's first parameter in the second group of layers begins with. The
        first group is what comes before, the third the head.
    imagenet_state : callable
        Returns the state dict of ImageNet weights, in the body's names and perhaps with more.
    stats : tuple or None
        Mean and deviation of three channels that pretrained weights expect, where they are not
        those that make_batches normalises by; the body itself normalises anew.
    packages : tuple of str
        What the network is built from, beside what every run's card names.
    """

    make_body: Callable[[int], nn.Module]
    make_head: Callable[[int, str], nn.Module]
    boundary: str
    imagenet_state: Callable[[], dict[str, torch.Tensor]]
    stats: tuple[list[float], list[float]] | None = None
    packages: tuple[str, ...] = ()


def make_dscnn(size: int) -> nn.Sequential:
    """Return a depthwise-separable body (after Rehman et al., Sensors 21:4854, 2021).

    A convolution, then four stages of two blocks each: depthwise 3 x 3 and pointwise 1 x 1, both
    followed by batch norm and ReLU. The largest of 2 x 2 pixels is kept between stages, since a
    speck is small and bright. How many stages, blocks and channels there are, 0.54 million weights
    in all, was not taken from the paper.
    """
    widths = (STEM_CHANNELS, *STAGE_CHANNELS)
    layers = OrderedDict(stem=_normed(nn.Conv2d(3, widths[0], 3, 2, padding=1, bias=False)))
    for number, (before, width) in enumerate(zip(widths, STAGE_CHANNELS, strict=False), start=1):
        pool = [nn.MaxPool2d(2, ceil_mode=True)] if number > 1 else []
        blocks = [*_separable(before, width), *_separable(width, width)]
        layers[f"stage{number}"] = nn.Sequential(*pool, *blocks)
    return nn.Sequential(layers)


def make_mvgg16(size: int) -> nn.Sequential:
    """Return VGG16's convolutions (Khamparia et al., Multidim Syst Sign Process 32, 2021).

    With random weights as torchvision draws them, which its own constructor would follow by those
    of a classifier eight times as large.
    """
    features = models.vgg.make_layers(models.vgg.cfgs["D"])
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return nn.Sequential(OrderedDict(features=features))


def make_dense_head(classes: int, recipe: str) -> nn.Sequential:
    """Return global average pooling, a dense layer with batch norm and dropout, and the answer.

    Khamparia et al. and Rehman et al. have such heads; 512 units and half of them dropped are ours.

    Parameters
    ----------
    classes : int
    recipe : str
        Of no effect: this head is the network's own, not fastai's.
    """
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(STAGE_CHANNELS[-1], HIDDEN_UNITS),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(HIDDEN_UNITS),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN_UNITS, classes),
    )


def _refuse_imagenet() -> dict[str, torch.Tensor]:
    raise UsageError(
        "There are no ImageNet weights of dscnn; set train.weights to none or to a file's path."
    )


def _vgg16_state() -> dict[str, torch.Tensor]:
    return torchvision_state("vgg16")


def _separable(before: int, width: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False)
    return [*_normed(depthwise), *_normed(nn.Conv2d(before, width, 1, bias=False))]


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    norm = nn.BatchNorm2d(convolution.out_channels)
    return nn.Sequential(convolution, norm, nn.ReLU(inplace=True))


ARCHITECTURES = {
    "dscnn": Architecture(make_dscnn, make_dense_head, "stage3", _refuse_imagenet),
    # The second group begins where that of the study's VGG16 begins.
    "mvgg16": Architecture(make_mvgg16, make_dense_head, "features.17", _vgg16_state),
}
