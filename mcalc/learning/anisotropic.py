"""An anisotropic 3-D ResNet: slices lie ten pixels apart, so depth has kernels of its own.

Xiao et al. (BioMedical Engineering OnLine 20:71, 2021) build a 3-D ResNet of anisotropic
convolutions, since tomosynthesis resolves much less between slices than within one. Here a
3 x 3 x 3 kernel is a 1 x 3 x 3 one, which sees a slice, and a 3 x 1 x 1 one, which sees a pixel and
its neighbours in depth; the number of slices and that of pixels are reduced by one each.

What the paper's abstract does not say was chosen here so that a CPU trains it: 16 to 128 channels
in four stages of one block each (0.2 million weights), a first convolution of 1 x 5 x 5 that halves
the image, and no pooling behind it, since a speck has two to five pixels there. The slices get
fewer from the second stage on. At the end stand the largest and the mean of each channel, as in
fastai's heads: a speck is small, and a mean over 16 slices would drown it.
"""

import torch
from torch import nn

from mcalc.records import LABELS

STEM_CHANNELS, STAGE_CHANNELS = 16, (16, 32, 64, 128)
DROPOUT = 0.5


class AnisotropicBlock(nn.Module):
    """A residual block: 1 x 3 x 3 within slices, 3 x 1 x 1 across them, and a 1 x 1 x 1 shortcut.

    Parameters
    ----------
    before, width : int
        Channels that come in and go out.
    stride : (depth, side)
        By how much slices, and pixels in both directions, get fewer.
    """

    def __init__(self, before: int, width: int, stride: tuple[int, int]) -> None:
        super().__init__()
        depth, side = stride
        self.within = _convolution(before, width, (1, 3, 3), (1, side, side))
        self.across = _convolution(width, width, (3, 1, 1), (depth, 1, 1))
        is_same = before == width and stride == (1, 1)
        self.shortcut = (
            nn.Identity()
            if is_same
            else _convolution(before, width, (1, 1, 1), (depth, side, side))
        )

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return (n, width, slices, rows, columns) for (n, before, slices, rows, columns)."""
        changed = self.across(torch.relu(self.within(volumes)))
        return torch.relu(changed + self.shortcut(volumes))


class AnisotropicResNet(nn.Module):
    """Scores of `LABELS` for stacks of slices of any number and size.

    No kernel and no pooling has more than one pixel along the slice and across slices at once, and
    none is of a kind whose gradients a GPU adds up in changing order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, STEM_CHANNELS, (1, 5, 5), (1, 2, 2))
        blocks, before = [], STEM_CHANNELS
        for number, width in enumerate(STAGE_CHANNELS):
            stride = (2, 2) if number else (1, 1)
            blocks.append(AnisotropicBlock(before, width, stride))
            before = width
        self.stages = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(DROPOUT)
        self.answer = nn.Linear(2 * before, len(LABELS))

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return scores, (n, labels), for grey levels about 0, (n, 1, slices, rows, columns)."""
        features = self.stages(torch.relu(self.stem(volumes))).flatten(2)
        pooled = torch.cat([features.amax(2), features.mean(2)], dim=1)
        return self.answer(self.dropout(pooled))


def _convolution(
    before: int, width: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> nn.Sequential:
    """Return a convolution over (slices, rows, columns), padded, and batch norm."""
    padding = tuple(side // 2 for side in kernel)
    convolution = nn.Conv3d(before, width, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm3d(width))
