"""Methods of the league in the workflow, one of each kind; all: learning/test_all_methods.py."""

import pandas as pd
import pytest
import yaml
from safetensors.torch import save_file
from torchvision import models

from mcalc import records

pytestmark = pytest.mark.slow

RUN = "results/tiny"
# Of designed features, of a network's frozen ones, of a trained network's, a network, an ensemble.
MODELS = (
    "wang2016_svm",
    "hekal2021_otsu_svm_alexnet",
    "ragab2019_alexnet_svm",
    "rehman2021_dscnn",
    "xiao2021_ensemble",
)


def begin(make_project, config: dict):
    """Return a project with random weights in a folder and the given configuration."""
    project = make_project()
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    (project.folder / "weights").mkdir()
    for name in ("alexnet", "resnet34"):
        state = models.get_model(name, weights=None).state_dict()
        save_file(state, project.folder / f"weights/{name}.safetensors")
    league = {
        "models": list(MODELS),
        "protocols": ["patient"],
        "weights": "weights",
        "setting": {"batch_size": 16, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 1},
    }
    project.configure(
        dataset__shards=1,
        split={"protocols": ["paper", "patient"]},
        league=league,
        train__head_epochs=0,
    )
    return project


@pytest.fixture(scope="module")
def competed(make_project, tiny_config):
    """The project after a league under the protocol patient."""
    project = begin(make_project, tiny_config)
    project.call("mcalc", "phantom", "resources/tiny", "--patients", "12", "--seed", "3")
    project.snakemake("league")
    return project


def test_each_method_answers_for_each_image_that_did_not_train(competed):
    split = records.read_fold(competed.folder / RUN / "splits/patient.csv", 0)
    asked = split.loc[split["subset"] == "valid", "image_id"]
    for model in MODELS:
        path = competed.folder / RUN / f"league/patient/{model}/fold0/predictions.csv"
        answers = records.read(path, records.PREDICTIONS)
        assert list(answers["image_id"]) == list(asked), model
        assert answers["probability_malignant"].nunique() > 1, model


def test_each_method_is_a_row_with_its_time_and_size(competed):
    league = pd.read_csv(competed.folder / RUN / "tables/league.csv", keep_default_na=False)
    assert set(league["model"]) == set(MODELS)
    assert (league["seconds"].astype(float) > 0).all()
    assert (league["parameters"].astype(int) > 0).all()
    assert (competed.folder / RUN / "figures/league.png").stat().st_size > 10_000


def test_methods_on_top_of_a_network_train_it_though_it_does_not_compete(competed):
    trained = (competed.folder / "logs/tiny/train_model/patient").iterdir()
    assert {folder.name for folder in trained} == {
        "rehman2021_dscnn",
        "tsochatzidis2019_alexnet_imagenet",
        "tsochatzidis2019_resnet34_imagenet",
    }
    said = competed.log("tiny/fit_ensemble/patient/xiao2021_ensemble/fold0.log")
    assert "2-D half alone" in said


def test_a_second_run_finds_nothing_to_do(competed):
    assert "Nothing to be done" in competed.snakemake("league")


def test_another_setting_trains_networks_again_and_what_rests_on_them(competed):
    changed = ("tiny.yaml", "more.yaml")
    setting = {"batch_size": 16, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 2}
    (competed.folder / "more.yaml").write_text(yaml.safe_dump({"league": {"setting": setting}}))
    planned = competed.dry_run("league", configs=changed)
    wanted = {"train_model": 3, "fit_model": 1, "fit_ensemble": 1}
    assert {rule: planned[rule] for rule in wanted} == wanted
    assert not planned["extract_features"] and not planned["stack"]


def test_stacks_of_slices_go_from_files_to_the_answers_of_both_halves(make_project, tiny_config):
    project = begin(make_project, tiny_config)
    root = "resources/stacks"
    project.call("mcalc", "phantom-stacks", root, "--patients", "12", "--slices", "6", "9")
    dataset = {"kind": "tomosynthesis", "root": root, "patients": f"{root}/patients.csv"}
    project.configure(dataset={"shards": 1, **dataset}, league__models=["xiao2021_ensemble"])
    project.snakemake("league")
    folder = project.folder / RUN
    split = records.read_fold(folder / "splits/patient.csv", 0)
    asked = split.loc[split["subset"] == "valid", "image_id"]
    answers, half = (
        records.read(folder / f"league/patient/{name}/fold0/predictions.csv", records.PREDICTIONS)
        for name in ("xiao2021_ensemble", "tsochatzidis2019_resnet34_imagenet")
    )
    assert list(answers["image_id"]) == list(asked) == list(half["image_id"])
    assert set(split["roi_id"]) == {
        f"{path.parent.name}_{path.stem}_dcm" for path in (project.folder / root).glob("*/*.dcm")
    }
    other = 2 * answers["probability_malignant"] - half["probability_malignant"]
    assert other.between(0, 1).all() and other.nunique() > 1
    log = project.log("tiny/fit_ensemble/patient/xiao2021_ensemble/fold0.log")
    assert "xiao2021_ensemble, both halves, error rate" in log
    league = pd.read_csv(folder / "tables/league.csv")
    assert list(league["model"]) == ["xiao2021_ensemble"]
    assert "Nothing to be done" in project.snakemake("league")
