"""The rows that flow between stages: one schema a table, checked on every write and every read.

Tables are CSV files with a header, UTF-8, an empty cell where there is no value. Each is written
whole (`write`) and read whole (`read`); docs/data-model.md explains every column.
"""

import hashlib
import os
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from mcalc.errors import DataError
from mcalc.files import whole_file

BENIGN, MALIGNANT = "benign", "malignant"
LABELS = (BENIGN, MALIGNANT)

# An image is a ROI and a quarter turn, counter-clockwise.
QUARTER_TURNS = (0, 1, 2, 3)

# The sides of a fold: what trains a model, what chooses and calibrates it, and, by protocols that
# keep one, what is looked at once, at the end.
SUBSETS = ("train", "valid", "test")

# Protocols whose networks another one trained: paper_resplit measures those of paper on images that
# are split anew after training.
TRAINED_AS = {"paper_resplit": "paper"}

# Why a ROI was set aside; the same words everywhere, so that they can be counted.
REJECTION_REASONS = (
    "missing_file",
    "empty_file",
    "unreadable",
    "too_large",
    "mask_not_crop",
    "wrong_case",
    "ambiguous_crop",
    "constant_image",
    "duplicate_id",
    "bad_field",
    "unclear_side",
    "no_group",
)


def _table(columns: dict[str, pa.Column], unique: list[str] | None = None) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=True, ordered=True, coerce=True, unique=unique)


def _text(*allowed: str) -> pa.Column:
    return pa.Column(str, pa.Check.isin(allowed) if allowed else None)


def _name() -> pa.Column:
    return pa.Column(str, pa.Check.str_length(min_value=1))


def _number(low: float | None = None, high: float | None = None, nullable=False) -> pa.Column:
    checks = [pa.Check.ge(low)] if low is not None else []
    checks += [pa.Check.le(high)] if high is not None else []
    return pa.Column(float, checks, nullable=nullable)


def _maybe(low: float | None = None, high: float | None = None) -> pa.Column:
    return _number(low, high, nullable=True)


def _share(*names: str) -> dict[str, pa.Column]:
    """Return shares with the ends of their intervals."""
    return {f"{name}{end}": _maybe(0, 1) for name in names for end in ("", "_low", "_high")}


def _count(low: int = 0) -> pa.Column:
    return pa.Column(int, pa.Check.ge(low))


CATALOG = _table(
    {
        "roi_id": _name(),
        "patient_id": _text(),
        "laterality": _text("LEFT", "RIGHT", ""),
        "view": _text("CC", "MLO", ""),
        "abnormality_id": _count(),
        "label": _text(*LABELS),
        "pathology": _text(),
        "official_split": _text("train", "test", ""),
        "in_any_test": _text("yes", "no", ""),
        "dataset": _name(),
        "source": _name(),
        "mask": _text(),
        "mammogram": _text(),
        "sha256": _name(),
        "shard": _count(),
        "roi_top": _number(0, nullable=True),
        "roi_left": _number(0, nullable=True),
        "roi_rows": _number(1, nullable=True),
        "roi_columns": _number(1, nullable=True),
        "abnormality_type": _text("calcification", "mass", ""),
        "breast_density": _number(nullable=True),
        "calc_type": _text(),
        "calc_distribution": _text(),
        "mass_shape": _text(),
        "mass_margins": _text(),
        "assessment": _number(nullable=True),
        "subtlety": _number(nullable=True),
    },
    unique=["roi_id"],
)

REJECTED = _table(
    {
        "roi_id": _name(),
        "source": _text(),
        "stage": _name(),
        "reason": _text(*REJECTION_REASONS),
        "detail": _text(),
    },
)

CLEANING = _table(
    {
        "roi_id": _name(),
        "method": _text("otsu", "otsu_grown"),
        "has_background": pa.Column(bool),
        "otsu_kept": _number(0, 1),
        "otsu_grown_kept": _number(0, 1),
    },
    unique=["roi_id"],
)

MAMMOGRAMS = _table(
    {
        "mammogram_id": _name(),
        "origin": _text("dataset", "samples"),
        "source": _name(),
        "otsu_kept": _number(0, 1),
        "otsu_grown_kept": _number(0, 1),
        "otsu_dice": _number(0, 1, nullable=True),
        "otsu_grown_dice": _number(0, 1, nullable=True),
    },
    unique=["mammogram_id"],
)

FILTERS = _table(
    {
        "roi_id": _name(),
        "filter": _name(),
        "mse": _number(0),
        "psnr": _number(),
        "ssim": _number(-1, 1),
        "contrast_retention": _number(0),
    },
    unique=["roi_id", "filter"],
)

TRUTH = _table(
    {
        "crop": _count(),
        "speck_pixels": _number(0),
        "noise": _text("gaussian", "poisson", "salt_and_pepper"),
        "level": _number(0),
        "filter": _name(),
        "mse": _number(0),
        "psnr": _number(),
        "ssim": _number(-1, 1),
        "contrast_left": _number(),
    },
    unique=["crop", "noise", "level", "filter"],
)

STACKED = _table({"roi_id": _name()}, unique=["roi_id"])

SPLIT = _table(
    {
        "image_id": _name(),
        "roi_id": _name(),
        "patient_id": _text(),
        "quarter_turns": pa.Column(int, pa.Check.isin(QUARTER_TURNS)),
        "label": _text(*LABELS),
        "fold": _count(),
        "subset": _text(*SUBSETS),
    },
    unique=["image_id", "fold"],
)

# What an evaluated image may share with an image in training, from the closest on.
OVERLAPS = ("rotated_sibling", "roi", "lesion", "breast", "patient", "near_duplicate")

OVERLAP = _table(
    {
        "protocol": _name(),
        "fold": _count(),
        "overlap": _text(*OVERLAPS),
        "shared": _count(),
        "evaluated": _count(),
        "share": _number(0, 1, nullable=True),
    },
    unique=["protocol", "fold", "overlap"],
)

HISTORY = _table(
    {
        "epoch": _count(),
        "phase": _text("head", "all"),
        "train_loss": _number(0),
        "valid_loss": _number(0),
        "error_rate": _number(0, 1),
        "accuracy": _number(0, 1),
    },
    unique=["epoch"],
)

LR_FIND = _table(
    # Where the rate is far too high the loss may be no number any more.
    {"learning_rate": _number(0), "loss": _number(nullable=True)},
    unique=["learning_rate"],
)

PREDICTIONS = _table(
    {
        "image_id": _name(),
        "roi_id": _name(),
        "patient_id": _text(),
        "quarter_turns": pa.Column(int, pa.Check.isin(QUARTER_TURNS)),
        "label": _text(*LABELS),
        "subset": _text("valid", "test"),
        "probability_malignant": _number(0, 1),
        "predicted": _text(*LABELS),
        "loss": _number(0),
    },
    unique=["image_id"],
)

SHORTCUTS = _table(
    {
        "model": _name(),
        "image_id": _name(),
        "roi_id": _name(),
        "patient_id": _text(),
        "quarter_turns": pa.Column(int, pa.Check.isin(QUARTER_TURNS)),
        "label": _text(*LABELS),
        "subset": _text("valid", "test"),
        "probability_malignant": _number(0, 1),
        "predicted": _text(*LABELS),
    },
    unique=["model", "image_id"],
)

# Whose labels the leakage audit goes by: those of the data set, or dealt out at random.
AUDITED_LABELS = ("true", "shuffled")

LEAKAGE_ANSWERS = _table(
    {
        "protocol": _name(),
        "model": _name(),
        "labels": _text(*AUDITED_LABELS),
        "repeat": _count(),
        "fold": _count(),
        "training_images": _count(1),
        "image_id": _name(),
        "roi_id": _name(),
        "patient_id": _text(),
        "label": _text(*LABELS),
        "roi_trained": pa.Column(bool),
        "patient_trained": pa.Column(bool),
        "probability_malignant": _number(0, 1),
    },
    unique=["labels", "repeat", "image_id"],
)

LEAKAGE = _table(
    {
        "protocol": _name(),
        "model": _name(),
        "labels": _text(*AUDITED_LABELS),
        "score": _name(),
        "value": _number(0, 1, nullable=True),
        "low": _number(0, 1, nullable=True),
        "high": _number(0, 1, nullable=True),
        "method": _name(),
        "confidence": _number(0, 1),
        "roi_trained": _number(0, 1),
        "patient_trained": _number(0, 1),
        "training_images": _count(1),
        "repeats": _count(1),
        "n": _count(1),
        "n_images": _count(1),
        "n_rois": _count(1),
        "n_patients": _count(),
    },
    unique=["protocol", "model", "labels", "score"],
)

RUNS = _table(
    {
        "protocol": _name(),
        "network": _name(),
        "test": _count(1),
        "fold": _count(),
        "batch_size": _count(1),
        "lr_min": _number(0),
        "lr_max": _number(0),
        "epochs": _count(1),
        "train_loss": _number(0),
        "valid_loss": _number(0),
        "error_rate": _number(0, 1),
        "positive_class": _text(*LABELS),
        "true_positives": _count(),
        "false_positives": _count(),
        "false_negatives": _count(),
        "true_negatives": _count(),
        "recall": _number(0, 1, nullable=True),
        "precision": _number(0, 1, nullable=True),
        "specificity": _number(0, 1, nullable=True),
        "accuracy": _number(0, 1),
        "f1": _number(0, 1, nullable=True),
        "mcc": _number(-1, 1, nullable=True),
        "auc": _number(0, 1, nullable=True),
    },
    unique=["protocol", "test", "fold"],
)

# What names a model in the tables of `score`, and how much a row of them stands on.
_MODEL = {
    "protocol": _name(),
    "kind": _text("network", "shortcut", "chosen"),
    "model": _name(),
    "network": _text(),
    "test": _count(),
}
_COUNTS = {
    "n": _count(1),
    "n_malignant": _count(),
    "n_images": _count(1),
    "n_rois": _count(1),
    "n_patients": _count(),
    "cluster": _text("patient", "roi"),
    "confidence": _number(0, 1),
}
_CALIBRATION = _text("none", "temperature", "platt", "isotonic")

# What the configuration may name instead of methods of the league (`learning.league.Entry.group`).
LEAGUE_GROUPS = ("classical", "scratch", "pretrained")

# What is told of each method of the league, and how much a row of it stands on.
LEAGUE_MEASURES = ("auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity")

_LEAGUE = {
    "protocol": _name(),
    "model": _name(),
    **_share(*LEAGUE_MEASURES),
    "seconds": _maybe(0),
    "parameters": _count(),
    "n_folds": _count(1),
    **_COUNTS,
}

LEAGUE_SCORES = _table(_LEAGUE, unique=["protocol", "model"])

LEAGUE = _table(
    _LEAGUE
    | {
        "what": _name(),
        "group": _text(*LEAGUE_GROUPS),
        "printed": _text(),
        "printed_accuracy": _maybe(0, 1),
        "source": _name(),
        "year": _count(1),
        "doi": _text(),
        "source_data": _text(),
        "source_split": _text(),
        "source_question": _text(),
        "choices": _text(),
    },
    unique=["protocol", "model"],
)

SCORES = _table(
    {
        **_MODEL,
        "calibration": _CALIBRATION,
        "level": _text("image", "roi", "lesion", "breast", "patient"),
        "aggregation": _text("none", "mean", "max"),
        "score": _name(),
        "value": _maybe(),
        "low": _maybe(),
        "high": _maybe(),
        "method": _text("bootstrap", "bootstrap_basic", "delong", "newcombe", "wilson"),
        "preferred": pa.Column(bool),
        "resamples": _count(),
        **_COUNTS,
    },
    unique=["model", "calibration", "level", "aggregation", "score", "method"],
)

MODEL_COMPARISONS = _table(
    {
        "protocol": _name(),
        "model_a": _name(),
        "model_b": _name(),
        "auc_a": _maybe(0, 1),
        "auc_b": _maybe(0, 1),
        "auc_difference": _maybe(-1, 1),
        "low": _maybe(-1, 1),
        "high": _maybe(-1, 1),
        "delong_p": _maybe(0, 1),
        "delong_p_holm": _maybe(0, 1),
        "smallest_difference": _maybe(0),
        "only_a_right": _count(),
        "only_b_right": _count(),
        "mcnemar_exact_p": _maybe(0, 1),
        "mcnemar_corrected_p": _maybe(0, 1),
        "mcnemar_clustered_p": _maybe(0, 1),
        "mcnemar_clustered_p_holm": _maybe(0, 1),
        **_COUNTS,
    },
    unique=["model_a", "model_b"],
)

RELIABILITY = _table(
    {
        **_MODEL,
        "calibration": _CALIBRATION,
        "bin": _count(),
        "bin_low": _number(0, 1),
        "bin_high": _number(0, 1),
        "mean_probability": _maybe(0, 1),
        "observed": _maybe(0, 1),
        "low": _maybe(0, 1),
        "high": _maybe(0, 1),
        **(_COUNTS | {"n": _count()}),
    },
    unique=["model", "calibration", "bin"],
)

OPERATING_POINTS = _table(
    {
        **_MODEL,
        "fixed": _text("sensitivity", "specificity"),
        "target": _number(0, 1),
        "threshold": _maybe(0),
        "chosen_on": _text("valid", "same_images"),
        **_share("sensitivity", "specificity"),
        **_COUNTS,
    },
    unique=["model", "fixed", "target"],
)

DECISION_CURVE = _table(
    {
        **_MODEL,
        "calibration": _CALIBRATION,
        "threshold": _number(0, 1),
        "net_benefit": _number(high=1),
        "low": _maybe(high=1),
        "high": _maybe(high=1),
        "all_net_benefit": _number(high=1),
        "all_low": _maybe(high=1),
        "all_high": _maybe(high=1),
        **_COUNTS,
    },
    unique=["model", "calibration", "threshold"],
)

CONFORMAL = _table(
    {
        **_MODEL,
        "option": _text("marginal", "by_class"),
        "wanted": _number(0, 1),
        **_share("coverage", "coverage_malignant", "coverage_benign"),
        **_share("answered", "both", "neither", "accuracy_answered"),
        **_COUNTS,
    },
    unique=["model", "option", "wanted"],
)

CHOICES = _table(
    {
        "protocol": _name(),
        "fold": _count(),
        "test": _count(1),
        "network": _name(),
        "valid_log_loss": _number(0),
        "chosen": pa.Column(bool),
        "chosen_of_network": pa.Column(bool),
    },
    unique=["fold", "test"],
)

VERDICTS = ("reproduced", "differs", "impossible", "not_comparable")

COMPARISON = _table(
    {
        "table": pa.Column(int, pa.Check.isin(range(2, 10))),
        "row": _name(),
        "column": _name(),
        "printed": _name(),
        "ours": _number(nullable=True),
        "difference": _number(nullable=True),
        "low": _number(nullable=True),
        "high": _number(nullable=True),
        "verdict": _text(*VERDICTS),
        "why": _text(),
    },
    unique=["table", "row", "column"],
)


def write(rows: pd.DataFrame | list[dict], path: str | os.PathLike, schema) -> None:
    """Write rows to a CSV file, whole or not at all, after checking them against `schema`."""
    frame = pd.DataFrame(rows, columns=list(schema.columns))
    frame = _checked(frame, schema, path)
    with whole_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read(path: str | os.PathLike, schema, **only: object) -> pd.DataFrame:
    """Read a CSV file that `write` wrote; `DataError` names the file and what does not fit.

    With `only`, such as `shard=3`, the rows that have this value are kept; others are not checked.
    """
    path = Path(path)
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}).") from error
    for name, value in only.items():
        if name in frame:
            frame = frame[frame[name] == str(value)].reset_index(drop=True)
    for name, column in schema.columns.items():
        if name in frame and str(column.dtype) in ("int64", "float64", "bool"):
            frame[name] = frame[name].replace("", None)
        if name in frame and str(column.dtype) == "bool":
            frame[name] = _booleans(frame[name], path)
    return _checked(frame, schema, path)


def read_all(paths: list[str | os.PathLike], schema) -> pd.DataFrame:
    """Read several tables of one kind, such as the shards of a stage, into one."""
    if not paths:
        return pd.DataFrame(columns=list(schema.columns))
    return pd.concat([read(path, schema) for path in sorted(map(str, paths))], ignore_index=True)


def evaluated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return those SPLIT or PREDICTIONS rows of one fold on which a model is measured.

    The test images where the protocol keeps some, else the validation images.
    """
    measured = "test" if (rows["subset"] == "test").any() else "valid"
    return rows[rows["subset"] == measured]


def read_fold(split: str | os.PathLike, fold: int) -> pd.DataFrame:
    """Read the rows of one fold of a split (SPLIT); `DataError` where there are none."""
    rows = read(split, SPLIT)
    rows = rows[rows["fold"] == fold].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"{split}: there is no fold {fold}; split again or train another.")
    return rows


def data_hash(catalog: pd.DataFrame) -> str:
    """Return twelve hex digits that stand for the ROIs, their labels, places and files' bytes."""
    places = ["roi_top", "roi_left", "roi_rows", "roi_columns"]
    rows = catalog[["roi_id", "label", "sha256", *places]].sort_values("roi_id")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()[:12]


def _booleans(values: pd.Series, path: Path) -> pd.Series:
    """Read True and False; any other text would be taken for True."""
    wrong = values[~values.isin(["True", "False"])]
    if len(wrong):
        raise DataError(
            f"{path}: {wrong.iloc[0]!r} in column {values.name} is neither True nor False."
        )
    return values == "True"


def _checked(frame: pd.DataFrame, schema, path: str | os.PathLike) -> pd.DataFrame:
    missing = [name for name in schema.columns if name not in frame]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} is missing; run its stage again.")
    try:
        return schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        raise DataError(
            f"{path}: the table does not hold what it should: {case['failure_case']!r} in column "
            f"{case['column']} fails the check {case['check']}."
        ) from error
