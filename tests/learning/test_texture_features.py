"""Features of wavelets, of a Haar pyramid and of texture, where the answers are known."""

import numpy as np
import pytest
import pywt
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import shannon_entropy

from mcalc.learning.features import haar, texture, wavelets

MODULES = (wavelets, haar, texture)
SIZE = 64


def stripes(period: float, *, upright: bool) -> np.ndarray:
    """Return a sinusoid between 0 and 255 whose waves stand upright or lie flat."""
    wave = np.rint(127.5 + 127.5 * np.sin(2 * np.pi * np.arange(SIZE) / period)).astype(np.uint8)
    image = np.tile(wave, (SIZE, 1))
    return image if upright else image.T


def checkerboard() -> np.ndarray:
    rows, columns = np.indices((SIZE, SIZE))
    return ((rows + columns) % 2 * 255).astype(np.uint8)


def noise(seed: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8)


# --- wavelets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize(("period", "level"), [(2.9, 1), (5.8, 2), (11.6, 3)])
def test_a_sinusoid_lies_in_the_sub_band_of_its_frequency_and_direction(period, level, upright):
    """A level holds the octave of periods from 2 ** level to twice that."""
    bands = wavelets.sub_bands(stripes(period, upright=upright))
    energy = {name: np.square(band).sum() for name, band in bands.items() if "app" not in name}
    direction = "vertical" if upright else "horizontal"
    assert energy[f"{direction}{level}"] > 0.75 * sum(energy.values())


@pytest.mark.parametrize("waves", [5, 9, 14, 21, 27])
def test_a_sinusoids_energy_is_shared_as_the_filters_let_it_pass(waves):
    """Of frequency w the finest details keep |G(w)|^2 / 2, and so on with what is halved."""
    image = stripes(SIZE / waves, upright=True)
    bands = wavelets.sub_bands(image, "db4", "periodization")
    whole = np.square(image / 255 - (image / 255).mean()).sum()
    low, high, *_ = pywt.Wavelet("db4").filter_bank
    passed, frequency = 1.0, 2 * np.pi * waves / SIZE
    for level in (1, 2, 3):
        (kept,), (left,) = (
            np.abs(scipy.signal.freqz(taps, worN=[frequency])[1]) ** 2 / 2 for taps in (high, low)
        )
        found = np.square(bands[f"vertical{level}"]).sum() / whole
        assert found == pytest.approx(passed * kept, abs=3e-3)
        passed, frequency = passed * left, 2 * frequency


def test_energies_of_all_sub_bands_add_up_to_the_images():
    """Parseval: of an orthogonal wavelet, and an image that goes on as if repeated."""
    image = noise(1)
    bands = wavelets.sub_bands(image, "db4", "periodization")
    whole = sum(np.square(band).sum() for band in bands.values())
    assert whole == pytest.approx(np.square(image / 255).sum())


def test_the_energy_that_is_told_is_the_mean_square_of_a_band():
    image = stripes(2.9, upright=True)
    band = wavelets.sub_bands(image)["vertical1"]
    assert wavelets.extract(image)["vertical1_energy"] == pytest.approx(np.mean(band**2))


def test_smooth_tissue_leaves_little_in_the_details_and_a_speck_does():
    """The wavelet has four vanishing moments: what is locally a cubic leaves nothing."""
    column = np.linspace(0, 1, SIZE)
    tissue = np.rint(200 * np.outer(column, column**2)).astype(np.uint8)
    speckled = tissue.copy()
    speckled[30:32, 30:32] = 255
    found, marked = (wavelets.extract(image)["diagonal1_energy"] for image in (tissue, speckled))
    assert marked > 100 * found


def test_equal_shares_of_energy_have_the_entropy_of_their_number():
    assert wavelets.describe_band(np.ones((4, 8)))["entropy"] == pytest.approx(5)
    assert wavelets.describe_band(np.zeros((4, 8)))["entropy"] == 0


# --- Haar ---------------------------------------------------------------------------------------


def test_haar_details_of_a_small_image_by_hand():
    """Squares of [[a, b], [c, d]]: (a - b + c - d) / 2 upright, (a + b - c - d) / 2 flat."""
    image = np.kron(np.ones((SIZE // 2, SIZE // 2)), [[255, 0], [51, 0]]).astype(np.uint8)
    found = haar.extract(image)
    assert found["approximation1_mean"] == pytest.approx((1 + 0.2) / 2)
    assert found["vertical1_mean"] == pytest.approx((1 + 0.2) / 2)
    assert found["horizontal1_mean"] == pytest.approx((1 - 0.2) / 2)
    assert found["diagonal1_mean"] == pytest.approx((1 - 0.2) / 2)
    assert found["vertical2_energy"] == pytest.approx(0)


def test_a_levels_pairs_are_those_of_the_image_averaged_over_squares():
    small = noise(2, SIZE // 4)
    found = haar.extract(np.kron(small, np.ones((4, 4))).astype(np.uint8))
    expected = texture.co_occurrence(small, (1,))
    told = {name: found[f"level2_{name}"] for name in expected}
    assert told == pytest.approx(expected)


# --- texture ------------------------------------------------------------------------------------


def test_pairs_of_a_checkerboard():
    """Straight neighbours differ by all 31 steps, diagonal ones and those two apart by none."""
    found = texture.extract(checkerboard())
    steps = texture.LEVELS - 1
    assert found["distance1_contrast_mean"] == pytest.approx(steps**2 / 2)
    assert found["distance1_contrast_range"] == pytest.approx(steps**2)
    assert found["distance1_dissimilarity_mean"] == pytest.approx(steps / 2)
    assert found["distance1_homogeneity_mean"] == pytest.approx((1 + 1 / (1 + steps**2)) / 2)
    assert found["distance1_correlation_mean"] == pytest.approx(0, abs=1e-3)
    assert found["distance1_correlation_range"] == pytest.approx(2, abs=1e-3)
    assert found["distance2_contrast_mean"] == 0
    assert found["distance2_homogeneity_mean"] == pytest.approx(1)
    assert found["distance2_correlation_mean"] == pytest.approx(1)


def test_pairs_of_stripes_differ_across_and_not_along():
    found = texture.extract(np.tile([0, 255], (SIZE, SIZE // 2)).astype(np.uint8))
    steps = texture.LEVELS - 1
    # Of four directions one runs along, three across.
    assert found["distance1_contrast_mean"] == pytest.approx(0.75 * steps**2)
    assert found["distance1_contrast_range"] == pytest.approx(steps**2)


def test_a_constant_image_has_one_kind_of_pairs_and_no_spread():
    found = texture.extract(np.full((SIZE, SIZE), 77, np.uint8))
    assert found["level_mean"] == 77
    zeros = ("deviation", "skewness", "kurtosis", "entropy")
    assert [found[f"level_{name}"] for name in zeros] == [0] * 4
    assert found["distance1_contrast_mean"] == 0
    assert found["distance1_ASM_mean"] == pytest.approx(1)


def test_entropy_of_evenly_spread_levels_and_of_any_image():
    even = np.arange(SIZE * SIZE).reshape(SIZE, SIZE).astype(np.uint8)
    assert texture.extract(even)["level_entropy"] == pytest.approx(8)
    image = noise(3)
    assert texture.extract(image)["level_entropy"] == pytest.approx(shannon_entropy(image))


@pytest.mark.parametrize("seed", range(3))
def test_moments_are_those_of_scipy(seed):
    values = np.random.default_rng(seed).gamma(2, size=(30, 40))
    found = texture.describe(values)
    assert found["skewness"] == pytest.approx(scipy.stats.skew(values, axis=None))
    assert found["kurtosis"] == pytest.approx(scipy.stats.kurtosis(values, axis=None))
    assert (found["mean"], found["deviation"]) == pytest.approx((values.mean(), values.std()))


# --- all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_a_set_says_truly_whether_turns_change_it(module):
    image = np.minimum(noise(4), stripes(9, upright=True))
    features = module.extract(image)
    turned = module.extract(np.ascontiguousarray(np.rot90(image)))
    same = [turned[name] == pytest.approx(value, rel=1e-6) for name, value in features.items()]
    assert all(same) != module.TURNED


@pytest.mark.parametrize("module", [wavelets, haar])
def test_a_mirror_at_the_diagonal_swaps_what_lies_flat_with_what_stands_upright(module):
    image = np.minimum(noise(5), stripes(9, upright=True))
    features = module.extract(image)
    turned = module.extract(np.ascontiguousarray(image.T))
    assert turned["horizontal2_energy"] == pytest.approx(features["vertical2_energy"])
    assert turned["vertical2_energy"] == pytest.approx(features["horizontal2_energy"])
    assert turned["diagonal2_energy"] == pytest.approx(features["diagonal2_energy"])


# Only Haar's wavelet is the same from behind; of the longer one edges differ a little.
@pytest.mark.parametrize(("module", "difference"), [(wavelets, 0.15), (haar, 1e-9)])
def test_a_quarter_turn_swaps_what_lies_flat_with_what_stands_upright(module, difference):
    image = np.minimum(noise(5), stripes(9, upright=True))
    features = module.extract(image)
    turned = module.extract(np.ascontiguousarray(np.rot90(image)))
    swapped = {"horizontal1": "vertical1", "vertical1": "horizontal1", "diagonal1": "diagonal1"}
    for name, other in swapped.items():
        expected = features[f"{name}_energy"]
        assert turned[f"{other}_energy"] == pytest.approx(expected, rel=difference)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("size", [32, 57, 224, 512])
def test_images_of_all_sizes_have_finite_features_even_if_constant(module, size):
    features = module.extract(noise(7, size))
    constant = module.extract(np.full((size, size), 201, np.uint8))
    assert list(features) == list(constant)
    assert all(np.isfinite([*features.values(), *constant.values()]))
    assert {constant[name] for name in constant if "skew" in name or "kurtosis" in name} == {0}


@pytest.mark.parametrize("module", MODULES)
@settings(max_examples=15, deadline=None)
@given(
    image=st.sampled_from([32, 33, 64]).flatmap(
        lambda size: arrays(np.uint8, (size, size), elements=st.integers(0, 255))
    )
)
def test_any_image_has_the_same_features_and_all_are_numbers(module, image):
    features = module.extract(image)
    assert list(features) == list(module.extract(noise(6, len(image))))
    assert all(np.isfinite(list(features.values())))
    assert {type(value) for value in features.values()} == {float}
