"""A small made-up results folder, as the stages before tables, figures and the report leave it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc import records
from mcalc.evaluation.evaluate import evaluate_runs
from mcalc.evaluation.overlap import write_overlap
from mcalc.evaluation.score import score_protocol
from mcalc.evaluation.score_rows import Settings
from mcalc.images.choose_filter import choose_filter
from mcalc.images.compare_filters import compare_filters
from mcalc.images.enhance import enhance_shard
from mcalc.images.filters import Filter
from mcalc.images.shards import write_png
from mcalc.reporting.compare_paper import compare_paper

FILTERS = [Filter("adaptive_median", 7), Filter("median", 3), Filter("mean", 3)]
ROIS = 8
SETTINGS = {"batch_size": 4, "lr_min": 8e-6, "lr_max": 1e-4}
FEW = Settings(resamples=200, aggregations=("mean",))
AUGMENTATION = {"flip": True, "max_rotate": 10.0, "max_zoom": 1.1, "max_lighting": 0.2}


def draw_roi(number: int) -> np.ndarray:
    """Return grey tissue with specks, (64, 64) uint16, another for each number."""
    generator = np.random.default_rng(number)
    tissue = cv2.GaussianBlur(generator.normal(0, 1, (64, 64)), (0, 0), 5) * 200 + 110
    specks = np.zeros((64, 64))
    specks[generator.integers(15, 50, 12), generator.integers(15, 50, 12)] = 300
    noise = generator.normal(0, 4, (64, 64))
    grey = (tissue + cv2.GaussianBlur(specks, (0, 0), 0.9) + noise).clip(1, 255)
    return (257 * grey).astype(np.uint16)


def draw_mammogram() -> dict[str, np.ndarray]:
    """Return a breast with a bright core beside a label, and what the two methods find."""
    rows, columns = np.mgrid[:160, :100]
    radius = np.hypot(rows - 80, columns * 1.1)
    image = np.where(radius < 70, 180 * np.exp(-((radius / 45) ** 2)) + 12, 3).astype(np.uint8)
    image[5:15, 80:95] = 220
    masks = {"otsu": radius < 40, "otsu_grown": radius < 70}
    return {"": image} | {f".{name}": mask.astype(np.uint8) * 255 for name, mask in masks.items()}


def write_run(
    folder: Path,
    *,
    dataset: str = "phantom",
    networks: tuple = ("vgg16", "resnet34"),
    protocols: tuple = ("paper", "patient"),
    mammograms: tuple = ("dataset", "samples"),
    rejected: tuple = (),
    tests: int = 2,
    one_answer: str = "",
    folds: int = 1,
    scored: bool = True,
) -> Path:
    """Write a results folder.

    Each network is trained `tests` times a protocol and fold; the network `one_answer` calls every
    image benign. Of the protocol `nested` each fold tests one patient, and the next one validates.
    """
    catalog = [_catalog_row(number, dataset) for number in range(ROIS)]
    records.write(catalog, folder / "catalog.csv", records.CATALOG)
    records.write(list(rejected), folder / "rejected.csv", records.REJECTED)
    records.write([], folder / "images/converted/0.rejected.csv", records.REJECTED)
    _write_images(folder, catalog)
    _write_truth(folder / "filters")
    _write_mammograms(folder, mammograms)
    grid = [name for name in networks for _ in range(tests)]
    write_protocols(folder, catalog, grid, protocols, folds, one_answer)
    for protocol in protocols if scored else ():
        score(folder, protocol)
    compare_paper(folder, run_name="usual", comparison=folder / "paper.csv")
    return folder


def write_protocols(
    folder: Path,
    catalog: list[dict],
    grid: list[str],
    protocols: tuple,
    folds: int,
    one_answer: str = "",
) -> None:
    """Write splits, training runs (a network each in `grid`) and their evaluation."""
    for protocol in protocols:
        splits = [_split(catalog, protocol, fold) for fold in range(folds)]
        rows = [row for split in splits for row in split]
        records.write(rows, folder / f"splits/{protocol}.csv", records.SPLIT)
        runs = []
        for test, network in enumerate(grid, start=1):
            for fold, split in enumerate(splits):
                run = folder / f"runs/{protocol}/{network}/test{test}/fold{fold}"
                _write_training(run, split, protocol, network, test, network == one_answer)
                runs.append(run)
        evaluate_runs(runs, results=folder / f"evaluation/{protocol}.csv")
        for fold, split in enumerate(splits):
            shortcut = folder / f"shortcuts/{protocol}/fold{fold}.csv"
            records.write(_shortcut(split), shortcut, records.SHORTCUTS)
    write_overlap(
        sorted(folder.glob("splits/*.csv")),
        catalog=folder / "catalog.csv",
        overlap=folder / "overlap.csv",
        images=sorted(folder.glob("images/enhanced/*")),
    )


def score(folder: Path, protocol: str) -> None:
    """Score what lies in the folder, with fewer resamples than a user would take."""
    score_protocol(
        sorted(folder.glob(f"runs/{protocol}/*/*/fold*")),
        protocol=protocol,
        scores=folder / f"scores/{protocol}",
        shortcuts=sorted(folder.glob(f"shortcuts/{protocol}/*.csv")),
        catalog=folder / "catalog.csv",
        settings=FEW,
    )


@pytest.fixture
def make_run(tmp_path):
    """Write a results folder of one training run without scores, but for given differences."""
    smallest = {"networks": ("vgg16",), "protocols": ("paper",), "tests": 1, "scored": False}
    return lambda name="results", **given: write_run(tmp_path / name, **smallest | given)


@pytest.fixture
def make_scored_run(make_run):
    """Write a results folder as `make_run` does, with the scores that tables and report read."""
    return lambda **given: make_run(scored=True, **given)


@pytest.fixture(scope="session")
def usual_run(tmp_path_factory) -> Path:
    """The usual results folder, to be read only."""
    return write_run(tmp_path_factory.mktemp("usual") / "results")


@pytest.fixture(scope="session")
def folded_run(tmp_path_factory) -> Path:
    """Two tests of one network in two folds by three protocols, no images; to be read only."""
    folder = tmp_path_factory.mktemp("folded") / "results"
    catalog = [_catalog_row(number, "phantom") for number in range(ROIS)]
    records.write(catalog, folder / "catalog.csv", records.CATALOG)
    for name in ("rejected.csv", "images/converted/0.rejected.csv"):
        records.write([], folder / name, records.REJECTED)
    write_protocols(folder, catalog, ["vgg16"] * 2, ("paper", "patient", "nested"), 2)
    return folder


def _catalog_row(number: int, dataset: str) -> dict:
    label = records.LABELS[number % 2]
    return {
        "roi_id": f"Calc-Test_P_{number // 2:05}_LEFT_{('CC', 'MLO')[number % 2]}_{number}",
        "patient_id": f"P_{number // 2:05}",
        "laterality": "LEFT",
        "view": ("CC", "MLO")[number % 2],
        "abnormality_id": 1 + number,
        "label": label,
        "pathology": label.upper(),
        "official_split": "test",
        "in_any_test": "no",
        "dataset": dataset,
        "source": f"data/{number}.dcm",
        "mask": "",
        "mammogram": "",
        "sha256": f"{number:016x}",
        "shard": 0,
        "breast_density": 2,
        "calc_type": "PLEOMORPHIC",
        "calc_distribution": "CLUSTERED",
        "abnormality_type": "calcification",
        "mass_shape": "",
        "mass_margins": "",
        "assessment": 4,
        "subtlety": 3,
    }


def _write_images(folder: Path, catalog: list[dict]) -> None:
    cleaned = folder / "images/cleaned/0"
    cleaned.mkdir(parents=True)
    kept = []
    for number, row in enumerate(catalog):
        write_png(cleaned / f"{row['roi_id']}.png", draw_roi(number))
        share = {"otsu_kept": 0.75, "otsu_grown_kept": 0.95} if number == 0 else None
        share = share or {"otsu_kept": 1.0, "otsu_grown_kept": 1.0}
        kept.append(
            {"roi_id": row["roi_id"], "method": "otsu_grown", "has_background": number == 0} | share
        )
    records.write(kept, folder / "images/cleaned/0.csv", records.CLEANING)
    scores, choice = folder / "filters/0.csv", folder / "filters/choice.json"
    compare_filters(cleaned, scores=scores, filters=FILTERS)
    choose_filter([scores], choice=choice, filters=FILTERS)
    enhance_shard(cleaned, choice=choice, enhanced=folder / "images/enhanced/0")


def _write_truth(folder: Path) -> None:
    """Write the truth bench's scores of eight crops, and the picture of crop 2."""
    # PSNR by noise: no filter and the mean are best under one each, as the filters' order turns.
    means = {"gaussian": (30, 28, 27, 26), "poisson": (30, 31, 32, 33)}
    means["salt_and_pepper"] = (20, 35, 30, 25)
    levels = {"gaussian": (1, 3), "poisson": (3000,), "salt_and_pepper": (0.1,)}
    settings = [(noise, level) for noise in levels for level in levels[noise]]
    names = ("none", *(noise_filter.name for noise_filter in FILTERS))
    generator = np.random.default_rng(1)
    rows = []
    for crop in range(8):
        for noise, level in settings:
            for name, psnr in zip(names, means[noise], strict=True):
                psnr += float(generator.normal(0, 0.1))
                left = 1.0 if name == "none" else 0.5 + crop / 100
                rows.append(
                    {"crop": crop, "speck_pixels": 3.0, "noise": noise, "level": level}
                    | {"filter": name, "mse": 255**2 / 10 ** (psnr / 10), "psnr": psnr}
                    | {"ssim": 0.9, "contrast_left": left}
                )
    records.write(rows, folder / "truth.csv", records.TRUTH)
    (folder / "speck").mkdir()
    endings = [f"{noise}-{level:g}-{name}" for noise, level in settings for name in names]
    for number, ending in enumerate(["truth", *endings]):
        picture = draw_roi(number)[20:44, 20:44] // 257
        write_png(folder / f"speck/2-{ending}.png", picture.astype(np.uint8))


def _write_mammograms(folder: Path, origins: tuple) -> None:
    (folder / "images/mammograms").mkdir(parents=True)
    rows = []
    for origin in origins:
        known = origin == "dataset"
        rows.append(
            {
                "mammogram_id": f"{origin}_film",
                "origin": origin,
                "source": f"data/{origin}.dcm",
                "otsu_kept": 0.3,
                "otsu_grown_kept": 0.45,
                "otsu_dice": 0.8 if known else None,
                "otsu_grown_dice": 0.98 if known else None,
            }
        )
        for ending, image in draw_mammogram().items():
            write_png(folder / f"images/mammograms/{origin}_film{ending}.png", image)
    records.write(rows, folder / "mammograms.csv", records.MAMMOGRAMS)


def _split(catalog: list[dict], protocol: str, fold: int) -> list[dict]:
    rows = []
    for number, row in enumerate(catalog):
        for turns in range(4):
            # A patient has two ROIs.
            part = turns if protocol == "paper" else number // 2
            subset = "valid" if part == fold else "train"
            if protocol == "nested":
                subset = {fold: "test", (fold + 1) % 4: "valid"}.get(part, "train")
            shared = {key: row[key] for key in ("roi_id", "patient_id", "label")}
            rows.append(
                {"image_id": f"{row['roi_id']}_r{turns}", **shared, "quarter_turns": turns}
                | {"fold": fold, "subset": subset}
            )
    return rows


def _shortcut(split: list[dict]) -> list[dict]:
    """Answer 0.4 for every image, as the model that knows the share of malignant does."""
    asked = [row for row in split if row["subset"] != "train"]
    answer = {"model": "majority", "probability_malignant": 0.4, "predicted": "benign"}
    return [{key: row[key] for key in row if key != "fold"} | answer for row in asked]


def _write_training(
    run: Path, split: list[dict], protocol: str, network: str, test: int, one_answer: bool
) -> None:
    fold = split[0]["fold"]
    generator = np.random.default_rng([test, len(protocol), fold][: 3 if fold else 2])
    history = [_epoch(number, generator) for number in range(4)]
    rates = np.geomspace(1e-7, 1, 40)
    losses = 0.7 - 0.2 / (1 + (3e-4 / rates) ** 2) + np.where(rates > 0.05, rates * 2, 0)
    curve = [{"learning_rate": r, "loss": v} for r, v in zip(rates, losses, strict=True)]
    records.write(curve, run / "lr_find.csv", records.LR_FIND)
    others = [row for row in split if row["subset"] != "train"]
    predictions = [_prediction(row, generator, one_answer) for row in others]
    losses = [row["loss"] for row in predictions if row["subset"] == "valid"]
    history[-1]["valid_loss"] = float(np.mean(losses))
    records.write(history, run / "history.csv", records.HISTORY)
    records.write(predictions, run / "predictions.csv", records.PREDICTIONS)
    settings = {"protocol": protocol, "network": network, "test": test, "fold": fold, "epochs": 3}
    settings |= {**SETTINGS, "head_epochs": 1, "head_lr": 1e-3, "lr_find_iterations": 40}
    card = {
        "settings": settings | {"weights": "none", "seed": 1},
        "augmentation": AUGMENTATION,
        "size": 64,
        "lr_find_valley": 3.1e-4 * test,
        "versions": {"mcalc": "0.1.0", "torch": "2.14.0"},
    }
    (run / "run.json").write_text(json.dumps(card), encoding="utf-8")


def _epoch(number: int, generator: np.random.Generator) -> dict:
    error = float(generator.uniform(0.2, 0.5))
    losses = {"train_loss": 0.8 / (number + 1), "valid_loss": 0.6 + 0.05 * number}
    phase = "head" if number == 0 else "all"
    rates = {"error_rate": error, "accuracy": 1 - error}
    return {"epoch": number, "phase": phase, **losses, **rates}


def _prediction(row: dict, generator: np.random.Generator, one_answer: bool) -> dict:
    malignant = 0.1 if one_answer else float(generator.uniform(0.02, 0.98))
    of_label = malignant if row["label"] == records.MALIGNANT else 1 - malignant
    kept = {key: value for key, value in row.items() if key != "fold"}
    predicted = records.LABELS[int(malignant > 0.5)]
    return kept | {
        "probability_malignant": malignant,
        "predicted": predicted,
        "loss": -float(np.log(of_label)),
    }
