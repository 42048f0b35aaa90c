"""Stage `score`: every score of every model of a protocol, with intervals and comparisons."""

import os

from mcalc import records
from mcalc.evaluation.calibration import METHODS, reliability
from mcalc.evaluation.comparison_rows import comparison_rows
from mcalc.evaluation.levels import LEVELS, is_known, units
from mcalc.evaluation.runs import Model, choose_inside, read_models
from mcalc.evaluation.score_rows import (
    Settings,
    calibrated,
    conformal_rows,
    counts_of,
    curve_rows,
    operating_rows,
    score_rows,
    undefined_rows,
)
from mcalc.files import whole_folder

TABLES = {
    "scores": records.SCORES,
    "comparisons": records.MODEL_COMPARISONS,
    "reliability": records.RELIABILITY,
    "operating_points": records.OPERATING_POINTS,
    "decision_curve": records.DECISION_CURVE,
    "conformal": records.CONFORMAL,
    "choices": records.CHOICES,
}


def score_protocol(
    runs: list[str | os.PathLike],
    *,
    protocol: str,
    scores: str | os.PathLike,
    shortcuts: list[str | os.PathLike] = (),
    catalog: str | os.PathLike | None = None,
    settings: Settings | None = None,
) -> str:
    """Write the folder `scores`: a table for each of TABLES, about the models of one protocol.

    Malignant is the positive class throughout, whatever `evaluate.positive_class` says.

    Parameters
    ----------
    runs : list of path
        The run folders of all tests and folds.
    protocol : str
        Whose runs they are; every row carries it.
    scores : path
        The folder to write, whole or not at all.
    shortcuts : list of path
        The tables of shortcut models (SHORTCUTS), one a fold.
    catalog : path or None
        Knows lesions and breasts; without it scores are of images, ROIs and patients only.
    settings : Settings or None

    Raises
    ------
    DataError
        If a run cannot be read or the runs do not fit together (`read_models`).
    """
    settings = settings or Settings()
    rois = records.read(catalog, records.CATALOG) if catalog else None
    models = read_models(runs, shortcuts, rois, protocol=protocol)
    chosen, choices = choose_inside(models)
    models += chosen
    tables = {name: [] for name in TABLES}
    tables["choices"] = choices
    tables["comparisons"] = comparison_rows(models, settings)
    for model in models:
        _add_model(tables, model, settings)
    common = {"protocol": protocol, "confidence": settings.confidence}
    with whole_folder(scores) as folder:
        for name, schema in TABLES.items():
            rows = [common | row for row in tables[name]]
            records.write(rows, folder / f"{name}.csv", schema)
    return f"{scores}: {len(models)} models on {_said(models[0])}"


def _add_model(tables: dict[str, list], model: Model, settings: Settings) -> None:
    """Add a model's rows to all tables that have rows a model."""
    for level, aggregation in _levels(model, settings):
        sample = units(model.measured, level, aggregation if level != "image" else "mean")
        place = {"calibration": "none", "level": level, "aggregation": aggregation}
        counts = counts_of(sample)
        tables["scores"] += [
            model.identity | place | row | counts for row in score_rows(sample, settings)
        ]
    for method in METHODS:
        _add_calibrated(tables, model, method, settings)
    tables["operating_points"] += [model.identity | row for row in operating_rows(model, settings)]
    tables["conformal"] += [model.identity | row for row in conformal_rows(model, settings)]


def _add_calibrated(tables: dict, model: Model, method: str, settings: Settings) -> None:
    """Add what depends on calibration, ROI by ROI; empty cells where it cannot be fitted."""
    sample = calibrated(model, method, settings.seed)
    name = model.identity | {"calibration": method}
    counts = counts_of(units(model.measured, "roi") if sample is None else sample)
    if method != "none":
        rows = undefined_rows() if sample is None else score_rows(sample, settings)
        place = name | {"level": "roi", "aggregation": "mean"}
        tables["scores"] += [place | row | counts for row in rows]
    if sample is None:
        return
    answers = (sample[column].to_numpy() for column in ("malignant", "probability", "cluster"))
    bins = reliability(*answers, settings.confidence)
    tables["reliability"] += [name | counts | row for row in bins]
    tables["decision_curve"] += [name | row | counts for row in curve_rows(sample, settings)]


def _levels(model: Model, settings: Settings) -> list[tuple[str, str]]:
    """Return the levels whose ids are known, with the ways to put ROIs together."""
    levels = [("image", "none"), ("roi", "mean")]
    for level in list(LEVELS)[2:]:
        if is_known(model.measured, level):
            levels += [(level, way) for way in settings.aggregations]
    return levels


def _said(model: Model) -> str:
    counts = counts_of(units(model.measured, "roi"))
    said = f"{counts['n_rois']} ROIs of {counts['n_patients']} patients"
    if counts["cluster"] == "roi":
        said += "; some patients are not known, so that ROIs are taken for independent"
    missing = [level for level in list(LEVELS)[2:] if not is_known(model.measured, level)]
    return said + (
        f"; no scores of a {' or '.join(missing)}, whose ids are missing" * bool(missing)
    )
