"""What the leakage audit asks: equal numbers of training images, and labels that say nothing."""

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import UsageError
from mcalc.evaluation.leakage import (
    AUDITED,
    REPORTED,
    audit_folds,
    mark_known,
    score_answers,
    shuffle_labels,
)
from mcalc.evaluation.protocols import rotated_images
from mcalc.evaluation.score_rows import Settings


def images(patients: int = 30) -> pd.DataFrame:
    """Return two views of a lesion of each patient, four turns each; every third malignant."""
    rois = pd.DataFrame(
        [
            {
                "roi_id": f"roi{patient}{view}",
                "patient_id": f"P_{patient}",
                "laterality": "LEFT",
                "abnormality_id": 1,
                "label": "benign" if patient % 3 else "malignant",
                "official_split": "test" if patient % 5 < 2 else "train",
                "in_any_test": "yes" if patient % 5 < 2 else "no",
            }
            for patient in range(patients)
            for view in ("CC", "MLO")
        ]
    )
    return rotated_images(rois)


@pytest.fixture(scope="module")
def folds() -> dict:
    return audit_folds(images(), list(AUDITED), folds=5, seed=3)


def test_a_protocol_that_chooses_inside_is_refused():
    with pytest.raises(UsageError, match=r"'nested' cannot be audited.*use paper"):
        audit_folds(images(), ["paper", "nested"], folds=5, seed=1)


def test_every_protocol_and_fold_trains_with_the_same_number_of_images(folds):
    sizes = {(rows["subset"] == "train").sum() for tables in folds.values() for rows in tables}
    assert len(sizes) == 1
    # As many as the smallest side offers: 18 of 30 patients are not in the published test.
    assert sizes == {18 * 8}


@pytest.mark.parametrize("protocol", [name for name in AUDITED if "official" not in name])
def test_every_image_is_asked_for_once(folds, protocol):
    asked = pd.concat(rows[rows["subset"] == "valid"] for rows in folds[protocol])
    assert sorted(asked["image_id"]) == sorted(images()["image_id"])


@pytest.mark.parametrize("protocol", ["official", "official_strict"])
def test_the_published_test_images_are_asked_for(folds, protocol):
    (rows,) = folds[protocol]
    known = images().drop_duplicates("patient_id").set_index("patient_id")["official_split"]
    sides = rows["patient_id"].map(known)
    assert set(sides[rows["subset"] == "valid"]) == {"test"}
    assert set(sides[rows["subset"] == "train"]) == {"train"}
    assert (rows["subset"] == "valid").sum() == 12 * 8


def test_what_is_known_from_training_is_what_the_protocol_leaves_together(folds):
    shares = {
        protocol: pd.concat(map(mark_known, tables))[["roi_trained", "patient_trained"]].mean()
        for protocol, tables in folds.items()
    }
    # Three siblings, each in training with probability 144/240: 1 - 0.4**3 = 0.936.
    assert shares["paper"]["roi_trained"] == pytest.approx(0.936, abs=0.04)
    assert shares["paper_resplit"]["roi_trained"] > 0.9
    assert shares["image"]["roi_trained"] == 0
    assert shares["image"]["patient_trained"] > 0.5
    for protocol in ("lesion", "patient", "official", "official_strict"):
        assert tuple(shares[protocol]) == (0, 0)


def test_a_patient_who_is_not_known_is_nobodys():
    rows = images(12).assign(fold=0, patient_id="", subset="train")
    rows.loc[rows["roi_id"] == "roi0CC", "subset"] = "valid"
    assert not mark_known(rows)["patient_trained"].any()


def test_shuffled_labels_are_those_there_are_one_a_roi_and_new_with_each_seed():
    table = images()
    dealt = shuffle_labels(table, 1)
    rois = table.drop_duplicates("roi_id")
    assert sorted(dealt.values()) == sorted(rois["label"])
    assert set(dealt) == set(rois["roi_id"])
    assert dealt == shuffle_labels(table.sample(frac=1, random_state=0), 1)
    assert dealt != shuffle_labels(table, 2)


def answers(know, repeats: int = 4) -> pd.DataFrame:
    """Return LEAKAGE_ANSWERS rows; `know` gives a probability of malignant for a row."""
    tables = []
    for labels in records.AUDITED_LABELS:
        for repeat in range(repeats):
            table = images().assign(labels=labels, repeat=repeat, fold=0, training_images=100)
            if labels == "shuffled":
                table["label"] = table["roi_id"].map(shuffle_labels(table, repeat))
            tables.append(table)
    rows = pd.concat(tables, ignore_index=True)
    rows["probability_malignant"] = know(rows)
    return rows.assign(
        protocol="paper", model="m", roi_trained=True, patient_trained=True, subset="valid"
    )


def scores_of(rows: pd.DataFrame, labels: str) -> pd.DataFrame:
    found = pd.DataFrame(score_answers(rows, Settings(resamples=500)))
    return found[found["labels"] == labels].set_index("score")


def test_a_model_that_remembers_is_right_on_labels_that_say_nothing():
    """All but a few answers right: near 1 with true labels and with shuffled ones alike."""
    draw = np.random.default_rng(4)
    rows = answers(
        lambda rows: (
            np.where(draw.random(len(rows)) < 0.97, 0.9, 0.1) * (rows.label == "malignant") + 0.05
        )
    )
    for labels in records.AUDITED_LABELS:
        found = scores_of(rows, labels)
        assert set(found.index) == set(REPORTED)
        assert found.loc["balanced_accuracy", "low"] > 0.9
        assert found.loc["balanced_accuracy", "n_patients"] == 30
        assert found.loc["balanced_accuracy", "n"] == 4 * 240
        assert found.loc["balanced_accuracy", "n_images"] == 240
        assert found.loc["balanced_accuracy", "repeats"] == 4


def test_a_model_that_knows_nothing_has_an_interval_around_a_half():
    draw = np.random.default_rng(5)
    rows = answers(lambda rows: draw.random(len(rows)))
    found = scores_of(rows, "shuffled").loc["balanced_accuracy"]
    assert found["low"] < 0.5 < found["high"]


def test_a_patients_repeats_count_as_one_patient():
    """Four times the same answers are no more certain than once."""
    draw = np.random.default_rng(6)
    once = answers(lambda rows: draw.random(len(rows)), repeats=1)
    often = pd.concat([once.assign(repeat=repeat) for repeat in range(4)], ignore_index=True)
    first, second = (scores_of(rows, "true").loc["balanced_accuracy"] for rows in (once, often))
    assert first["value"] == second["value"]
    assert second["high"] - second["low"] == pytest.approx(first["high"] - first["low"], rel=0.05)
