"""The engine of all protocols: how it refuses, what it keeps apart, and what it did before."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit

from mcalc import records
from mcalc.cli.options import Protocol
from mcalc.data.datasets.cbis_ddsm import list_table_rows
from mcalc.errors import DataError, McalcError, UsageError
from mcalc.evaluation.protocols import PROTOCOLS, rotated_images, split_images
from mcalc.evaluation.split import write_split

OFFICIAL = ("official", "official_strict")
# What must stand on one side, by protocol; said here once more, so that a slip is seen.
TOGETHER = {"paper": "image_id", "paper_resplit": "image_id", "image": "roi_id", "lesion": "lesion"}
TOGETHER |= dict.fromkeys(("patient", "official", "official_strict", "nested"), "patient_id")


def rois(patients: int = 30, views=("CC", "MLO"), **changes) -> pd.DataFrame:
    """Return a lesion in two views of each patient, every third malignant, every fifth in test."""
    return pd.DataFrame(
        [
            {
                "roi_id": f"roi{patient}{view}",
                "patient_id": f"P_{patient}",
                "laterality": ("LEFT", "RIGHT")[patient % 2],
                "abnormality_id": 1,
                "label": "benign" if patient % 3 else "malignant",
                "official_split": "test" if patient % 5 < 2 else "train",
                "in_any_test": "yes" if patient % 5 < 2 else "no",
            }
            | changes
            for patient in range(patients)
            for view in views
        ]
    )


def split(table: pd.DataFrame, protocol: str, **options) -> pd.DataFrame:
    return split_images(rotated_images(table), protocol, **options)


def change(table: pd.DataFrame, rows: slice, **values) -> pd.DataFrame:
    for name, value in values.items():
        table.loc[table.index[rows], name] = value
    return table


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [0, -1])
def test_no_fold_at_all_is_refused(folds):
    with pytest.raises(UsageError, match=rf"split\.folds is {folds}; use 1 for a hold-out"):
        split(rois(), "patient", folds=folds)


def test_nested_needs_two_folds():
    with pytest.raises(UsageError, match=r"nested tests every patient once.*2 folds or more"):
        split(rois(), "nested")


@pytest.mark.parametrize("protocol", ["patient", "lesion", *OFFICIAL, "nested"])
def test_missing_patients_are_refused_whatever_the_protocol(protocol):
    table = change(rois(), slice(3, 5), patient_id="")
    pattern = rf"{protocol} needs a patient id for every ROI, but roi1MLO and 1 others have none"
    with pytest.raises(DataError, match=pattern):
        split(table, protocol, folds=2)


@pytest.mark.parametrize(("column", "value"), [("laterality", ""), ("abnormality_id", 0)])
def test_lesions_that_are_not_numbered_are_refused(column, value):
    table = change(rois(), slice(4, 5), **{column: value})
    with pytest.raises(DataError, match=r"lesion needs the laterality and.*roi2CC has not both"):
        split(table, "lesion")
    assert len(split(table, "patient")) == 4 * len(table)


@pytest.mark.parametrize("protocol", OFFICIAL)
def test_a_data_set_without_published_parts_is_refused(protocol):
    table = rois(official_split="")
    pattern = rf"{protocol} needs a published training and test table.*take '{protocol}' out"
    with pytest.raises(DataError, match=pattern):
        split(table, protocol)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_published_table_is_named(part):
    with pytest.raises(DataError, match=rf"finds no ROI of the published {part} table"):
        split(rois(official_split="test" if part == "train" else "train"), "official")


def test_a_patient_in_both_published_tables_is_refused_or_dropped():
    table = change(rois(), slice(0, 1), official_split="train")
    with pytest.raises(DataError, match=r"1 patients, such as P_0, are in.*use official_strict"):
        split(table, "official")
    strict = split(table, "official_strict")
    assert set(strict.loc[strict["patient_id"] == "P_0", "subset"]) == {"test"}
    assert "roi0CC" not in set(strict["roi_id"])


def test_strict_refuses_where_the_other_test_tables_are_missing():
    table = change(rois(), slice(8, 9), in_any_test="")
    with pytest.raises(DataError, match=r"must know who is in any test table.*mass_case"):
        split(table, "official_strict")
    assert len(split(table, "official")) == 4 * len(table)


@pytest.mark.parametrize("protocol", ["lesion", "patient", "nested"])
def test_fewer_groups_of_a_class_than_folds_are_refused(protocol):
    noun = "lesions" if protocol == "lesion" else "patients"
    with pytest.raises(DataError, match=rf"4 malignant {noun} cannot stand in each of 5 folds"):
        split(rois(12), protocol, folds=5)


def test_one_class_in_a_fold_is_refused_with_side_and_fold():
    """Of two malignant patients one is tested; the other cannot both train and validate."""
    table = rois(20)
    table["label"] = np.where(table["patient_id"].isin(["P_4", "P_9"]), "malignant", "benign")
    pattern = r"nested leaves no malignant image to (train|valid) of fold 0; .*fewer split\.folds"
    with pytest.raises(DataError, match=pattern):
        split(table, "nested", folds=2)


def test_a_roi_of_two_patients_cannot_be_written(tmp_path):
    """One id for two patients would stand on both sides; the catalog refuses it."""
    table = change(rois(4), slice(1, 2), roi_id="roi0CC", patient_id="P_9")
    numbers = {"shard": 0, "breast_density": 2, "assessment": 3, "subtlety": 3}
    texts = dict.fromkeys(("pathology", "mask", "mammogram", "calc_type", "calc_distribution"), "")
    texts |= dict.fromkeys(("mass_shape", "mass_margins", "view"), "")
    table = table.assign(dataset="folder", source="a", sha256="b", abnormality_type="")
    with pytest.raises(DataError, match=r"roi0CC.*column roi_id"):
        records.write(table.assign(**numbers, **texts), tmp_path / "c.csv", records.CATALOG)


def test_a_lesion_number_shared_by_two_patients_is_two_lesions():
    """All lesions here are number 1 of a side; sixty ROIs are thirty lesions, not two."""
    table = split(rois(), "lesion", folds=5)
    assert table["lesion"].nunique() == 30


# --- as before ----------------------------------------------------------------------------------


def valid_before(images: pd.DataFrame, protocol: str, seed: int) -> np.ndarray:
    """Return which images validated in the splits of the first releases, a fifth of them."""
    if protocol != "patient":
        later = seed + (protocol == "paper_resplit")
        splitter = StratifiedShuffleSplit(1, test_size=0.2, random_state=later)
        positions = next(splitter.split(images, images["label"]))[1]
        return np.isin(np.arange(len(images)), positions)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    parts = splitter.split(images, images["label"], groups=images["patient_id"])
    sides = [np.isin(np.arange(len(images)), valid) for _, valid in parts]
    return min(sides, key=lambda valid: abs(valid.mean() - 0.2))


@pytest.mark.parametrize("protocol", ["paper", "paper_resplit", "patient"])
def test_hold_outs_are_those_of_before(protocol):
    table = rois(60, views=("CC", "MLO", "CC2"))
    images = rotated_images(table)
    for seed in (1, 7):
        made = split_images(images, protocol, seed=seed)
        assert list(made["image_id"]) == list(images["image_id"])
        assert ((made["subset"] == "valid") == valid_before(images, protocol, seed)).all()


# --- what every protocol promises -----------------------------------------------------------------


@st.composite
def catalogs(draw) -> pd.DataFrame:
    """Draw patients with one to four ROIs, labels and views by chance, ids that repeat."""
    rows = []
    for patient in range(draw(st.integers(6, 24))):
        part = draw(st.sampled_from(("train", "train", "test")))
        elsewhere = draw(st.sampled_from(("no", "no", "no", "yes")))
        for number in range(draw(st.integers(1, 4))):
            rows.append(
                {
                    "roi_id": f"{patient}-{number}",
                    "patient_id": f"P_{patient}",
                    "laterality": draw(st.sampled_from(("LEFT", "RIGHT"))),
                    "abnormality_id": draw(st.integers(1, 2)),
                    "label": draw(st.sampled_from(records.LABELS)),
                    "official_split": part,
                    "in_any_test": "yes" if part == "test" else elsewhere,
                }
            )
    return pd.DataFrame(rows)


def check_promises(table: pd.DataFrame, made: pd.DataFrame, protocol: str, folds: int) -> None:
    images = rotated_images(table)
    for fold, rows in made.groupby("fold"):
        assert rows["image_id"].is_unique
        assert (rows.groupby(TOGETHER[protocol])["subset"].nunique() == 1).all(), (protocol, fold)
        assert (rows.groupby("subset")["label"].nunique() == 2).all()
        expected = {"train", "valid"} | ({"test"} if protocol in (*OFFICIAL, "nested") else set())
        assert set(rows["subset"]) == expected
    evaluated = pd.concat([records.evaluated(rows) for _, rows in made.groupby("fold")])
    assert evaluated["image_id"].is_unique
    if protocol in OFFICIAL:
        assert made["fold"].eq(0).all()
        published = set(table.loc[table["official_split"] == "test", "roi_id"])
        assert set(evaluated["roi_id"]) == published
    elif folds > 1:
        assert made["fold"].nunique() == folds
        assert set(evaluated["image_id"]) == set(images["image_id"])
    if protocol == "official_strict":
        fitted = made[made["subset"] != "test"]
        known = table.loc[table["in_any_test"] == "yes", "patient_id"]
        assert not set(fitted["patient_id"]) & set(known)
    else:
        assert len(made) == len(images) * made["fold"].nunique()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(table=catalogs(), folds=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_protocol_keeps_its_promise_or_says_why_not(protocol, table, folds, seed):
    keep_promise(protocol, table, folds, seed)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=catalogs(), folds=st.integers(1, 6), seed=st.integers(0, 2**31 - 2))
def test_every_protocol_keeps_its_promise_over_many_catalogs(protocol, table, folds, seed):
    keep_promise(protocol, table, folds, seed)


def keep_promise(protocol: str, table: pd.DataFrame, folds: int, seed: int) -> None:
    try:
        made = split(table, protocol, folds=folds, seed=seed)
    except McalcError as error:
        assert str(error).endswith(".")
        assert "\n" not in str(error)
    else:
        check_promises(table, made, protocol, folds)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("folds", [3])
def test_large_enough_catalogs_are_split_and_stratified(protocol, folds):
    """So that the property above cannot hold by refusing everything."""
    table = rois(60)
    made = split(table, protocol, folds=folds)
    check_promises(table, made, protocol, folds)
    shares = made.groupby(["fold", "subset"])["label"].apply(lambda of: (of == "malignant").mean())
    assert shares.between(1 / 3 - 0.1, 1 / 3 + 0.1).all()


def test_a_nested_test_patient_neither_trains_nor_validates_in_its_fold():
    made = split(rois(60), "nested", folds=4)
    for _, rows in made.groupby("fold"):
        patients = {name: set(of["patient_id"]) for name, of in rows.groupby("subset")}
        assert not patients["test"] & (patients["train"] | patients["valid"])
        assert not patients["train"] & patients["valid"]
        assert (rows["subset"] == "valid").sum() == pytest.approx(0.2 * 0.75 * 480, rel=0.35)


PLACES = ["roi_top", "roi_left", "roi_rows", "roi_columns"]


def with_files(table: pd.DataFrame, same: list[tuple[int, int]]) -> pd.DataFrame:
    """Return the table with a file for each ROI, but one for each pair of row numbers."""
    files = [f"file{number}" for number in range(len(table))]
    for first, second in same:
        files[second] = files[first]
    return table.assign(sha256=files, **dict.fromkeys(PLACES, np.nan))


@pytest.mark.parametrize("protocol", [name for name in TOGETHER if TOGETHER[name] != "image_id"])
@pytest.mark.parametrize("folds", [1, 4])
def test_one_image_under_two_patients_stands_on_one_side(protocol, folds):
    """Rows 0 and 11 are one image, and rows 10 and 12: patients 0, 5 and 6 hang together.

    All three are in the published test table, so that no published part must be broken.
    """
    folds = 2 if (protocol, folds) == ("nested", 1) else folds
    table = rois(120)
    pairs = [(0, 11), (10, 12)]
    table = with_files(table, pairs)
    for seed in range(5):
        made = split(table, protocol, folds=folds, seed=seed)
        for _, rows in made.groupby("fold"):
            sides = rows.drop_duplicates("roi_id").set_index("roi_id")["subset"]
            for first, second in pairs:
                ids = table["roi_id"].iloc[[first, second]]
                assert sides.reindex(ids).nunique(dropna=False) == 1
            if TOGETHER[protocol] == "patient_id":
                linked = rows[rows["patient_id"].isin(["P_0", "P_5", "P_6"])]
                assert linked["subset"].nunique() == 1


def test_two_places_of_one_file_are_two_images():
    table = with_files(rois(60), [(0, 11)]).assign(roi_top=range(120))
    pd.testing.assert_frame_equal(split(table, "patient")[SHOWN], split(rois(60), "patient")[SHOWN])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_for_each_roi_changes_no_split(protocol):
    """So that splits of before stay as they are."""
    made = split(with_files(rois(60), []), protocol, folds=3)
    pd.testing.assert_frame_equal(made[SHOWN], split(rois(60), protocol, folds=3)[SHOWN])


SHOWN = ["image_id", "patient_id", "fold", "subset"]


def test_image_keeps_turns_together_and_parts_views():
    made = split(rois(60), "image")
    of_lesion = made.groupby("lesion")["subset"].nunique()
    assert (of_lesion == 2).any()


def test_resplitting_in_folds_evaluates_what_the_same_fold_trained_on():
    """Each fold of paper_resplit measures the networks of the same fold of paper."""
    first, again = (split(rois(60), name, folds=4) for name in ("paper", "paper_resplit"))
    for fold in range(4):
        trained = set(first.query(f"fold == {fold} and subset == 'train'")["image_id"])
        measured = again.query(f"fold == {fold} and subset == 'valid'")["image_id"]
        assert measured.isin(trained).mean() == pytest.approx(0.75, abs=0.12)


def test_the_command_line_names_every_protocol():
    assert [str(name) for name in Protocol] == list(PROTOCOLS)


# --- the published tables -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data) -> pd.DataFrame:
    rows = list_table_rows(shared_data / "cbis_ddsm_csv", abnormalities=("calcification",))
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_the_official_tests_are_the_published_326_rois_of_151_patients(real):
    for protocol, trained in (("official", 602), ("official_strict", 602 - 18)):
        made = split(real, protocol)
        tested = made[made["subset"] == "test"]
        assert (tested["roi_id"].nunique(), tested["patient_id"].nunique()) == (326, 151)
        assert made.loc[made["subset"] != "test", "patient_id"].nunique() == trained
    assert Fraction(len(tested), len(real) * 4) == Fraction(326, 1872)


@pytest.mark.slow
def test_a_missing_mass_table_is_said_by_the_strict_protocol_alone(shared_data, tmp_path):
    for table in (shared_data / "cbis_ddsm_csv").glob("calc*.csv"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    rows = pd.DataFrame(list_table_rows(tmp_path, abnormalities=("calcification",)))
    assert set(rows["in_any_test"]) == {"yes", ""}
    with pytest.raises(DataError, match="mass_case_description_test_set"):
        split(rows, "official_strict")
    assert len(split(rows, "official")) == 4 * 1872


@pytest.mark.slow
def test_the_stage_says_what_it_did_otherwise(tmp_path, real):
    empty = dict.fromkeys(("mask", "mammogram"), "")
    catalog = real.assign(dataset="cbis_ddsm", source="a", sha256=real["roi_id"], shard=0, **empty)
    records.write(catalog, tmp_path / "catalog.csv", records.CATALOG)
    options = {"rejected": [], "split": tmp_path / "split.csv", "folds": 5}
    said = write_split(tmp_path / "catalog.csv", protocol="official_strict", **options)
    assert "1304 test" in said
    assert "one fold, not 5" in said
    assert "ROIs of 18 patients dropped" in said
    assert "5 folds" in write_split(tmp_path / "catalog.csv", protocol="nested", **options)
