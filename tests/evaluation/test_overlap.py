"""Stage `overlap`: against a naive count, against what chance predicts, and on the real tables."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.datasets.cbis_ddsm import list_table_rows
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.near_duplicates import find_pairs, perceptual_hash, turned_hashes
from mcalc.evaluation.overlap import write_overlap
from mcalc.evaluation.overlap_shares import as_text, compare_splits, roi_keys
from mcalc.evaluation.overlap_tables import compare_tables, print_tables
from mcalc.evaluation.protocols import PROTOCOLS, rotated_images, split_images


def catalog(patients: int = 12, seed: int = 0) -> pd.DataFrame:
    """Return three ROIs a patient: sides and numbers by chance, two of them without an answer."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(3 * patients):
        rows.append(
            {
                **{"roi_id": f"roi{number}", "patient_id": f"P_{number // 3}"},
                **{"laterality": str(random.choice(["LEFT", "RIGHT"])), "view": "CC"},
                **{"abnormality_id": int(random.integers(1, 3)), "pathology": ""},
                **{"label": records.LABELS[number // 3 % 2], "official_split": "train"},
                **{"in_any_test": "no", "dataset": "folder", "source": f"{number}.png"},
                **{"mask": "", "mammogram": "", "sha256": f"{number:016}", "shard": 0},
                **dict.fromkeys(("roi_top", "roi_left", "roi_rows", "roi_columns")),
                **dict.fromkeys(("breast_density", "assessment", "subtlety")),
                **{"abnormality_type": "", "calc_type": "", "calc_distribution": ""},
                **{"mass_shape": "", "mass_margins": ""},
            }
        )
    return pd.DataFrame(rows)


def picture(seed: int, size: int = 64) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(size, size))
    smooth = cv2.GaussianBlur(noise, (0, 0), size / 16)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def count_naively(rois: pd.DataFrame, evaluated: pd.DataFrame, trained: pd.DataFrame) -> dict:
    """Compare every evaluated image with every training image, one by one."""
    roi = {row["roi_id"]: row for row in rois.to_dict("records")}
    same = {
        "rotated_sibling": lambda a, b, i, j: a["roi_id"] == b["roi_id"] and i != j,
        "roi": lambda a, b, i, j: a["sha256"] == b["sha256"],
        "patient": lambda a, b, i, j: a["patient_id"] == b["patient_id"] != "",
    }
    same["breast"] = lambda a, b, i, j: (
        same["patient"](a, b, i, j) and a["laterality"] == b["laterality"] != ""
    )
    same["lesion"] = lambda a, b, i, j: (
        same["breast"](a, b, i, j) and a["abnormality_id"] == b["abnormality_id"] > 0
    )
    training = [(roi[row["roi_id"]], row["image_id"]) for row in trained.to_dict("records")]
    counts = dict.fromkeys(same, 0)
    for row in evaluated.to_dict("records"):
        own, image = roi[row["roi_id"]], row["image_id"]
        for name, is_same in same.items():
            counts[name] += any(is_same(own, other, image, turn) for other, turn in training)
    return counts


# --- refusals -----------------------------------------------------------------------------------


def test_resplit_without_the_split_that_trained_is_refused():
    rois = catalog()
    tables = {"paper_resplit": split_images(rotated_images(rois), "paper_resplit")}
    with pytest.raises(UsageError, match="measures the networks of paper; give the split paper"):
        compare_splits(tables, roi_keys(rois))


def test_a_split_of_another_catalog_is_named(tmp_path):
    rois = catalog()
    records.write(rois.iloc[1:], tmp_path / "catalog.csv", records.CATALOG)
    table = split_images(rotated_images(rois), "patient")
    records.write(table, tmp_path / "patient.csv", records.SPLIT)
    with pytest.raises(DataError, match=r"catalog\.csv: roi0, which the split patient holds"):
        write_overlap(
            [tmp_path / "patient.csv"],
            catalog=tmp_path / "catalog.csv",
            overlap=tmp_path / "overlap.csv",
        )
    assert not (tmp_path / "overlap.csv").exists()


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match="no table like calc_case_description"):
        compare_tables(tmp_path)


# --- hashes -------------------------------------------------------------------------------------


def test_a_hash_bears_scale_brightness_and_noise_and_tells_pictures_apart():
    distances = []
    for seed in range(20):
        image = picture(seed)
        enlarged = cv2.resize(image, (150, 150)) // 2 + 20
        noisy = image + np.random.default_rng(seed).normal(0, 3, image.shape)
        for alike in (enlarged, noisy.clip(0, 255).astype(np.uint8), image.astype(np.uint16) * 257):
            assert np.bitwise_count(perceptual_hash(image) ^ perceptual_hash(alike)) <= 6
        distances.append(np.bitwise_count(perceptual_hash(image) ^ perceptual_hash(picture(99))))
    assert 26 < np.mean(distances) < 38
    assert min(distances) > 12


def test_the_distance_of_two_images_stays_when_both_are_turned():
    for seed in range(10):
        first, second = turned_hashes(picture(seed)), turned_hashes(picture(seed + 50))
        assert len(set(np.bitwise_count(first ^ second).tolist())) == 1


def test_pairs_are_those_of_a_naive_search(monkeypatch):
    monkeypatch.setattr("mcalc.evaluation.near_duplicates.PAIRS", 50)  # several rounds
    images = [picture(seed) for seed in range(8)]
    images += [np.rot90(images[2]), np.rot90(images[5], 2), images[0]]
    hashes = np.array([turned_hashes(image) for image in images])
    naive = [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if min(bin(int(hashes[i, 0]) ^ int(turn)).count("1") for turn in hashes[j]) <= 6
    ]
    assert find_pairs(hashes, 6).tolist() == naive == [[0, 10], [2, 8], [5, 9]]
    assert find_pairs(np.empty((0, 4), np.uint64), 6).shape == (0, 2)


# --- counts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["paper", "nested"])
def test_counts_are_those_of_a_naive_comparison(protocol):
    rois = catalog()
    rois.loc[[3, 20], "laterality"] = ""
    table = split_images(rotated_images(rois), protocol, folds=2)
    # One image under two patients, who are not kept together since the split knew nothing of it.
    rois.loc[30, "sha256"] = rois.loc[7, "sha256"]
    rows = pd.DataFrame(compare_splits({protocol: table}, roi_keys(rois)))
    for fold, of_fold in table.groupby("fold"):
        evaluated = records.evaluated(of_fold)
        naive = count_naively(rois, evaluated, of_fold[of_fold["subset"] == "train"])
        found = rows[rows["fold"] == fold].set_index("overlap")
        assert found["shared"].drop("near_duplicate").to_dict() == naive
        known = evaluated["roi_id"].isin(rois.loc[rois["laterality"] != "", "roi_id"]).sum()
        assert found.loc["breast", "evaluated"] == known
        assert found.loc["patient", "evaluated"] == len(evaluated)
        assert found.loc["near_duplicate", "evaluated"] == 0
        assert np.isnan(found.loc["near_duplicate", "share"])


def test_resplit_is_compared_with_what_trained(tmp_path):
    rois = catalog(30)
    images = rotated_images(rois)
    tables = {name: split_images(images, name) for name in ("paper", "paper_resplit")}
    rows = pd.DataFrame(compare_splits(tables, roi_keys(rois))).set_index(["protocol", "overlap"])
    trained = tables["paper"].query("subset == 'train'")
    measured = tables["paper_resplit"].query("subset == 'valid'")
    naive = count_naively(rois, measured, trained)
    assert rows.loc[("paper_resplit", "rotated_sibling"), "shared"] == naive["rotated_sibling"]
    assert rows.loc[("paper_resplit", "roi"), "shared"] == naive["roi"]


def test_look_alikes_of_other_rois_are_found_and_written(tmp_path):
    """A copy turned under another patient; the same file under two ids is the same ROI."""
    rois = catalog()
    rois.loc[1, "sha256"] = rois.loc[0, "sha256"]
    records.write(rois, tmp_path / "catalog.csv", records.CATALOG)
    table = split_images(rotated_images(rois), "patient")
    records.write(table, tmp_path / "patient.csv", records.SPLIT)
    sides = table.groupby("subset")["roi_id"].unique()
    evaluated, trained = sides["valid"][0], sides["train"][-1]
    (tmp_path / "0").mkdir()
    for number, roi in enumerate(rois["roi_id"]):
        image = picture(number if number != 1 else 0)
        cv2.imwrite(str(tmp_path / f"0/{roi}.png"), image)
    copied = cv2.imread(str(tmp_path / f"0/{trained}.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / f"0/{evaluated}.png"), np.rot90(copied))
    paths = {"catalog": tmp_path / "catalog.csv", "overlap": tmp_path / "overlap.csv"}
    options = {"images": [tmp_path / "0"], "json": tmp_path / "overlap.json"}
    said = write_overlap([tmp_path / "patient.csv"], **paths, **options)
    rows = records.read(tmp_path / "overlap.csv", records.OVERLAP).set_index("overlap")
    count = int((table["subset"] == "valid").sum())
    assert rows.loc["near_duplicate", ["shared", "evaluated"]].tolist() == [4, count]
    assert f"({4}/{count})" in said
    shares = json.loads((tmp_path / "overlap.json").read_text())["shares"]
    assert [row["overlap"] for row in shares] == list(records.OVERLAPS)


def test_the_table_pools_folds_and_says_what_is_not_known():
    row = {"protocol": "image", "overlap": "roi", "share": None}
    rows = [row | {"fold": fold, "shared": fold, "evaluated": 3} for fold in range(2)]
    rows += [row | {"overlap": name, "fold": 0, "shared": 0, "evaluated": 0}
             for name in records.OVERLAPS if name != "roi"]  # fmt: skip
    text = as_text(rows)
    assert "16.7% (1/6)" in text
    assert text.count("not known") == 5


# --- the published tables -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(shared_data):
    return shared_data / "cbis_ddsm_csv"


@pytest.mark.slow
def test_the_overlaps_of_the_published_tables(tables):
    """99.2 % with a turned copy; 71 % of lesions and 82 % of patients on both sides."""
    found = compare_tables(tables, repeats=8)
    rows = pd.DataFrame(found["shares"])
    rows["rois"] = rows["shared"] / rows["evaluated"]
    means = rows.groupby(["protocol", "overlap"])["rois"].agg(["mean", "sem"])
    rois = pd.DataFrame(list_table_rows(tables, abnormalities=("calcification",)))
    expected = {"rotated_sibling": 1 - 0.2**3}
    for overlap, columns in (
        ("lesion", ["patient_id", "laterality", "abnormality_id"]),
        ("breast", ["patient_id", "laterality"]),
        ("patient", ["patient_id"]),
    ):
        others = rois.groupby(columns)["roi_id"].transform("size") - 1
        expected[overlap] = (1 - 0.2**others).mean()
    assert expected["lesion"] == pytest.approx(0.71, abs=0.005)
    assert expected["patient"] == pytest.approx(0.82, abs=0.005)
    for overlap, share in expected.items():
        protocol = "paper" if overlap == "rotated_sibling" else "image"
        mean, error = means.loc[(protocol, overlap)]
        assert mean == pytest.approx(share, abs=4 * error), overlap
    for protocol in ("patient", "official", "official_strict", "nested"):
        assert (rows.loc[rows["protocol"] == protocol, "shared"] == 0).all()
    assert set(rows["protocol"]) == set(PROTOCOLS)
    assert not found["refused"]


@pytest.mark.slow
def test_31_patients_cross_and_a_missing_mass_table_is_said(tables, tmp_path):
    said = print_tables(tables, repeats=1, json=tmp_path / "overlap.json")
    assert "31 patients cross: 13 calcification test, mass train; 18 calcification train," in said
    content = json.loads((tmp_path / "overlap.json").read_text())
    assert sum(content["crossing"].values()) == 31
    for table in tables.glob("calc*.csv"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    said = print_tables(tmp_path, repeats=1, folds=2)
    assert "no test table of mass lies here" in said
    assert "official_strict must know who is in any test table" in said
