"""Stage `predict`: what a trained run says of the validation images of another split."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mcalc import records
from mcalc.errors import DataError
from mcalc.files import write_text
from mcalc.images.stack import read_stack
from mcalc.learning.batches import Augmentation, images_hash, make_batches
from mcalc.learning.devices import find_device
from mcalc.learning.inference import predict_images
from mcalc.learning.networks import build_learner


def predict_run(
    trained: str | os.PathLike,
    stack: str | os.PathLike,
    *,
    split: str | os.PathLike,
    run: str | os.PathLike,
    protocol: str,
    device: str = "auto",
    threads: int = 1,
) -> str:
    """Measure a trained run on another split, without training; write the folder `run`.

    The folder receives what `train` writes, but for the weights: `predictions.csv` (PREDICTIONS)
    holds the validation images of `split`; `run.json`, `history.csv` and `lr_find.csv` are those of
    the training, the card with the new protocol and, as `trained_as`, the old one.

    Parameters
    ----------
    trained : path
        The folder that `train` wrote.
    stack : path
        The enhanced images, as `mcalc stack` wrote them.
    split : path
        The protocol's table (SPLIT); the run's fold of it is taken.
    run : path
    protocol : str
        The split's protocol.
    device : {'auto', 'cpu', 'cuda'}
        'auto' takes a GPU where there is one.
    threads : int
        Threads that compute on the CPU.

    Returns
    -------
    str
        One line with the error rate.
    """
    chosen = find_device(device)
    torch.set_num_threads(threads)
    trained, run = Path(trained), Path(run)
    card = _read_card(trained / "run.json")
    settings = card["settings"]
    rows = records.read_fold(split, settings["fold"])
    images = read_stack(stack, list(rows["roi_id"]))
    batches = make_batches(
        rows,
        images,
        # Of no effect on what a trained network says; the training batches are not used.
        batch_size=min(settings["batch_size"], int((rows["subset"] == "train").sum())),
        augmentation=Augmentation(),
        device=chosen,
    )
    learner = build_learner(batches, settings["network"], None, recipe=settings["recipe"])
    _load_weights(learner.model, trained / "weights.safetensors")
    predictions = predict_images(learner, rows, images)
    card |= {
        "trained_as": settings["protocol"],
        "settings": settings | {"protocol": protocol},
        "images": rows["subset"].value_counts().to_dict(),
        "data_hash": images_hash(rows, images),
    }
    for name, schema in (("history.csv", records.HISTORY), ("lr_find.csv", records.LR_FIND)):
        records.write(records.read(trained / name, schema), run / name, schema)
    records.write(predictions, run / "predictions.csv", records.PREDICTIONS)
    write_text(run / "run.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
    wrong = (predictions["label"] != predictions["predicted"]).mean()
    return f"{run}: error rate {wrong:.4f} on {len(predictions)} images"


def _read_card(path: Path) -> dict:
    wanted = ("protocol", "network", "fold", "batch_size", "recipe")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in wanted if key not in card["settings"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the card of a run; train it again.") from error
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing; train the run again.")
    return card


def _load_weights(model: torch.nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(f"{path}: not the weights of this run; train it again.") from error
