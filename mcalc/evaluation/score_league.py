"""Stage `score-league`: the methods of the league under one protocol, with intervals."""

import os

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.league_runs import LeagueRun, read_run
from mcalc.evaluation.levels import units, with_clusters
from mcalc.evaluation.runs import Model, pooled
from mcalc.evaluation.score_rows import Settings, counts_of, score_rows


def score_league(
    runs: list[str | os.PathLike],
    *,
    protocol: str,
    catalog: str | os.PathLike,
    scores: str | os.PathLike,
    times: list[str | os.PathLike] = (),
    settings: Settings | None = None,
) -> str:
    """Write the table `scores` (LEAGUE_SCORES): a row a method, the highest AUC first.

    Of ROIs, a ROI's probability being the mean over its quarter turns, with the same intervals over
    patients as those of the networks (`score`). Malignant is positive.

    Parameters
    ----------
    runs : list of path
        The folders that `mcalc train`, `fit-model` or `fit-ensemble` wrote, of any methods and
        folds; the folder that a fold lies in has the method's name, as has its card if it has one.
    protocol : str
        Whose runs they are.
    catalog : path
    scores : path
        The CSV file to write.
    times : list of path
        Snakemake's benchmark files of the runs, in their order, or none. One that is missing leaves
        the time empty.
    settings : score_rows.Settings or None

    Raises
    ------
    UsageError
        If times are given for some runs only.
    DataError
        If a run cannot be read, is of another method or protocol or there twice, lacks test images
        that other folds have, or a method lacks a fold that others have.
    """
    if times and len(times) != len(runs):
        raise UsageError(f"{len(runs)} runs and {len(times)} times; give one --time a --run.")
    found = [read_run(*pair) for pair in zip(runs, times or [None] * len(runs), strict=True)]
    rois = records.read(catalog, records.CATALOG)
    rows = [
        {"protocol": protocol, "model": name} | _scored(folds, rois, settings or Settings())
        for name, folds in _by_method(found, protocol).items()
    ]
    rows.sort(key=lambda row: (-np.nan_to_num(row["auc"]), row["model"]))
    records.write(rows, scores, records.LEAGUE_SCORES)
    return f"{scores}: {len(rows)} methods on {rows[0]['n_rois']} ROIs"


def _by_method(found: list[LeagueRun], protocol: str) -> dict[str, dict[int, LeagueRun]]:
    """Return each method's folds, all of which have the same."""
    methods = {}
    for run in found:
        if run.protocol != protocol:
            raise DataError(
                f"{run.folder}: a run of {run.protocol}, not of {protocol}; score each by itself."
            )
        folds = methods.setdefault(run.model, {})
        if run.fold in folds:
            raise DataError(f"{run.folder}: fold {run.fold} of {run.model} is given twice.")
        folds[run.fold] = run
    if not methods:
        raise UsageError("There is no run to score; give one or more as --run.")
    wanted = set().union(*methods.values())
    for model, folds in methods.items():
        if missing := sorted(wanted - set(folds)):
            raise DataError(
                f"{model} has no answers in fold {missing[0]}, others have; run it there, too."
            )
        for fold, run in folds.items():
            first = next(iter(methods.values()))[fold]
            if not _asked(run).equals(_asked(first)):
                raise DataError(
                    f"{run.folder}: answers for other images, sides or labels than "
                    f"{first.folder}; run both on one split."
                )
    # Of a fold without test images nothing would be pooled with the others', but it would count.
    tested, untested = [], []
    for run in next(iter(methods.values())).values():
        (tested if (run.rows["subset"] == "test").any() else untested).append(run)
    if tested and untested:
        raise DataError(
            f"{untested[0].folder}: no answer for a test image, which {tested[0].folder} has; run "
            "all folds of one split."
        )
    return methods


def _asked(run: LeagueRun) -> pd.DataFrame:
    """Return what a run was asked, in whatever order it answered."""
    asked = run.rows[["image_id", "subset", "label"]]
    return asked.sort_values("image_id", ignore_index=True)


def _scored(folds: dict[int, LeagueRun], catalog: pd.DataFrame, settings: Settings) -> dict:
    runs = list(folds.values())
    name = runs[0].model
    rows = pooled({fold: run.rows for fold, run in folds.items()}, name)
    model = Model("network", name, "", 0, with_clusters(rows, catalog))
    sample = units(model.measured, "roi")
    found = {}
    for score in score_rows(sample, settings):
        if score["preferred"] and score["score"] in records.LEAGUE_MEASURES:
            names = (f"{score['score']}{end}" for end in ("", "_low", "_high"))
            found |= dict(zip(names, (score["value"], score["low"], score["high"]), strict=True))
    return {
        **found,
        "seconds": float(np.mean([run.seconds for run in runs])),
        "parameters": round(np.mean([run.parameters for run in runs])),
        "n_folds": len(runs),
        **counts_of(sample),
        "confidence": settings.confidence,
    }
