"""What a trained network says of the images of a split on which it was not trained."""

import numpy as np
import pandas as pd
from fastai.callback.fp16 import MixedPrecision
from fastai.learner import Learner

from mcalc import records
from mcalc.images.stack import Stack
from mcalc.learning.batches import TurnedImages, measured_batches


def predict_images(learner: Learner, rows: pd.DataFrame, images: Stack) -> pd.DataFrame:
    """Return PREDICTIONS rows of the validation and the test images, in the order of `rows`.

    Computed in float32, whatever the training computed in.

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
    mixed = [callback for callback in learner.cbs if isinstance(callback, MixedPrecision)]
    with learner.no_bar(), learner.no_logging(), learner.removed_cbs(mixed):
        probabilities, _, losses = learner.get_preds(dl=batches, with_loss=True)
    malignant = probabilities[:, records.LABELS.index(records.MALIGNANT)]
    predictions["probability_malignant"] = malignant.double().clamp(0, 1).numpy()
    predictions["predicted"] = np.array(records.LABELS)[probabilities.argmax(dim=1).numpy()]
    predictions["loss"] = losses.double().numpy()
    return predictions
