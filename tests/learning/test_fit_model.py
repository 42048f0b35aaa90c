"""Stage `fit-model`: nothing that did not train is learned from, and bad inputs are told."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.learning import fit_model as stage
from mcalc.learning import heads
from mcalc.learning.extract_features import SETS
from mcalc.learning.feature_tables import read_features
from mcalc.learning.fit_model import Settings, fit_model
from mcalc.learning.league import read_league

LEAGUE = read_league()
METHODS = [name for name, entry in LEAGUE.items() if entry.head]
ONE_A_HEAD = list({LEAGUE[name].head: name for name in METHODS}.values())
WITH_BASE = [name for name in METHODS if LEAGUE[name].base]
# Sets whose file has unturned images alone.
UNTURNED = ("specks", "speck_graph")
# One of turned features, one of unturned ones, one on top of a network.
QUICK = ("fadil2020_dwt_forest", "wang2016_svm", "cai2019_alexnet_svm_selected")
COLUMNS = 5


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Few trees, folds and hyper-parameters; a slow test has all of the last."""
    monkeypatch.setattr(heads, "TREES", 10)
    if request.node.get_closest_marker("slow"):
        return
    monkeypatch.setattr(heads, "INNER_FOLDS", 2)
    for name, head in heads.HEADS.items():
        grid = {
            key: values[: 1 + (key == next(iter(head.grid)))] for key, values in head.grid.items()
        }
        monkeypatch.setitem(heads.HEADS, name, head._replace(grid=grid))


class Study:
    """A split, drawn features and a network, which a test may change before it runs.

    Attributes
    ----------
    split : DataFrame
        SPLIT rows: 24 patients, some of them with two ROIs, some without a name.
    tables : dict of DataFrame
        Features by set.
    seen : dict of ndarray
        What a trained network says of images, by ROI and quarter turn.
    """

    def __init__(self, folder: Path, seed: int = 1, *, tells: float = 0.0, deal=None):
        self.folder = folder
        draw = np.random.default_rng(seed)
        rois = pd.DataFrame(
            [
                (f"r{patient}_{number}", "" if patient % 8 == 5 else f"P{patient}", patient)
                for patient in range(24)
                for number in range(1 + patient % 3 // 2)
            ],
            columns=["roi_id", "patient_id", "number"],
        )
        labels = draw.permutation(24) % 2
        rows = rois.loc[rois.index.repeat(4)].reset_index(drop=True)
        rows["quarter_turns"] = np.arange(len(rows)) % 4
        rows["image_id"] = [f"{row.roi_id}_t{row.quarter_turns}" for row in rows.itertuples()]
        rows["label"] = [records.LABELS[labels[number]] for number in rows["number"]]
        rows["fold"] = 0
        rows["subset"] = (deal or patients_apart)(rows, draw)
        self.split = rows[list(records.SPLIT.columns)]
        malignant = labels[rows["number"]]
        self.tables = {
            name: self._table(draw, tells * malignant, turned=name not in UNTURNED) for name in SETS
        }
        keys = self.split[["roi_id", "quarter_turns"]].itertuples(index=False, name=None)
        self.seen = dict(zip(keys, self._values(draw, tells * malignant), strict=True))

    def _table(self, draw, tells: np.ndarray, *, turned: bool) -> pd.DataFrame:
        table = self.split[["roi_id", "quarter_turns"]].reset_index(drop=True)
        values = pd.DataFrame(self._values(draw, tells)).add_prefix("feature_")
        table = pd.concat([table, values], axis=1)
        return table if turned else table[table["quarter_turns"] == 0].reset_index(drop=True)

    def _values(self, draw, tells: np.ndarray) -> np.ndarray:
        """Return drawn numbers; those of a ROI are alike."""
        known = np.repeat(draw.normal(size=(len(self.split) // 4, COLUMNS)), 4, axis=0)
        return known + 0.1 * draw.normal(size=known.shape) + tells[:, None] * np.eye(COLUMNS)[0]

    def write(self, model: str) -> dict:
        """Write all that a method reads; return it as `fit_model` takes it."""
        records.write(self.split, self.folder / "split.csv", records.SPLIT)
        paths = []
        for name in LEAGUE[model].features if model in LEAGUE else ():
            whole = self.tables[name]
            for shard, half in enumerate((whole[1::2], whole[::2])):  # in an order of their own
                paths.append(self.folder / "features" / name / f"{shard}.parquet")
                paths[-1].parent.mkdir(parents=True, exist_ok=True)
                half.to_parquet(paths[-1], index=False)
        given = {"features": paths}
        if model in WITH_BASE:
            rois = self.split[["roi_id"]].drop_duplicates()
            np.save(self.folder / "stack.npy", np.zeros((len(rois), 8, 8), np.uint8))
            records.write(rois, self.folder / "stack.csv", records.STACKED)
            given |= {"base": self.folder / "base", "stack": self.folder / "stack.npy"}
        return given

    def run(self, model: str, *, seed: int = 1, **options) -> pd.DataFrame:
        given = self.write(model) | options
        self.said = fit_model(
            self.folder / "split.csv",
            run=self.folder / "run",
            settings=Settings(model, "patient", seed=seed),
            **given,
        )
        return records.read(self.folder / "run" / "predictions.csv", records.PREDICTIONS)

    def card(self) -> dict:
        return json.loads((self.folder / "run" / "run.json").read_text())

    def call(self, mcalc, model: str, *options) -> tuple[int, str, str]:
        """Run a method from the command line; options that are given come last and count."""
        given = self.write(model)
        words = [word for path in given.pop("features") for word in ("--features", path)]
        words += [word for name, path in given.items() for word in (f"--{name}", path)]
        fixed = ("--split", self.folder / "split.csv", "--run", self.folder / "run")
        return mcalc("fit-model", model, *fixed, "--protocol", "patient", *words, *options)


def patients_apart(rows: pd.DataFrame, draw) -> np.ndarray:
    """Deal patients, those of one number, to train, valid and test."""
    sides = draw.permutation(np.repeat(records.SUBSETS, [14, 5, 5]))
    return sides[rows["roi_id"].str.extract(r"r(\d+)_")[0].astype(int)]


def images_apart(rows: pd.DataFrame, draw) -> np.ndarray:
    """Deal images, so that quarter turns of a ROI are on two sides; none is kept for a test."""
    return draw.choice(["train", "valid"], len(rows), p=[0.4, 0.6])


def rois_apart(rows: pd.DataFrame, draw) -> np.ndarray:
    sides = draw.choice(["train", "valid"], rows["roi_id"].nunique(), p=[0.6, 0.4])
    return sides[rows.groupby("roi_id", sort=False).ngroup()]


DEALS = (patients_apart, images_apart, rois_apart)


@pytest.fixture
def network(monkeypatch):
    """Put what `Study.seen` says in the place of a trained network; return the study's setter."""
    found = {}

    def trained_features(base, rows, images) -> np.ndarray:
        assert Path(base).name == "base"
        assert set(images) == set(rows["roi_id"])
        keys = rows[["roi_id", "quarter_turns"]].itertuples(index=False, name=None)
        return np.stack([found["study"].seen[key] for key in keys])

    module = ModuleType("mcalc.learning.features.frozen")
    module.trained_features = trained_features
    monkeypatch.setitem(sys.modules, module.__name__, module)
    card = ModuleType("mcalc.learning.trained")
    card.read_card = lambda run: {"network": "alexnet"}
    monkeypatch.setitem(sys.modules, card.__name__, card)
    return lambda study: found.update(study=study)


@pytest.fixture
def make_study(tmp_path, network):
    def make(*arguments, **options) -> Study:
        study = Study(tmp_path, *arguments, **options)
        network(study)
        return study

    return make


# --- nothing leaks in ---------------------------------------------------------------------------


def spoil(study: Study, seed: int) -> pd.Series:
    """Replace features and labels of half the ROIs that did not train; return who was left alone.

    The result is the image ids of the other rows that did not train.
    """
    draw = np.random.default_rng(seed)
    held = study.split["subset"] != "train"
    rois = study.split.loc[held, "roi_id"].unique()
    chosen = held & study.split["roi_id"].isin(draw.permutation(rois)[::2])
    labels = study.split.loc[chosen, "label"]
    study.split.loc[chosen, "label"] = draw.permutation(labels.to_numpy())
    keys = pd.MultiIndex.from_frame(study.split.loc[chosen, ["roi_id", "quarter_turns"]])
    trained = set(study.split.loc[~held, "roi_id"])
    for name, table in study.tables.items():
        if name in UNTURNED:  # a ROI's features are those of its images in training, too
            marked = table["roi_id"].isin(set(keys.get_level_values(0)) - trained)
        else:
            marked = pd.MultiIndex.from_frame(table[["roi_id", "quarter_turns"]]).isin(keys)
        names = [f"feature_{number}" for number in range(COLUMNS)]
        table.loc[marked, names] = garbage(table[names].to_numpy(), marked.sum(), draw)
    seen = np.stack(list(study.seen.values()))
    study.seen |= dict(zip(keys, garbage(seen, len(keys), draw), strict=True))
    return study.split.loc[held & ~chosen, "image_id"]


def garbage(values: np.ndarray, rows: int, draw) -> np.ndarray:
    """Return rows of numbers: half of them far away, half what another image has."""
    far = 1e3 * draw.normal(size=(rows, COLUMNS)) + 77
    return np.where(draw.random((rows, 1)) < 0.5, far, draw.choice(values, rows))


def check_untouched(make_study, model: str, seed: int, deal, *, fewer: bool = False) -> None:
    study = make_study(seed, deal=deal)
    before = study.run(model).set_index("image_id")
    untouched = spoil(study, seed)
    after = study.run(model).set_index("image_id")
    assert 5 < len(untouched) < len(before)
    pd.testing.assert_frame_equal(before.loc[untouched], after.loc[untouched], check_exact=True)
    assert not before.equals(after)
    if not fewer:
        return
    # A product of matrices may round otherwise for another number of rows.
    gone = before.index.difference(untouched)[::2]
    study.split = study.split[~study.split["image_id"].isin(gone)]
    after = study.run(model).set_index("image_id")
    assert len(after) == len(before) - len(gone)
    pd.testing.assert_frame_equal(before.loc[untouched], after.loc[untouched], rtol=1e-9)


@pytest.mark.parametrize(
    ("number", "model"),
    [
        pytest.param(number, model, marks=[] if model in QUICK else pytest.mark.slow)
        for number, model in enumerate(METHODS)
    ],
    ids=METHODS,
)
def test_what_did_not_train_changes_no_other_answer(make_study, number, model):
    check_untouched(make_study, model, 1, DEALS[number % 3], fewer=model in ONE_A_HEAD[:3])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "model"), enumerate(METHODS), ids=METHODS)
def test_what_did_not_train_changes_no_other_answer_in_other_splits(make_study, number, model):
    check_untouched(make_study, model, number + 10, DEALS[(number + 1) % 3], fewer=True)


@pytest.mark.parametrize(
    "model", ("cai2019_alexnet_svm_union", "wang2016_svm", "fadil2020_dwt_forest")
)
@pytest.mark.parametrize("deal", (patients_apart, rois_apart))
def test_were_all_rows_learned_from_it_would_show(make_study, monkeypatch, deal, model):
    """The test above can fail: a head that is handed every row of the fold."""
    whole = {}
    real_fold, real_stack = records.read_fold, np.hstack

    def read_fold(*arguments) -> pd.DataFrame:
        whole["rows"] = real_fold(*arguments)
        return whole["rows"]

    def hstack(blocks) -> np.ndarray:
        whole["columns"] = real_stack(blocks)
        return whole["columns"]

    def fit_on_all(head, features, labels, groups, *, seed):
        labels, groups = (whole["rows"][name].to_numpy(dtype=str) for name in ("label", "roi_id"))
        return heads.fit_head(head, whole["columns"], labels, groups, seed=seed)

    monkeypatch.setattr(records, "read_fold", read_fold)
    monkeypatch.setattr(stage.np, "hstack", hstack)
    monkeypatch.setattr(stage, "fit_head", fit_on_all)
    with pytest.raises(AssertionError, match="DataFrame"):
        check_untouched(make_study, model, 1, deal)


@pytest.mark.parametrize("model", ("wang2016_svm", "modern_linear"))
def test_were_all_rows_scaled_together_it_would_show(make_study, monkeypatch, model):
    real = np.hstack

    def scaled(blocks):
        columns = real(blocks)
        return np.clip((columns - columns.mean(axis=0)) / columns.std(axis=0), -1, 1)

    monkeypatch.setattr(stage.np, "hstack", scaled)
    with pytest.raises(AssertionError, match="DataFrame"):
        check_untouched(make_study, model, 1, patients_apart)


@pytest.mark.slow
@pytest.mark.parametrize("model", ("wang2016_svm", "fadil2020_dwt_forest"))
def test_labels_that_tell_nothing_are_guessed_where_patients_are_apart(make_study, model):
    tables = [make_study(seed).run(model) for seed in range(4)]
    assert 0.3 < auc(pd.concat(tables)) < 0.7
    assert auc(make_study(1, tells=5.0).run(model)) > 0.9


def test_with_quarter_turns_on_both_sides_a_forest_remembers(make_study):
    """The test above can fail."""
    assert auc(make_study(1, deal=images_apart).run("fadil2020_dwt_forest")) > 0.9


def auc(table: pd.DataFrame) -> float:
    return roc_auc_score(table["label"] == records.MALIGNANT, table["probability_malignant"])


# --- what is written ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ONE_A_HEAD)
def test_a_method_answers_for_each_image_that_did_not_train_and_again_alike(make_study, model):
    study = make_study(3)
    study.split = study.split.sample(frac=1, random_state=3)  # no order but the split's
    table = study.run(model)
    written = {path.name: path.read_bytes() for path in (study.folder / "run").iterdir()}
    assert set(written) == {"predictions.csv", "run.json"}
    asked = study.split[study.split["subset"] != "train"]
    for name in ("image_id", "roi_id", "patient_id", "quarter_turns", "label", "subset"):
        assert list(table[name]) == list(asked[name])
    assert set(table["subset"]) == {"valid", "test"}
    of_malignant = table["probability_malignant"]
    assert list(table["predicted"]) == list(np.where(of_malignant > 0.5, "malignant", "benign"))
    of_truth = np.where(table["label"] == "malignant", of_malignant, 1 - of_malignant)
    np.testing.assert_allclose(table["loss"], -np.log(np.maximum(of_truth, 1e-7)))
    wrong = (table["label"] != table["predicted"]).mean()
    assert f"{model}, error rate {wrong:.4f} on {len(table)} images" in study.said
    if set(LEAGUE[model].features) <= set(UNTURNED) and not LEAGUE[model].base:
        assert (table.groupby("roi_id")["probability_malignant"].nunique() == 1).all()
    study.run(model)
    for name, content in written.items():
        assert (study.folder / "run" / name).read_bytes() == content


def test_the_card_says_what_was_fitted_and_how(make_study):
    study = make_study(3)
    study.run("wang2016_svm", seed=9)
    card = study.card()
    assert card["settings"] == {
        "model": "wang2016_svm",
        "protocol": "patient",
        "fold": 0,
        "seed": 9,
    }
    assert card["classes"] == ["benign", "malignant"]
    assert card["images"] == study.split["subset"].value_counts().to_dict()
    assert {"mcalc", "scikit-learn", "numpy"} <= set(card["versions"])
    assert card["fitted"]["parameters"] > 0


def test_another_seed_may_answer_otherwise(make_study):
    study = make_study(3)
    first, second = (study.run("fadil2020_dwt_forest", seed=seed) for seed in (1, 2))
    assert (first["probability_malignant"] != second["probability_malignant"]).any()


@pytest.mark.slow
@pytest.mark.parametrize("model", ("wang2016_autoencoder", "modern_linear", "modern_boosted"))
def test_more_threads_give_the_same_answers(make_study, model):
    study = make_study(3)
    one, two = (study.run(model, threads=threads) for threads in (1, 2))
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)


def test_a_fold_is_fitted_on_its_own_rows(make_study):
    study = make_study(3)
    single = study.run("chen2015_speck_graph")
    other = study.split.assign(fold=1, subset=study.split["subset"].to_numpy()[::-1])
    study.split = pd.concat([other, study.split])
    pd.testing.assert_frame_equal(study.run("chen2015_speck_graph"), single)


# --- which rows train ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "unturned", "per_roi", "columns"),
    [
        ("wang2016_svm", UNTURNED, True, COLUMNS),
        ("fadil2020_dwt_forest", UNTURNED, False, COLUMNS),
        ("cai2019_alexnet_svm_handmade", (*UNTURNED, "texture"), True, 2 * COLUMNS),
        ("cai2019_alexnet_svm_handmade", UNTURNED, False, 2 * COLUMNS),
        ("cai2019_alexnet_svm_deep", UNTURNED, False, COLUMNS),
        ("cai2019_alexnet_svm_union", (*UNTURNED, "texture"), False, 3 * COLUMNS),
    ],
)
def test_a_roi_whose_turns_are_alike_trains_once(
    make_study, monkeypatch, model, unturned, per_roi, columns
):
    monkeypatch.setattr(
        stage, "fit_head", lambda _, *rows, seed: heads.fit_head("forest", *rows, seed=seed)
    )
    study = make_study(2, deal=images_apart)
    for name in unturned:
        table = study.tables[name]
        study.tables[name] = table[table["quarter_turns"] == 0]
    study.run(model)
    training = study.split[study.split["subset"] == "train"]
    expected = training["roi_id"].nunique() if per_roi else len(training)
    assert study.card()["fitted"]["rows"] == expected
    assert study.card()["fitted"]["columns"] == columns


def test_each_image_is_learned_with_its_own_features_label_and_patient(make_study, monkeypatch):
    """Two sets, one of unturned images; a ROI without a patient is a patient of its own."""
    handed = {}

    def watched(head, features, labels, groups, *, seed):
        handed.update(features=features, labels=labels, groups=groups)
        return heads.fit_head(head, features, labels, groups, seed=seed)

    monkeypatch.setattr(stage, "fit_head", watched)
    study = make_study(4)
    study.run("cai2019_alexnet_svm_handmade")
    training = study.split[study.split["subset"] == "train"]
    specks = study.tables["specks"].set_index("roi_id").drop(columns="quarter_turns")
    texture = study.tables["texture"].set_index(["roi_id", "quarter_turns"])
    expected = [
        [*specks.loc[row.roi_id], *texture.loc[(row.roi_id, row.quarter_turns)]]
        for row in training.itertuples()
    ]
    np.testing.assert_array_equal(handed["features"], expected)
    assert list(handed["labels"]) == list(training["label"])
    nameless = (training["patient_id"] == "").to_numpy()
    assert nameless.any()
    groups = pd.Series(handed["groups"], index=training.index)
    assert groups[~nameless].tolist() == training.loc[~nameless, "patient_id"].tolist()
    pairs = pd.DataFrame({"group": groups[nameless], "roi": training["roi_id"][nameless]})
    assert (pairs.groupby("group")["roi"].nunique() == 1).all()
    assert (pairs.groupby("roi")["group"].nunique() == 1).all()
    assert not set(groups[nameless]) & set(groups[~nameless])


def test_shards_and_the_order_in_which_they_are_given_are_of_no_matter(make_study):
    study = make_study(4)
    first = study.run("fadil2020_dwt_forest")
    paths = study.write("fadil2020_dwt_forest")["features"]
    pd.DataFrame(columns=["roi_id", "quarter_turns"]).to_parquet(paths[0].with_name("2.parquet"))
    paths = [paths[0].with_name("2.parquet"), *paths[::-1]]
    pd.testing.assert_frame_equal(study.run("fadil2020_dwt_forest", features=paths), first)


def test_sets_that_a_method_does_not_read_are_left_alone(make_study):
    study = make_study(4)
    first = study.run("wang2016_svm")
    other = study.write("fadil2020_dwt_forest")["features"]
    other[0].write_bytes(b"not read")
    given = study.write("wang2016_svm")["features"] + other
    pd.testing.assert_frame_equal(study.run("wang2016_svm", features=given), first)


# --- what is wrong ------------------------------------------------------------------------------


def check_told(result: tuple[int, str, str], code: int, *words: str) -> None:
    """Check for one sentence without a traceback, which ends a command with its code."""
    found, printed, told = result
    assert (found, printed) == (code, ""), told
    assert told.startswith("mcalc: ")
    assert told.count("\n") == 1
    assert told.endswith(".\n")
    for word in words:
        assert word in told


def test_the_command_fits_a_method(make_study, mcalc):
    study = make_study(1)
    code, printed, told = study.call(mcalc, "wang2016_svm", "--seed", 1)
    assert (code, told) == (0, "")
    assert "wang2016_svm, error rate" in printed
    from_command = (study.folder / "run" / "predictions.csv").read_bytes()
    study.run("wang2016_svm")
    assert (study.folder / "run" / "predictions.csv").read_bytes() == from_command


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("wang2017", ("'wang2017'", "mcalc models")),
        ("tsochatzidis2019_alexnet_imagenet", ("is a network", "mcalc train")),
        ("heenaye2021_resnet50", ("is a network", "mcalc train")),
    ],
)
def test_a_method_that_is_none_of_this_stage_is_told(make_study, mcalc, model, words):
    study = make_study(1)
    check_told(study.call(mcalc, model), 2, model, *words)
    assert not (study.folder / "run").exists()


def test_a_pair_with_volumes_is_not_taken_for_a_network_to_be_trained(make_study, mcalc):
    result = make_study(1).call(mcalc, "xiao2021_ensemble")
    check_told(result, 2, "xiao2021_ensemble")
    assert "mcalc train" not in result[2]


def test_sets_that_are_not_given_are_named(make_study, mcalc):
    study = make_study(1)
    records.write(study.split, study.folder / "split.csv", records.SPLIT)
    fixed = ("--split", study.folder / "split.csv", "--run", study.folder / "run")
    call = ("fit-model", "cai2019_alexnet_svm_handmade", *fixed, "--protocol", "patient")
    check_told(mcalc(*call), 2, "features specks, texture", "mcalc extract-features")
    specks = study.write("wang2016_svm")["features"]
    check_told(mcalc(*call, "--features", specks[0]), 2, "features texture;")


@pytest.mark.parametrize("missing", ("base", "stack"))
def test_a_network_that_is_not_given_is_told(make_study, missing):
    study = make_study(1)
    with pytest.raises(UsageError, match=r"tsochatzidis2019_alexnet_imagenet; .*--base.*--stack"):
        study.run("ragab2019_alexnet_svm", **{missing: None})


def test_a_stack_without_an_image_is_told(make_study):
    study = make_study(1)
    given = study.write("ragab2019_alexnet_svm")
    rois = records.read(study.folder / "stack.csv", records.STACKED)
    rois["roi_id"] = "x" + rois["roi_id"]
    records.write(rois, study.folder / "stack.csv", records.STACKED)
    with pytest.raises(DataError, match=r"stack\.npy: .* images of the split are missing"):
        fit_model(
            study.folder / "split.csv",
            run=study.folder / "run",
            settings=Settings("ragab2019_alexnet_svm", "patient"),
            **given,
        )


def rewritten(path: Path, change) -> None:
    change(pd.read_parquet(path)).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "not a table of features"),
        (lambda path: path.write_bytes(b""), "not a table of features"),
        (lambda path: path.write_text("roi_id,quarter_turns\n"), "not a table of features"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "not a table of features"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "not a table of features"),
        (
            lambda path: rewritten(path, lambda table: table.drop(columns="roi_id")),
            "column roi_id is missing",
        ),
        (
            lambda path: rewritten(path, lambda table: table.drop(columns="quarter_turns")),
            "column quarter_turns is missing",
        ),
        (
            lambda path: rewritten(path, lambda table: table.drop(columns="feature_2")),
            "other features than in other shards",
        ),
        (
            lambda path: rewritten(path, lambda table: table.rename(columns={"feature_2": "x"})),
            "other features than in other shards",
        ),
        (
            lambda path: rewritten(path, lambda table: table.assign(feature_2="dense")),
            "feature_2",
        ),
        (
            lambda path: rewritten(path, lambda table: table.assign(feature_2=np.nan)),
            "feature_2",
        ),
    ],
    ids=[
        *("gone", "empty", "a_csv", "cut_at_the_end", "cut_early", "without_roi", "without_turn"),
        *("fewer_columns", "other_columns", "words", "no_number"),
    ],
)
def test_a_file_of_features_that_is_not_whole_is_named(make_study, mcalc, harm, words):
    study, model = make_study(1), "wang2016_svm"
    paths = study.write(model)["features"]
    harm(paths[1])
    given = [word for path in paths for word in ("--features", path)]
    fixed = ("--split", study.folder / "split.csv", "--run", study.folder / "run")
    result = mcalc("fit-model", model, *fixed, "--protocol", "patient", *given)
    check_told(result, 3, str(paths[1]), words, "extract")
    assert not (study.folder / "run").exists()


def test_an_image_that_two_files_have_is_told(make_study):
    """As where a file of another configuration lies in the same folder."""
    study = make_study(1)
    paths = study.write("fadil2020_dwt_forest")["features"]
    twice = paths[0].with_name("2.parquet")
    twice.write_bytes(paths[0].read_bytes())
    with pytest.raises(DataError, match=r"extract them again"):
        study.run("fadil2020_dwt_forest", features=[*paths, twice])


def test_only_empty_files_are_told(make_study):
    study = make_study(1)
    paths = study.write("wang2016_svm")["features"]
    for path in paths:
        pd.DataFrame(columns=["roi_id", "quarter_turns"]).to_parquet(path)
    with pytest.raises(DataError, match=r"1\.parquet: no features; extract them again\.$"):
        read_features(paths)


@pytest.mark.parametrize("model", ("wang2016_svm", "fadil2020_dwt_forest"))
def test_an_image_of_the_split_without_features_is_named(make_study, mcalc, model):
    study = make_study(1)
    name = LEAGUE[model].features[0]
    table = study.tables[name]
    study.tables[name] = table[table["roi_id"] != "r7_0"]
    words = (f"The features {name} of 4 images", "r7_0_t0", "extract them again")
    check_told(study.call(mcalc, model), 3, *words)


def test_a_turn_without_features_is_named(make_study, mcalc):
    study = make_study(1)
    table = study.tables["wavelets"]
    gone = (table["roi_id"] == "r7_0") & (table["quarter_turns"] == 2)
    study.tables["wavelets"] = table[~gone]
    words = ("wavelets of 1 images", "r7_0_t2")
    check_told(study.call(mcalc, "fadil2020_dwt_forest"), 3, *words)


def test_a_fold_that_is_not_there_is_told(make_study, mcalc):
    result = make_study(1).call(mcalc, "wang2016_svm", "--fold", 4)
    check_told(result, 3, "split.csv", "there is no fold 4")


@pytest.mark.parametrize("label", records.LABELS)
@pytest.mark.parametrize("model", ("wang2016_svm", "fadil2020_dwt_forest"))
def test_one_class_only_in_training_is_told(make_study, mcalc, model, label):
    study = make_study(1)
    study.split.loc[study.split["subset"] == "train", "label"] = label
    other = ({*records.LABELS} - {label}).pop()
    words = (f"0 {other} patients are left to train", "split.seed")
    check_told(study.call(mcalc, model), 3, *words)
    assert not (study.folder / "run").exists()


def test_a_class_of_one_patient_in_training_is_told(make_study, mcalc):
    study = make_study(1)
    training = study.split["subset"] == "train"
    one = study.split.loc[training & (study.split["patient_id"] != ""), "patient_id"].iloc[0]
    is_one = study.split["patient_id"] == one
    study.split.loc[training, "label"] = np.where(is_one[training], "malignant", "benign")
    check_told(study.call(mcalc, "wang2016_svm"), 3, "1 malignant patient")


def test_a_run_of_another_network_is_told(make_study, monkeypatch):
    study = make_study(1)
    module = sys.modules["mcalc.learning.trained"]
    monkeypatch.setattr(module, "read_card", lambda run: {"network": "resnet34"})
    with pytest.raises(DataError, match=r"base: a run of resnet34, not of alexnet; give that of"):
        study.run("ragab2019_alexnet_svm")


def test_a_split_in_which_all_images_train_is_told(make_study, mcalc):
    study = make_study(1)
    study.split["subset"] = "train"
    check_told(study.call(mcalc, "chen2015_speck_graph"), 3, "split")


def test_a_table_that_is_no_split_is_told(make_study, mcalc):
    study = make_study(1)
    (study.folder / "other.csv").write_text("a,b\n1,2\n")
    result = study.call(mcalc, "wang2016_svm", "--split", study.folder / "other.csv")
    check_told(result, 3, "other.csv", "image_id")
