"""Stages `compare-filters` and `choose-filter`: the scores of Table 4 and what follows."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.images.choose_filter import choose_filter
from mcalc.images.compare_filters import compare_filters
from mcalc.images.enhance import enhance_shard
from mcalc.images.filters import Filter

FILTERS = [Filter("adaptive_median", 7), Filter("median", 3), Filter("mean", 5)]


def write_shard(folder: Path, first: int, many: int) -> Path:
    """Write noisy tissue with specks, 48 x 48 pixels, one PNG a number."""
    folder.mkdir(parents=True)
    for number in range(first, first + many):
        generator = np.random.default_rng(number)
        image = 100 + 400 * cv2.GaussianBlur(generator.normal(0, 1, (48, 48)), (0, 0), 4)
        image[generator.integers(0, 48, 12), generator.integers(0, 48, 12)] += 100
        image += generator.normal(0, 5, image.shape)
        cv2.imwrite(str(folder / f"roi{number}.png"), image.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def shards(tmp_path) -> list[Path]:
    return [write_shard(tmp_path / "0", 0, 3), write_shard(tmp_path / "1", 3, 2)]


def compare(shards: list[Path], filters: list[Filter] = FILTERS, **options) -> list[Path]:
    tables = [folder.with_suffix(".csv") for folder in shards]
    for folder, table in zip(shards, tables, strict=True):
        compare_filters(folder, scores=table, filters=filters, **options)
    return tables


# --- compare-filters ----------------------------------------------------------------------------


def test_a_missing_folder_names_it_and_the_way(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder; run the stage before"):
        compare_filters(tmp_path / "nowhere", scores=tmp_path / "s.csv", filters=FILTERS)


@pytest.mark.parametrize("content", [b"", b"no PNG", b"\x89PNG\r\n\x1a\n"])
def test_a_broken_picture_is_named_and_no_table_written(shards, content):
    (shards[0] / "roi1.png").write_bytes(content)
    with pytest.raises(DataError, match=r"roi1\.png: not a readable grey PNG"):
        compare(shards)
    assert not shards[0].with_suffix(".csv").exists()


def test_a_coloured_picture_is_named(shards):
    cv2.imwrite(str(shards[0] / "roi1.png"), np.zeros((48, 48, 3), np.uint8))
    with pytest.raises(DataError, match=r"roi1\.png: not a readable grey PNG"):
        compare(shards)


def test_one_row_for_each_roi_and_filter(shards):
    table = records.read(compare(shards)[0], records.FILTERS)
    expected = [(f"roi{n}", f.name) for n in range(3) for f in FILTERS]
    assert list(zip(table["roi_id"], table["filter"], strict=True)) == expected


def test_the_scores_are_those_of_the_filtered_against_the_unfiltered_image(shards):
    """Recomputed here from the pictures, with NumPy and scikit-image."""
    table = records.read(compare(shards)[0], records.FILTERS).set_index(["roi_id", "filter"])
    for number in range(3):
        image = cv2.imread(str(shards[0] / f"roi{number}.png"), cv2.IMREAD_GRAYSCALE)
        for noise_filter in FILTERS:
            filtered = noise_filter(image)
            mse = np.square(image.astype(float) - filtered).mean()
            row = table.loc[(f"roi{number}", noise_filter.name)]
            assert row["mse"] == pytest.approx(mse, rel=1e-12)
            assert row["psnr"] == pytest.approx(20 * np.log10(255 / np.sqrt(mse)), rel=1e-12)
            similarity = structural_similarity(image, filtered, data_range=255)
            assert row["ssim"] == pytest.approx(similarity, rel=1e-12)
            assert 0 <= row["contrast_retention"] < 1.2


def test_16_bits_are_filtered_as_such_and_scored_in_levels_of_8_bits(tmp_path):
    """Tissue whose noise is smaller than a level of 8 bits: only 16 bits see what is removed."""
    fine = 30000 + np.random.default_rng(1).normal(0, 20, (48, 48))
    (tmp_path / "0").mkdir()
    cv2.imwrite(str(tmp_path / "0/roi0.png"), fine.astype(np.uint16))
    table = records.read(compare([tmp_path / "0"])[0], records.FILTERS).set_index("filter")
    image = fine.astype(np.uint16)
    for noise_filter in FILTERS:
        error = np.square((image - noise_filter(image).astype(float)) / 257).mean()
        assert 0 < error < 0.01
        assert table.loc[noise_filter.name, "mse"] == pytest.approx(error, rel=1e-9)
        ratio = 10 * np.log10(255**2 / error)
        assert table.loc[noise_filter.name, "psnr"] == pytest.approx(ratio, rel=1e-9)


def test_a_filter_that_changes_nothing_scores_best_in_everything(shards):
    """The score rewards doing nothing: infinite PSNR survives the table."""
    table = records.read(compare(shards, [Filter("median", 1)])[0], records.FILTERS)
    assert (table["mse"] == 0).all()
    assert np.isinf(table["psnr"]).all()
    assert (table["ssim"] == 1).all()
    assert (table["contrast_retention"] == 1).all()


def test_one_thread_and_four_write_the_same_table(shards):
    one = [path.read_bytes() for path in compare(shards, threads=1)]
    assert [path.read_bytes() for path in compare(shards, threads=4)] == one


def test_an_empty_shard_gives_an_empty_table(tmp_path):
    (tmp_path / "0").mkdir()
    (table,) = compare([tmp_path / "0"])
    assert records.read(table, records.FILTERS).empty


# --- choose-filter ------------------------------------------------------------------------------


def scores(path: Path, **mse: float) -> Path:
    """Write a table with two ROIs a filter; the PSNR is made up so that it says the opposite."""
    rows = [
        {
            "roi_id": f"roi{number}",
            "filter": name,
            "mse": value + number,
            "psnr": 10 + value,
            "ssim": 0.5,
            "contrast_retention": 0.5,
        }
        for name, value in mse.items()
        for number in range(2)
    ]
    records.write(rows, path, records.FILTERS)
    return path


def choose(path: Path, *tables: Path, filters=FILTERS, **options) -> dict:
    choose_filter(list(tables), choice=path, filters=filters, **options)
    return json.loads(path.read_text(), parse_constant=_no_json)


def benched(path: Path, *psnr: dict[str, float]) -> Path:
    """Write a table of the truth bench: the PSNR of each filter, under one noise after another."""
    rows = [
        {"crop": 0, "speck_pixels": 3, "noise": "gaussian", "level": level, "filter": name}
        | {"mse": 1, "psnr": value, "ssim": 0.5, "contrast_left": 0.5}
        for level, of_filters in enumerate(psnr, start=1)
        for name, value in of_filters.items()
    ]
    records.write(rows, path, records.TRUTH)
    return path


def _no_json(constant: str):
    raise AssertionError(f"{constant} is no JSON")


def test_no_scores_at_all_is_refused_with_where_to_look(tmp_path):
    empty = scores(tmp_path / "0.csv")
    for tables in ([], [empty]):
        with pytest.raises(DataError, match=r"No ROI was scored.*rejected\.csv"):
            choose_filter(tables, choice=tmp_path / "choice.json", filters=FILTERS)
    assert not (tmp_path / "choice.json").exists()


@pytest.mark.parametrize("wanted", ["gauss", "Median", ""])
def test_a_filter_that_was_not_compared_is_refused(tmp_path, wanted):
    table = scores(tmp_path / "0.csv", median=1)
    with pytest.raises(UsageError, match=f"{wanted} is to be applied but not compared"):
        choose(tmp_path / "choice.json", table, wanted=wanted)
    assert not (tmp_path / "choice.json").exists()


def test_a_broken_table_is_named(tmp_path):
    table = scores(tmp_path / "0.csv", median=1)
    table.write_text(table.read_text().replace("0.5", "much"))
    with pytest.raises(DataError, match=r"0\.csv.*much"):
        choose(tmp_path / "choice.json", table)


def test_auto_takes_the_smallest_mean_squared_error(tmp_path):
    table = scores(tmp_path / "0.csv", adaptive_median=4.5, median=2.25, mean=9)
    decision = choose(tmp_path / "choice.json", table)
    assert (decision["filter"], decision["window"]) == ("median", 3)
    assert decision["filters"] == {"adaptive_median": 7, "median": 3, "mean": 5}
    assert decision["mean"]["median"]["mse"] == 2.75
    assert decision["mean"]["mean"]["mse"] == 9.5
    assert decision["rois"] == 2
    assert decision["criterion"] == "smallest mean squared error"
    assert decision["select_by"] == "psnr"


def test_with_a_truth_auto_takes_the_highest_mean_psnr_over_all_noises(tmp_path):
    """Whatever the scores against the input; in the first noise alone another filter wins."""
    table = scores(tmp_path / "0.csv", adaptive_median=1, median=2, mean=3)
    first = {"none": 30, "adaptive_median": 31, "median": 32, "mean": 33}
    second = {"none": 30, "adaptive_median": 39, "median": 40, "mean": 35}
    for noises, name, window in (([first], "mean", 5), ([first, second], "median", 3)):
        truth = benched(tmp_path / "truth.csv", *noises)
        decision = choose(tmp_path / "choice.json", table, truth=truth)
        assert (decision["filter"], decision["window"]) == (name, window)
        assert decision["criterion"] == "highest mean PSNR against the truth of phantoms"
        assert decision["select_by"] == "truth"
        assert decision["mean"]["median"]["mse"] == 2.5, "the scores are told all the same"


@pytest.mark.parametrize("best", [39, 40])
def test_with_a_truth_doing_nothing_is_taken_where_no_filter_is_better(tmp_path, best):
    table = scores(tmp_path / "0.csv", adaptive_median=1, median=2, mean=3)
    psnr = {"none": 40, "adaptive_median": best, "median": 30, "mean": 30}
    truth = benched(tmp_path / "truth.csv", psnr)
    decision = choose(tmp_path / "choice.json", table, truth=truth)
    assert (decision["filter"], decision["window"]) == ("none", 1)


def test_a_wanted_filter_is_taken_whatever_the_truth(tmp_path):
    table = scores(tmp_path / "0.csv", adaptive_median=1, median=2, mean=3)
    decision = choose(tmp_path / "choice.json", table, wanted="mean", truth=tmp_path / "none.csv")
    assert (decision["filter"], decision["select_by"]) == ("mean", "config")


def test_a_truth_of_other_filters_is_refused(tmp_path):
    table = scores(tmp_path / "0.csv", adaptive_median=1, median=2, mean=3)
    truth = benched(tmp_path / "truth.csv", {"none": 40, "median": 41})
    said = r"truth\.csv: holds scores of median, not of adaptive_median, mean, median; run bench"
    with pytest.raises(DataError, match=said):
        choose(tmp_path / "choice.json", table, truth=truth)
    assert not (tmp_path / "choice.json").exists()


def test_auto_looks_at_all_shards(tmp_path):
    """In the first table alone, and in the mean of the tables' means, the other filter wins."""
    rows = [("roi0", 1, 4), ("roi1", 6, 4), ("roi2", 6, 4), ("roi3", 6, 4)]
    for name, part in (("0.csv", rows[:1]), ("1.csv", rows[1:])):
        table = [
            {"roi_id": roi, "filter": f, "mse": m, "psnr": 1, "ssim": 1, "contrast_retention": 1}
            for roi, mean, median in part
            for f, m in (("mean", mean), ("median", median))
        ]
        records.write(table, tmp_path / name, records.FILTERS)
    first = choose(tmp_path / "choice.json", tmp_path / "0.csv")
    assert first["filter"] == "mean"
    both = choose(tmp_path / "choice.json", tmp_path / "0.csv", tmp_path / "1.csv")
    assert (both["filter"], both["rois"]) == ("median", 4)


@pytest.mark.parametrize(("wanted", "window"), [("mean", 5), ("none", 1)])
def test_a_wanted_filter_is_taken_whatever_the_scores(tmp_path, wanted, window):
    table = scores(tmp_path / "0.csv", adaptive_median=1, median=2, mean=9)
    decision = choose(tmp_path / "choice.json", table, wanted=wanted)
    assert (decision["filter"], decision["window"]) == (wanted, window)
    assert decision["criterion"] == "set in the config"


def test_an_infinite_psnr_does_not_break_the_json(shards, tmp_path):
    """A filter that changes nothing: its mean PSNR has no number in JSON and stands as null."""
    nothing = [Filter("median", 1), Filter("mean", 3)]
    tables = compare(shards, nothing)
    decision = choose(tmp_path / "choice.json", *tables, filters=nothing)
    assert decision["filter"] == "median"
    assert decision["mean"]["median"]["psnr"] is None
    assert decision["mean"]["mean"]["psnr"] > 0


def test_the_same_tables_in_another_order_give_the_same_bytes(shards, tmp_path):
    tables = compare(shards)
    choose(tmp_path / "a.json", *tables)
    choose(tmp_path / "b.json", *reversed(tables))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("name", ["adaptive_median", "median", "mean", "none"])
def test_what_is_chosen_is_what_enhance_applies(shards, tmp_path, name):
    """From scores to pictures: the window goes along with the filter."""
    choose(tmp_path / "choice.json", *compare(shards), wanted=name)
    enhance_shard(shards[1], choice=tmp_path / "choice.json", enhanced=tmp_path / "enhanced")
    chosen = {noise_filter.name: noise_filter for noise_filter in FILTERS}.get(name)
    for path in sorted(shards[1].iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        expected = chosen(image) if chosen else image
        enhanced = cv2.imread(str(tmp_path / "enhanced" / path.name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(enhanced, expected)
