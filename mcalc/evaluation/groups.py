"""What images may have in common: a ROI, a lesion, a breast, a patient, a published part."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mcalc.errors import DataError

# What stands together, in words.
NOUNS = {"image_id": "images", "roi_id": "ROIs", "lesion": "lesions", "patient_id": "patients"}

LESION = ["patient_id", "laterality", "abnormality_id"]
BREAST = ["patient_id", "laterality"]

# Where a ROI's pixels are: two rows that are equal here are one image under two names.
PLACE = ["sha256", "roi_top", "roi_left", "roi_rows", "roi_columns"]


def group_numbers(rows: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Return a number for each combination of `columns`, the same for equal ones; from 0.

    Empty ids are taken as they are; `is_known` tells where they are. Since the patient is among
    the columns of a lesion and of a breast, neither can be shared by two patients.
    """
    return rows.groupby(columns, sort=False, dropna=False).ngroup()


def is_known(rows: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Tell which rows have a value in each of `columns`: an empty text or number 0 is none."""
    return pd.concat([~rows[name].isin(("", 0)) for name in columns], axis=1).all(axis=1)


def joined_groups(images: pd.DataFrame, together: str) -> pd.Series:
    """Return the column `together`, groups that hold one and the same image taken for one.

    An image file that is listed under two ROIs, lesions or patients would otherwise stand on both
    sides, and be known again. A joined group has the smallest name of its parts. Rows without the
    columns of PLACE, as tables alone have them, are returned as they are.
    """
    if together == "image_id" or not set(PLACE) <= set(images):
        return images[together]
    names, group = np.unique(images[together], return_inverse=True)
    image = group_numbers(images, PLACE).to_numpy()
    # Groups and images as one graph with an edge a row: what hangs together is one group.
    size = len(names) + image.max() + 1
    edges = coo_array((np.ones(len(images)), (group, len(names) + image)), shape=(size, size))
    _, part = connected_components(edges, directed=False)
    first = pd.Series(names).groupby(part[: len(names)]).first()
    return pd.Series(first.loc[part[group]].to_numpy(), index=images.index, name=together)


def check_known(images: pd.DataFrame, together: str, protocol: str) -> None:
    """Refuse images without the ids that a protocol keeps together, in one sentence."""
    if together not in ("patient_id", "lesion"):
        return
    unnamed = images[images["patient_id"] == ""]
    if len(unnamed):
        raise DataError(
            f"Protocol {protocol} needs a patient id for every ROI, but {_named(unnamed)} none; "
            "give dataset.patients (a CSV file with the columns file and patient_id), or take "
            f"'{protocol}' out of split.protocols."
        )
    unnumbered = images[~is_known(images, LESION)]
    if together == "lesion" and len(unnumbered):
        raise DataError(
            f"Protocol {protocol} needs the laterality and the abnormality id of every ROI, but "
            f"{_named(unnumbered)} not both; use the protocol patient, which keeps lesions "
            "together, too."
        )


def check_official(images: pd.DataFrame, protocol: str) -> None:
    """Refuse images that no published table of training or test names."""
    unnamed = images[images["official_split"] == ""]
    if len(unnamed):
        raise DataError(
            f"Protocol {protocol} needs a published training and test table, but {_named(unnamed)} "
            f"none; take '{protocol}' out of split.protocols."
        )
    for part in ("train", "test"):
        if part not in set(images["official_split"]):
            raise DataError(
                f"Protocol {protocol} finds no ROI of the published {part} table; put both tables "
                f"beside the images, or take '{protocol}' out of split.protocols."
            )


def check_apart(images: pd.DataFrame, protocol: str) -> None:
    """Refuse patients who are in the published training table and in the test table, too."""
    parts = images.groupby("patient_id")["official_split"].nunique()
    both = list(parts.index[parts > 1])
    if both:
        raise DataError(
            f"Protocol {protocol} keeps patients apart, but {len(both)} patients, such as "
            f"{both[0]}, are in the published training and test tables; use official_strict, "
            "which drops them from training."
        )


def check_collection(images: pd.DataFrame, protocol: str) -> None:
    """Refuse training images of which it is not known whether their patient is in a test table."""
    unknown = images[(images["official_split"] == "train") & (images["in_any_test"] == "")]
    if len(unknown):
        raise DataError(
            f"Protocol {protocol} must know who is in any test table of the collection, but "
            f"{_named(unknown)} no answer; put the test tables of the other findings (such as "
            "mass_case_description_test_set.csv) beside the others and list the ROIs again."
        )


def _named(images: pd.DataFrame) -> str:
    """Return the first ROI and how many others there are, with a verb."""
    others = images["roi_id"].nunique() - 1
    first = images["roi_id"].iloc[0]
    return f"{first} has" if not others else f"{first} and {others} others have"
