"""What the report says of the truth bench: intervals, orders and the sentences made from them."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.reporting.report import FIGURES, write_report
from mcalc.reporting.results import Results
from mcalc.reporting.truth_bench import conclude, describe_level, estimate, pivot, summarise

TABLE_4 = ["adaptive_median", "median", "mean"]


def scores(*noises: tuple[str, float, dict], crops: int = 12, spread: float = 0.1) -> pd.DataFrame:
    """Return a table TRUTH: a crop's PSNR lies `spread` around each filter's, alike for all."""
    generator = np.random.default_rng(5)
    rows = [
        {"crop": crop, "noise": noise, "level": level, "filter": name}
        | {"psnr": value + shift + generator.normal(0, spread), "ssim": 0.5}
        | {"contrast_left": 0.3 + crop / 100}
        for crop, shift in enumerate(generator.normal(0, 3, crops))
        for noise, level, psnr in noises
        for name, value in psnr.items()
    ]
    return pd.DataFrame(rows)


def psnr(none: float, adaptive_median: float, median: float, mean: float) -> dict:
    return {"none": none, "adaptive_median": adaptive_median, "median": median, "mean": mean}


# --- intervals ----------------------------------------------------------------------------------


def test_an_interval_is_that_of_resampled_means():
    """Set beside a bootstrap written out, and the theory of the mean."""
    values = np.random.default_rng(3).normal([10, -2], [2, 0.1], (40, 2))
    picks = np.random.default_rng(4).integers(0, 40, (4000, 40))
    means = np.sort(values[picks].mean(axis=1), axis=0)
    for column, (mean, low, high) in enumerate(estimate(values)):
        error = values[:, column].std() / np.sqrt(40)
        assert mean == pytest.approx(values[:, column].mean(), rel=1e-12)
        assert low == pytest.approx(means[100, column], abs=0.12 * error)
        assert high == pytest.approx(means[3900, column], abs=0.12 * error)
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_values_that_are_all_the_same_have_an_interval_without_width():
    assert estimate(np.full((8, 1), 1.0)) == [(1.0, 1.0, 1.0)]


@pytest.mark.slow
def test_about_95_of_100_intervals_hold_the_truth():
    """With 60 crops, as the full bench has; a little fewer with 12, as bootstraps have."""
    generator = np.random.default_rng(6)
    for crops, least, most in ((60, 0.92, 0.965), (12, 0.88, 0.95)):
        found = [estimate(generator.normal(1, 2, (crops, 1)))[0] for _ in range(600)]
        assert least < np.mean([low < 1 < high for _, low, high in found]) < most


# --- tables -------------------------------------------------------------------------------------


def test_a_summary_has_a_row_a_noise_level_and_filter_in_the_tables_order():
    table = scores(("poisson", 300, psnr(1, 2, 3, 4)), ("gaussian", 3, psnr(9, 8, 7, 6)))
    summary = summarise(table)
    assert summary["noise"].tolist() == ["poisson"] * 4 + ["gaussian"] * 4
    assert summary["filter"].tolist() == ["none", "adaptive_median", "median", "mean"] * 2
    for _, row in summary.iterrows():
        of_filter = table[(table["noise"] == row["noise"]) & (table["filter"] == row["filter"])]
        assert row["psnr"] == pytest.approx(of_filter["psnr"].mean(), rel=1e-12)
        assert row["psnr_low"] < row["psnr"] < row["psnr_high"]


def test_a_pivot_says_mean_interval_and_best():
    summary = pd.DataFrame(
        {
            "noise": "salt_and_pepper",
            "level": 0.03,
            "filter": ["none", "adaptive_median"],
            "psnr": [20.04, 48.0],
            "psnr_low": [19.96, 47.0],
            "psnr_high": [20.13, 49.0],
        }
    )
    assert pivot(summary, "psnr", 1).to_dict("records") == [
        {
            "noise": "Salt-and-pepper, 3% of the pixels",
            "none": "20.0 (20.0 to 20.1)",
            "adaptive_median": "48.0 (47.0 to 49.0)",
            "best": "adaptive median",
        }
    ]


def test_levels_have_units():
    assert describe_level("gaussian", 2.5) == "SD 2.5 of 255"
    assert describe_level("poisson", 30000.0) == "30000 quanta in white"
    assert describe_level("salt_and_pepper", 0.01) == "1% of the pixels"


# --- conclusions --------------------------------------------------------------------------------


def test_an_order_that_turns_under_one_noise_of_two_is_told_so():
    table = scores(
        ("gaussian", 1, psnr(40, 36, 35, 34)),
        ("gaussian", 9, psnr(28, 30, 32, 33)),
        ("salt_and_pepper", 0.1, psnr(15, 48, 41, 25)),
    )
    whole, gaussian, impulses = conclude(table, TABLE_4)
    assert [found.noise for found in (whole, gaussian, impulses)] == [
        *("all", "gaussian", "salt_and_pepper")
    ]
    assert (whole.settings, whole.reversed, whole.last) == (3, 1, 1)
    assert (whole.worse, whole.better, whole.nothing_best) == (2, 1, 1)
    assert gaussian.order == ["none", "median", "mean", "adaptive_median"]
    assert (gaussian.rival, impulses.rival) == ("none", "median")
    assert gaussian.difference.mean == pytest.approx(33 - 34, abs=0.1)
    assert impulses.difference.mean == pytest.approx(7, abs=0.1)
    assert impulses.difference.low > 6.8, "crops differ by 3 dB, but are compared in pairs"


def test_a_difference_within_chance_is_neither_worse_nor_better():
    table = scores(("gaussian", 3, psnr(20, 30, 30, 25)), spread=2)
    whole, _ = conclude(table, TABLE_4)
    assert whole.difference.low < 0 < whole.difference.high
    assert (whole.worse, whole.better) == (0, 0)


def test_the_share_left_is_that_of_the_first_filter_on_average_and_at_least():
    table = scores(("gaussian", 3, psnr(1, 2, 3, 4)))
    table.loc[table["filter"] == "median", "contrast_left"] = 0
    whole, _ = conclude(table, TABLE_4)
    assert whole.left.mean == pytest.approx(0.3 + 5.5 / 100)
    assert whole.left.low < whole.left.mean < whole.left.high
    assert whole.least_left == 0.3


def test_one_filter_alone_has_doing_nothing_as_its_rival():
    table = scores(("gaussian", 3, {"none": 30, "mean": 35}))
    whole, _ = conclude(table, ["mean"])
    assert (whole.rival, whole.reversed, whole.last, whole.better) == ("none", 0, 0, 1)


# --- the report's words -------------------------------------------------------------------------


def told(folder: Path) -> str:
    """Return what the report says, without tags and line breaks."""
    (folder / "figures").mkdir(exist_ok=True)
    for name in FIGURES:
        (folder / f"figures/{name}.png").write_bytes(f"picture {name}".encode())
    write_report(folder, run_name="usual", report=folder / "report.html")
    text = re.sub(r"<[^>]+>", "", (folder / "report.html").read_text(encoding="utf-8"))
    return " ".join(html.unescape(text).split())


def test_the_sentences_hold_what_was_concluded(usual_run):
    text = told(usual_run)
    results = Results(usual_run, "usual")
    first = results.filter_scores.groupby("filter")["mse"].mean().idxmin()
    assert first == "adaptive_median", "what the fixture is made for"
    assert "Against the unfiltered image the order is adaptive median, mean and median" in text
    assert "reversed under none of the 4 noises" in text
    assert "the adaptive median is the last of the filters under 1 of the 4 noises" in text
    assert "worse than the best of the others under 3 of the 4 noises" in text
    assert "better under 1 of the 4 noises" in text
    assert "no filter at all is best under 2 of the 4 noises" in text
    whole = conclude(results.truth_scores, ["adaptive_median", "mean", "median"])[0]
    low, high = whole.difference.low, whole.difference.high
    assert f"(95% interval {low:.1f} to {high:.1f} dB)" in text
    assert "leaves 54% of the specks' contrast (95% interval 52% to 55%; 50% on the crop" in text
    assert "Poisson noise, averaged over 1 level; best PSNR first: mean, median, adaptive" in text
    assert "These crops are drawn, not clinical data" in text


@pytest.mark.slow
def test_worse_is_told_with_a_positive_difference_and_chance_as_such(make_scored_run):
    folder = make_scored_run()
    only = pd.read_csv(folder / "filters/0.csv")
    only[only["filter"] == "mean"].to_csv(folder / "filters/0.csv", index=False)
    for psnr_of_mean, said in (
        (28, "2.0 dB worse than no filter at all (95% interval 1.9 to 2.0 dB)"),
        (30, "not to be told apart from no filter at all (a difference of 0.0 dB, 95% interval"),
    ):
        table = scores(("gaussian", 3, {"none": 30, "mean": psnr_of_mean}))
        table = table.assign(speck_pixels=3, mse=1)
        records.write(table, folder / "filters/truth.csv", records.TRUTH)
        assert said in told(folder)
