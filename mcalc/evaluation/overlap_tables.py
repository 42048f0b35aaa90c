"""The overlap of every protocol on CBIS-DDSM's tables alone, called by hand without any image."""

import json as as_json
import os
from collections import Counter
from pathlib import Path

import pandas as pd

from mcalc.data.datasets.cbis_ddsm import list_table_rows
from mcalc.data.datasets.cbis_ddsm.tables import crossing_patients, patients_in_test, read_tables
from mcalc.errors import DataError
from mcalc.evaluation.overlap_shares import as_text, compare_splits, roi_keys
from mcalc.evaluation.protocols import PROTOCOLS, rotated_images, split_images
from mcalc.files import write_text

# Folds of nested where one fold is wanted of the others.
NESTED_FOLDS = 5


def print_tables(
    root: str | os.PathLike,
    *,
    json: str | os.PathLike | None = None,
    **options,
) -> str:
    """Return what `compare_tables` finds as text for people; write it as JSON, too, if asked."""
    found = compare_tables(root, **options)
    if json:
        write_text(json, as_json.dumps(found, indent=2) + "\n")
    parts = "; ".join(f"{count} {which}" for which, count in sorted(found["crossing"].items()))
    crossing = f"{sum(found['crossing'].values())} patients cross: {parts or 'none'}."
    if found["missing"]:
        crossing = f"Who crosses is not known: no test table of {found['missing'][0]} lies here."
    return "\n".join([as_text(found["shares"]), *found["refused"].values(), crossing])


def compare_tables(
    root: str | os.PathLike,
    *,
    folds: int = 1,
    valid_fraction: float = 0.2,
    seed: int = 1,
    repeats: int = 10,
) -> dict:
    """Split the calcifications of the tables by each protocol and count the overlaps.

    Parameters
    ----------
    root : path
        The folder of the case-description tables, as TCIA publishes them.
    folds : int
        As in `split_images`; nested has 5 where 1 is given.
    valid_fraction : float
    seed : int
        Of the first split; the others take the next ones.
    repeats : int
        How many splits of each protocol are counted, so that chance matters less; one where the
        evaluated images do not depend on it, as by the official protocols and nested.

    Returns
    -------
    dict
        `shares`, OVERLAP rows with the `seed` of the split; `refused`, for each protocol that
        cannot be had the sentence why; `crossing`, how many patients are in which parts, such as
        'calcification train, mass test'; `missing`, the findings whose test table is not there.

    Raises
    ------
    DataError
        If there is no table of calcifications.
    """
    root = Path(root)
    rois = pd.DataFrame(list_table_rows(root, abnormalities=("calcification",)))
    if rois.empty:
        raise DataError(f"{root}: no row of the tables can be used; put TCIA's tables here.")
    keys, images = roi_keys(rois), rotated_images(rois)
    shares, refused = [], {}
    for number in range(seed, seed + repeats):
        tables = {}
        for protocol, rule in PROTOCOLS.items():
            if rule.test and number > seed:
                continue
            count = NESTED_FOLDS if rule.test == "fold" and folds == 1 else folds
            wanted = {"folds": count, "valid_fraction": valid_fraction, "seed": number}
            try:
                tables[protocol] = split_images(images, protocol, **wanted)
            except DataError as error:
                refused[protocol] = str(error)
        if "paper" not in tables:
            raise DataError(refused["paper"])
        shares += [row | {"seed": number} for row in compare_splits(tables, keys)]
    crossing = Counter(crossing_patients(read_tables(root)).values())
    missing = patients_in_test(root)[1]
    return {"shares": shares, "refused": refused, "crossing": dict(crossing), "missing": missing}
