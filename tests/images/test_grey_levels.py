"""Which grey levels become black and white, and the one way from 16 bits to 8."""

import numpy as np
import pytest

from mcalc.errors import DataError, UsageError
from mcalc.images.grey_levels import (
    PERCENTILES,
    check_intensity,
    find_limits,
    in_8_bit_levels,
    linear_window,
    map_levels,
    to_8_bits,
)

# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intensity", "percentiles", "window", "said"),
    [
        ("log", PERCENTILES, None, "'log' is unknown"),
        ("fixed", PERCENTILES, None, "fixed needs a window"),
        ("minmax", PERCENTILES, (1, 2), "minmax takes no window"),
        ("fixed", PERCENTILES, (2, 1), "Window 2 to 1"),
        ("fixed", PERCENTILES, (1, 1), "Window 1 to 1"),
        ("fixed", PERCENTILES, (0, 65536), "from 0 to 65535"),
        ("fixed", PERCENTILES, (0, float("nan")), "Window 0 to nan"),
        ("percentile", (99, 1), None, "Percentiles 99 and 1"),
        ("percentile", (-1, 50), None, "Percentiles -1 and 50"),
        ("percentile", (50, 101), None, "Percentiles 50 and 101"),
    ],
)
def test_settings_that_do_not_belong_together_are_one_sentence(
    intensity, percentiles, window, said
):
    with pytest.raises(UsageError, match=said) as caught:
        check_intensity(intensity, percentiles, window)
    assert str(caught.value).count("\n") == 0


def test_settings_that_belong_together_pass():
    for intensity in ("minmax", "full_range", "percentile", "dicom_window"):
        check_intensity(intensity, PERCENTILES, None)
    check_intensity("fixed", PERCENTILES, (0, 65535))


# --- black and white ----------------------------------------------------------------------------


def test_percentiles_leave_out_what_lies_beyond_and_minmax_does_not():
    image = np.arange(1000, 2001, dtype=np.uint16)[None].copy()
    image[0, -1] = 65535
    assert find_limits(image, "minmax") == (1000, 65535)
    assert find_limits(image, "percentile", percentiles=(1, 99)) == (1010, 1990)


@pytest.mark.parametrize(
    ("intensity", "window", "said"),
    [
        ("percentile", None, "percentiles 0.5 to 99.5 are 300"),
        ("fixed", (0, 300), "outside the window 0 to 300"),
        ("fixed", (400, 500), "outside the window 400 to 500"),
    ],
)
def test_an_image_without_anything_between_black_and_white_is_refused(intensity, window, said):
    image = np.full((30, 30), 300, np.uint16)
    image[0, :2] = 310, 400
    with pytest.raises(DataError, match=f"{said}.*nothing to see") as caught:
        find_limits(image, intensity, window=window)
    assert caught.value.reason == "constant_image"


@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (600.5, 301), (0, 2), (-10.25, 100)])
def test_a_dicom_window_is_the_standards_function_linear(centre, width):
    """PS3.3, C.11.2.1.2.1, written out as the standard prints it, to an output of 0 to 255."""
    values = np.linspace(centre - width, centre + width, 1001)
    middle, half = centre - 0.5, (width - 1) / 2
    sloped = ((values - middle) / (width - 1) + 0.5) * 255
    expected = np.where(
        values <= middle - half, 0, np.where(values > middle + half, 255, np.rint(sloped))
    )
    mapped = map_levels(values, *linear_window(centre, width), bits=8)
    np.testing.assert_array_equal(mapped, expected)


def test_the_standards_example_of_a_full_window_changes_nothing():
    """Centre 2^(n-1), width 2^n: the identity (PS3.3, C.11.2.1.2.1, note 3)."""
    assert linear_window(32768, 65536) == (0, 65535)
    assert linear_window(128, 256) == (0, 255)


@pytest.mark.parametrize("width", [1, 0, -5, float("nan"), float("inf")])
def test_a_window_without_width_is_refused(width):
    with pytest.raises(DataError, match="nothing but black and white") as caught:
        linear_window(100, width)
    assert caught.value.reason == "bad_field"


# --- 16 bits and 8 ------------------------------------------------------------------------------


def test_each_of_65536_levels_goes_to_the_nearest_of_256():
    levels = np.arange(65536, dtype=np.uint16)[None]
    eight = to_8_bits(levels)
    assert eight.dtype == np.uint8
    assert abs(eight - levels / 257).max() < 0.5
    assert (eight[0, 0], eight[0, -1]) == (0, 255)


def test_8_bits_stay_and_come_back_from_16_unchanged():
    eight = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(to_8_bits(eight), eight)
    np.testing.assert_array_equal(to_8_bits(eight * np.uint16(257)), eight)


def test_levels_of_both_types_have_one_unit():
    eight = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(in_8_bit_levels(eight), eight)
    np.testing.assert_allclose(in_8_bit_levels(eight * np.uint16(257)), eight, rtol=1e-12)
