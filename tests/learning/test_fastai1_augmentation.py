"""v1's augmentation: what is drawn how often, and in which order it is applied."""

import numpy as np
import pytest
import torch
from fastai.torch_core import TensorImage
from fastai.vision.augment import AffineCoordTfm, LightingTfm, rotate_mat, zoom_mat

from mcalc.learning.batches import Augmentation
from mcalc.learning.fastai1_augmentation import Affine, SymmetricWarp

NONE = Augmentation(flip=False, max_rotate=0, max_zoom=1, max_lighting=0)
MANY = 4000


def draw(augmentation: Augmentation):
    """Return the affine transform of an augmentation after it has drawn for MANY images."""
    torch.manual_seed(1)
    transform, *_ = augmentation.transforms("fastai1")
    transform.before_call(TensorImage(torch.zeros(MANY, 1, 2, 2)), split_idx=0)
    return transform.coord_fs[0]


def test_nothing_asked_for_is_nothing_done():
    assert NONE.transforms("fastai1") == []


def test_each_symmetry_of_the_square_is_as_likely():
    """In fastai v2 more than half of the images stay as they are."""
    matrices = draw(NONE._replace(flip=True)).matrix[:, :2, :2].flatten(1).round().int()
    _, counts = torch.unique(matrices, dim=0, return_counts=True)
    assert len(counts) == 8
    assert (abs(counts / MANY - 1 / 8) < 0.02).all()


def test_three_quarters_are_rotated_within_the_bound():
    matrices = draw(NONE._replace(max_rotate=30)).matrix
    degrees = torch.rad2deg(torch.atan2(matrices[:, 0, 1], matrices[:, 0, 0]))
    assert abs((degrees != 0).float().mean() - 0.75) < 0.03
    assert 29 < degrees.abs().max() <= 30
    assert abs(degrees.mean()) < 1


def test_three_quarters_are_zoomed_about_a_point_anywhere():
    matrices = draw(NONE._replace(max_zoom=1.5)).matrix
    zoom = 1 / matrices[:, 0, 0]
    zoomed = zoom > 1
    assert abs(zoomed.float().mean() - 0.75) < 0.03
    assert 1.45 < zoom.max() <= 1.5
    centre = matrices[zoomed, :2, 2] / (1 - matrices[zoomed, 0, 0])[:, None]
    assert (centre.abs() <= 1.0001).all()
    assert (centre.std(dim=0) - 2 / 12**0.5).abs().max() < 0.05  # even from -1 to 1


def test_three_quarters_are_warped_by_four_numbers_drawn_apart():
    magnitudes = draw(NONE._replace(max_warp=0.2)).magnitudes
    warped = magnitudes.ne(0).any(dim=1)
    assert abs(warped.float().mean() - 0.75) < 0.03
    assert magnitudes[warped].ne(0).all()
    assert 0.19 < magnitudes.abs().max() <= 0.2
    assert (np.abs(np.corrcoef(magnitudes[warped].T) - np.eye(4)) < 0.06).all()


def test_a_warp_takes_the_shifted_corners_to_the_corners():
    """By vision/transform.py, _symmetric_warp: the left side grows by m[1], the right by m[0]."""
    warp = SymmetricWarp(0.2)
    m = torch.tensor([0.1, -0.15, 0.05, 0.2])
    warp.magnitudes = m[None]
    shifted = [
        [-1 - m[3], -1 - m[1]],
        [-1 - m[2], 1 + m[1]],
        [1 + m[3], -1 - m[0]],
        [1 + m[2], 1 + m[0]],
    ]
    corners = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    found = warp(torch.tensor(shifted).reshape(1, 2, 2, 2)).reshape(4, 2)
    torch.testing.assert_close(found, corners)


def test_coordinates_are_warped_first_and_multiplied_then():
    """The order of vision/image.py: coord transforms have order 4, affine ones 5."""
    warp, affine = SymmetricWarp(0.2, p=1.0), Affine([])
    torch.manual_seed(3)
    image = TensorImage(torch.rand(2, 1, 9, 9))
    turn = rotate_mat(image, max_deg=40, p=1.0)
    zoom = zoom_mat(image, max_zoom=1.4, p=1.0)
    affine.matrices = [lambda _: turn, lambda _: zoom]
    transform = AffineCoordTfm(coord_fs=[warp, affine], align_corners=True)
    found = transform(image, split_idx=0)
    axis = torch.linspace(-1, 1, 9)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], dim=-1).expand(2, 9, 9, 2)
    matrix = (turn @ zoom).as_subclass(torch.Tensor)
    wanted = torch.stack(
        [warped @ m[:2, :2].T + m[:2, 2] for warped, m in zip(warp(grid), matrix, strict=True)]
    )
    sampled = torch.nn.functional.grid_sample(
        image.as_subclass(torch.Tensor), wanted, padding_mode="reflection", align_corners=True
    )
    torch.testing.assert_close(found.as_subclass(torch.Tensor), sampled, rtol=0, atol=1e-5)
    other = transform.coord_fs[0](affine(grid))
    assert (other - wanted).abs().max() > 0.01


def test_light_follows_and_validation_images_are_left_alone():
    transforms = Augmentation(max_warp=0.2).transforms("fastai1")
    assert isinstance(transforms[0], AffineCoordTfm)
    assert isinstance(transforms[1], LightingTfm)
    assert len(transforms[1].fs) == 2
    image = TensorImage(torch.rand(3, 1, 8, 8))
    seen = image.clone()
    for transform in transforms:
        seen = transform(seen, split_idx=1)
    torch.testing.assert_close(seen, image, rtol=0, atol=1e-5)


@pytest.mark.parametrize("recipe", ["fastai1", "fastai2"])
def test_every_field_of_the_augmentation_counts(recipe):
    """Each alone changes an image."""
    image = TensorImage(torch.rand(8, 3, 16, 16))
    for change in ({"flip": True}, {"max_rotate": 20}, {"max_zoom": 2}, {"max_lighting": 0.5}):
        torch.manual_seed(1)
        seen = image.clone()
        for transform in NONE._replace(**change).transforms(recipe):
            seen = transform(seen, split_idx=0)
        assert (seen - image).abs().max() > 0.05, change
