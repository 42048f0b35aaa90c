"""From a split's rows to batches: turned, labelled, normalised, and validation left alone."""

import numpy as np
import pandas as pd
import pytest
import torch

from mcalc.errors import DataError
from mcalc.images.stack import Stack
from mcalc.learning.batches import Augmentation, images_hash, make_batches

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
NO_AUGMENTATION = Augmentation(flip=False, max_rotate=0, max_zoom=1, max_lighting=0)
MUCH_AUGMENTATION = Augmentation(flip=True, max_rotate=90, max_zoom=2, max_lighting=0.9)


def draw_images(many: int = 6, size: int = 16) -> dict[str, np.ndarray]:
    return {
        f"roi{n}": np.random.default_rng(n).integers(0, 256, (size, size)).astype(np.uint8)
        for n in range(many)
    }


def as_stack(images: dict[str, np.ndarray]) -> Stack:
    return Stack(np.stack(list(images.values())), list(images))


def draw_rows(many: int = 6) -> pd.DataFrame:
    """Return four turns a ROI; every third image validates; the labels do not alternate simply."""
    rows = [
        {
            "image_id": f"roi{number}_r{turns}",
            "roi_id": f"roi{number}",
            "patient_id": f"P_{number}",
            "quarter_turns": turns,
            "label": "malignant" if number in (0, 3, 4) else "benign",
            "fold": 0,
        }
        for number in range(many)
        for turns in range(4)
    ]
    table = pd.DataFrame(rows)
    table["subset"] = np.where(np.arange(len(table)) % 3 == 1, "valid", "train")
    return table


def batches(rows=None, augmentation=NO_AUGMENTATION, batch_size: int = 5, seed: int = 1):
    torch.manual_seed(seed)
    return make_batches(
        draw_rows() if rows is None else rows,
        as_stack(draw_images()),
        batch_size=batch_size,
        augmentation=augmentation,
        device=torch.device("cpu"),
    )


def expected_tensor(row: dict) -> torch.Tensor:
    """Return what the network sees of a row: turned by hand, three channels, ImageNet's scale."""
    image = draw_images()[row["roi_id"]].tolist()
    for _ in range(row["quarter_turns"]):  # a quarter turn counter-clockwise
        image = [list(column) for column in zip(*image, strict=True)][::-1]
    grey = torch.tensor(image, dtype=torch.float32) / 255
    return (grey.expand(3, -1, -1) - MEAN) / DEVIATION


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [17, 1000])
def test_a_batch_larger_than_the_training_set_is_refused_with_both_numbers(batch_size):
    pattern = rf"Batch size {batch_size} is larger than the 16 training images; lower batch_size"
    with pytest.raises(DataError, match=pattern):
        batches(batch_size=batch_size)


def test_a_batch_of_all_training_images_is_allowed():
    assert len(batches(batch_size=16).train) == 1


# --- what is loaded -----------------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, Augmentation(), MUCH_AUGMENTATION])
def test_validation_images_are_turned_and_normalised_and_nothing_else(augmentation):
    """In the order of the rows, to the last digits, however strong the augmentation."""
    rows = draw_rows()
    wanted = rows[rows["subset"] == "valid"].to_dict("records")
    seen = [x for images, _ in batches(rows, augmentation).valid for x in images]
    assert len(seen) == len(wanted) == 8
    for image, row in zip(seen, wanted, strict=True):
        torch.testing.assert_close(
            torch.Tensor(image), expected_tensor(row), atol=1e-5, rtol=0, msg=row["image_id"]
        )


def test_labels_are_numbered_benign_then_malignant_in_the_order_of_the_rows():
    rows = draw_rows()
    loaders = batches(rows)
    assert list(loaders.vocab) == ["benign", "malignant"]
    numbers = [int(label) for _, labels in loaders.valid for label in labels]
    wanted = rows[rows["subset"] == "valid"]["label"]
    assert numbers == [["benign", "malignant"].index(label) for label in wanted]


def test_the_numbering_does_not_depend_on_which_label_comes_first():
    rows = draw_rows()[::-1].reset_index(drop=True)
    loaders = batches(rows)
    assert list(loaders.vocab) == ["benign", "malignant"]


def test_a_validation_set_of_one_class_keeps_the_numbering():
    rows = draw_rows()
    rows["subset"] = np.where(rows["roi_id"] == "roi3", "valid", "train")
    loaders = batches(rows)
    assert [int(label) for _, labels in loaders.valid for label in labels] == [1, 1, 1, 1]


def test_an_epoch_trains_on_each_training_image_once_but_for_the_last_short_batch():
    """Sixteen images in batches of five: three batches of fifteen different images."""
    rows = draw_rows()
    wanted = [
        (expected_tensor(row), row) for row in rows[rows["subset"] == "train"].to_dict("records")
    ]
    found = []
    for images, labels in batches(rows, batch_size=5).train:
        assert len(images) == 5
        for image, label in zip(images, labels, strict=True):
            distances = [float((torch.Tensor(image) - tensor).abs().max()) for tensor, _ in wanted]
            nearest = int(np.argmin(distances))
            assert distances[nearest] < 1e-5
            assert ["benign", "malignant"][int(label)] == wanted[nearest][1]["label"]
            found.append(wanted[nearest][1]["image_id"])
    assert len(found) == len(set(found)) == 15


def test_augmentation_changes_training_images():
    rows = draw_rows()
    plain = {tuple(expected_tensor(row).ravel()[:50].tolist()) for row in rows.to_dict("records")}
    for images, _ in batches(rows, MUCH_AUGMENTATION).train:
        for image in images:
            first = torch.Tensor(image).ravel()[:50]
            assert min(float((first - torch.tensor(p)).abs().max()) for p in plain) > 1e-3


def test_the_same_seed_gives_the_same_training_batches_and_another_others():
    from fastai.torch_core import set_seed

    def first(seed: int) -> torch.Tensor:
        set_seed(seed, reproducible=True)
        loaders = make_batches(
            draw_rows(),
            as_stack(draw_images()),
            batch_size=5,
            augmentation=Augmentation(),
            device=torch.device("cpu"),
        )
        return torch.cat([torch.Tensor(images) for images, _ in loaders.train])

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_the_hash_stands_for_the_rows_and_the_pixels():
    rows, images = draw_rows(), draw_images()
    first = images_hash(rows, as_stack(images))
    assert len(first) == 12
    assert images_hash(rows.copy(), as_stack(dict(reversed(images.items())))) == first
    changed = {name: image.copy() for name, image in images.items()}
    changed["roi2"][3, 3] ^= 1
    assert images_hash(rows, as_stack(changed)) != first
    other = rows.copy()
    other.loc[0, "subset"] = "valid"
    assert images_hash(other, as_stack(images)) != first


def test_taking_batches_leaves_the_stack_as_it_is():
    images = as_stack(draw_images())
    before = images.pixels.copy()
    for subset in make_batches(
        draw_rows(),
        images,
        batch_size=5,
        augmentation=MUCH_AUGMENTATION,
        device=torch.device("cpu"),
    ):
        list(subset)
    np.testing.assert_array_equal(images.pixels, before)
