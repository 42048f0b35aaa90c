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


@pytest.fixture(scope="module")
def competed(make_project, tiny_config):
    """The project after a league under the protocol patient, from random weights in a folder."""
    project = make_project()
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_config))
    project.call("mcalc", "phantom", "resources/tiny", "--patients", "12", "--seed", "3")
    (project.folder / "weights").mkdir()
    for name in ("alexnet", "resnet34"):
        state = models.get_model(name, weights=None).state_dict()
        save_file(state, project.folder / f"weights/{name}.safetensors")
    project.configure(
        dataset__shards=1,
        split={"protocols": ["paper", "patient"]},
        league={
            "models": list(MODELS),
            "protocols": ["patient"],
            "weights": "weights",
            "setting": {"batch_size": 16, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 1},
        },
        train__head_epochs=0,
    )
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
