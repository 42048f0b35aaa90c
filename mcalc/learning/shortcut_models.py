"""The models that must not be good: each reads little of a ROI, and learns in the usual way."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mcalc.errors import DataError
from mcalc.learning import shortcut_features as features
from mcalc.records import LABELS, MALIGNANT

TREES = 300


def _share(seed: int) -> ClassifierMixin:
    return DummyClassifier(strategy="prior")


def _by_category(seed: int) -> ClassifierMixin:
    """A category that was not seen in training says nothing."""
    encoder = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(encoder, LogisticRegression(max_iter=1000))


def _by_flag(seed: int) -> ClassifierMixin:
    return LogisticRegression()


def _forest(seed: int) -> ClassifierMixin:
    # In one thread: several add up the trees in an order that changes the last digit.
    return RandomForestClassifier(n_estimators=TREES, random_state=seed)


class Shortcut(NamedTuple):
    """A model that must not be good.

    Attributes
    ----------
    reads : str
        What it looks at, in a few words.
    features : callable
        Of CATALOG rows and the images by ROI id; one row a ROI.
    make : callable
        Of a seed; returns an unfitted scikit-learn classifier or pipeline.
    """

    reads: str
    features: Callable[[pd.DataFrame, features.Images], np.ndarray]
    make: Callable[[int], ClassifierMixin]


SHORTCUTS = {
    "majority": Shortcut("nothing", features.nothing, _share),
    "five_fields": Shortcut("the table's five clinical fields", features.five_fields, _by_category),
    "empty_distribution": Shortcut(
        "whether the distribution is empty", features.empty_distribution, _by_flag
    ),
    "without_callback": Shortcut(
        "whether it is benign without callback", features.without_callback, _by_flag
    ),
    "crop_size": Shortcut("rows and columns of the crop", features.crop_size, _forest),
    "histogram": Shortcut("the grey levels, not where they are", features.histogram, _forest),
    "background": Shortcut("the tissue without its specks", features.background, _forest),
}

# Those that need a table and no file.
OF_TABLES = ("majority", "five_fields", "empty_distribution", "without_callback")


def read_features(
    rois: pd.DataFrame, images: features.Images, names: tuple[str, ...] = tuple(SHORTCUTS)
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return what each model reads of the ROIs, and the models that have nothing to read.

    Parameters
    ----------
    rois : DataFrame
        CATALOG rows.
    images : dict of ndarray
        By ROI id, (size, size), uint8; not asked for by the models of `OF_TABLES`.
    names : tuple of str
        Keys of `SHORTCUTS`.

    Returns
    -------
    features : dict of ndarray
        By model, one row for each of `rois`.
    left_out : list of str
        Models to which all ROIs are alike, such as `five_fields` without a clinical table;
        `majority`, which reads nothing, is never left out.
    """
    found = {name: SHORTCUTS[name].features(rois, images) for name in names}
    left_out = [
        name
        for name, values in found.items()
        if name != "majority" and pd.DataFrame(values).nunique(dropna=False).max() < 2
    ]
    return {name: values for name, values in found.items() if name not in left_out}, left_out


def fit_and_answer(
    name: str, training: np.ndarray, labels: np.ndarray, asked: np.ndarray, *, seed: int = 1
) -> np.ndarray:
    """Return a model's probabilities of malignant, learned from the training ROIs alone.

    Parameters
    ----------
    name : str
        A key of `SHORTCUTS`.
    training : ndarray, shape (n, columns)
        What it reads of the ROIs that train. Encoding is fitted to them, too.
    labels : array of str, shape (n,)
    asked : ndarray, shape (m, columns)
    seed : int
        Of the forests.

    Returns
    -------
    ndarray, shape (m,), float64, 0 to 1

    Raises
    ------
    DataError
        If the training ROIs are of one class, or there is none.
    """
    found = set(labels)
    if missing := [label for label in LABELS if label not in found]:
        raise DataError(
            f"No {missing[0]} ROI is left to train the shortcut models; split again with another "
            "split.seed, or use more data."
        )
    model = SHORTCUTS[name].make(seed).fit(training, labels)
    malignant = list(model.classes_).index(MALIGNANT)
    return np.clip(model.predict_proba(asked)[:, malignant], 0, 1)
