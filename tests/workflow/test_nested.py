"""A marker in the pixels of the patients who test shows whether anything saw them too early.

The whole workflow runs twice under the protocol nested: once on the data as they are, once with a
bright square in each crop of the patients who test in fold 0. What is fitted or chosen for fold 0
must be the same byte for byte; that the marker is seen at all, fold 1 shows, where these patients
train.
"""

import json

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml

pytestmark = pytest.mark.slow

RUN = "results/tiny"
TESTS = ("alexnet/test1", "alexnet/test2")


def mark_crops(project, patients: set[str]) -> int:
    """Draw a bright square into each crop of the patients; return how many there are."""
    catalog = pd.read_csv(project.folder / RUN / "catalog.csv", keep_default_na=False)
    sources = catalog.loc[catalog["patient_id"].isin(patients), "source"]
    for source in sources:
        path = project.folder / source
        crop = pydicom.dcmread(path)
        pixels = crop.pixel_array.copy()
        rows, columns = pixels.shape
        pixels[: rows // 3, : columns // 3] = np.iinfo(pixels.dtype).max
        crop.PixelData = pixels.tobytes()
        crop.save_as(path)
    return len(sources)


def read_split(project) -> pd.DataFrame:
    return pd.read_csv(project.folder / RUN / "splits/nested.csv", keep_default_na=False)


def sides(project, fold: int) -> dict[str, set[str]]:
    """Return the patients of each side of a fold."""
    rows = read_split(project)
    return rows[rows["fold"] == fold].groupby("subset")["patient_id"].agg(set).to_dict()


@pytest.fixture(scope="module")
def plain(make_project, tiny_config):
    """The project after nested cross-validation with the choice of two tests inside."""
    project = make_project()
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_config))
    # Patients enough for both classes on three sides of two folds.
    project.call("mcalc", "phantom", "resources/tiny", "--patients", "16", "--seed", "3")
    setting = {"batch_size": 8, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 1}
    project.configure(
        dataset__shards=1,
        split={"protocols": ["nested"], "folds": 2, "valid_fraction": 0.3},
        filters__select_by="truth",
        train__settings=[setting, setting | {"lr_max": 3e-3}],
    )
    project.snakemake(f"{RUN}/scores/nested/scores.csv")
    return project


@pytest.fixture(scope="module")
def marked(make_project, plain):
    """A copy in which the patients who test in fold 0 carry the marker, run again."""
    project = make_project(plain.folder)
    patients = sides(project, 0)["test"]
    assert mark_crops(project, patients) >= 4
    printed = project.snakemake(f"{RUN}/scores/nested/scores.csv")
    assert "Nothing to be done" not in printed
    return project


def content(project, path: str) -> bytes:
    return (project.folder / RUN / path).read_bytes()


def answers(project, path: str, subset: str) -> pd.DataFrame:
    rows = pd.read_csv(project.folder / RUN / path, keep_default_na=False)
    return rows[rows["subset"] == subset].reset_index(drop=True)


def test_the_marker_changes_no_split(plain, marked):
    assert content(plain, "splits/nested.csv") == content(marked, "splits/nested.csv")
    first, second = sides(plain, 0), sides(plain, 1)
    assert not first["test"] & (first["train"] | first["valid"])
    assert first["test"] <= second["train"] | second["valid"], "so that fold 1 must see it"


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("name", ["weights.safetensors", "history.csv", "lr_find.csv"])
def test_training_and_tuning_have_not_seen_it(plain, marked, test, name):
    path = f"runs/nested/{test}/fold0/{name}"
    assert content(plain, path) == content(marked, path)


@pytest.mark.parametrize("test", TESTS)
def test_the_answers_by_which_tests_thresholds_and_calibrations_are_chosen_are_the_same(
    plain, marked, test
):
    path = f"runs/nested/{test}/fold0/predictions.csv"
    pd.testing.assert_frame_equal(answers(plain, path, "valid"), answers(marked, path, "valid"))


def test_the_choice_of_the_test_inside_fold_0_is_the_same(plain, marked):
    path = f"{RUN}/scores/nested/choices.csv"
    tables = [pd.read_csv(project.folder / path) for project in (plain, marked)]
    first, second = (table[table["fold"] == 0].reset_index(drop=True) for table in tables)
    assert len(first) == len(TESTS)
    pd.testing.assert_frame_equal(first, second)
    assert not tables[0].equals(tables[1]), "fold 1 validates or trains with the marker"


def test_the_models_that_must_not_be_good_have_not_seen_it(plain, marked):
    path = "shortcuts/nested/fold0.csv"
    before, after = (answers(project, path, "valid") for project in (plain, marked))
    pd.testing.assert_frame_equal(before, after)
    assert set(before["model"]) >= {"histogram", "background"}


def test_the_filter_was_chosen_without_it(plain, marked):
    before, after = (
        json.loads(content(project, "filters/choice.json")) for project in (plain, marked)
    )
    for key in ("filter", "window", "select_by"):
        assert before[key] == after[key]
    assert before["select_by"] == "truth"


def test_images_of_all_others_are_the_same(plain, marked):
    """No scaling, cleaning or filter carries anything from one patient's crop to another's."""
    catalog = pd.read_csv(plain.folder / RUN / "catalog.csv", keep_default_na=False)
    tested = catalog["patient_id"].isin(sides(plain, 0)["test"])
    same = []
    for shard, roi_id in zip(catalog["shard"], catalog["roi_id"], strict=True):
        path = f"images/enhanced/{shard}/{roi_id}.png"
        same.append(content(plain, path) == content(marked, path))
    assert same == list(~tested)


@pytest.mark.parametrize("test", TESTS)
def test_a_leak_would_have_been_seen(plain, marked, test):
    """The test images' answers change, and so do the networks of the fold that trains with them."""
    path = f"runs/nested/{test}/fold0/predictions.csv"
    before, after = (answers(project, path, "test") for project in (plain, marked))
    assert (before["probability_malignant"] != after["probability_malignant"]).mean() > 0.9
    other = f"runs/nested/{test}/fold1/weights.safetensors"
    assert content(plain, other) != content(marked, other)
    path = "shortcuts/nested/fold1.csv"
    assert content(plain, path) != content(marked, path)
