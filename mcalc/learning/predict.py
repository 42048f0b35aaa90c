"""Stage `predict`: what a trained run says of the validation images of another split."""

import json
import os
from pathlib import Path

import torch

from mcalc import records
from mcalc.files import write_text
from mcalc.images.stack import read_stack
from mcalc.learning.batches import images_hash
from mcalc.learning.devices import find_device
from mcalc.learning.inference import predict_images
from mcalc.learning.trained import load_learner, read_card


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
    card = read_card(trained)
    settings = card["settings"]
    rows = records.read_fold(split, settings["fold"])
    images = read_stack(stack, list(rows["roi_id"]))
    learner = load_learner(trained, card, rows, images, chosen)
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
