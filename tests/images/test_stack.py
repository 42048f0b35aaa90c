"""The images of all shards in one file: every pixel, in known order, or refused in one sentence."""

import cv2
import numpy as np
import pytest

from mcalc.errors import DataError
from mcalc.images.stack import read_stack, stack_images


def draw(number: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (size, size)).astype(np.uint8)


@pytest.fixture
def shards(tmp_path):
    """Five ROIs in two shards, neither in the order of their ids."""
    for shard, numbers in (("0", (4, 0)), ("1", (3, 1, 2))):
        (tmp_path / shard).mkdir()
        for number in numbers:
            cv2.imwrite(str(tmp_path / shard / f"roi{number}.png"), draw(number))
    return [tmp_path / "0", tmp_path / "1"]


@pytest.fixture
def stack(shards, tmp_path):
    stack_images(shards, stack=tmp_path / "stacked.npy")
    return tmp_path / "stacked.npy"


@pytest.mark.parametrize("threads", [1, 3])
def test_every_pixel_comes_back_under_its_roi(shards, tmp_path, threads):
    said = stack_images(shards, stack=tmp_path / "stacked.npy", threads=threads)
    assert said == f"{tmp_path}/stacked.npy: 5 images of 16 x 16"
    images = read_stack(tmp_path / "stacked.npy", [f"roi{number}" for number in range(5)])
    assert list(images) == [f"roi{number}" for number in range(5)]
    for number in range(5):
        np.testing.assert_array_equal(images[f"roi{number}"], draw(number))


def test_it_is_an_ordinary_npy_file_in_the_order_of_its_table(stack):
    pixels = np.load(stack)
    assert (pixels.shape, pixels.dtype) == ((5, 16, 16), np.uint8)
    assert stack.with_suffix(".csv").read_text().split() == [
        "roi_id",
        *(f"roi{number}" for number in range(5)),
    ]
    np.testing.assert_array_equal(pixels[3], draw(3))


def test_only_the_wanted_images_are_there_once_each(stack):
    images = read_stack(stack, ["roi3", "roi0", "roi3"])
    assert (list(images), len(images)) == (["roi0", "roi3"], 2)
    np.testing.assert_array_equal(images["roi3"], draw(3))
    with pytest.raises(KeyError):
        images["roi1"]


def test_writing_to_an_image_leaves_the_file_alone(stack):
    before = stack.read_bytes()
    read_stack(stack, ["roi1"])["roi1"][:] = 0
    assert stack.read_bytes() == before


def test_the_same_images_give_the_same_bytes_in_whatever_shards(shards, stack, tmp_path):
    stack_images(shards[::-1], stack=tmp_path / "again.npy", threads=2)
    assert (tmp_path / "again.npy").read_bytes() == stack.read_bytes()


# --- refusals -----------------------------------------------------------------------------------


def test_missing_images_are_counted_with_an_example_and_the_stage(stack):
    with pytest.raises(DataError, match=r"2 images .* such as roi7; run stack again"):
        read_stack(stack, ["roi0", "roi9", "roi7", "roi9"])


def test_a_missing_folder_is_named(shards, tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        stack_images([*shards, tmp_path / "nowhere"], stack=tmp_path / "s.npy")
    assert not (tmp_path / "s.npy").exists()


def test_folders_without_images_are_named(tmp_path):
    (tmp_path / "0").mkdir()
    with pytest.raises(DataError, match="0: no images; run enhance again"):
        stack_images([tmp_path / "0"], stack=tmp_path / "s.npy")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b"x"), r"roi1\.png: not a readable grey PNG"),
        (
            lambda path: cv2.imwrite(str(path), np.full((16, 16), 30000, np.uint16)),
            r"roi1\.png: an image of 16 bits.*enhance",
        ),
        (lambda path: cv2.imwrite(str(path), draw(1, 20)), r"roi1\.png: 20 x 20 pixels, where"),
    ],
    ids=["broken", "16 bits", "another size"],
)
def test_an_image_that_does_not_fit_is_named_and_nothing_is_written(shards, tmp_path, write, said):
    write(shards[1] / "roi1.png")
    with pytest.raises(DataError, match=said):
        stack_images(shards, stack=tmp_path / "s.npy", threads=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_a_roi_in_two_shards_is_named(shards, tmp_path):
    cv2.imwrite(str(shards[0] / "roi1.png"), draw(1))
    with pytest.raises(DataError, match=r"roi1\.png and .*roi1\.png: one ROI in two shards"):
        stack_images(shards, stack=tmp_path / "s.npy")


@pytest.mark.parametrize(
    "damage",
    [
        lambda stack: stack.write_bytes(stack.read_bytes()[:-100]),
        lambda stack: stack.write_bytes(b""),
        lambda stack: stack.write_bytes(b"no stack"),
        lambda stack: np.save(stack, np.array([{"a": 1}], dtype=object)),
        lambda stack: stack.unlink(),
    ],
    ids=["cut", "empty", "other", "pickle", "missing"],
)
def test_a_damaged_file_is_named_and_never_unpickled(stack, damage):
    damage(stack)
    with pytest.raises(DataError, match=r"stacked\.npy: not a stack of images; run stack again"):
        read_stack(stack, ["roi0"])


def test_a_file_that_belongs_to_another_table_is_named(stack):
    np.save(stack, np.zeros((4, 16, 16), np.uint8))
    with pytest.raises(DataError, match=r"not the images that .*stacked\.csv names"):
        read_stack(stack, ["roi0"])
