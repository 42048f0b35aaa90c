"""Noise added to phantoms: what is refused, how strong it is, and what specks alone change."""

import numpy as np
import pytest

from mcalc.errors import UsageError
from mcalc.images.noise import LEVELS, Noise, add_noise

# Brightness rises from 0.1 to 0.7 over the columns; the specks are a square.
BACKGROUND = np.linspace(0.1, 0.7, 400)[None].repeat(300, axis=0)
SPECKS = np.zeros((300, 400))
SPECKS[100:200, 100:300] = 0.2


def draw(text: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return add_noise(Noise.parse(text), np.random.default_rng(seed), BACKGROUND, SPECKS)


@pytest.mark.parametrize("text", ["gauss:3", "", "Gaussian:3", ":3"])
def test_an_unknown_kind_is_named_with_the_known_ones(text):
    with pytest.raises(UsageError, match="is unknown; use gaussian, poisson, salt_and_pepper"):
        Noise.parse(text)


@pytest.mark.parametrize(
    "level",
    ["", "much", "nan", "inf", "-1", "0", "0.4", "101", "3:4"],
    ids=lambda text: text or "-",
)
def test_a_wrong_level_is_named_with_the_allowed_ones(level):
    with pytest.raises(UsageError, match=r"needs a level from 0\.5 to 100, as in gaussian:0\.5"):
        Noise.parse(f"gaussian:{level}")


@pytest.mark.parametrize("kind", LEVELS)
def test_the_ends_of_each_range_are_allowed_and_a_name_is_read_again(kind):
    for level in LEVELS[kind]:
        noise = Noise.parse(f"{kind}:{level}")
        assert noise == (kind, level)
        assert Noise.parse(noise.name) == noise


def test_gaussian_noise_has_its_standard_deviation_in_levels_of_255():
    for image in (noisy - clean for noisy, clean in zip(draw("gaussian:8"), _clean(), strict=True)):
        assert 255 * image.std() == pytest.approx(8, rel=0.02)
        assert 255 * image.mean() == pytest.approx(0, abs=0.1)


def test_the_variance_of_poisson_noise_is_the_brightness_by_the_level():
    for noisy, clean in zip(draw("poisson:200"), _clean(), strict=True):
        error = noisy - clean
        assert error.mean() == pytest.approx(0, abs=1e-3)
        for part in (slice(0, 60), slice(120, 180), slice(340, 400)):
            expected = clean[:, part].mean() / 200
            assert error[:, part].var() == pytest.approx(expected, rel=0.06)


def test_salt_and_pepper_hits_its_share_half_black_half_white():
    noisy, _ = draw("salt_and_pepper:0.2")
    assert (noisy == 0).mean() == pytest.approx(0.1, rel=0.03)
    assert (noisy == 1).mean() == pytest.approx(0.1, rel=0.03)
    kept = (noisy > 0) & (noisy < 1)
    np.testing.assert_array_equal(noisy[kept], (BACKGROUND + SPECKS)[kept])


@pytest.mark.parametrize("text", ["gaussian:8", "poisson:200", "salt_and_pepper:0.2"])
def test_only_the_specks_differ_between_the_two_images(text):
    noisy, without = draw(text)
    difference = noisy - without
    np.testing.assert_array_equal(difference[SPECKS == 0], 0)
    hit = 0.2 if text.startswith("salt") else 0
    assert difference[SPECKS > 0].mean() == pytest.approx(0.2 * (1 - hit), rel=0.02)


@pytest.mark.parametrize("text", ["gaussian:8", "poisson:200", "salt_and_pepper:0.2"])
def test_the_same_seed_gives_the_same_noise_and_another_does_not(text):
    np.testing.assert_array_equal(draw(text), draw(text))
    assert (draw(text)[0] != draw(text, seed=2)[0]).any()


def _clean() -> tuple[np.ndarray, np.ndarray]:
    return BACKGROUND + SPECKS, BACKGROUND
