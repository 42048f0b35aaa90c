"""From images to ROIs, lesions, breasts and patients; nobody's ROIs are torn apart."""

import numpy as np
import pandas as pd
import pytest

from mcalc.errors import UsageError
from mcalc.evaluation.levels import is_known, patient_groups, units, with_clusters

CATALOG = pd.DataFrame(
    {
        "roi_id": ["a", "b", "c", "d"],
        "laterality": ["LEFT", "LEFT", "LEFT", "RIGHT"],
        "abnormality_id": [1, 1, 2, 1],
    }
)


def answers(patients=("P1", "P1", "P1", "P1"), labels="bbmb", turns=(0, 1)) -> pd.DataFrame:
    """Return the answers for ROIs a, b, c, d: 0.1, 0.2, 0.3, 0.4, a hundredth more a turn."""
    rows = [
        {
            "image_id": f"{roi}_r{turn}",
            "roi_id": roi,
            "patient_id": patient,
            "label": "malignant" if label == "m" else "benign",
            "probability_malignant": 0.1 * number + 0.01 * turn,
        }
        for number, (roi, patient, label) in enumerate(
            zip("abcd", patients, labels, strict=True), 1
        )
        for turn in turns
    ]
    return pd.DataFrame(rows)


def test_an_unknown_level_or_way_is_named():
    rows = with_clusters(answers(), CATALOG)
    with pytest.raises(UsageError, match="no level 'view' by 'mean'; use image, roi, lesion"):
        units(rows, "view")
    with pytest.raises(UsageError, match=r"by 'median'; .* by mean or max"):
        units(rows, "breast", "median")


def test_a_roi_is_the_mean_of_its_turns_even_where_the_maximum_is_asked_for():
    for way in ("mean", "max"):
        found = units(with_clusters(answers(), CATALOG), "roi", way)
        assert list(found["unit"]) == list("abcd")
        assert found["probability"].to_list() == pytest.approx([0.105, 0.205, 0.305, 0.405])
        assert (found["images"] == 2).all() and (found["rois"] == 1).all()


@pytest.mark.parametrize(
    ("level", "way", "expected"),
    [
        ("lesion", "mean", {"P1 LEFT 1": 0.155, "P1 LEFT 2": 0.305, "P1 RIGHT 1": 0.405}),
        ("lesion", "max", {"P1 LEFT 1": 0.205, "P1 LEFT 2": 0.305, "P1 RIGHT 1": 0.405}),
        ("breast", "mean", {"P1 LEFT": 0.205, "P1 RIGHT": 0.405}),
        ("breast", "max", {"P1 LEFT": 0.305, "P1 RIGHT": 0.405}),
        ("patient", "mean", {"P1": 0.255}),
        ("patient", "max", {"P1": 0.405}),
    ],
)
def test_rois_become_what_they_belong_to(level, way, expected):
    found = units(with_clusters(answers(), CATALOG), level, way).set_index("unit")
    assert found["probability"].to_dict() == pytest.approx(expected)
    assert (found["images"].sum(), found["rois"].sum()) == (8, 4)


def test_turns_that_were_not_predicted_do_not_weigh():
    """Under the study's protocol one ROI has four answers, another one."""
    rows = answers().drop(index=1)  # ROI a keeps a single turn
    found = units(with_clusters(rows, CATALOG), "lesion", "mean").set_index("unit")
    assert found["probability"]["P1 LEFT 1"] == pytest.approx((0.1 + 0.205) / 2)


def test_one_malignant_roi_makes_malignant_whatever_holds_it():
    rows = with_clusters(answers(), CATALOG)
    assert units(rows, "lesion")["malignant"].to_list() == [False, True, False]
    assert units(rows, "breast")["malignant"].to_list() == [True, False]
    assert units(rows, "patient")["malignant"].to_list() == [True]


def test_a_level_needs_all_of_its_ids():
    rows = with_clusters(answers(), CATALOG)
    assert all(is_known(rows, level) for level in ("roi", "lesion", "breast", "patient"))
    unnumbered = with_clusters(answers(), CATALOG.assign(abnormality_id=0))
    assert is_known(unnumbered, "breast") and not is_known(unnumbered, "lesion")
    apart = with_clusters(answers(), CATALOG[1:])  # nothing is known of ROI a
    assert not is_known(apart, "breast") and is_known(apart, "patient")
    assert not is_known(with_clusters(answers()), "lesion")


def test_a_roi_without_a_patient_is_its_own_cluster_and_no_patients():
    rows = with_clusters(answers(patients=("a", "", "", "P")), CATALOG)
    assert not is_known(rows, "patient")
    found = units(rows, "roi")
    assert found["cluster"].nunique() == 4
    assert found["cluster"].to_list() == ["a", "roi b", "roi c", "P"]


@pytest.mark.parametrize("patients", [1, 3, 5, 40])
def test_groups_share_no_patient_and_each_has_both_classes_where_there_are_enough(patients):
    generator = np.random.default_rng(patients)
    cluster = generator.integers(0, patients, 200)
    rows = pd.DataFrame({"cluster": cluster.astype(str), "malignant": cluster % 3 == 0})
    group = patient_groups(rows, 5, seed=1)
    assert rows.assign(group=group).groupby("cluster")["group"].nunique().max() == 1
    assert len(set(group)) == min(5, patients)
    if patients == 40:
        assert rows.groupby(group)["malignant"].nunique().min() == 2
    assert (patient_groups(rows, 5, seed=1) == group).all()
    assert patients < 4 or (patient_groups(rows, 5, seed=2) != group).any()
