"""Every method of the league trains and answers, and nothing that it learns is from test images.

The league runs twice on the phantom of the embedded default, in one fold with validation and test
patients: once as it is, and once with noise for the crops of the test patients and their labels the
other way round. What is answered for validation images must be the same bit for bit.

As a program, `python tests/learning/test_all_methods.py FOLDER`, it writes the weights alone, for a
`league.weights: FOLDER` where nothing can be downloaded.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models

from mcalc import records
from mcalc.data.datasets.phantom.crops import draw_crop
from mcalc.data.datasets.phantom.patients import draw_patient
from mcalc.evaluation.protocols import rotated_images, split_images
from mcalc.images.shards import write_png
from mcalc.images.stack import stack_images
from mcalc.learning import heads
from mcalc.learning.batches import Augmentation
from mcalc.learning.extract_features import FROZEN, extract_features
from mcalc.learning.fit_ensemble import fit_ensemble
from mcalc.learning.fit_model import fit_model
from mcalc.learning.fitting import Settings
from mcalc.learning.league import read_league
from mcalc.learning.model_runs import Settings as ModelSettings
from mcalc.learning.networks import load_weights
from mcalc.learning.train import train_run

pytestmark = pytest.mark.slow

PATIENTS, SIZE = 12, 64
LEAGUE = read_league()
OTHER = {"malignant": "benign", "benign": "malignant"}


def write_weights(folder: Path) -> None:
    """Write state dicts of random weights for all networks that start from ImageNet's.

    EfficientNet-Lite0 starts from its real ones, which a package holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    states = {
        name: settled(models.get_model(name, weights=None)).state_dict()
        for name in ("alexnet", "resnet34", "resnet50")
    }
    trunk = models.vgg16(weights=None).features.state_dict()
    for name in ("vgg16", "mvgg16"):
        states[name] = {f"features.{key}": tensor for key, tensor in trunk.items()}
    for name, known in (
        ("convnext_tiny", "convnext_tiny"),
        ("vit_small", "vit_small_patch16_224"),
    ):
        states[name] = timm.create_model(known).state_dict()
    lite0 = load_weights("efficientnet_lite0", "imagenet")
    states["efficientnet_lite0"] = {name: tensor.contiguous() for name, tensor in lite0.items()}
    for name, state in states.items():
        save_file(state, folder / f"{name}.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """The folder of these weights."""
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder)
    return folder


def settled(network: torch.nn.Module) -> torch.nn.Module:
    """Let batch norms measure the images, so that random weights neither die out nor explode."""
    images = torch.from_numpy(np.stack(list(draw_phantom()[1].values())))
    network.train()
    with torch.inference_mode():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None  # from here on the mean of what is seen
                layer.reset_running_stats()
        network((images[:, None].repeat(1, 3, 1, 1) / 255 - 0.45) / 0.225)
    return network


def start(weights: Path, network: str) -> str:
    return "imagenet" if network == "efficientnet_lite0" else f"{weights / network}.safetensors"


def draw_phantom() -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return rows that can be split, and the crops, of the embedded default's patients."""
    rois, images = [], {}
    for number in range(PATIENTS):
        rng = np.random.default_rng([1, number])
        patient = draw_patient(rng, number)
        for finding in patient.findings:
            for view in ("CC", "MLO"):
                roi_id = f"{patient.patient_id}_{finding.abnormality_id}_{view}"
                crop = draw_crop(rng, patient, finding, view)
                crop = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
                images[roi_id] = cv2.normalize(crop, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
                rois.append(
                    {
                        "roi_id": roi_id,
                        "patient_id": patient.patient_id,
                        "laterality": patient.laterality,
                        "abnormality_id": finding.abnormality_id,
                        "label": "malignant" if finding.pathology == "MALIGNANT" else "benign",
                        "official_split": "",
                        "in_any_test": "",
                    }
                )
    return pd.DataFrame(rois), images


def write_study(folder: Path, *, changed: bool) -> None:
    """Write images, stack and split; with `changed`, noise and wrong labels for who tests."""
    rois, images = draw_phantom()
    split = split_images(rotated_images(rois), "nested", folds=3, valid_fraction=0.3, seed=1)
    # Two turns of each ROI are enough, in half the time.
    split = split[(split["fold"] == 0) & (split["quarter_turns"] < 2)]
    tested = split["subset"] == "test"
    if changed:
        noise = np.random.default_rng(0)
        for roi_id in split.loc[tested, "roi_id"].unique():
            images[roi_id] = noise.integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
        split.loc[tested, "label"] = split.loc[tested, "label"].map(OTHER)
    (folder / "images").mkdir(parents=True)
    for roi_id, image in images.items():
        write_png(folder / "images" / f"{roi_id}.png", image)
    stack_images([folder / "images"], stack=folder / "stack.npy")
    records.write(split, folder / "split.csv", records.SPLIT)


def run_league(folder: Path, weights: Path) -> None:
    """Run every method, networks first, as the workflow's rules call the stages."""
    for kind in sorted({kind for entry in LEAGUE.values() for kind in entry.features}):
        options = {"weights": start(weights, FROZEN[kind][0])} if kind in FROZEN else {}
        path = folder / "features" / kind / "0.parquet"
        extract_features(folder / "images", kind=kind, features=path, **options)
    for model, entry in sorted(LEAGUE.items(), key=lambda item: not item[1].network):
        run = folder / "league" / model / "fold0"
        if entry.network:
            settings = Settings(
                protocol="nested",
                network=entry.network,
                test=1,
                fold=0,
                batch_size=8,
                # Low: after so few steps batch norms have not followed what a faster one changes,
                # and answers would be 1 for all.
                lr_min=1e-5,
                lr_max=1e-4,
                epochs=2 if entry.schedule == "plateau" else 1,
                head_epochs=0,
                lr_find_iterations=6,
                weights="none" if entry.weights == "none" else start(weights, entry.network),
                schedule=entry.schedule,
            )
            train_run(
                folder / "split.csv",
                folder / "stack.npy",
                run=run,
                settings=settings,
                augmentation=Augmentation(),
                device="cpu",
            )
            continue
        given = {"settings": ModelSettings(model, "nested"), "run": run}
        if entry.base:
            given["base"] = folder / "league" / entry.base / "fold0"
        if entry.volumes:
            fit_ensemble(folder / "split.csv", **given)
        else:
            features = [folder / "features" / kind / "0.parquet" for kind in entry.features]
            stack = {"stack": folder / "stack.npy"} if entry.base else {}
            fit_model(folder / "split.csv", features=features, **given, **stack)


@pytest.fixture(scope="module")
def leagues(tmp_path_factory, weights) -> tuple[Path, Path]:
    """The folders of both leagues: of the data as they are, and of the changed ones."""
    folders = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "TREES", 50)
        for changed in (False, True):
            folder = tmp_path_factory.mktemp("league")
            write_study(folder, changed=changed)
            run_league(folder, weights)
            folders.append(folder)
    return tuple(folders)


def read_answers(folder: Path, model: str) -> pd.DataFrame:
    path = folder / "league" / model / "fold0/predictions.csv"
    return records.read(path, records.PREDICTIONS)


@pytest.mark.parametrize("model", LEAGUE)
def test_a_method_answers_for_every_image_that_did_not_train(leagues, model):
    split = records.read(leagues[0] / "split.csv", records.SPLIT)
    asked = split.loc[split["subset"] != "train", "image_id"]
    answers = read_answers(leagues[0], model)
    assert list(answers["image_id"]) == list(asked)
    assert answers["probability_malignant"].nunique() > 1


@pytest.mark.parametrize("model", LEAGUE)
def test_nothing_that_is_learned_or_chosen_follows_test_images_or_their_labels(leagues, model):
    plain, changed = (read_answers(folder, model) for folder in leagues)
    on_valid = [rows[rows["subset"] == "valid"] for rows in (plain, changed)]
    pd.testing.assert_frame_equal(*on_valid, check_exact=True)
    # And the change was one: the answers for test images are others.
    on_test = [
        rows.loc[rows["subset"] == "test", "probability_malignant"].to_numpy()
        for rows in (plain, changed)
    ]
    assert not np.array_equal(*on_test)


if __name__ == "__main__":
    write_weights(Path(sys.argv[1]))
