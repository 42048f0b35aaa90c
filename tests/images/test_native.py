"""The extension against naive references: adaptive median (Gonzalez & Woods 5.3.3) and Otsu."""

import sys
import threading
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest
from skimage import filters as skimage_filters

from mcalc.images.filters import adaptive_median, otsu_threshold

DTYPES = (np.uint8, np.uint16)
WINDOWS = (1, 3, 5, 7, 9, 11, 13, 15)
SHAPES = ((1, 1), (1, 2), (1, 9), (8, 1), (2, 2), (3, 3), (4, 7), (9, 6), (10, 11))
CONTENTS = ("noise", "few_levels", "constant", "impulses", "gradient", "extremes")


# --- references ---------------------------------------------------------------------------------


def reference_adaptive_median(image: np.ndarray, max_window: int) -> np.ndarray:
    """Gonzalez & Woods, 3rd ed., 5.3.3, pixel by pixel, with Python's integers and lists."""
    rows, columns = image.shape
    pixels = [[int(value) for value in line] for line in image]

    def window(row: int, column: int, side: int) -> list[int]:
        reach = range(-(side // 2), side // 2 + 1)
        return sorted(
            pixels[min(max(row + y, 0), rows - 1)][min(max(column + x, 0), columns - 1)]
            for y in reach
            for x in reach
        )

    def filtered(row: int, column: int) -> int:
        value = pixels[row][column]
        if max_window == 1:
            return value
        for side in range(3, max_window + 1, 2):
            ordered = window(row, column, side)
            smallest, median, largest = ordered[0], ordered[len(ordered) // 2], ordered[-1]
            if median - smallest > 0 and median - largest < 0:  # stage A
                if value - smallest > 0 and value - largest < 0:  # stage B
                    return value
                return median
        return median

    return np.array(
        [[filtered(row, column) for column in range(columns)] for row in range(rows)], image.dtype
    )


def between_class_variance(image: np.ndarray, threshold: int) -> Fraction | None:
    """Return w0 w1 (m0 - m1)^2 exactly, None where a class is empty."""
    values = [int(value) for value in image.ravel()]
    dark = [value for value in values if value <= threshold]
    bright = [value for value in values if value > threshold]
    if not dark or not bright:
        return None
    difference = Fraction(sum(dark), len(dark)) - Fraction(sum(bright), len(bright))
    return Fraction(len(dark) * len(bright), len(values) ** 2) * difference**2


def reference_otsu(image: np.ndarray) -> int:
    """Return the smallest threshold with the largest exact between-class variance."""
    levels = sorted({int(value) for value in image.ravel()})
    if len(levels) == 1:
        return levels[0]
    variances = {level: between_class_variance(image, level) for level in levels[:-1]}
    best = max(variances.values())
    return min(level for level, variance in variances.items() if variance == best)


def draw(content: str, shape: tuple[int, int], dtype, generator: np.random.Generator) -> np.ndarray:
    """Draw a test image of a kind named in CONTENTS."""
    top = int(np.iinfo(dtype).max)
    if content == "noise":
        return generator.integers(0, top + 1, shape).astype(dtype)
    if content == "few_levels":
        return generator.integers(0, 3, shape).astype(dtype)
    if content == "constant":
        return np.full(shape, generator.integers(0, top + 1), dtype)
    if content == "extremes":
        return generator.choice([0, 1, top - 1, top], shape).astype(dtype)
    ramp = np.add.outer(np.arange(shape[0]) * 5, np.arange(shape[1]) * 3) % (top + 1)
    if content == "gradient":
        return ramp.astype(dtype)
    speckled = np.where(generator.random(shape) < 0.3, generator.choice([0, top], shape), ramp)
    return speckled.astype(dtype)


# --- adaptive median: errors --------------------------------------------------------------------


@pytest.mark.parametrize("window", [0, 2, 4, 32, 33, -1, -3, 2**31 - 1])
def test_window_must_be_odd_and_from_1_to_31(window):
    """A window that is even, zero, negative or too large is named and refused."""
    with pytest.raises(ValueError, match=rf"max_window is {window}.*odd number from 1 to 31"):
        adaptive_median(np.zeros((3, 3), np.uint8), window)


@pytest.mark.parametrize("window", [3.0, "3", None])
def test_window_must_be_an_integer(window):
    with pytest.raises(TypeError, match=rf"max_window is {window!r}; give an odd number"):
        adaptive_median(np.zeros((3, 3), np.uint8), window)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 3), (1, 1, 1, 1)])
@pytest.mark.parametrize("call", [lambda image: adaptive_median(image, 3), otsu_threshold])
def test_image_must_have_two_dimensions_or_be_a_stack(call, shape):
    if len(shape) == 3 and call is not otsu_threshold:
        assert call(np.zeros(shape, np.uint8)).shape == shape
        return
    with pytest.raises(ValueError, match=rf"image has {len(shape)} dimensions.*2-D"):
        call(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("call", [lambda image: adaptive_median(image, 3), otsu_threshold])
def test_image_must_hold_a_pixel(call, shape):
    with pytest.raises(ValueError, match="no pixel"):
        call(np.zeros(shape, np.uint16))


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "int16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
    + [">f4", "complex64", "object", "S1", [("grey", "u1")]],
)
@pytest.mark.parametrize("call", [lambda image: adaptive_median(image, 3), otsu_threshold])
def test_other_pixel_types_are_refused_never_misread(call, dtype):
    """Signed, wide, floating and structured pixels are a TypeError that names the way out."""
    with pytest.raises(TypeError, match="give uint8 or uint16"):
        call(np.zeros((3, 3), dtype))


@pytest.mark.parametrize("image", [None, [[1, 2], [3, 4]], "image", b"1234"])
@pytest.mark.parametrize("call", [lambda image: adaptive_median(image, 3), otsu_threshold])
def test_what_is_no_array_is_refused(call, image):
    with pytest.raises(TypeError, match=r"image is a .*; give a numpy array"):
        call(image)


# --- adaptive median: values --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("content", CONTENTS)
def test_equals_the_reference_on_random_images(content, dtype):
    """Every shape from 1 x 1 up and every odd window to 15, to the last bit."""
    generator = np.random.default_rng(31)
    for shape in SHAPES:
        for window in WINDOWS:
            image = draw(content, shape, dtype, generator)
            before = image.copy()
            filtered = adaptive_median(image, window)
            assert filtered.dtype == dtype
            assert filtered.shape == shape
            np.testing.assert_array_equal(filtered, reference_adaptive_median(image, window))
            np.testing.assert_array_equal(image, before, "the input was changed")


def test_equals_the_reference_in_the_largest_window():
    image = np.random.default_rng(5).integers(0, 2, (5, 4)).astype(np.uint16) * 65535
    np.testing.assert_array_equal(adaptive_median(image, 31), reference_adaptive_median(image, 31))


def test_values_that_differ_in_the_low_byte_only_are_told_apart():
    """Sixteen bits are used in full, not the upper eight."""
    image = 40000 + np.random.default_rng(6).integers(0, 9, (12, 12)).astype(np.uint16)
    np.testing.assert_array_equal(adaptive_median(image, 7), reference_adaptive_median(image, 7))


def test_an_impulse_goes_and_an_edge_stays():
    """One white pixel on a textured ground is replaced; the step beside it is left alone."""
    image = np.tile(np.array([10, 11, 12, 11, 90, 91, 92, 91], np.uint8), (9, 1))
    image[1::2] += 1
    noisy = image.copy()
    noisy[4, 2] = 255
    filtered = adaptive_median(noisy, 7)
    assert filtered[4, 2] in (11, 12, 13)
    unchanged = np.ones(image.shape, bool)
    unchanged[3:6, 1:4] = False
    inner = np.s_[1:-1, 1:-1]
    assert (filtered[:, 4:][inner] >= 90).all()
    assert (filtered[:, :4][inner] <= 13).all()


def test_window_one_returns_an_equal_copy():
    image = np.random.default_rng(7).integers(0, 256, (4, 5)).astype(np.uint8)
    filtered = adaptive_median(image, 1)
    np.testing.assert_array_equal(filtered, image)
    assert not np.shares_memory(filtered, image)


def layouts(dtype) -> dict[str, np.ndarray]:
    """Return views of all kinds on random pixels, with more than one dark and bright value."""
    generator = np.random.default_rng(8)
    top = int(np.iinfo(dtype).max)
    base = generator.integers(0, top + 1, (14, 12)).astype(dtype)
    packed = np.zeros((7, 6), np.dtype([("odd", "u1"), ("grey", dtype), ("more", "u1", 2)]))
    packed["grey"] = base[:7, :6]
    packed["odd"] = 255
    locked = base.copy()
    locked.setflags(write=False)
    shifted = np.zeros(base.nbytes + 1, np.uint8)
    shifted[1:] = np.frombuffer(base.tobytes(), np.uint8)
    unaligned = np.frombuffer(shifted[1:].data, dtype).reshape(base.shape)
    return {
        "strided": base[::3, ::2],
        "reversed_rows": base[::-1],
        "reversed_columns": base[:, ::-1],
        "reversed_both": base[::-2, ::-3],
        "transposed": base.T,
        "part": base[3:9, 2:11],
        "fortran": np.asfortranarray(base),
        "packed_field": packed["grey"],
        "unaligned": unaligned,
        "read_only": locked,
        "one_row_repeated": np.broadcast_to(base[:1], (5, 12)),
        "one_column_repeated": np.broadcast_to(base[:, :1], (14, 5)),
        "one_pixel_repeated": np.broadcast_to(base[:1, :1], (3, 3)),
        "memory_map_like": base.view(np.ndarray)[1:, 1:][::-1].T,
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", layouts(np.uint8))
def test_any_strides_give_what_a_contiguous_copy_gives(layout, dtype):
    """Strided, reversed, transposed, unaligned, read-only and Fortran-ordered inputs."""
    image = layouts(dtype)[layout]
    copy = np.ascontiguousarray(image).copy()
    filtered = adaptive_median(image, 5)
    np.testing.assert_array_equal(filtered, reference_adaptive_median(copy, 5))
    assert filtered.flags.c_contiguous
    assert filtered.flags.writeable
    assert otsu_threshold(image) == reference_otsu(copy)


def test_the_interpreter_runs_on_while_the_filter_works():
    """The GIL is released: another thread counts during a call, which never hands over itself."""
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    # Two values that lie mixed make every window grow to the last.
    image = np.random.default_rng(10).integers(0, 2, (400, 400)).astype(np.uint8)
    interval = sys.getswitchinterval()
    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    try:
        sys.setswitchinterval(60)  # from here on a thread gives way only of its own accord
        time.sleep(0.01)
        before = counted[0]
        adaptive_median(image, 31)
        after = counted[0]
    finally:
        sys.setswitchinterval(interval)
        done.set()
        counter.join()
    assert after > before


def test_threads_give_what_one_thread_gives():
    generator = np.random.default_rng(9)
    images = [generator.integers(0, 65536, (40, 40)).astype(np.uint16) for _ in range(8)]
    expected = [adaptive_median(image, 7) for image in images]
    results = [None] * len(images)

    def work(number):
        results[number] = adaptive_median(images[number], 7)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# --- Otsu ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("content", CONTENTS)
def test_otsu_is_the_best_threshold_by_exact_arithmetic(content, dtype):
    """The variance at the threshold is the largest there is, to 1e-12 of it; no empty class."""
    generator = np.random.default_rng(17)
    for shape in (*SHAPES, (16, 16)):
        image = draw(content, shape, dtype, generator)
        threshold = otsu_threshold(image)
        best = reference_otsu(image)
        if threshold == best:
            continue
        reached, largest = (between_class_variance(image, t) for t in (threshold, best))
        assert reached is not None, f"{threshold} leaves a class of {image.tolist()} empty"
        assert largest - reached <= largest * Fraction(1, 10**12)
        assert reached < largest, f"{threshold} is as good as {best}, but not the smallest"


def test_otsu_takes_the_smallest_of_equally_good_thresholds():
    """Histograms that are their own mirror image: two thresholds are equally good, exactly."""
    wrong = []
    for counts in ((1, 1, 1), (2, 1, 2), (3, 3, 3), (1, 5, 1), (7, 7, 7), (1, 2, 2, 2, 1)):
        for first in (0, 1, 7, 100, 238):
            for step in (1, 2, 3):
                levels = np.arange(len(counts)) * step + first
                image = np.repeat(levels, counts).astype(np.uint8)[None]
                found, smallest = otsu_threshold(image), reference_otsu(image)
                if found != smallest:
                    wrong.append(f"{image.tolist()}: {found}, not {smallest}")
    assert not wrong


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_otsu_of_a_constant_image_is_its_value(value):
    """Nothing lies above the threshold, so nothing is foreground."""
    image = np.full((3, 5), value, np.uint8)
    assert otsu_threshold(image) == value
    assert otsu_threshold(image[:1, :1]) == value
    assert otsu_threshold(image.astype(np.uint16) * 257) == value * 257


@pytest.mark.parametrize(("dark", "bright"), [(0, 255), (3, 4), (0, 65535), (65534, 65535)])
def test_otsu_of_two_values_is_the_smaller(dark, bright):
    """Pixels > t are foreground: exactly the bright ones, whichever share they have."""
    for many in (1, 4, 8):
        image = np.array([[dark] * many + [bright] * (9 - many)], np.uint16)
        assert otsu_threshold(image) == dark


def natural_image(seed: int) -> np.ndarray:
    """Return a smooth object on a darker, noisy ground, uint8."""
    generator = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(generator.normal(0, 1, (96, 128)), (0, 0), 4) * 150
    rows, columns = np.mgrid[:96, :128]
    breast = np.hypot(rows - 48, columns) < 60 + 10 * np.sin(rows / 9)
    image = 40 + ground + 90 * cv2.GaussianBlur(breast.astype(float), (0, 0), 2)
    return np.clip(image + generator.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_otsu_agrees_with_scikit_image_and_opencv(seed):
    image = natural_image(seed)
    assert otsu_threshold(image) == skimage_filters.threshold_otsu(image)
    assert otsu_threshold(image) == cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)[0]


def test_otsu_of_16_bits_is_finer_than_that_of_8():
    """Two populations 200 levels apart within one 8-bit level are still told apart."""
    generator = np.random.default_rng(3)
    dark, bright = generator.normal(30750, 10, 500), generator.normal(30950, 10, 400)
    image = np.concatenate([dark, bright]).reshape(30, 30).astype(np.uint16)
    threshold = otsu_threshold(image)
    assert threshold == reference_otsu(image)
    assert int((image > threshold).sum()) == 400
