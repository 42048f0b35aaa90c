"""Stage `choose-filter`: the filter with the best scores is the one that is applied."""

import json
import os

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.files import write_text
from mcalc.images.filters import Filter

SCORES = ("mse", "psnr", "ssim", "contrast_retention")


def choose_filter(
    scores: list[str | os.PathLike],
    *,
    choice: str | os.PathLike,
    filters: list[Filter],
    wanted: str = "auto",
    truth: str | os.PathLike | None = None,
) -> str:
    """Choose among `filters` by the tables `scores` of all shards and write `choice` (JSON).

    Parameters
    ----------
    scores : list of path
        Tables that `compare_filters` wrote for these filters.
    choice : path
        The JSON file to write: `filter` (or 'none') and its `window`, all `filters` that were
        compared with theirs, `criterion`, `select_by` ('psnr', 'truth' or 'config'), `rois` and the
        `mean` scores of each filter.
    filters : list of Filter
    wanted : str
        'auto' takes the smallest mean squared error over all ROIs, the study's criterion (on one
        image it orders the filters as PSNR does, and unlike a mean of PSNR it stays finite where
        a filter changes nothing); a filter's name or 'none' takes that.
    truth : path, optional
        The table that `bench_filters` wrote for these filters. With it 'auto' takes the highest
        PSNR against the clean truth of the phantoms instead, the mean over all their crops and
        noises, each of the same weight. Doing nothing ('none') takes part, and is taken where no
        filter is better; what wins depends on which noises are benched, for filters that are good
        at one kind are bad at another.
    """
    table = records.read_all(scores, records.FILTERS)
    if table.empty:
        raise DataError("No ROI was scored; the shards' folders are empty, look into rejected.csv.")
    means = table.groupby("filter")[list(SCORES)].mean()
    windows = {compared.name: compared.window for compared in filters}
    name, criterion, select_by = wanted, "set in the config", "config"
    if wanted == "auto" and truth:
        name, select_by = _best_against(truth, windows), "truth"
        criterion = "highest mean PSNR against the truth of phantoms"
    elif wanted == "auto":
        name, select_by = str(means["mse"].idxmin()), "psnr"
        criterion = "smallest mean squared error"
    if name not in (*windows, "none"):
        raise UsageError(f"Filter {name} is to be applied but not compared; add it to the filters.")
    decision = {
        "filter": name,
        "window": windows.get(name, 1),
        "filters": windows,
        "criterion": criterion,
        "select_by": select_by,
        "rois": int(table["roi_id"].nunique()),
        # An infinite PSNR (a filter that changed nothing) has no number in JSON.
        "mean": means.replace(float("inf"), None).to_dict("index"),
    }
    write_text(choice, json.dumps(decision, indent=2) + "\n")
    return f"{choice}: {name} ({decision['criterion']})"


def _best_against(truth: str | os.PathLike, windows: dict[str, int]) -> str:
    """Return the filter with the highest mean PSNR in a table of the truth bench."""
    table = records.read(truth, records.TRUTH)
    benched = set(table["filter"]) - {"none"}
    if benched != set(windows):
        raise DataError(
            f"{truth}: holds scores of {', '.join(sorted(benched)) or 'no filter'}, not of "
            f"{', '.join(sorted(windows))}; run bench-filters again."
        )
    # In the table's order, so that of two that are equally good doing nothing is taken.
    return str(table.groupby("filter", sort=False)["psnr"].mean().idxmax())
