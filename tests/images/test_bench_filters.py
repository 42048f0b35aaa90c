"""Stage `bench-filters`: the scores against the truth, set beside what theory says they must be."""

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import uniform_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mcalc import records
from mcalc.errors import UsageError
from mcalc.images.bench_filters import bench_filters, draw_phantom
from mcalc.images.filters import Filter
from mcalc.images.noise import Noise
from mcalc.images.quality import speck_contrast_left

SIZE = 64
FILTERS = [Filter("adaptive_median", 7), Filter("median", 3), Filter("mean", 3)]
NOISES = [Noise("gaussian", 4.0), Noise("poisson", 500.0), Noise("salt_and_pepper", 0.1)]


def bench(folder, filters=FILTERS, noises=NOISES, **options) -> pd.DataFrame:
    given = {"crops": 8, "size": SIZE} | options
    scores, picture = folder / "truth.csv", folder / "speck"
    bench_filters(scores=scores, picture=picture, filters=filters, noises=noises, **given)
    return records.read(scores, records.TRUTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def table(folder) -> pd.DataFrame:
    return bench(folder)


@pytest.fixture(scope="module")
def phantoms() -> list:
    return [draw_phantom(crop, seed=1, size=SIZE) for crop in range(8)]


def of(table: pd.DataFrame, **values) -> pd.DataFrame:
    for name, value in values.items():
        table = table[table[name] == value]
    return table.set_index("crop")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"crops": 7}, "7 crops are too few for an interval; give 8 or more"),
        ({"filters": []}, "at least one filter"),
        ({"filters": [Filter("mean", 3), Filter("mean", 5)]}, "one filter, and each only once"),
        ({"noises": []}, "at least one noise"),
        ({"noises": [NOISES[0], Noise("gaussian", 4)]}, "one noise, and each only once"),
    ],
)
def test_too_few_and_twice_are_refused_and_nothing_is_written(tmp_path, change, said):
    with pytest.raises(UsageError, match=said):
        bench(tmp_path, **change)
    assert list(tmp_path.iterdir()) == []


# --- scores -------------------------------------------------------------------------------------


def test_one_row_a_crop_noise_and_filter_and_doing_nothing_is_one(table):
    names = ["none", "adaptive_median", "median", "mean"]
    expected = [(c, n.kind, n.level, f) for c in range(8) for n in NOISES for f in names]
    columns = ["crop", "noise", "level", "filter"]
    assert list(table[columns].itertuples(index=False, name=None)) == expected


def test_unfiltered_noise_has_the_error_that_theory_gives(table, phantoms):
    """Of the noise, its kind and level, and the clean image alone, in squared levels of 255."""
    for crop, phantom in enumerate(phantoms):
        clean = 255 * (phantom.background + phantom.specks)
        error = {noise.kind: of(table, noise=noise.kind, filter="none")["mse"] for noise in NOISES}
        assert error["gaussian"][crop] == pytest.approx(4**2, rel=0.1)
        assert error["poisson"][crop] == pytest.approx(255 * clean.mean() / 500, rel=0.1)
        impulses = 0.1 * (clean**2 + (255 - clean) ** 2).mean() / 2
        assert error["salt_and_pepper"][crop] == pytest.approx(impulses, rel=0.2)


def test_psnr_follows_from_the_error(table):
    expected = 20 * np.log10(255 / np.sqrt(table["mse"]))
    np.testing.assert_allclose(table["psnr"], expected, rtol=1e-12)


def test_a_mean_leaves_the_share_of_the_specks_that_it_leaves_without_noise(table, phantoms):
    """The mean is linear: its response to the specks is known, whatever the noise."""
    left = of(table, noise="gaussian", filter="mean")["contrast_left"]
    for crop, phantom in enumerate(phantoms):
        blurred = uniform_filter(phantom.specks, 3, mode="nearest")
        expected = (blurred * phantom.specks).sum() / (phantom.specks**2).sum()
        assert left[crop] == pytest.approx(expected, abs=2e-3)


def test_what_noise_leaves_of_the_specks_where_nothing_is_filtered(table):
    left = {noise.kind: of(table, noise=noise.kind, filter="none")["contrast_left"]
            for noise in NOISES}  # fmt: skip
    np.testing.assert_allclose(left["gaussian"], 1, atol=2e-3)
    assert left["poisson"].mean() == pytest.approx(1, abs=0.03)
    assert left["salt_and_pepper"].mean() == pytest.approx(0.9, abs=0.03), "a tenth is overwritten"


def test_the_picture_shows_the_place_that_was_scored(tmp_path, phantoms):
    """With a cut-out as large as the crop, the PNG files give the table's scores again."""
    table = bench(tmp_path, bits=8, size=20)
    names = {path.name for path in (tmp_path / "speck").iterdir()}
    shown = int(next(iter(names)).partition("-")[0])
    middle = table[table["filter"] != "none"].groupby("crop")["contrast_left"].mean()
    assert middle.rank()[shown] == 5, "of eight: neither the best nor the worst"
    assert len(names) == 1 + 3 * 4
    clean = cv2.imread(str(tmp_path / f"speck/{shown}-truth.png"), cv2.IMREAD_UNCHANGED)
    for _, row in table[table["crop"] == shown].iterrows():
        name = f"{shown}-{row['noise']}-{row['level']:g}-{row['filter']}.png"
        image = cv2.imread(str(tmp_path / "speck" / name), cv2.IMREAD_UNCHANGED)
        assert peak_signal_noise_ratio(clean, image) == pytest.approx(row["psnr"], rel=1e-9)
        similar = structural_similarity(clean.astype(float), image.astype(float), data_range=255)
        assert similar == pytest.approx(row["ssim"], rel=1e-9)


def test_a_speck_lies_in_the_middle_of_the_picture(folder, table, phantoms):
    (path,) = (folder / "speck").glob("*-truth.png")
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    phantom = phantoms[int(path.name.partition("-")[0])]
    whole = np.rint(255 * (phantom.background + phantom.specks)).astype(np.uint8)
    found = cv2.matchTemplate(whole, picture, cv2.TM_SQDIFF)
    row, column = np.unravel_index(found.argmin(), found.shape)
    place = phantom.specks[row : row + 20, column : column + 20]
    assert place.sum() / phantom.specks.sum() > 2 * place.size / phantom.specks.size
    assert place[8:13, 8:13].max() > phantom.specks.max() / 2


# --- phantoms -----------------------------------------------------------------------------------


def test_a_clean_phantom_leaves_room_for_noise_on_both_sides(phantoms):
    for phantom in phantoms:
        clean = phantom.background + phantom.specks
        assert clean.shape == (SIZE, SIZE)
        assert phantom.background.min() == pytest.approx(0.1)
        assert clean.max() == pytest.approx(0.9)
        assert phantom.specks.min() == 0
        assert phantom.specks.max() > 0.05


def test_specks_grow_with_the_crop():
    small, large = (draw_phantom(3, seed=1, size=size) for size in (64, 128))
    assert large.speck_pixels == pytest.approx(2 * small.speck_pixels)


# --- the same numbers every time ----------------------------------------------------------------


@pytest.mark.slow
def test_threads_change_nothing(folder, table, tmp_path):
    bench(tmp_path / "threads", threads=3)
    for name in ("truth.csv", *sorted(p.relative_to(folder) for p in folder.glob("speck/*"))):
        assert (tmp_path / "threads" / name).read_bytes() == (folder / name).read_bytes()


def test_a_seed_gives_the_same_phantom_each_time_and_another_seed_another(phantoms):
    same, other = (draw_phantom(0, seed=seed, size=SIZE) for seed in (1, 2))
    np.testing.assert_array_equal(same.background, phantoms[0].background)
    np.testing.assert_array_equal(same.specks, phantoms[0].specks)
    assert (other.specks != phantoms[0].specks).any()


@pytest.mark.slow
def test_more_crops_noises_and_filters_leave_the_others_as_they_are(table, tmp_path):
    noises = [Noise("gaussian", 9.0), *NOISES[::-1]]
    more = bench(tmp_path, [Filter("median", 5), *FILTERS[::2]], noises, crops=9)
    keys = ["crop", "noise", "level", "filter"]
    both = table.merge(more, on=keys, suffixes=("", "_more"))
    both = both[both["filter"] != "median"]
    assert len(both) == 8 * 3 * 3
    for name in ("mse", "ssim", "contrast_left"):
        np.testing.assert_array_equal(both[name], both[f"{name}_more"])


# --- the share of contrast ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_share_left_is_1_for_all_a_half_for_half_and_0_for_nothing(dtype):
    white = np.iinfo(dtype).max
    specks = np.zeros((9, 9))
    specks[4, 4], specks[6, 2] = 0.4, 0.2
    background = np.full((9, 9), white // 5, dtype)
    for share in (1, 0.5, 0):
        image = background + np.rint(share * specks * white).astype(dtype)
        assert speck_contrast_left(specks, image, background) == pytest.approx(share, abs=3e-3)
    assert speck_contrast_left(0 * specks, background, background) == 1


def test_a_speck_that_a_median_removes_is_gone():
    """One bright pixel: any median of 3 x 3 removes it; one of 4 x 4 pixels loses its corners."""
    dot, square = np.zeros((15, 15)), np.zeros((15, 15))
    dot[7, 7], square[5:9, 5:9] = 0.5, 0.5
    black = np.zeros((15, 15), np.uint8)
    for specks, left in ((dot, 0), (square, 12 / 16)):
        image = np.rint(255 * specks).astype(np.uint8)
        filtered = Filter("median", 3)(image)
        assert speck_contrast_left(specks, filtered, black) == pytest.approx(left, abs=5e-3)


# --- what the bench finds -----------------------------------------------------------------------


@pytest.mark.slow
def test_the_order_of_table_4_turns_with_the_kind_of_noise(tmp_path):
    """At the study's size, on every crop: no filter is the best one against each kind."""
    noises = [Noise("gaussian", 10.0), Noise("poisson", 300.0), Noise("salt_and_pepper", 0.03)]
    table = bench(tmp_path, noises=noises, size=224, crops=16, threads=2)
    wide = table.pivot(index=["noise", "crop"], columns="filter", values="psnr")
    for noise in ("gaussian", "poisson"):
        psnr = wide.loc[noise]
        assert (psnr["mean"] > psnr["median"]).all()
        assert (psnr["median"] > psnr["adaptive_median"]).all()
        assert (psnr["adaptive_median"] > psnr["none"]).all()
    psnr = wide.loc["salt_and_pepper"]
    assert (psnr["adaptive_median"] > psnr["median"]).all()
    assert (psnr["median"] > psnr["mean"]).all()
    left = table[table["filter"] == "adaptive_median"]["contrast_left"]
    assert left.mean() > 0.9, "not a third"
