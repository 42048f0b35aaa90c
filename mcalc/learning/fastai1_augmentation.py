"""The augmentation of the recipe `fastai1`: v1's get_transforms as batch transforms of fastai v2.

Read from vision/transform.py and vision/image.py of fastai 1.0.61. v1 warps first and multiplies
the warped coordinates by one matrix for symmetry, rotation and zoom; v2 has it the other way
round. Light follows in both. Images are squares.
"""

from collections.abc import Callable
from functools import partial, reduce

import torch
from fastai.vision.augment import (
    AffineCoordTfm,
    Brightness,
    Contrast,
    apply_perspective,
    dihedral_mat,
    find_coeffs,
    rotate_mat,
    setup_aug_tfms,
    zoom_mat,
)

# get_transforms: how often an image is warped, rotated, zoomed; made brighter, given contrast
P_AFFINE = P_LIGHTING = 0.75
CORNERS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))


def get_transforms(
    *, flip: bool, max_rotate: float, max_zoom: float, max_lighting: float, max_warp: float
) -> list:
    """Return the batch transforms that do to images what v1's `get_transforms` does.

    Parameters
    ----------
    flip : bool
        v1's do_flip and flip_vert together: each of the square's eight symmetries is as likely
        (v2 leaves half of the images alone first).
    max_rotate : float
        Degrees, either way.
    max_zoom : float
        Largest magnification, about a point anywhere in the image.
    max_lighting : float
        0 to 1; brightness is a shift, contrast a factor of the logits.
    max_warp : float
        How far each side may grow or shrink, as a share of half the image, the four drawn apart
        (v2 draws two numbers).
    """
    matrices: list[Callable] = []
    if flip:
        matrices.append(partial(dihedral_mat, p=1.0))
    if max_rotate:
        matrices.append(partial(rotate_mat, max_deg=max_rotate, p=P_AFFINE))
    if max_zoom > 1:
        matrices.append(partial(zoom_mat, max_zoom=max_zoom, p=P_AFFINE))
    steps = [SymmetricWarp(max_warp)] if max_warp else []
    steps += [Affine(matrices)] if matrices else []
    transforms = [AffineCoordTfm(coord_fs=steps, align_corners=True)] if steps else []
    if max_lighting:
        light = {"max_lighting": max_lighting, "p": P_LIGHTING}
        transforms += [Brightness(**light), Contrast(**light)]
    return setup_aug_tfms(transforms)


class SymmetricWarp:
    """v1's `symmetric_warp` of sampling coordinates, for a batch.

    Parameters
    ----------
    max_warp : float
    p : float
        Probability that an image is warped at all.
    """

    def __init__(self, max_warp: float, p: float = P_AFFINE) -> None:
        self.max_warp, self.p = max_warp, p

    def before_call(self, images: torch.Tensor) -> None:
        """Draw each image's four magnitudes, shape (images, 4)."""
        drawn = torch.empty(len(images), 4, device=images.device)
        drawn.uniform_(-self.max_warp, self.max_warp)
        apply = torch.empty(len(images), 1, device=images.device).bernoulli_(self.p)
        self.magnitudes = drawn * apply

    def __call__(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Warp coordinates of shape (images, rows, columns, 2), x before y, from -1 to 1."""
        right, left, bottom, top = self.magnitudes.unbind(1)
        corners = torch.tensor(CORNERS, device=self.magnitudes.device)
        shifts = torch.stack(
            [
                torch.stack([-top, -left], dim=1),
                torch.stack([-bottom, left], dim=1),
                torch.stack([top, -right], dim=1),
                torch.stack([bottom, right], dim=1),
            ],
            dim=1,
        )
        coefficients = find_coeffs(corners.expand_as(shifts), corners + shifts)
        return apply_perspective(coordinates, coefficients)


class Affine:
    """v1's product of affine matrices, applied to coordinates.

    Parameters
    ----------
    matrices : list of callable
        Each draws a batch of matrices, shape (images, 3, 3), for a batch of images.
    """

    def __init__(self, matrices: list[Callable]) -> None:
        self.matrices = matrices

    def before_call(self, images: torch.Tensor) -> None:
        """Draw each image's matrix."""
        drawn = [draw(images).as_subclass(torch.Tensor) for draw in self.matrices]
        self.matrix = reduce(torch.matmul, drawn)

    def __call__(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Multiply coordinates of shape (images, rows, columns, 2), x before y, from -1 to 1."""
        turned = coordinates.flatten(1, 2) @ self.matrix[:, :2, :2].transpose(1, 2)
        return (turned + self.matrix[:, None, :2, 2]).view_as(coordinates)
