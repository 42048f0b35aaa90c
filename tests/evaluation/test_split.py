"""Stage `split`: what hold-outs by image and patient promise, and how they refuse."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.protocols import rotated_images, split_images
from mcalc.evaluation.split import write_split


def catalog_rows(patients: int = 40, rois=lambda patient: 1 + patient % 3) -> list[dict]:
    """Return ROIs of patients with one to three findings, every third patient malignant."""
    return [
        {
            "roi_id": f"roi{patient}_{number}",
            "patient_id": f"P_{patient}",
            "laterality": "LEFT",
            "view": "CC",
            "abnormality_id": number + 1,
            "label": "benign" if patient % 3 else "malignant",
            "pathology": "BENIGN" if patient % 3 else "MALIGNANT",
            "official_split": "test" if patient % 5 == 1 else "train",
            "in_any_test": "yes" if patient % 5 == 1 else "no",
            "dataset": "cbis_ddsm",
            "source": "a.dcm",
            "mask": "",
            "mammogram": "",
            "sha256": f"{patient}_{number}",
            "shard": 0,
            "breast_density": 2,
            "calc_type": "",
            "calc_distribution": "",
            "abnormality_type": "calcification",
            "mass_shape": "",
            "mass_margins": "",
            "assessment": None,
            "subtlety": 3,
        }
        for patient in range(patients)
        for number in range(rois(patient))
    ]


def split(folder: Path, rows: list[dict], protocol: str, **options) -> pd.DataFrame:
    records.write(rows, folder / "catalog.csv", records.CATALOG)
    options = {"rejected": []} | options
    write_split(folder / "catalog.csv", protocol=protocol, split=folder / "split.csv", **options)
    return records.read(folder / "split.csv", records.SPLIT)


def sides(table: pd.DataFrame, column: str) -> tuple[set, set]:
    return tuple(set(table[table["subset"] == subset][column]) for subset in ("train", "valid"))


# --- refusals -----------------------------------------------------------------------------------


def test_an_unknown_protocol_is_named_with_those_there_are(tmp_path):
    with pytest.raises(UsageError, match=r"'random' is unknown; use paper, .* patient, "):
        split(tmp_path, catalog_rows(), "random")
    assert not (tmp_path / "split.csv").exists()


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_one_class_is_refused(tmp_path, protocol):
    rows = [row for row in catalog_rows() if row["label"] == "benign"]
    with pytest.raises(DataError, match=r"Fewer than two classes.*rejected tables"):
        split(tmp_path, rows, protocol)


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_no_roi_at_all_is_refused(tmp_path, protocol):
    with pytest.raises(DataError, match=r"Fewer than two classes.*rejected tables"):
        split(tmp_path, [], protocol)


def test_patients_that_are_not_known_are_refused_with_both_ways_out(tmp_path):
    rows = catalog_rows()
    for row in rows[5:8]:
        row["patient_id"] = ""
    pattern = (
        f"patient id for every ROI, but {rows[5]['roi_id']} and 2 others have none; give "
        r"dataset\.patients .*or take 'patient' out of split\.protocols"
    )
    with pytest.raises(DataError, match=pattern):
        split(tmp_path, rows, "patient")
    assert len(split(tmp_path, rows, "paper")) == 4 * len(rows)


def test_too_few_patients_are_refused_with_the_numbers(tmp_path):
    pattern = r"4 patients cannot be split into 5 parts; raise split\.valid_fraction"
    with pytest.raises(DataError, match=pattern):
        split(tmp_path, catalog_rows(4), "patient", valid_fraction=0.2)


def test_a_class_of_one_patient_cannot_stand_on_both_sides(tmp_path):
    rows = [
        row for row in catalog_rows(30) if row["patient_id"] == "P_0" or row["label"] != "malignant"
    ]
    with pytest.raises(DataError, match=r"Protocol patient leaves no malignant image to"):
        split(tmp_path, rows, "patient")
    assert not (tmp_path / "split.csv").exists()


def test_two_patients_of_a_class_are_enough_whatever_the_seed(tmp_path):
    """One of the two malignant patients can validate, so the split is found, never refused."""
    rows = [row | {"label": "benign"} for row in catalog_rows(10, rois=lambda patient: 1)]
    rows[3]["label"] = rows[8]["label"] = "malignant"
    for seed in range(8):
        table = split(tmp_path, rows, "patient", seed=seed)
        for subset in ("train", "valid"):
            assert set(table[table["subset"] == subset]["label"]) == {"benign", "malignant"}


@pytest.mark.parametrize("valid_fraction", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("protocol", ["paper", "patient"])
@pytest.mark.parametrize("patients", [2, 4, 10])
def test_a_tiny_data_set_is_split_or_refused_in_one_sentence(
    tmp_path, protocol, patients, valid_fraction
):
    """Eight images of which 5% validate: too few for two classes, and the user reads that."""
    try:
        rows = catalog_rows(patients, rois=lambda patient: 1)
        table = split(tmp_path, rows, protocol, valid_fraction=valid_fraction)
    except DataError as error:
        assert "split." in str(error)
    else:
        for subset in ("train", "valid"):
            assert set(table[table["subset"] == subset]["label"]) == {"benign", "malignant"}


def test_a_broken_rejected_table_is_named(tmp_path):
    (tmp_path / "0.rejected.csv").write_text("roi_id\nx\n")
    with pytest.raises(DataError, match=r"0\.rejected\.csv: column source.* is missing"):
        split(tmp_path, catalog_rows(), "paper", rejected=[tmp_path / "0.rejected.csv"])


# --- both protocols -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_every_roi_is_four_images_turned(tmp_path, protocol):
    rows = catalog_rows()
    table = split(tmp_path, rows, protocol)
    assert len(table) == 4 * len(rows)
    assert table["image_id"].is_unique
    turns = table.groupby("roi_id")["quarter_turns"].agg(sorted)
    assert set(map(tuple, turns)) == {(0, 1, 2, 3)}
    known = {row["roi_id"]: row for row in rows}
    for image in table.to_dict("records"):
        roi = known[image["roi_id"]]
        assert (image["label"], image["patient_id"]) == (roi["label"], roi["patient_id"])
    assert set(table["fold"]) == {0}


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_rois_that_later_stages_set_aside_are_left_out(tmp_path, protocol):
    rows = catalog_rows()
    for number, row in enumerate(rows[:3]):
        aside = {"roi_id": row["roi_id"], "source": "", "stage": "convert", "detail": ""}
        path = tmp_path / f"{number}.rejected.csv"
        records.write([aside | {"reason": "unreadable"}], path, records.REJECTED)
    records.write([], tmp_path / "3.rejected.csv", records.REJECTED)
    rejected = [tmp_path / f"{number}.rejected.csv" for number in range(4)]
    table = split(tmp_path, rows, protocol, rejected=rejected)
    assert set(table["roi_id"]) == {row["roi_id"] for row in rows[3:]}


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_the_same_seed_gives_the_same_bytes_and_another_another_split(tmp_path, protocol):
    split(tmp_path, catalog_rows(), protocol, seed=1)
    first = (tmp_path / "split.csv").read_bytes()
    np.random.seed(99)  # the state of the process does not matter
    split(tmp_path, catalog_rows(), protocol, seed=1)
    assert (tmp_path / "split.csv").read_bytes() == first
    split(tmp_path, catalog_rows(), protocol, seed=2)
    assert (tmp_path / "split.csv").read_bytes() != first


@pytest.mark.parametrize("protocol", ["paper", "patient"])
@pytest.mark.parametrize("valid_fraction", [0.1, 0.2, 0.25, 0.3, 0.4, 0.5])
def test_the_share_that_validates_is_the_one_asked_for(protocol, valid_fraction):
    """With 200 patients of one ROI each, both protocols can come within a hundredth."""
    images = rotated_images(pd.DataFrame(catalog_rows(200, rois=lambda patient: 1)))
    subsets = split_images(images, protocol, valid_fraction=valid_fraction, seed=1)["subset"]
    assert (subsets == "valid").mean() == pytest.approx(valid_fraction, abs=0.0101)


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_both_classes_have_about_the_same_share_on_both_sides(tmp_path, protocol):
    table = split(tmp_path, catalog_rows(150), protocol)
    shares = table.groupby("subset")["label"].apply(lambda labels: (labels == "malignant").mean())
    assert shares["train"] == pytest.approx(shares["valid"], abs=0.03)


def test_the_line_counts_the_images(tmp_path):
    records.write(catalog_rows(), tmp_path / "catalog.csv", records.CATALOG)
    paths = {"split": tmp_path / "split.csv", "rejected": []}
    said = write_split(tmp_path / "catalog.csv", protocol="paper", **paths)
    counts = Counter(records.read(paths["split"], records.SPLIT)["subset"])
    assert f"{counts['train']} images train, {counts['valid']} validate" in said


# --- paper --------------------------------------------------------------------------------------


def test_paper_puts_turned_copies_of_one_roi_on_both_sides(tmp_path):
    """The study's leak, reproduced on purpose: most validating ROIs also train."""
    train, valid = sides(split(tmp_path, catalog_rows(), "paper"), "roi_id")
    assert len(train & valid) > len(valid) / 2


def test_paper_validates_the_share_exactly(tmp_path):
    rows = catalog_rows(100, rois=lambda patient: 1)
    table = split(tmp_path, rows, "paper", valid_fraction=0.2)
    assert Counter(table["subset"]) == {"train": 320, "valid": 80}


def test_the_studys_numbers_come_out(tmp_path):
    """1,652 ROIs turned are 6,608 images, of which 5,286 train and 1,322 validate (Table 2)."""
    rows = catalog_rows(1652, rois=lambda patient: 1)
    counts = Counter(split(tmp_path, rows, "paper", valid_fraction=0.2)["subset"])
    assert counts == {"train": 5286, "valid": 1322}


# --- patient ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("valid_fraction", [0.05, 0.2, 0.5])
def test_patient_keeps_every_patient_on_one_side(tmp_path, seed, valid_fraction):
    table = split(tmp_path, catalog_rows(60), "patient", seed=seed, valid_fraction=valid_fraction)
    for column in ("patient_id", "roi_id"):
        train, valid = sides(table, column)
        assert train and valid
        assert not train & valid


def test_patient_keeps_together_a_patient_with_both_labels(tmp_path):
    rows = catalog_rows(60)
    for row in rows[::7]:
        row["label"] = "malignant" if row["label"] == "benign" else "benign"
    train, valid = sides(split(tmp_path, rows, "patient"), "patient_id")
    assert not train & valid


def test_patient_comes_close_to_the_share_where_patients_have_many_rois(tmp_path):
    """Up to 24 ROIs a patient, as in CBIS-DDSM: within five hundredths of a fifth."""
    rows = catalog_rows(150, rois=lambda patient: 24 if patient == 7 else 1 + patient % 5)
    table = split(tmp_path, rows, "patient", valid_fraction=0.2)
    assert (table["subset"] == "valid").mean() == pytest.approx(0.2, abs=0.05)


def test_patients_who_share_an_image_file_stand_on_one_side_and_are_counted(tmp_path):
    rows = catalog_rows()
    rows[5]["sha256"] = rows[0]["sha256"]
    names = {rows[0]["patient_id"], rows[5]["patient_id"]}
    assert len(names) == 2
    for seed in range(6):
        table = split(tmp_path, rows, "patient", seed=seed)
        assert table[table["patient_id"].isin(names)]["subset"].nunique() == 1
    said = write_split(
        tmp_path / "catalog.csv", rejected=[], protocol="patient", split=tmp_path / "split.csv"
    )
    assert said.endswith("; 2 patients share an image file and stand on one side")


def test_few_patients_are_split_nearly_as_asked(tmp_path):
    """Eight patients have no tenths; two sevenths are close enough to three tenths."""
    table = split(tmp_path, catalog_rows(8), "patient", valid_fraction=0.3)
    assert (table["subset"] == "valid").mean() == pytest.approx(0.3, abs=0.06)


# --- protocol paper_resplit ---------------------------------------------------------------------


def test_splitting_anew_validates_images_of_which_four_fifths_were_trained_on():
    """The mistake of measuring networks of `paper` on a second split, under the same seed."""
    images = rotated_images(pd.DataFrame(catalog_rows(100)))
    shares = []
    for seed in range(10):
        first, second = (
            split_images(images, protocol, valid_fraction=0.2, seed=seed)["subset"] == "valid"
            for protocol in ("paper", "paper_resplit")
        )
        shares.append((second & ~first).sum() / second.sum())
    assert abs(np.mean(shares) - 0.8) < 0.02
    assert all(0.7 < share < 0.9 for share in shares)


def test_splitting_anew_takes_the_next_seed(tmp_path):
    second = split(tmp_path, catalog_rows(), "paper_resplit", seed=4)
    pd.testing.assert_frame_equal(second, split(tmp_path, catalog_rows(), "paper", seed=5))
