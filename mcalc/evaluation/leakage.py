"""What the leakage audit asks under each protocol, and what the answers are worth."""

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import UsageError
from mcalc.evaluation.levels import units, with_clusters
from mcalc.evaluation.protocols import PROTOCOLS, split_images
from mcalc.evaluation.score_rows import Settings, score_rows

# The audit chooses nothing, so that `nested` would be `patient` once more.
AUDITED = tuple(protocol for protocol in PROTOCOLS if protocol != "nested")

# The scores that the audit reports; `accuracy` is the study's.
REPORTED = ("balanced_accuracy", "accuracy", "auc")


def audit_folds(
    images: pd.DataFrame, protocols: list[str], *, folds: int, seed: int
) -> dict[str, list[pd.DataFrame]]:
    """Return for each protocol its folds, all with the same number of training images.

    Parameters
    ----------
    images : DataFrame
        What `protocols.rotated_images` returns.
    protocols : list of str
        Of AUDITED. The official ones have one fold.
    folds : int
        At least 2.
    seed : int
        Of the splits, and of which training images are left out.

    Returns
    -------
    dict of list of DataFrame
        SPLIT rows; the subset `valid` is what is measured. Nothing is tuned, so that who validates
        under an official protocol trains here. The number of training images is that of the
        smallest fold of all the protocols; larger ones lose images at random.

    Raises
    ------
    UsageError
        If a protocol cannot be audited.
    DataError
        If the images cannot be split so (`split_images`).
    """
    for protocol in protocols:
        if protocol not in AUDITED:
            raise UsageError(
                f"Protocol {protocol!r} cannot be audited for leakage; use {', '.join(AUDITED)}."
            )
    wanted = dict.fromkeys([*protocols, *(records.TRAINED_AS.get(name) for name in protocols)])
    wanted.pop(None, None)
    tables = {name: split_images(images, name, folds=folds, seed=seed) for name in wanted}
    found = {protocol: _sides(tables, protocol) for protocol in protocols}
    size = min(len(training) for sides in found.values() for training, _ in sides)
    return {
        protocol: [_fold(training, measured, size, seed) for training, measured in sides]
        for protocol, sides in found.items()
    }


def _sides(tables: dict[str, pd.DataFrame], protocol: str) -> list[tuple]:
    """Return for each fold the rows that train and those that are measured."""
    learned = dict(list(tables[records.TRAINED_AS.get(protocol, protocol)].groupby("fold")))
    sides = []
    for fold, rows in tables[protocol].groupby("fold"):
        aside = records.evaluated(learned[fold])
        sides.append((learned[fold].drop(aside.index), records.evaluated(rows)))
    return sides


def _fold(training: pd.DataFrame, measured: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    kept = training.sample(size, random_state=seed).sort_index()
    parts = [kept.assign(subset="train"), measured.assign(subset="valid")]
    return pd.concat(parts, ignore_index=True)[list(records.SPLIT.columns)]


def shuffle_labels(images: pd.DataFrame, seed: int) -> dict[str, str]:
    """Return a label for each ROI: those there are, dealt out at random.

    All turns of a ROI get the same one, so that a model which has seen one turn can know the
    others' label, and nothing else tells it.
    """
    rois = images.drop_duplicates("roi_id").sort_values("roi_id")
    dealt = np.random.default_rng(seed).permutation(rois["label"].to_numpy(dtype=object))
    return dict(zip(rois["roi_id"], dealt, strict=True))


def mark_known(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a fold's measured rows with `roi_trained` and `patient_trained`.

    These say whether another image of the same ROI, of the same patient, is among the fold's
    training images; a patient who is not known is nobody's.
    """
    training, measured = rows[rows["subset"] == "train"], rows[rows["subset"] != "train"]
    patients = set(training["patient_id"]) - {""}
    return measured.assign(
        roi_trained=measured["roi_id"].isin(training["roi_id"]),
        patient_trained=measured["patient_id"].isin(patients),
    )


def score_answers(answers: pd.DataFrame, settings: Settings) -> list[dict]:
    """Return LEAKAGE rows of one protocol's answers, image by image as the study counts.

    The answers of all repeats are pooled. Intervals are over patients: a patient's images, and
    their answers in all repeats, are drawn together.

    Parameters
    ----------
    answers : DataFrame
        LEAKAGE_ANSWERS rows of one protocol and model.
    settings : score_rows.Settings
    """
    rows = []
    for labels, group in answers.groupby("labels", sort=False):
        clustered = with_clusters(group)
        sample = units(clustered, "image")
        common = {
            "protocol": group["protocol"].iloc[0],
            "model": group["model"].iloc[0],
            "labels": labels,
            "confidence": settings.confidence,
            "roi_trained": group["roi_trained"].mean(),
            "patient_trained": group["patient_trained"].mean(),
            "training_images": group["training_images"].median(),
            "repeats": group["repeat"].nunique(),
            "n": len(group),
            "n_images": group["image_id"].nunique(),
            "n_rois": group["roi_id"].nunique(),
            "n_patients": len(set(group["patient_id"]) - {""}),
        }
        rows += [
            common | {name: row[name] for name in ("score", "value", "low", "high", "method")}
            for row in score_rows(sample, settings)
            if row["preferred"] and row["score"] in REPORTED
        ]
    return rows
