"""The methods that learn from features, on phantoms whose truth is known, with patients apart."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.datasets.phantom.crops import draw_crop
from mcalc.data.datasets.phantom.patients import draw_patient
from mcalc.evaluation.leakage import shuffle_labels
from mcalc.evaluation.protocols import rotated_images, split_images
from mcalc.evaluation.score_league import score_league
from mcalc.evaluation.score_rows import Settings
from mcalc.images.shards import write_png
from mcalc.learning import heads
from mcalc.learning.extract_features import DESIGNED, extract_features
from mcalc.learning.fit_model import fit_model
from mcalc.learning.league import read_league
from mcalc.learning.model_runs import Settings as FitSettings

pytestmark = pytest.mark.slow

PATIENTS, SIZE, FOLDS = 60, 128, 3
CLASSICAL = [name for name, entry in read_league().items() if entry.group == "classical"]
OF_SPECKS = [name for name in CLASSICAL if "speck" in " ".join(read_league()[name].features)]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    """A fifth of the trees: each forest is fitted ten times."""
    monkeypatch.setattr(heads, "TREES", 100)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """The features of a phantom whose classes have no appearance in common, and its ROIs."""
    folder, rois = tmp_path_factory.mktemp("phantom"), []
    (folder / "images").mkdir()
    for number in range(PATIENTS):
        rng = np.random.default_rng([1, number])
        patient = draw_patient(rng, number, looks="typical")
        for finding in patient.findings:
            for view in ("CC", "MLO"):
                roi_id = f"{patient.patient_id}_{finding.abnormality_id}_{view}"
                crop = draw_crop(rng, patient, finding, view)
                image = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
                image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
                write_png(folder / "images" / f"{roi_id}.png", image)
                rois.append({"roi_id": roi_id, "patient_id": patient.patient_id, "view": view})
                rois[-1]["label"] = "malignant" if finding.pathology == "MALIGNANT" else "benign"
                rois[-1]["abnormality_id"] = finding.abnormality_id
    for kind in DESIGNED:
        extract_features(
            folder / "images", kind=kind, features=folder / f"features/{kind}/0.parquet"
        )
    return folder, _catalog(pd.DataFrame(rois))


def _catalog(rois: pd.DataFrame) -> pd.DataFrame:
    """Return CATALOG rows."""
    empty = dict.fromkeys(records.CATALOG.columns, "")
    given = {"laterality": "LEFT", "pathology": "B", "dataset": "phantom", "source": "s"}
    numbers = {name: 0 for name, column in records.CATALOG.columns.items() if "int" in str(
        column.dtype)}  # fmt: skip
    missing = {name: np.nan for name, column in records.CATALOG.columns.items() if "float" in str(
        column.dtype)}  # fmt: skip
    rest = empty | given | {"sha256": rois["roi_id"]} | numbers | missing
    return rois.assign(**{name: value for name, value in rest.items() if name not in rois})


def measure(phantom, folder: Path, models: list[str], *, shuffled: bool, confidence: float):
    """Return LEAGUE_SCORES of methods under the protocol patient, by method."""
    features, rois = phantom
    if shuffled:
        rois = rois.assign(label=rois["roi_id"].map(shuffle_labels(rotated_images(rois), 3)))
    records.write(rois, folder / "catalog.csv", records.CATALOG)
    split = split_images(rotated_images(rois), "patient", folds=FOLDS, seed=1)
    records.write(split, folder / "split.csv", records.SPLIT)
    runs = []
    for model in models:
        sets = read_league()[model].features
        for fold in range(FOLDS):
            runs.append(folder / model / f"fold{fold}")
            fit_model(
                folder / "split.csv",
                run=runs[-1],
                settings=FitSettings(model, "patient", fold),
                features=[features / f"features/{kind}/0.parquet" for kind in sets],
            )
    score_league(
        runs,
        protocol="patient",
        catalog=folder / "catalog.csv",
        scores=folder / "league.csv",
        settings=Settings(confidence=confidence),
    )
    return records.read(folder / "league.csv", records.LEAGUE_SCORES).set_index("model")


def test_features_of_specks_tell_classes_that_differ_in_their_specks(phantom, tmp_path):
    found = measure(phantom, tmp_path, OF_SPECKS, shuffled=False, confidence=0.95)
    assert len(found) == 4
    assert found["auc"].max() > 0.85
    assert (found["auc_low"] > 0.5).all(), found[["auc", "auc_low"]]


def test_nothing_is_learned_from_labels_dealt_out_at_random(phantom, tmp_path):
    """Six methods are asked, so an interval of 95 % would miss chance in one run of four."""
    found = measure(phantom, tmp_path, CLASSICAL, shuffled=True, confidence=0.999)
    assert len(found) == 6
    at_chance = (found["auc_low"] < 0.5) & (found["auc_high"] > 0.5)
    assert at_chance.all(), found[["auc", "auc_low", "auc_high"]]
