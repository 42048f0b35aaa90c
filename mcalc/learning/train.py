"""Stage `train`: one network, one setting, one fold of one protocol, as the study trains."""

import hashlib
import importlib.metadata
import json
import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from fastai.vision.core import imagenet_stats
from safetensors.torch import save_file

from mcalc import __version__, records
from mcalc.files import whole_file, write_text
from mcalc.images.stack import read_stack
from mcalc.learning.batches import Augmentation, images_hash
from mcalc.learning.checkpoints import Checkpoint
from mcalc.learning.devices import find_device, find_precision
from mcalc.learning.fitting import Settings, Trained, fit_network
from mcalc.learning.inference import predict_images
from mcalc.learning.networks import load_weights, own_stats, packages_of

CHECKPOINT = "checkpoint.pt"
RECORDED_VERSIONS = ("torch", "torchvision", "fastai", "numpy", "opencv-python-headless")


def train_run(
    split: str | os.PathLike,
    stack: str | os.PathLike,
    *,
    run: str | os.PathLike,
    settings: Settings,
    augmentation: Augmentation,
    device: str = "auto",
    threads: int = 1,
) -> str:
    """Train one run and write its folder `run`.

    The head is trained, the learning-rate finder run, then all layers are trained with
    discriminative rates; Adam and one-cycle throughout, unless the settings' schedule is another.
    The folder receives `weights.safetensors`, `run.json` (the model's card), `history.csv`
    (HISTORY), `lr_find.csv` (LR_FIND) and `predictions.csv` (PREDICTIONS: the images that did not
    train, in the split's order).

    After each epoch the whole state is kept there as `checkpoint.pt`, and after the batch in which
    SIGTERM or Ctrl-C comes. The same call goes on from it and ends with the same weights (on the
    CPU bit for bit); the file is removed at the end.

    Parameters
    ----------
    split : path
        The protocol's table (SPLIT).
    stack : path
        The enhanced images, as `mcalc stack` wrote them.
    run : path
    settings : Settings
    augmentation : Augmentation
    device : {'auto', 'cpu', 'cuda'}
        'auto' takes a GPU where there is one.
    threads : int
        Threads that compute on the CPU.

    Returns
    -------
    str
        One line with the last epoch's error rate.

    Raises
    ------
    StoppedError
        If a signal asked for an end; the state is kept.
    """
    chosen = find_device(device)
    torch.set_num_threads(threads)
    weights = load_weights(settings.network, settings.weights)
    rows = records.read_fold(split, settings.fold)
    images = read_stack(stack, list(rows["roi_id"]))
    precision = find_precision(chosen, settings.precision)
    card = _card(settings, augmentation, rows, images) | {"precision": precision}
    checkpoint = Checkpoint(Path(run) / CHECKPOINT, _key(card, weights, chosen))
    print(f"{run}: training {checkpoint.find()}", flush=True)
    with checkpoint.listening():
        trained = fit_network(
            rows,
            images,
            settings=settings,
            weights=weights,
            augmentation=augmentation,
            device=chosen,
            checkpoint=checkpoint,
        )
    predictions = predict_images(trained.learner, rows, images)
    found = trained.advice | {"batch_pieces": checkpoint.course.pieces}
    _write(Path(run), trained, card | found, predictions)
    checkpoint.remove()
    last = trained.history[-1]["error_rate"]
    return f"{run}: error rate {last:.4f} after {len(trained.history)} epochs"


def _key(card: dict, weights: dict[str, torch.Tensor] | None, device: torch.device) -> str:
    """Stand for all that a training follows from: its card, weights, device and this code."""
    digest = hashlib.sha256(f"{device.type} {json.dumps(card, sort_keys=True)}".encode())
    for name, tensor in sorted((weights or {}).items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _card(settings: Settings, augmentation: Augmentation, rows: pd.DataFrame, images: dict) -> dict:
    packages = RECORDED_VERSIONS + packages_of(settings.network, settings.weights)
    versions = {name: importlib.metadata.version(name) for name in packages}
    normalisations = {"normalisation": imagenet_stats}
    if own := own_stats(settings.network):
        normalisations["normalisation_in_network"] = own
    return {
        "classes": list(records.LABELS),
        "network": settings.network,
        "size": int(next(iter(images.values())).shape[0]),
        "channels": "the grey level, three times",
        **{k: dict(zip(("mean", "std"), v, strict=True)) for k, v in normalisations.items()},
        "settings": asdict(settings),
        "augmentation": augmentation._asdict(),
        "images": rows["subset"].value_counts().to_dict(),
        "data_hash": images_hash(rows, images),
        "versions": {"mcalc": __version__, **versions},
        "intended_use": "Research, not diagnosis.",
    }


def _write(run: Path, trained: Trained, card: dict, predictions: pd.DataFrame) -> None:
    weights = trained.learner.model.state_dict()
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with whole_file(run / "weights.safetensors") as temporary:
        save_file(state, temporary)
    records.write(trained.history, run / "history.csv", records.HISTORY)
    records.write(trained.curve, run / "lr_find.csv", records.LR_FIND)
    records.write(predictions, run / "predictions.csv", records.PREDICTIONS)
    write_text(run / "run.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
