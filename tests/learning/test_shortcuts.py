"""Stage `shortcuts`: models that must not be good, what they read, and that nothing leaks in."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.dicom_writing import write_dicom
from mcalc.errors import DataError
from mcalc.images.shards import write_png
from mcalc.images.stack import stack_images
from mcalc.learning import shortcut_features as features
from mcalc.learning import shortcut_models
from mcalc.learning.shortcut_models import SHORTCUTS, fit_and_answer, read_features
from mcalc.learning.shortcuts import write_shortcuts

PATIENTS = 24
IDS = [f"roi{number}" for number in range(PATIENTS)]


@pytest.fixture(autouse=True, scope="module")
def few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcut_models, "TREES", 10)
        yield


def noise(seed: int) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 1)


def make_rois() -> pd.DataFrame:
    """Return CATALOG rows in which nothing has to do with the label."""
    draw = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "roi_id": IDS,
            "patient_id": [f"P{number}" for number in range(PATIENTS)],
            "laterality": "LEFT",
            "view": "CC",
            "abnormality_id": 1,
            "label": [records.LABELS[number % 2] for number in range(PATIENTS)],
            "pathology": [("BENIGN", "MALIGNANT")[number % 2] for number in range(PATIENTS)],
            "official_split": "",
            "in_any_test": "",
            "dataset": "test",
            "source": "not_there.dcm",
            "mask": "",
            "mammogram": "",
            "sha256": "0",
            "shard": 0,
            "roi_top": 0.0,
            "roi_left": 0.0,
            "roi_rows": draw.integers(80, 900, PATIENTS).astype(float),
            "roi_columns": draw.integers(80, 900, PATIENTS).astype(float),
            "abnormality_type": "calcification",
            "breast_density": draw.integers(1, 5, PATIENTS).astype(float),
            "calc_type": draw.choice(["PUNCTATE", "AMORPHOUS", ""], PATIENTS),
            "calc_distribution": draw.choice(["CLUSTERED", "LINEAR", ""], PATIENTS),
            "mass_shape": "",
            "mass_margins": "",
            "assessment": draw.choice([0.0, 4.0, np.nan], PATIENTS),
            "subtlety": 3.0,
        }
    ).assign(pathology=lambda rois: rois["pathology"].mask(rois.index == 0, WITHOUT_CALLBACK))


WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"


def make_split(rois: pd.DataFrame, subset) -> pd.DataFrame:
    """Return SPLIT rows; `subset` tells the side of a ROI's number and its turns."""
    return pd.DataFrame(
        [
            {
                "image_id": f"{row.roi_id}_r{turns}",
                "roi_id": row.roi_id,
                "patient_id": row.patient_id,
                "quarter_turns": turns,
                "label": row.label,
                "fold": 0,
                "subset": subset(number, turns),
            }
            for number, row in enumerate(rois.itertuples())
            for turns in range(4)
        ]
    )


def apart(number: int, turns: int) -> str:
    return "train" if number < 14 else ("valid" if number < 20 else "test")


def rotated_first(number: int, turns: int) -> str:
    return "valid" if turns == 3 else "train"


class Study:
    """A folder with a catalog, a split and images, which a test may change before it runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rois = make_rois()
        self.split = make_split(self.rois, apart)
        self.images = {roi_id: noise(number) for number, roi_id in enumerate(IDS)}
        self.said = ""

    def run(self, **options) -> pd.DataFrame:
        records.write(self.rois, self.folder / "catalog.csv", records.CATALOG)
        records.write(self.split, self.folder / "split.csv", records.SPLIT)
        (self.folder / "images").mkdir(exist_ok=True)
        for roi_id, image in self.images.items():
            write_png(self.folder / f"images/{roi_id}.png", image)
        stack_images([self.folder / "images"], stack=self.folder / "stack.npy")
        self.said = write_shortcuts(
            self.folder / "catalog.csv",
            self.folder / "stack.npy",
            split=self.folder / "split.csv",
            shortcuts=self.folder / "fold0.csv",
            **options,
        )
        return records.read(self.folder / "fold0.csv", records.SHORTCUTS)


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path)


@pytest.fixture(scope="module")
def before(few_trees, tmp_path_factory) -> pd.DataFrame:
    """What the models say of a study that no test has changed."""
    return Study(tmp_path_factory.mktemp("study")).run()


# --- what is wrong ------------------------------------------------------------------------------


def test_one_class_in_training_is_told(study):
    study.split["label"] = "benign"
    with pytest.raises(DataError, match="No malignant ROI is left to train the shortcut models"):
        study.run()
    assert not (study.folder / "fold0.csv").exists()


def test_a_fold_that_is_not_there_is_told(study):
    with pytest.raises(DataError, match=r"split\.csv: there is no fold 3"):
        study.run(fold=3)


def test_a_roi_that_is_not_in_the_catalog_is_named(study):
    study.rois = study.rois[study.rois["roi_id"] != "roi5"]
    with pytest.raises(DataError, match=r"1 ROIs, such as roi5, are not in .*catalog\.csv"):
        study.run()


def test_a_missing_image_is_named(study):
    del study.images["roi20"]
    with pytest.raises(DataError, match="are missing, such as roi20"):
        study.run()


def test_a_missing_file_has_no_size(study):
    study.rois.loc[3, "roi_rows"] = np.nan
    with pytest.raises(DataError, match=r"not_there\.dcm"):
        study.run()


# --- nothing leaks in ---------------------------------------------------------------------------


def test_every_model_answers_for_every_image_that_does_not_train(study, before):
    table = study.run()
    asked = study.split[study.split["subset"] != "train"]
    assert list(table["model"].unique()) == list(SHORTCUTS)
    for _, rows in table.groupby("model"):
        assert list(rows["image_id"]) == list(asked["image_id"])
        assert list(rows["subset"]) == list(asked["subset"])
        assert list(rows["label"]) == list(asked["label"])
        assert (rows.groupby("roi_id")["probability_malignant"].nunique() == 1).all()
    called = np.where(table["probability_malignant"] > 0.5, "malignant", "benign")
    assert list(table["predicted"]) == list(called)
    majority = table.loc[table["model"] == "majority", "probability_malignant"]
    assert set(majority) == {0.5}
    assert study.said.endswith("on 40 images, from 14 ROIs")
    pd.testing.assert_frame_equal(table, before)  # the same seed


def test_labels_of_images_that_do_not_train_change_no_answer(study, before):
    """A marker: were these labels seen, flipping them would show."""
    other = study.split["label"].map({"benign": "malignant", "malignant": "benign"})
    held_out = study.split["subset"] != "train"
    study.split["label"] = study.split["label"].mask(held_out, other)
    after = study.run()
    assert (before["label"] != after["label"]).all()
    pd.testing.assert_frame_equal(before.drop(columns="label"), after.drop(columns="label"))
    study.split["label"] = study.split["label"].mask(~held_out, other)
    changed = study.run()["probability_malignant"] != before["probability_malignant"]
    assert changed.groupby(before["model"]).any().drop("majority").all()


def test_what_a_roi_that_does_not_train_holds_changes_no_other_answer(study, before):
    """Encoding and scaling see training ROIs only: a marked ROI has no bearing on the others."""
    study.rois.loc[22, ["calc_type", "calc_distribution", "assessment"]] = ["MARK", "MARK", 5.0]
    study.rois.loc[22, ["pathology", "roi_rows", "roi_columns"]] = [WITHOUT_CALLBACK, 9e4, 2.0]
    study.images["roi22"] = np.full((32, 32), 255, np.uint8)
    after = study.run()
    same = before["probability_malignant"] == after["probability_malignant"]
    assert same[before["roi_id"] != "roi22"].all()
    own = (before["roi_id"] == "roi22") & (before["model"] != "majority")
    assert not same[own].all()


def test_with_turns_on_both_sides_they_remember_and_with_patients_apart_they_guess(study, before):
    """Nothing can be learned here, so what is right is memory."""
    study.split = make_split(study.rois, rotated_first)
    remember = ["crop_size", "histogram", "background"]
    assert (share_right(study.run())[remember] > 0.95).all()
    assert (share_right(before)[remember] < 0.85).all()


def share_right(table: pd.DataFrame) -> pd.Series:
    return (table["label"] == table["predicted"]).groupby(table["model"]).mean()


def test_another_split_may_train(study):
    """As paper_resplit is measured: learned from one split, asked about another's images."""
    records.write(
        make_split(study.rois, lambda number, turns: "train" if number >= 10 else "valid"),
        study.folder / "trained.csv",
        records.SPLIT,
    )
    table = study.run(trained_split=study.folder / "trained.csv")
    assert set(table["roi_id"]) == set(IDS[14:])  # the images of the split itself
    assert share_right(table)["histogram"] > 0.95  # on which it was trained


def test_models_with_nothing_to_read_are_left_out_and_named(study):
    for name in ("calc_type", "calc_distribution", "pathology"):
        study.rois[name] = ""
    for name in ("breast_density", "assessment", "subtlety"):
        study.rois[name] = np.nan
    table = study.run()
    assert set(table["model"]) == {"majority", "crop_size", "histogram", "background"}
    assert study.said.endswith(
        "all ROIs are alike to five_fields, empty_distribution, without_callback"
    )


# --- what they read -----------------------------------------------------------------------------


def test_fields_are_categories_and_unseen_or_missing_ones_are_none(study):
    rois = study.rois.head(6).copy()
    rois["assessment"] = [0.0, 4.0, np.nan, 4.0, 0.0, np.nan]
    read, _ = read_features(rois, {}, ("five_fields",))
    values = read["five_fields"]
    assert list(values[:3, 3]) == ["0.0", "4.0", ""]
    labels = np.array(["benign", "malignant"] * 3)
    asked = np.repeat(values[:1], 3, axis=0)
    asked[1, 1], asked[2, 1] = "NEVER SEEN", "NOR THIS"
    known, unseen, other = fit_and_answer("five_fields", values, labels, asked)
    assert unseen == other
    assert 0 < known < 1


def test_masses_have_shape_and_margins_for_type_and_distribution(study):
    rois = study.rois.head(2).assign(calc_type="", calc_distribution="", mass_shape="OVAL")
    rois["mass_margins"] = ["SPICULATED", ""]
    values = features.five_fields(rois, {})
    assert list(values[:, 1]) == ["OVAL", "OVAL"]
    assert list(values[:, 2]) == ["SPICULATED", ""]
    assert features.empty_distribution(rois, {}).tolist() == [[0], [1]]


def test_the_size_is_the_place_in_the_image_or_what_the_header_says(study, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 30), np.uint8))
    write_dicom(
        tmp_path / "b.dcm",
        np.zeros((50, 25), np.uint16),
        patient_id="P",
        study_uid="1.2",
        series_uid="1.3",
        series_description="cropped images",
    )
    rois = study.rois.head(3).copy()
    rois.loc[0, ["roi_rows", "roi_columns"]] = [12.0, 8.0]
    rois.loc[1:2, ["roi_rows", "roi_columns"]] = np.nan
    rois.loc[1:2, "source"] = [str(tmp_path / "a.png"), str(tmp_path / "b.dcm")]
    expected = [[12, 8, 1.5, 96], [40, 30, 4 / 3, 1200], [50, 25, 2, 1250]]
    np.testing.assert_allclose(features.crop_size(rois, {}), expected)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_the_background_knows_nothing_of_specks(size):
    tissue = np.tile(np.linspace(40, 120, size).astype(np.uint8), (size, 1))
    specks = tissue.copy()
    radius = max(1, size // 32)
    for row, column in np.random.default_rng(1).integers(radius, size - radius, (9, 2)):
        cv2.circle(specks, (int(column), int(row)), radius, 255, -1)
    without = features.without_specks(specks)
    assert specks.max() == 255
    assert without.max() <= 120
    rois = pd.DataFrame({"roi_id": ["tissue", "specks"]})
    images = {"tissue": tissue, "specks": specks}
    plain, spotted = features.background(rois, images)
    assert np.abs(plain - spotted)[:16].max() < 0.1  # nine specks take up to a tenth
    before, after = features.histogram(rois, images)
    assert after[-1] > 0.005 > before[-1]


def test_pixels_are_read_alike_however_they_are_turned():
    image = noise(3)
    rois = pd.DataFrame({"roi_id": ["a", "b"]})
    images = {"a": image, "b": np.rot90(image)}
    for read in (features.histogram, features.background):
        straight, turned = read(rois, images)
        np.testing.assert_allclose(straight, turned, atol=1e-9)
    shares = np.histogram(image, bins=32, range=(0, 256))[0] / image.size
    np.testing.assert_allclose(features.histogram(rois, images)[0], shares)
    assert features.background(rois, images).shape == (2, 27)
