"""The filters against references and libraries, on all paths that this machine can run."""

import os
import subprocess
import sys
from itertools import combinations_with_replacement, product

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import filters as skimage_filters

from mcalc import _native
from mcalc.images.filters import adaptive_median, median, otsu_threshold

PATHS = _native.instruction_paths()
CONTENTS = ("noise", "two_values", "few_levels", "mostly_black", "impulses", "stairs", "patches")


@pytest.fixture(params=PATHS)
def path(request, monkeypatch) -> str:
    """Each path in turn, forced as a user would force it."""
    monkeypatch.setenv("MCALC_INSTRUCTIONS", request.param)
    return request.param


def reference_adaptive_median(image: np.ndarray, max_window: int) -> np.ndarray:
    """Gonzalez & Woods, 3rd ed., 5.3.3: all windows sorted, the undecided pixels one size on."""
    filtered = image.copy()
    undecided = np.ones(image.shape, bool)
    for side in range(3, max_window + 1, 2):
        padded = np.pad(image, side // 2, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[undecided]
        ordered = np.sort(windows.reshape(len(windows), -1), axis=1)
        smallest, middle, largest = ordered[:, 0], ordered[:, side * side // 2], ordered[:, -1]
        pixels = image[undecided]
        passes = (smallest < middle) & (middle < largest)
        kept = passes & (smallest < pixels) & (pixels < largest)
        filtered[undecided] = np.where(kept, pixels, middle)
        undecided[undecided] = ~passes
        if not undecided.any():
            break
    return filtered


def draw(content: str, shape: tuple[int, int], dtype, generator: np.random.Generator) -> np.ndarray:
    """Draw a test image of a kind named in CONTENTS."""
    top = int(np.iinfo(dtype).max)
    rows, columns = shape
    level = int(generator.integers(0, top + 1))
    if content == "noise":
        image = generator.integers(0, top + 1, shape)
    elif content == "two_values":
        image = generator.choice([level, top - level], shape)
    elif content == "few_levels":
        image = level // 2 + generator.integers(0, 4, shape)
    elif content == "mostly_black":
        image = np.where(generator.random(shape) < 0.15, generator.integers(0, top + 1, shape), 0)
    elif content == "stairs":
        image = (np.arange(rows)[:, None] // 5 + np.arange(columns) // 7) * 9 % (top + 1)
    elif content == "patches":  # flat ground of several values with a few specks
        patches = generator.integers(0, top + 1, (rows // 24 + 1, columns // 40 + 1))
        image = np.kron(patches, np.ones((24, 40), int))[:rows, :columns]
        image = np.where(generator.random(shape) < 0.02, level, image)
    else:  # impulses on a textured slope
        slope = np.add.outer(np.arange(rows) * 5, np.arange(columns) * 3)
        image = (slope + generator.integers(0, 9, shape)) % (top + 1)
        salted = generator.random(shape)
        image = np.where(salted < 0.1, 0, np.where(salted > 0.9, top, image))
    return image.astype(dtype)


def compare(generator: np.random.Generator, shape: tuple[int, int], window: int) -> None:
    """Compare all paths with the reference on a drawn image that lies in memory in a drawn way."""
    dtype = generator.choice([np.uint8, np.uint16])
    content = generator.choice(CONTENTS)
    row_step, column_step = generator.choice([1, 1, 2, -1, -3], 2)
    base = draw(content, (shape[0] * abs(row_step), shape[1] * abs(column_step)), dtype, generator)
    image = base[::row_step, ::column_step]
    expected = reference_adaptive_median(image, window)
    threads = int(generator.integers(1, 4))
    for name in PATHS:
        os.environ["MCALC_INSTRUCTIONS"] = name
        filtered = adaptive_median(image, window, threads=threads)
        assert np.array_equal(filtered, expected), (
            f"{name}: {content} {image.shape} {image.dtype} strides {image.strides} "
            f"max_window {window} differs at {np.argwhere(filtered != expected)[:5].tolist()}"
        )


def draw_shape(generator: np.random.Generator, largest: int) -> tuple[int, int]:
    """Draw a shape, small ones more often than large ones."""
    return tuple(int(largest ** generator.random()) for _ in range(2))


# --- adaptive median ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_adaptive_median_equals_the_reference(seed, monkeypatch):
    monkeypatch.setenv("MCALC_INSTRUCTIONS", "")
    generator = np.random.default_rng(seed)
    for _ in range(60):
        compare(generator, draw_shape(generator, 90), int(generator.choice([3, 5, 7, 9, 13])))


@pytest.mark.parametrize("window", range(3, 33, 2))
def test_adaptive_median_equals_the_reference_in_every_window(window, monkeypatch):
    monkeypatch.setenv("MCALC_INSTRUCTIONS", "")
    generator = np.random.default_rng(window)
    for _ in range(8):
        compare(generator, draw_shape(generator, 40), window)


@given(
    st.integers(1, 150), st.integers(1, 150), st.sampled_from([3, 5, 7, 9, 11]), st.integers(0, 99)
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_adaptive_median_equals_the_reference_in_shapes_that_hypothesis_finds(
    rows, columns, window, seed
):
    """A shape that fails is shrunk to the smallest that does."""
    before = os.environ.get("MCALC_INSTRUCTIONS")
    try:
        compare(np.random.default_rng(seed), (rows, columns), window)
    finally:
        os.environ.pop("MCALC_INSTRUCTIONS")
        if before is not None:
            os.environ["MCALC_INSTRUCTIONS"] = before


@pytest.mark.slow
def test_adaptive_median_equals_the_reference_on_ten_thousand_images(monkeypatch):
    monkeypatch.setenv("MCALC_INSTRUCTIONS", "")
    generator = np.random.default_rng(2022)
    for number in range(10_000):
        largest = 300 if number % 50 == 0 else 60
        windows = [3, 5, 7, 9, 15] if largest == 300 else [*range(3, 33, 2), 3, 5, 7, 7, 9]
        compare(generator, draw_shape(generator, largest), int(generator.choice(windows)))


def test_a_block_of_flat_ground_that_changes_its_value_from_row_to_row(path):
    """What is remembered of a block's flat ground from the row above is looked at again."""
    image = np.repeat(np.array([0, 0, 0, 9, 9, 9, 9, 0, 7, 7, 7, 7, 7, 255, 0], np.uint8), 4)
    image = np.tile(image[:, None], 200)
    image[::7, ::31] = 255
    for window in (5, 7, 9, 15):
        expected = reference_adaptive_median(image, window)
        np.testing.assert_array_equal(adaptive_median(image, window), expected)


# --- median -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", CONTENTS)
def test_median_equals_opencv_where_opencv_has_it(content, path):
    generator = np.random.default_rng(11)
    for shape in ((1, 1), (1, 70), (70, 1), (7, 5), (64, 64), (33, 129), (120, 200)):
        for dtype, windows in ((np.uint8, range(3, 17, 2)), (np.uint16, (3, 5))):
            image = draw(content, shape, dtype, generator)
            for window in windows:
                expected = cv2.medianBlur(image, window)
                np.testing.assert_array_equal(_native.median(image, window), expected)
                np.testing.assert_array_equal(median(image, window), expected)


@pytest.mark.parametrize("window", [7, 9, 11, 21, 31])
def test_median_of_16_bits_equals_scipy(window, path):
    generator = np.random.default_rng(window)
    for content in CONTENTS:
        image = draw(content, (40, 75), np.uint16, generator)
        expected = ndimage.median_filter(image, window, mode="nearest")
        np.testing.assert_array_equal(median(image, window), expected)


def zero_one_windows(side: int) -> np.ndarray:
    """Windows of zeros and ones that stand for all: how many ones each row holds decides.

    A sorting network is right for all values if it is right for zeros and ones (Knuth, 5.3.4). The
    windows are first sorted along their rows, so 9 x 9 ones differ but for the rows' order by
    nothing else; for smaller windows all orders are there, too.
    """
    if side < 9:
        counts = np.array(list(product(range(side + 1), repeat=side)), np.uint8)
    else:
        counts = np.array(list(combinations_with_replacement(range(side + 1), side)), np.uint8)
        counts = np.random.default_rng(0).permuted(counts, axis=1)
    return (np.arange(side, dtype=np.uint8) < counts[:, :, None]).astype(np.uint8)


@pytest.mark.parametrize(
    "side", [3, 5, pytest.param(7, marks=pytest.mark.slow), 9], ids=lambda side: f"{side}x{side}"
)
def test_the_networks_are_right_by_the_zero_one_principle(side, path):
    """All windows of zeros and ones, up to what sorting their rows makes equal."""
    windows = zero_one_windows(side)
    image = windows.reshape(-1, side)  # one above the other: each centre sees its own window
    expected = windows.reshape(len(windows), -1).sum(axis=1) > side * side // 2
    centres = _native.median(image, side)[side // 2 :: side, side // 2]
    np.testing.assert_array_equal(centres, expected)


@pytest.mark.parametrize("side", [3, 5, 7, 9])
def test_rows_are_sorted_right_by_the_zero_one_principle(side, path):
    """All rows of zeros and ones, repeated to a window of equal rows."""
    rows = (np.arange(2**side)[:, None] >> np.arange(side) & 1).astype(np.uint16) * 40000
    image = np.repeat(rows, side, axis=0)
    expected = np.where((rows > 0).sum(axis=1) > side // 2, 40000, 0)
    centres = _native.median(image, side)[side // 2 :: side, side // 2]
    np.testing.assert_array_equal(centres, expected)


# --- stacks, threads, paths ---------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "shape",
    [(0, 5, 5), (1, 7, 9), (40, 60, 70), (5, 224, 224), (700, 500), (2, 900, 300), (3, 260, 1100)],
)
def test_stacks_and_threads_give_what_single_images_give(shape, threads):
    stack = np.random.default_rng(1).integers(0, 5, shape).astype(np.uint8) * 50
    images = stack if stack.ndim == 3 else [stack]
    for work in (lambda x, n=1: adaptive_median(x, 7, threads=n),
                 lambda x, n=1: median(x, 7, threads=n), lambda x, n=1: median(x, 3, threads=n),
                 lambda x, n=1: median(x, 11, threads=n)):  # fmt: skip
        expected = np.array([work(image) for image in images], np.uint8).reshape(shape)
        filtered = work(stack, threads)
        assert filtered.shape == shape
        assert filtered.dtype == np.uint8
        np.testing.assert_array_equal(filtered, expected)


def test_a_stack_may_lie_in_memory_in_any_way():
    stack = np.random.default_rng(2).integers(0, 65536, (9, 30, 12)).astype(np.uint16)
    for view in (
        stack.transpose(2, 0, 1),
        stack[::-2, ::3],
        np.broadcast_to(stack[0], (4, 30, 12)),
    ):
        expected = [adaptive_median(np.ascontiguousarray(image), 5) for image in view]
        np.testing.assert_array_equal(adaptive_median(view, 5, threads=2), expected)
        np.testing.assert_array_equal(median(view, 3, threads=2), median(view.copy(), 3))


def test_an_unknown_path_is_named_with_those_there_are(monkeypatch):
    monkeypatch.setenv("MCALC_INSTRUCTIONS", "abacus")
    with pytest.raises(ValueError, match=r"MCALC_INSTRUCTIONS is 'abacus'.*baseline, scalar"):
        adaptive_median(np.zeros((3, 3), np.uint8))


def test_the_filters_come_without_the_heavy_libraries():
    """`from mcalc import ...` loads numpy and OpenCV, and neither torch nor pandas."""
    script = (
        "import sys; from mcalc import adaptive_median, median, otsu_threshold; "
        "heavy = {'torch', 'fastai', 'pandas', 'scipy', 'skimage', 'matplotlib', 'pydicom'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


# --- bad input ----------------------------------------------------------------------------------

FILTERS = [adaptive_median, lambda image, **more: median(image, 5, **more)]


@pytest.mark.parametrize("call", FILTERS)
@pytest.mark.parametrize("threads", [0, -1, -(2**70)])
def test_threads_must_be_positive(call, threads):
    with pytest.raises(ValueError, match=f"threads is {threads}; give 1 or more"):
        call(np.zeros((3, 3), np.uint8), threads=threads)


@pytest.mark.parametrize("threads", [1.5, "2", None])
def test_threads_must_be_a_number(threads):
    with pytest.raises(TypeError, match=f"threads is {threads!r}; give a number"):
        adaptive_median(np.zeros((3, 3), np.uint8), threads=threads)


def test_more_threads_than_work_are_fine():
    image = np.random.default_rng(4).integers(0, 256, (600, 600)).astype(np.uint8)
    np.testing.assert_array_equal(adaptive_median(image, threads=2**70), adaptive_median(image))


@pytest.mark.parametrize("window", [0, 2, -1, 32, 33, 2**70])
def test_the_window_of_a_median_must_be_odd_and_from_1_to_31(window):
    with pytest.raises(ValueError, match=rf"window is {window}; give an odd number from 1 to 31"):
        median(np.zeros((3, 3), np.uint8), window)


@pytest.mark.parametrize("shape", [(), (3,), (1, 1, 1, 1)])
@pytest.mark.parametrize("window", [1, 3, 7, 11])
def test_a_median_wants_an_image_or_a_stack(shape, window):
    with pytest.raises(ValueError, match=f"image has {len(shape)} dimensions; give a 2-D .* 3-D"):
        median(np.zeros(shape, np.uint8), window)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (2, 0, 5), (2, 5, 0), (0, 0, 0)])
@pytest.mark.parametrize("call", FILTERS)
def test_an_image_without_pixels_is_refused(call, shape):
    with pytest.raises(ValueError, match="image has no pixel"):
        call(np.zeros(shape, np.uint8))


def test_not_a_number_is_refused_as_what_it_is():
    with pytest.raises(TypeError, match="image is of type float32; give uint8 or uint16"):
        median(np.full((3, 3), np.nan, np.float32), 3)


def test_big_endian_pixels_are_read_as_what_they_mean():
    image = np.random.default_rng(5).integers(0, 65536, (20, 30)).astype(np.uint16)
    swapped = image.astype(">u2")
    np.testing.assert_array_equal(adaptive_median(swapped, 5), adaptive_median(image, 5))
    np.testing.assert_array_equal(median(swapped, 9), median(image, 9))
    assert adaptive_median(swapped).dtype.isnative
    assert otsu_threshold(swapped) == otsu_threshold(image)


# --- Otsu ---------------------------------------------------------------------------------------


def test_otsu_equals_opencv_and_scikit_image_on_8_bits():
    """Random images, some natural; where the two libraries disagree, ours is one of theirs."""
    generator = np.random.default_rng(6)
    disagreements = 0
    for number in range(400):
        smooth = cv2.GaussianBlur(generator.normal(0, 1, (60, 70)), (0, 0), 1 + number % 7)
        noise = generator.normal(0, 1 + number % 30, smooth.shape)
        image = np.clip(128 + 60 * smooth / smooth.std() + noise, 0, 255).astype(np.uint8)
        ours, opencv = otsu_threshold(image), int(cv2.threshold(image, 0, 0, cv2.THRESH_OTSU)[0])
        scikit = int(skimage_filters.threshold_otsu(image))
        assert ours in (opencv, scikit)
        disagreements += opencv != scikit
    assert disagreements < 10


def test_otsu_of_the_paper_leaves_black_out():
    """Half of the image is black: Otsu's threshold parts black from grey, the paper's the greys."""
    image = np.array([0] * 50 + [100] * 30 + [110] * 5 + [200] * 15, np.uint8).reshape(10, 10)
    assert otsu_threshold(image) < 100
    assert (
        otsu_threshold(image, method="leong2022") == otsu_threshold(image[image > 0][None]) == 110
    )
    wide = image.astype(np.uint16) * 257
    assert otsu_threshold(wide, method="leong2022") == 110 * 257


def test_otsu_of_the_paper_on_black_and_on_one_grey():
    black = np.zeros((4, 4), np.uint8)
    assert otsu_threshold(black, method="leong2022") == 0
    black[1, 1] = 7
    assert otsu_threshold(black, method="leong2022") == 7


def test_an_unknown_otsu_method_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="method is 'otsu'; give one of otsu1979, leong2022"):
        otsu_threshold(np.zeros((2, 2), np.uint8), method="otsu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_otsu_of_a_large_image_and_of_its_parts_laid_out_anyhow(dtype):
    """Large images are counted in several tables; every layout gives the same counts."""
    generator = np.random.default_rng(7)
    image = generator.normal(90, 30, (1031, 517)).clip(0, 255).astype(dtype)
    image[:, 200:] += 60
    expected = otsu_threshold(image.ravel()[None])
    for view in (image, image[::-1], image[:, ::-1], image.T, np.asfortranarray(image)):
        assert otsu_threshold(view) == expected
    if dtype == np.uint8:
        assert expected == cv2.threshold(image, 0, 0, cv2.THRESH_OTSU)[0]
