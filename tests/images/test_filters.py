"""The noise filters by name, their parsing, and the choice that a stage hands on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import mean_squared_error as skimage_mse
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mcalc.errors import DataError, UsageError
from mcalc.images.filters import Filter, read_choice
from mcalc.images.quality import (
    contrast_retention,
    mean_squared_error,
    peak_signal_to_noise_ratio,
    structural_similarity_index,
)

REPOSITORY = Path(__file__).parents[2]


def windows_of(image: np.ndarray, side: int) -> np.ndarray:
    """Return each pixel's window, (rows, columns, side * side), the border repeated."""
    half = side // 2
    rows = np.arange(-half, half + 1)
    lines = np.clip(np.arange(image.shape[0])[:, None] + rows, 0, image.shape[0] - 1)
    posts = np.clip(np.arange(image.shape[1])[:, None] + rows, 0, image.shape[1] - 1)
    return image[lines[:, None, :, None], posts[None, :, None, :]].reshape(*image.shape, -1)


def noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# --- parsing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["gauss:3", "", ":3", "Median:3", "adaptive-median:3", " mean:3"])
def test_an_unknown_filter_is_named_with_those_there_are(text):
    with pytest.raises(UsageError, match="is unknown; use one of adaptive_median, median, mean"):
        Filter.parse(text)


@pytest.mark.parametrize(
    "window", ["", "0", "2", "4", "-3", "33", "3.0", "3:3", "three", "+3", " 3", "²", "1e1"]
)
def test_a_window_that_is_not_odd_from_1_to_31_is_refused_with_the_way_out(window):
    """Whatever stands for the window, the user reads which numbers are allowed."""
    with pytest.raises(UsageError, match=r"odd number from 1 to 31, as in median:3"):
        Filter.parse(f"median:{window}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("adaptive_median:7", ("adaptive_median", 7)), ("median:31", ("median", 31))]
    + [("mean:1", ("mean", 1))],
)
def test_a_filter_is_read_from_name_and_window(text, expected):
    assert Filter.parse(text) == expected


# --- filters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 3, 5, 7, 11])
@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (7, 1), (5, 5), (9, 14)])
def test_median_repeats_the_border(shape, side):
    image = noise(shape, 2)
    expected = np.median(windows_of(image, side), axis=2).astype(np.uint8)
    np.testing.assert_array_equal(Filter("median", side)(image), expected)


@pytest.mark.parametrize("side", [1, 3, 5, 7, 11])
@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (7, 1), (5, 5), (9, 14)])
def test_mean_repeats_the_border_and_rounds_to_the_nearest(shape, side):
    """An odd number of pixels never leaves a half, so rounding is the same everywhere."""
    image = noise(shape, 3)
    total = windows_of(image, side).sum(axis=2, dtype=np.int64)
    expected = (2 * total + side * side) // (2 * side * side)
    np.testing.assert_array_equal(Filter("mean", side)(image), expected)


def test_adaptive_median_is_the_one_of_the_extension():
    """An impulse on a gradient goes; pixels that are no extreme of their window stay."""
    image = np.add.outer(np.arange(9) * 7, np.arange(9) * 3).astype(np.uint8)
    noisy = image.copy()
    noisy[4, 4] = 255
    filtered = Filter("adaptive_median", 7)(noisy)
    assert abs(int(filtered[4, 4]) - int(image[4, 4])) <= 10
    assert (filtered[1:-1, 1:-1] == noisy[1:-1, 1:-1]).sum() == 48


@pytest.mark.parametrize("name", ["adaptive_median", "median", "mean"])
def test_a_filter_leaves_its_input_alone_and_keeps_size_and_type(name):
    image = noise((12, 9), 4)
    before = image.copy()
    filtered = Filter(name, 3)(image)
    assert (filtered.shape, filtered.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(image, before)


def test_an_extension_older_than_its_sources_is_refused(tmp_path):
    """With other sources beside the package the command says how to build them, exit code 2."""
    shutil.copytree(REPOSITORY / "mcalc", tmp_path / "mcalc")
    shutil.copytree(REPOSITORY / "csrc", tmp_path / "csrc")
    script = "from mcalc.cli import main; main()"
    command = [sys.executable, "-c", script, "enhance", "in", "--choice", "c", "--enhanced", "out"]

    def enhance():
        environment = {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert enhance().returncode == 3, "the copy itself works as far as the missing choice"
    with open(tmp_path / "csrc/otsu.cpp", "a", encoding="utf-8") as file:
        file.write("// changed\n")
    refused = enhance()
    assert refused.returncode == 2
    assert "pip install -e ." in refused.stderr
    assert "Traceback" not in refused.stderr


# --- the choice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", "{}", '{"filter": "none"}', '{"window": 3}']
    + ['{"filter": "gauss", "window": 3}', '{"filter": "median", "window": 4}']
    + ['{"filter": "median", "window": "3"}', '{"filter": null, "window": 3}'],
)
def test_a_choice_that_is_none_names_the_file_and_the_stage(tmp_path, text):
    """A file that holds no known filter with an odd window is refused, never guessed at."""
    path = tmp_path / "choice.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"choice\.json.*choose-filter"):
        read_choice(path)


def test_a_missing_choice_names_the_file_and_the_stage(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json.*choose-filter"):
        read_choice(tmp_path / "nowhere.json")


def test_a_choice_is_read_back(tmp_path):
    path = tmp_path / "choice.json"
    path.write_text(json.dumps({"filter": "median", "window": 5, "mean": {}}))
    assert read_choice(path) == Filter("median", 5)
    path.write_text(json.dumps({"filter": "none", "window": 1}))
    assert read_choice(path) is None


# --- quality ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mse", "psnr"), [(3.7536, 42.3863), (11.3233, 37.5911), (13.1213, 36.9511)]
)
def test_psnr_reproduces_the_pairs_that_the_study_prints(mse, psnr):
    """Table 4's mean squared errors and decibels belong together at 8 bits."""
    assert peak_signal_to_noise_ratio(mse) == pytest.approx(psnr, abs=2e-4)


@pytest.mark.parametrize("seed", range(4))
def test_error_and_similarity_agree_with_scikit_image(seed):
    generator = np.random.default_rng(seed)
    reference = noise((40, 50), seed)
    image = np.clip(reference + generator.normal(0, 20, reference.shape), 0, 255).astype(np.uint8)
    mse = mean_squared_error(reference, image)
    assert mse == pytest.approx(skimage_mse(reference, image), rel=1e-12)
    assert peak_signal_to_noise_ratio(mse) == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=255), rel=1e-12
    )
    expected = structural_similarity(reference, image, win_size=7, data_range=255)
    assert structural_similarity_index(reference, image) == pytest.approx(expected, rel=1e-12)


def test_equal_images_have_no_error_infinite_psnr_and_similarity_one():
    image = noise((20, 20), 1)
    assert mean_squared_error(image, image.copy()) == 0
    assert peak_signal_to_noise_ratio(0.0) == float("inf")
    assert structural_similarity_index(image, image.copy()) == 1


def test_scores_of_16_bits_are_those_of_8_bits_where_the_images_are_the_same():
    """Table 4 has one unit: a level of 8 bits, which is 257 of 16."""
    reference, image = noise((40, 50), 1), noise((40, 50), 2)
    wide = [eight * np.uint16(257) for eight in (reference, image)]
    for score in (mean_squared_error, structural_similarity_index, contrast_retention):
        assert score(*wide) == pytest.approx(score(reference, image), rel=1e-12), score.__name__


def test_an_error_below_one_level_of_8_bits_is_seen_in_16():
    image = np.full((8, 8), 30000, np.uint16)
    assert mean_squared_error(image, image + np.uint16(64)) == pytest.approx((64 / 257) ** 2)


@pytest.mark.parametrize("name", ["adaptive_median", "median", "mean"])
@pytest.mark.parametrize("window", [3, 11])
def test_each_filter_keeps_the_levels_of_16_bits(name, window):
    """One step of one level, which 8 bits do not have, is neither lost nor moved."""
    step = np.full((40, 40), 40000, np.uint16)
    step[:, 20:] += 1
    filtered = Filter(name, window)(step)
    assert filtered.dtype == np.uint16
    np.testing.assert_array_equal(filtered, step)


def test_error_does_not_wrap_around():
    """The difference of uint8 pixels is taken in real numbers, either way round."""
    black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    assert mean_squared_error(black, white) == mean_squared_error(white, black) == 255**2


def speckled(specks: bool = True) -> np.ndarray:
    """Return a smooth ground of 60 to 120 with, or without, a hundred single bright pixels."""
    ramp = np.tile(np.linspace(60, 120, 100), (100, 1)).astype(np.uint8)
    if specks:
        ramp[4::10, 4::10] = 250
    return ramp


def test_contrast_retention_is_one_for_the_image_itself():
    assert contrast_retention(speckled(), speckled()) == 1


def test_contrast_retention_is_near_zero_where_the_specks_are_gone():
    assert contrast_retention(speckled(), speckled(specks=False)) < 0.05
    assert contrast_retention(speckled(), Filter("median", 3)(speckled())) < 0.05


def test_contrast_retention_follows_the_specks_height():
    """Specks half as high over the same ground keep half of their contrast."""
    ground = np.full((100, 100), 50, np.uint8)
    whole, half = ground.copy(), ground.copy()
    whole[4::10, 4::10], half[4::10, 4::10] = 250, 150
    assert contrast_retention(whole, half) == pytest.approx(0.5, abs=1e-9)
    assert contrast_retention(half, whole) == pytest.approx(2, abs=1e-9)


def test_contrast_retention_does_not_see_a_change_of_brightness():
    assert contrast_retention(speckled() - 5, speckled()) == pytest.approx(1, abs=0.02)


def test_contrast_retention_without_any_contrast_is_one():
    flat = np.full((30, 30), 9, np.uint8)
    assert contrast_retention(flat, flat) == 1
