"""Stage `audit-leakage`: memory is found where it is possible, and nowhere else."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.leakage import score_answers
from mcalc.evaluation.score_rows import Settings
from mcalc.images.shards import write_png
from mcalc.images.stack import stack_images
from mcalc.learning import shortcut_models
from mcalc.learning.audit_leakage import audit_leakage

PATIENTS = 20


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(shortcut_models, "TREES", 20)


def catalog_row(number: int, patient: int) -> dict:
    columns = dict.fromkeys(records.CATALOG.columns, "")
    return columns | {
        "roi_id": f"roi{number}",
        "patient_id": f"P_{patient}",
        "laterality": "LEFT",
        "view": "CC",
        "abnormality_id": 1,
        "label": records.LABELS[patient % 2],
        "dataset": "test",
        "source": f"{number}.dcm",
        "sha256": f"{number}",
        "shard": 0,
        **dict.fromkeys(("roi_top", "roi_left", "roi_rows", "roi_columns"), None),
        **dict.fromkeys(("breast_density", "assessment", "subtlety"), None),
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two ROIs of each of twenty patients: grey noise of many levels that tells no label."""
    folder = tmp_path_factory.mktemp("data")
    rows = [catalog_row(number, number // 2) for number in range(2 * PATIENTS)]
    records.write(rows, folder / "catalog.csv", records.CATALOG)
    records.write([], folder / "rejected.csv", records.REJECTED)
    (folder / "0").mkdir()
    draw = np.random.default_rng(2)
    for number in range(2 * PATIENTS):
        spread, grey = draw.uniform(10, 60), draw.uniform(60, 190)
        image = cv2.GaussianBlur(draw.normal(grey, spread, (32, 32)), (0, 0), 1)
        write_png(folder / f"0/roi{number}.png", image.clip(0, 255).astype(np.uint8))
    stack_images([folder / "0"], stack=folder / "stack.npy")
    return folder


def audit(data, answers, **changes) -> pd.DataFrame:
    options = {"protocol": "paper", "protocols": ["paper", "patient"], "folds": 4, "repeats": 2}
    rejected = changes.pop("rejected", [data / "rejected.csv"])
    audit_leakage(
        data / "catalog.csv",
        changes.pop("stack", data / "stack.npy"),
        rejected=rejected,
        answers=answers,
        **options | changes,
    )
    return records.read(answers, records.LEAKAGE_ANSWERS)


def balanced(answers: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame(score_answers(answers, Settings(resamples=400)))
    return rows[rows["score"] == "balanced_accuracy"].set_index("labels")


def test_labels_that_say_nothing_are_known_where_turned_copies_train(data, tmp_path):
    found = balanced(audit(data, tmp_path / "a.csv"))
    assert found.loc["shuffled", "low"] > 0.8
    assert found.loc["shuffled", "roi_trained"] > 0.9


def test_they_are_not_known_where_patients_are_apart(data, tmp_path):
    found = balanced(audit(data, tmp_path / "a.csv", protocol="patient", repeats=4))
    assert found.loc["shuffled", "low"] < 0.5 < found.loc["shuffled", "high"]
    assert found.loc["shuffled", "patient_trained"] == 0


def test_the_table_holds_each_image_once_a_repeat_and_kind_of_labels(data, tmp_path):
    table = audit(data, tmp_path / "a.csv")
    sizes = table.groupby(["labels", "repeat"])["image_id"].agg(["size", "nunique"])
    assert (sizes == 8 * PATIENTS).all(axis=None)
    assert len(sizes) == 4
    catalog = records.read(data / "catalog.csv", records.CATALOG).set_index("roi_id")["label"]
    same = table["label"].to_numpy() == catalog[table["roi_id"]].to_numpy()
    assert same[table["labels"] == "true"].all()
    assert 0.2 < same[table["labels"] == "shuffled"].mean() < 0.8


def test_all_protocols_train_with_as_many_images_as_the_smallest(data, tmp_path):
    protocols = ["paper", "lesion", "patient"]
    sizes = {
        size
        for protocol in protocols
        for size in audit(
            data, tmp_path / f"{protocol}.csv", protocol=protocol, protocols=protocols, repeats=1
        )["training_images"]
    }
    assert len(sizes) == 1


def test_the_same_seed_gives_the_same_bytes_and_another_another_split(data, tmp_path):
    audit(data, tmp_path / "a.csv", repeats=1)
    audit(data, tmp_path / "b.csv", repeats=1)
    audit(data, tmp_path / "c.csv", repeats=1, seed=9)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()


def test_rois_that_were_set_aside_take_no_part(data, tmp_path):
    aside = [
        {"roi_id": "roi3", "source": "", "stage": "convert", "reason": "unreadable", "detail": ""}
    ]
    records.write(aside, tmp_path / "aside.csv", records.REJECTED)
    table = audit(data, tmp_path / "a.csv", repeats=1, rejected=[tmp_path / "aside.csv"])
    assert "roi3" not in set(table["roi_id"])
    assert table["roi_id"].nunique() == 2 * PATIENTS - 1


def test_images_that_are_all_alike_are_refused(data, tmp_path):
    (tmp_path / "0").mkdir()
    for number in range(2 * PATIENTS):
        write_png(tmp_path / f"0/roi{number}.png", np.full((32, 32), 9, np.uint8))
    stack_images([tmp_path / "0"], stack=tmp_path / "stack.npy")
    with pytest.raises(DataError, match="All ROIs have the same grey levels"):
        audit(data, tmp_path / "a.csv", stack=tmp_path / "stack.npy")
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    "card",
    [
        None,
        "no card",
        "[]",
        "{}",
        '{"settings": {"network": "alexnet"}, "augmentation": {}}',
        '{"settings": 3, "augmentation": {}}',
    ],
)
def test_what_is_no_card_is_named(data, tmp_path, card):
    path = tmp_path / "run.json"
    if card is not None:
        path.write_text(card)
    with pytest.raises(DataError, match=r"run\.json: not the card of a run"):
        audit(data, tmp_path / "a.csv", like=path)


@pytest.mark.slow
def test_a_network_is_trained_as_its_card_says(data, tmp_path):
    """An untrained AlexNet for one epoch: the answers are of every image, by that network."""
    settings = {
        **{"protocol": "paper", "network": "alexnet", "test": 1, "fold": 0, "batch_size": 8},
        **{"lr_min": 1e-5, "lr_max": 1e-4, "epochs": 1, "head_epochs": 0, "weights": "none"},
        **{"lr_find_iterations": 6},
    }
    card = {"settings": settings, "augmentation": {"flip": False, "max_rotate": 0.0}}
    (tmp_path / "run.json").write_text(json.dumps(card))
    (tmp_path / "0").mkdir()
    for number in range(2 * PATIENTS):
        image = cv2.imread(str(data / f"0/roi{number}.png"), cv2.IMREAD_GRAYSCALE)
        write_png(tmp_path / f"0/roi{number}.png", cv2.resize(image, (64, 64)))
    stack_images([tmp_path / "0"], stack=tmp_path / "stack.npy")
    table = audit(
        data,
        tmp_path / "a.csv",
        stack=tmp_path / "stack.npy",
        like=tmp_path / "run.json",
        folds=2,
        repeats=1,
        device="cpu",
    )
    assert set(table["model"]) == {"alexnet"}
    assert len(table) == 2 * 8 * PATIENTS
    # Other labels, other answers: each kind has a network of its own.
    wide = table.pivot(index="image_id", columns="labels", values="probability_malignant")
    assert (wide["true"] != wide["shuffled"]).mean() > 0.9
