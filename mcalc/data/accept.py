"""Stage `accept`: go on with what could be read, or stop because too much was set aside."""

import json
import os
from collections import Counter

import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.files import whole_file


def accept(
    catalog: str | os.PathLike,
    rejected: list[str | os.PathLike],
    *,
    accepted: str | os.PathLike,
    on_rejected: str = "continue",
    max_rejected: float = 0.05,
) -> str:
    """Weigh the ROIs that were set aside against all, and write the counts if there are not many.

    A stage of its own, so that the tables that say what was set aside stay when it stops.

    Parameters
    ----------
    catalog : path
        The table that `catalog` wrote.
    rejected : list of path
        The tables of what `catalog` and `convert` set aside.
    accepted : path
        JSON file to write: `rois` (all), `rejected`, and `reasons` with their counts.
    on_rejected : {'continue', 'stop'}
        Whether a ROI that was set aside stops the analysis.
    max_rejected : float
        The largest share of all ROIs that may be set aside where the analysis goes on, 0 to 1.

    Raises
    ------
    DataError
        If ROIs were set aside and `on_rejected` is 'stop', or more than `max_rejected` were.
    """
    rois = records.read(catalog, records.CATALOG)
    tables = [records.read(path, records.REJECTED) for path in rejected]
    aside = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    # What `convert` set aside is in the catalog, what `catalog` set aside is not.
    total = len(rois) + int((aside["stage"] == "catalog").sum())
    reasons = dict(Counter(aside["reason"]).most_common())
    if len(aside) and (on_rejected == "stop" or len(aside) > max_rejected * total):
        rule = "dataset.on_rejected is stop"
        if on_rejected != "stop":
            rule = f"dataset.max_rejected allows {max_rejected:.1%}"
        first = aside.iloc[0]
        lists = ", ".join(
            str(path) for path, table in zip(rejected, tables, strict=True) if len(table)
        )
        raise DataError(
            f"{len(aside)} of {total} ROIs were set aside ({_counted(reasons)}), but {rule}; mend "
            f"the data or change the key. They are listed in {lists}; the first is "
            f"{first['roi_id']}: {first['detail']}."
        )
    content = {"rois": total, "rejected": len(aside), "reasons": reasons}
    with whole_file(accepted) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    said = f" ({_counted(reasons)})" if reasons else ""
    return f"{len(aside)} of {total} ROIs set aside{said}; the others go on"


def _counted(reasons: dict[str, int]) -> str:
    return ", ".join(f"{many} {reason}" for reason, many in reasons.items())
