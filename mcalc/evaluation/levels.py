"""What one answer is about: an image, a ROI, a lesion, a breast or a patient."""

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import UsageError

# The ids that name a unit of each level; a level is given only where all of them are known.
LEVELS = {
    "image": ["image_id"],
    "roi": ["roi_id"],
    "lesion": ["patient_id", "laterality", "abnormality_id"],
    "breast": ["patient_id", "laterality"],
    "patient": ["patient_id"],
}
AGGREGATIONS = ("mean", "max")


def with_clusters(rows: pd.DataFrame, catalog: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return prediction rows with the columns `cluster`, `laterality` and `abnormality_id`.

    Parameters
    ----------
    rows : DataFrame
        PREDICTIONS or SHORTCUTS rows.
    catalog : DataFrame or None
        CATALOG rows, which know breast and lesion; None, or a ROI that is not among them: "" and 0.

    Returns
    -------
    DataFrame
        `cluster` is the patient, or the ROI itself where the patient is not known. A ROI's id is
        marked, so that none can be taken for a patient's.
    """
    rows = rows.copy()
    unknown = rows["patient_id"] == ""
    rows["cluster"] = rows["patient_id"].where(~unknown, "roi " + rows["roi_id"])
    places = ["laterality", "abnormality_id"]
    if catalog is None:
        return rows.assign(laterality="", abnormality_id=0)
    places = catalog.set_index("roi_id")[places].reindex(rows["roi_id"])
    rows["laterality"] = places["laterality"].fillna("").to_numpy()
    rows["abnormality_id"] = places["abnormality_id"].fillna(0).astype(int).to_numpy()
    return rows


def is_known(rows: pd.DataFrame, level: str) -> bool:
    """Tell whether every row has the ids that name its unit of the level."""
    return not rows[LEVELS[level]].isin(["", 0]).any(axis=None)


def units(rows: pd.DataFrame, level: str, aggregation: str = "mean") -> pd.DataFrame:
    """Return one answer a unit of a level, from the answers for its images.

    A ROI's probability is the mean over its quarter turns, whatever `aggregation` says, since they
    show the same pixels. That of a lesion, breast or patient is the mean or the maximum over its
    ROIs. A unit is malignant if any of its ROIs is: ten patients and five breasts of CBIS-DDSM's
    calcifications hold both labels.

    Parameters
    ----------
    rows : DataFrame
        What `with_clusters` returned.
    level : {'image', 'roi', 'lesion', 'breast', 'patient'}
    aggregation : {'mean', 'max'}

    Returns
    -------
    DataFrame
        Sorted by unit: `unit` (text), `cluster`, `malignant` (bool), `probability`, `images` and
        `rois` (how many it holds).
    """
    if level not in LEVELS or aggregation not in AGGREGATIONS:
        raise UsageError(
            f"There is no level {level!r} by {aggregation!r}; use {', '.join(LEVELS)} by "
            f"{' or '.join(AGGREGATIONS)}."
        )
    rows = rows.assign(
        malignant=rows["label"] == records.MALIGNANT, probability=rows["probability_malignant"]
    )
    if level == "image":
        # Each ROI is counted with one of its images, so that the sum is that of the ROIs.
        rows = rows.assign(unit=rows["image_id"], images=1, rois=~rows["roi_id"].duplicated())
        return rows[["unit", "cluster", "malignant", "probability", "images", "rois"]].sort_values(
            "unit", ignore_index=True
        )
    rois = _grouped(rows.assign(images=1, rois=1, unit=rows["roi_id"]), "mean")
    rois["rois"] = 1
    if level == "roi":
        return rois.drop(columns=["patient_id", "laterality", "abnormality_id"])
    ids = [rois[name].astype(str) for name in LEVELS[level]]
    rois["unit"] = [" ".join(parts) for parts in zip(*ids, strict=True)]
    return _grouped(rois, aggregation).drop(columns=["patient_id", "laterality", "abnormality_id"])


def _grouped(rows: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    grouped = rows.groupby("unit", sort=True)
    return grouped.agg(
        cluster=("cluster", "first"),
        malignant=("malignant", "any"),
        probability=("probability", aggregation),
        images=("images", "sum"),
        rois=("rois", "sum"),
        patient_id=("patient_id", "first"),
        laterality=("laterality", "first"),
        abnormality_id=("abnormality_id", "first"),
    ).reset_index()


def patient_groups(rows: pd.DataFrame, groups: int, seed: int) -> np.ndarray:
    """Return for each row of `units` a number below `groups`, the same for all of a patient.

    Patients with a malignant unit and those without are dealt out one by one in random order, so
    that every group has its share of both. There are no more groups than patients.
    """
    patients = rows.groupby("cluster", sort=True)["malignant"].any()
    order = np.random.default_rng(seed).permutation(len(patients))
    order = order[np.argsort(~patients.to_numpy()[order], kind="stable")]
    dealt = np.empty(len(patients), dtype=int)
    dealt[order] = np.arange(len(patients)) % groups
    return dealt[patients.index.get_indexer(rows["cluster"])]
