"""What the truth bench found: means with their intervals, and whether Table 4's order stands."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

MEASURES = ("psnr", "ssim", "contrast_left")
SETTING = ["noise", "level"]
KINDS = {"gaussian": "Gaussian", "poisson": "Poisson", "salt_and_pepper": "Salt-and-pepper"}
# Of the bootstrap over crops.
RESAMPLES, CONFIDENCE, SEED = 2000, 0.95, 1


class Estimate(NamedTuple):
    """A mean over crops with the ends of its 95% interval."""

    mean: float
    low: float
    high: float


class Finding(NamedTuple):
    """How the filter that is first in Table 4 does against the truth, under some noises.

    `order` has all filters and 'none', best PSNR first; `rival` is the best of the others, and
    `difference` the first's PSNR minus the rival's in decibels. `left` is the share of the specks'
    contrast that the first leaves, `least_left` that of the crop on which it leaves least. Of the
    noises, whose number is `settings`, `reversed` put the filters in the opposite of Table 4's
    order, `last` put the first behind all other filters, `worse` and `better` tell it apart from
    the best other (the interval of the difference excludes 0), and `nothing_best` give doing
    nothing the highest mean.
    """

    noise: str
    order: list[str]
    rival: str
    difference: Estimate
    left: Estimate
    least_left: float
    settings: int
    reversed: int
    last: int
    worse: int
    better: int
    nothing_best: int


def estimate(values: np.ndarray) -> list[Estimate]:
    """Return the mean over crops of each column, with its percentile-bootstrap interval.

    Parameters
    ----------
    values : ndarray, shape (crops, columns), float
        All columns are resampled together, so that those of one crop stay together.
    """
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        axis=0,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return [Estimate(*map(float, row)) for row in zip(values.mean(axis=0), *found, strict=True)]


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row a noise, level and filter: each measure's mean over crops and interval.

    Parameters
    ----------
    scores : DataFrame
        The table TRUTH.

    Returns
    -------
    DataFrame
        `noise`, `level`, `filter`, and for each measure m `m`, `m_low` and `m_high`, in the order
        of the table.
    """
    rows = scores[[*SETTING, "filter"]].drop_duplicates(ignore_index=True)
    for measure in MEASURES:
        found = estimate(_by_crop(scores, measure).to_numpy())
        for part in Estimate._fields:
            name = measure if part == "mean" else f"{measure}_{part}"
            rows[name] = [getattr(one, part) for one in found]
    return rows


def conclude(scores: pd.DataFrame, against_input: list[str]) -> list[Finding]:
    """Say how Table 4's first filter does, over all noises and for each kind of noise.

    Parameters
    ----------
    scores : DataFrame
        The table TRUTH.
    against_input : list of str
        The filters in the order of Table 4, the one that changes least first.
    """
    kinds = list(scores["noise"].unique())
    groups = [("all", scores)] + [(kind, scores[scores["noise"] == kind]) for kind in kinds]
    return [_find(noise, rows, against_input) for noise, rows in groups]


def pivot(summary: pd.DataFrame, measure: str, digits: int) -> pd.DataFrame:
    """Return a row a noise and a column a filter: `mean (low to high)`, and which is best.

    `digits` is how many decimals a mean has.
    """
    rows = []
    for (noise, level), cells in summary.groupby(SETTING, sort=False):
        row = {"noise": name_noise(noise, level)}
        for _, cell in cells.iterrows():
            low, high = cell[f"{measure}_low"], cell[f"{measure}_high"]
            row[cell["filter"]] = (
                f"{cell[measure]:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
            )
        rows.append(row | {"best": cells.loc[cells[measure].idxmax(), "filter"].replace("_", " ")})
    return pd.DataFrame(rows)


def name_noise(noise: str, level: float) -> str:
    """Return a noise in words."""
    return f"{KINDS[noise]}, {describe_level(noise, level)}"


def describe_level(noise: str, level: float) -> str:
    """Return a level in words with its unit."""
    if noise == "gaussian":
        return f"SD {level:g} of 255"
    if noise == "poisson":
        return f"{level:g} quanta in white"
    return f"{100 * level:g}% of the pixels"


def _by_crop(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return a row a crop and a column a noise, level and filter, in the order of the table."""
    columns = [*SETTING, "filter"]
    wide = scores.pivot(index="crop", columns=columns, values=measure)
    order = scores[columns].drop_duplicates()
    return wide[list(order.itertuples(index=False, name=None))]


def _find(noise: str, scores: pd.DataFrame, against_input: list[str]) -> Finding:
    first = against_input[0]
    means = scores.groupby(["crop", "filter"], sort=False)[["psnr", "contrast_left"]].mean()
    psnr, left = means["psnr"].unstack(), means["contrast_left"].unstack()[first]
    each = [
        rows.pivot(index="crop", columns="filter", values="psnr")
        for _, rows in scores.groupby(SETTING, sort=False)
    ]
    # One column for the mean over the noises, then one for each of them.
    pairs = np.stack([_ahead_of_rival(rows, first) for rows in (psnr, *each)], axis=1)
    difference, *differences = estimate(pairs)
    orders = [_order(rows) for rows in each]
    of_filters = [[name for name in order if name != "none"] for order in orders]
    return Finding(
        noise,
        _order(psnr),
        _rival(psnr, first),
        difference,
        estimate(left.to_numpy()[:, None])[0],
        float(left.min()),
        settings=len(each),
        reversed=sum(order == against_input[::-1] for order in of_filters if len(order) > 1),
        last=sum(order[-1] == first for order in of_filters if len(order) > 1),
        worse=sum(one.high < 0 for one in differences),
        better=sum(one.low > 0 for one in differences),
        nothing_best=sum(order[0] == "none" for order in orders),
    )


def _order(psnr: pd.DataFrame) -> list[str]:
    """Return the columns, that with the highest mean first."""
    return list(psnr.mean().sort_values(ascending=False, kind="stable").index)


def _rival(psnr: pd.DataFrame, first: str) -> str:
    return next(name for name in _order(psnr) if name != first)


def _ahead_of_rival(psnr: pd.DataFrame, first: str) -> pd.Series:
    return psnr[first] - psnr[_rival(psnr, first)]
