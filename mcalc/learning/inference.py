"""What a trained network says of the images of a split on which it was not trained."""

import numpy as np
import pandas as pd
import torch
from fastai.learner import Learner

from mcalc import records
from mcalc.errors import UsageError
from mcalc.images.stack import Stack
from mcalc.learning.batches import TurnedImages, measured_batches


def find_device(device: str) -> torch.device:
    """Return 'auto', 'cpu' or 'cuda' as a device; `UsageError` for a GPU that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("train.device is cuda, but PyTorch finds no GPU here; use cpu or auto.")
    return torch.device(device)


def predict_images(learner: Learner, rows: pd.DataFrame, images: Stack) -> pd.DataFrame:
    """Return PREDICTIONS rows of the validation and the test images, in the order of `rows`.

    Parameters
    ----------
    learner : Learner
        Its batches were made of `rows` and `images`.
    rows : DataFrame
        The SPLIT rows of one fold.
    images : Stack
    """
    predictions = rows[rows["subset"] != "train"].drop(columns=["fold"])
    measured = TurnedImages(predictions, images, learner.dls.train.dataset.pixels)
    batches = measured_batches(learner.dls.train, measured)
    with learner.no_bar(), learner.no_logging():
        probabilities, _, losses = learner.get_preds(dl=batches, with_loss=True)
    malignant = probabilities[:, records.LABELS.index(records.MALIGNANT)]
    predictions["probability_malignant"] = malignant.double().clamp(0, 1).numpy()
    predictions["predicted"] = np.array(records.LABELS)[probabilities.argmax(dim=1).numpy()]
    predictions["loss"] = losses.double().numpy()
    return predictions
