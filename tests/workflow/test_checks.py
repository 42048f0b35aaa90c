"""What a wrong configuration is told: workflow/rules/checks.smk (before any job: test_plan.py)."""

from pathlib import Path

import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

REPOSITORY = Path(__file__).parents[2]
KINDS = ("gaussian", "poisson", "salt_and_pepper")


def check(monkeypatch, changes: dict) -> None:
    """Check the default configuration with changes, a key within others written with dots."""
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    for key, value in changes.items():
        for name in reversed(key.split(".")):
            value = {name: value}
        update_config(config, value)
    monkeypatch.chdir(REPOSITORY / "workflow/rules")  # the schema's place is relative to it
    exec((REPOSITORY / "workflow/rules/checks.smk").read_text(), {"config": config})


@pytest.mark.parametrize("name", [None, "cbis_ddsm", "paper"])
def test_the_default_and_the_presets_are_right(monkeypatch, name):
    path = REPOSITORY / f"workflow/presets/{name}.yaml"
    check(monkeypatch, yaml.safe_load(path.read_text()) if name else {})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"filters.adaptive_median.max_windw": 5}, "max_windw"),
        ({"train.networks": ["resnet18"]}, "resnet18"),
        ({"filters.median.window": 4}, "filters.median.window"),
        ({"train.settings": [{"batch_size": 8, "lr_min": "1e-4", "lr_max": 1e-3, "epochs": 1}]},
         "train.settings[0].lr_min"),
        ({"split.protocols": ["patients"]}, "patients"),
        ({"filters.select_by": "ssim"}, "filters.select_by"),
        ({"filters.truth": {"noise": {"gaussian": [0.1]}}}, "filters.truth.noise.gaussian[0]"),
        ({"filters.truth": {"noise": {kind: [] for kind in KINDS}}}, "filters.truth.noise"),
        ({"split.protocols": ["paper_resplit"]}, "split.protocols: paper_resplit measures"),
        ({"split": {"protocols": ["paper"], "seed": -1}}, "split.seed"),
        ({"split": {"protocols": ["paper"], "folds": 0}}, "split.folds"),
        ({"split.protocols": ["nested"], "filters.apply": "mean"}, "split.folds: nested tests"),
        ({"split": {"protocols": ["nested"], "folds": 2}}, "filters.select_by: psnr chooses"),
        ({"split.protocols": ["patient", "official"]}, "test images of official"),
        ({"train.recipe": "fastai3"}, "train.recipe"),
        ({"augment": {"max_warp": 2}}, "augment.max_warp"),
        ({"convert.intensity": "fixed"}, "convert.window: fixed needs two grey levels"),
        ({"convert.intensity": "fixed", "convert.window": [9, 2]}, "convert.window: black"),
        ({"convert.window": [2, 9]}, "convert.window: only the intensity fixed"),
        ({"convert.percentiles": [99, 1]}, "convert.percentiles: the lower"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named_in_one_sentence(monkeypatch, change, named):
    with pytest.raises(WorkflowError) as error:
        check(monkeypatch, change)
    sentence = str(error.value)
    assert sentence.startswith("Configuration, ")
    assert named in sentence
    assert "config/README.md" in sentence
    assert "\n" not in sentence
