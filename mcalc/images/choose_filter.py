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
) -> str:
    """Choose among `filters` by the tables `scores` of all shards and write `choice` (JSON).

    Parameters
    ----------
    scores : list of path
        Tables that `compare_filters` wrote for these filters.
    choice : path
        The JSON file to write: `filter` (or 'none') and its `window`, all `filters` that were
        compared with theirs, `criterion`, `rois` and the `mean` scores of each filter.
    filters : list of Filter
    wanted : str
        'auto' takes the smallest mean squared error over all ROIs, the study's criterion (on one
        image it orders the filters as PSNR does, and unlike a mean of PSNR it stays finite where
        a filter changes nothing); a filter's name or 'none' takes that.
    """
    table = records.read_all(scores, records.FILTERS)
    if table.empty:
        raise DataError("No ROI was scored; the shards' folders are empty, look into rejected.csv.")
    means = table.groupby("filter")[list(SCORES)].mean()
    name = str(means["mse"].idxmin()) if wanted == "auto" else wanted
    windows = {compared.name: compared.window for compared in filters}
    if name not in (*windows, "none"):
        raise UsageError(f"Filter {name} is to be applied but not compared; add it to the filters.")
    decision = {
        "filter": name,
        "window": windows.get(name, 1),
        "filters": windows,
        "criterion": "smallest mean squared error" if wanted == "auto" else "set in the config",
        "rois": int(table["roi_id"].nunique()),
        # An infinite PSNR (a filter that changed nothing) has no number in JSON.
        "mean": means.replace(float("inf"), None).to_dict("index"),
    }
    write_text(choice, json.dumps(decision, indent=2) + "\n")
    return f"{choice}: {name} ({decision['criterion']})"
