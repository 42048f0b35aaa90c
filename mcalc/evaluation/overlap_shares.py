"""How many evaluated images share what with the images that trained the model."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import UsageError
from mcalc.evaluation.groups import BREAST, LESION, PLACE, group_numbers, is_known

# How each overlap is found: the columns of the catalog that are equal.
COLUMNS = {"lesion": LESION, "breast": BREAST, "patient": ["patient_id"]}


def roi_keys(rois: pd.DataFrame) -> pd.DataFrame:
    """Return a number for the image, lesion, breast and patient of each ROI, -1 if not known.

    Parameters
    ----------
    rois : DataFrame
        Rows of the catalog (CATALOG). Without the columns of the file, as the tables alone have
        it, a ROI is its id.

    Returns
    -------
    DataFrame
        int, indexed by `roi_id`, with the columns `roi`, `lesion`, `breast`, `patient`.
    """
    of_file = PLACE if set(PLACE) <= set(rois) else ["roi_id"]
    keys = {"roi": group_numbers(rois, of_file)}
    for name, columns in COLUMNS.items():
        keys[name] = group_numbers(rois, columns).where(is_known(rois, columns), -1)
    return pd.DataFrame(keys).set_axis(rois["roi_id"])


def compare_splits(
    tables: dict[str, pd.DataFrame], keys: pd.DataFrame, alike: dict[str, set[str]] | None = None
) -> list[dict]:
    """Return the rows of OVERLAP of several splits, by protocol."""
    rows = []
    for protocol, split in tables.items():
        trained_as = records.TRAINED_AS.get(protocol, protocol)
        if trained_as not in tables:
            raise UsageError(
                f"The split {protocol} measures the networks of {trained_as}; give the split "
                f"{trained_as}, too."
            )
        found = _overlap_rows(split, tables[trained_as], keys, alike)
        rows += [{"protocol": protocol, **row} for row in found]
    return rows


def as_text(rows: list[dict]) -> str:
    """Return a table for people: shares with their counts, folds taken together."""
    counts = pd.DataFrame(rows).groupby(["protocol", "overlap"], sort=False)
    counts = counts[["shared", "evaluated"]].sum()
    cells = [_cell(row.shared, row.evaluated) for row in counts.itertuples()]
    table = pd.Series(cells, counts.index).unstack()
    table = table.loc[counts.index.unique("protocol"), list(records.OVERLAPS)].reset_index()
    table.columns = [name.replace("_", " ") for name in table.columns]
    align = ("left",) + ("right",) * len(records.OVERLAPS)
    return table.to_markdown(index=False, tablefmt="simple", colalign=align)


def _overlap_rows(
    split: pd.DataFrame,
    trained: pd.DataFrame,
    keys: pd.DataFrame,
    alike: dict[str, set[str]] | None = None,
) -> Iterator[dict]:
    """Yield the counts of OVERLAP for each fold, without the protocol.

    Parameters
    ----------
    split : DataFrame
        The protocol's rows (SPLIT), whose evaluated images are counted.
    trained : DataFrame
        The rows of the protocol that trained its networks: the same, or another's.
    keys : DataFrame
        What `roi_keys` returns.
    alike : dict of set, optional
        For each ROI whose image was looked at the ROIs that look alike.
    """
    for fold, rows in split.groupby("fold"):
        evaluated = records.evaluated(rows)
        training = trained[(trained["fold"] == fold) & (trained["subset"] == "train")]
        shared = _shared(evaluated, training, keys, alike or {})
        for overlap in records.OVERLAPS:
            has, known = shared[overlap]
            count, of = int((has & known).sum()), int(known.sum())
            row = {"fold": fold, "overlap": overlap, "shared": count, "evaluated": of}
            yield row | {"share": count / of if of else None}


def _shared(
    evaluated: pd.DataFrame, training: pd.DataFrame, keys: pd.DataFrame, alike: dict[str, set[str]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return for each overlap which evaluated images have it and of which it is known."""
    counts = training["roi_id"].value_counts()
    others = evaluated["roi_id"].map(counts).fillna(0)
    others -= evaluated["image_id"].isin(training["image_id"])
    everywhere = np.ones(len(evaluated), bool)
    found = {"rotated_sibling": ((others > 0).to_numpy(), everywhere)}
    of_evaluated, of_training = keys.loc[evaluated["roi_id"]], keys.loc[training["roi_id"].unique()]
    for name in keys:
        has = of_evaluated[name].isin(of_training[name]).to_numpy()
        found[name] = has, (of_evaluated[name] >= 0).to_numpy()
    trained_rois = set(training["roi_id"])
    doubles = {roi for roi in evaluated["roi_id"].unique() if alike.get(roi, set()) & trained_rois}
    found["near_duplicate"] = (
        evaluated["roi_id"].isin(doubles).to_numpy(),
        evaluated["roi_id"].isin(list(alike)).to_numpy(),
    )
    return found


def _cell(shared: int, evaluated: int) -> str:
    return f"{shared / evaluated:.1%} ({shared}/{evaluated})" if evaluated else "not known"
