"""What learns from features: support vector machines, forests, neighbours and their kin.

Whatever is fitted (scaling, selection, hyper-parameters, probabilities) is fitted on the rows that
are handed in, and where it is chosen by cross-validation, the folds keep patients together.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectPercentile, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mcalc.errors import DataError
from mcalc.learning.platt import PlattSigmoid
from mcalc.learning.stacked_autoencoder import StackedAutoencoder
from mcalc.records import LABELS, MALIGNANT

TREES = 500
INNER_FOLDS = 5
# Few patients with both classes may leave a training side without one of them by chance.
ATTEMPTS = 20

Folds = list[tuple[np.ndarray, np.ndarray]]


class Head(NamedTuple):
    """A classifier, and the hyper-parameters among which it is chosen.

    Attributes
    ----------
    make : callable
        Of a seed; returns an unfitted scikit-learn classifier or pipeline.
    grid : dict
        What `GridSearchCV` tries; empty to try nothing.
    """

    make: Callable[[int], ClassifierMixin]
    grid: dict[str, list]


# Penalties around 1, and widths of the kernel around the number of columns, which standardised
# rows lie apart from each other (Hsu et al., A practical guide to support vector classification,
# 2003): a width is a gamma of so many times 1 / columns. One that is much too narrow would say the
# same of all rows that it does not know.
_SVM = {"svc__C": [0.1, 1, 10, 100], "svc__gamma": [0.1, 0.3, 1, 3]}

HEADS = {
    "svm": Head(lambda seed: make_pipeline(StandardScaler(), SVC()), _SVM),
    "selected_svm": Head(
        lambda seed: make_pipeline(StandardScaler(), SelectPercentile(f_classif), SVC()),
        {"svc__C": [0.1, 1, 10, 100], "selectpercentile__percentile": [5, 10, 25, 50]},
    ),
    "autoencoder": Head(
        lambda seed: make_pipeline(StandardScaler(), StackedAutoencoder(random_state=seed)),
        {"stackedautoencoder__alpha": [0.01, 0.03, 0.1, 0.3]},
    ),
    # In one thread: several add up the trees in an order that changes the last digit.
    "forest": Head(lambda seed: RandomForestClassifier(TREES, random_state=seed), {}),
    "neighbours": Head(
        lambda seed: make_pipeline(StandardScaler(), KNeighborsClassifier()),
        {"kneighborsclassifier__n_neighbors": [3, 5, 9, 15]},
    ),
    "linear": Head(
        lambda seed: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        {"logisticregression__C": [0.0001, 0.001, 0.01, 0.1, 1]},
    ),
    # Leaves of twenty rows, scikit-learn's default, cannot be split off few patients.
    "boosted": Head(
        lambda seed: HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed), {}
    ),
}


def fit_head(
    head: str, features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, seed: int
) -> ClassifierMixin:
    """Return a fitted classifier that gives probabilities.

    Hyper-parameters are those with the lowest mean log loss over inner folds, or of what gives no
    probabilities with the highest area under the ROC curve. A support vector machine's
    probabilities are Platt's sigmoid of what it says of inner folds.

    Parameters
    ----------
    head : str
        A key of `HEADS`.
    features : ndarray, shape (n, columns)
    labels : array of str, shape (n,)
    groups : array of str, shape (n,)
        Of one patient all rows are in one inner fold.
    seed : int

    Raises
    ------
    DataError
        If a class has fewer than two groups, so that there are no inner folds.
    """
    folds = _inner_folds(labels, groups, seed)
    with warnings.catch_warnings():
        # A column that is constant in a fold has no F and is not selected.
        warnings.filterwarnings("ignore", r"Features \[", UserWarning)
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        return _fit(HEADS[head], features, labels, folds, seed)


def ask_head(model: ClassifierMixin, features: np.ndarray) -> np.ndarray:
    """Return a fitted head's probabilities of malignant, shape (n,), 0 to 1."""
    malignant = list(model.classes_).index(MALIGNANT)
    return np.clip(model.predict_proba(features)[:, malignant], 0, 1)


def count_parameters(model: ClassifierMixin) -> int:
    """Return how many numbers a fitted head keeps of what it learned.

    Those of a support vector machine are its support vectors with their weights, those of
    neighbours all training rows; of a tree each node's threshold or answer. Scaling is not counted.
    """
    if isinstance(model, PlattSigmoid):
        return count_parameters(model.fitted_)
    if hasattr(model, "steps"):
        return count_parameters(model[-1])
    if isinstance(model, RandomForestClassifier):
        return sum(tree.tree_.node_count for tree in model.estimators_)
    if isinstance(model, HistGradientBoostingClassifier):
        return sum(len(tree.nodes) for trees in model._predictors for tree in trees)
    if isinstance(model, KNeighborsClassifier):
        return int(model._fit_X.size)
    if isinstance(model, SVC):
        return int(model.support_vectors_.size + model.dual_coef_.size + 1)
    if isinstance(model, StackedAutoencoder):
        return model.parameters
    return int(model.coef_.size + model.intercept_.size)


def _fit(
    head: Head, features: np.ndarray, labels: np.ndarray, folds: Folds, seed: int
) -> ClassifierMixin:
    grid, model = head.grid, head.make(seed)
    # A part of one class tells nothing of an order.
    telling = [fold for fold in folds if _has_both(labels[fold[1]])]
    if grid and telling:
        shape = (min(len(training) for training, _ in folds), features.shape[1])
        grid = {name: _fitting(name, values, *shape) for name, values in grid.items()}
        measure = "neg_log_loss" if hasattr(model, "predict_proba") else "roc_auc"
        model = GridSearchCV(model, grid, scoring=measure, cv=telling, refit=False)
        chosen = model.fit(features, labels).best_params_
        model = head.make(seed).set_params(**chosen)
    if not hasattr(model, "predict_proba"):
        model = PlattSigmoid(model, folds)
    return model.fit(features, labels)


def _fitting(name: str, values: list, rows: int, columns: int) -> list:
    """Return values for so many columns, without more neighbours than an inner fold has rows."""
    if name.endswith("gamma"):
        return [value / columns for value in values]
    if name.endswith("n_neighbors"):
        return [value for value in values if value <= rows] or [rows]
    return values


def _inner_folds(labels: np.ndarray, groups: np.ndarray, seed: int) -> Folds:
    """Return a partition that keeps groups together and has both classes in each training side."""
    counts = {label: len(set(groups[labels == label])) for label in LABELS}
    rarest = min(counts, key=counts.get)
    if counts[rarest] < 2:
        patients = "patient is" if counts[rarest] == 1 else "patients are"
        raise DataError(
            f"{counts[rarest]} {rarest} {patients} left to train, and a model is chosen among "
            "patients, which takes 2 of each class; split again with another split.seed, or use "
            "more data."
        )
    for number in range(min(INNER_FOLDS, counts[rarest]), 1, -1):
        for attempt in range(ATTEMPTS):
            parts = StratifiedGroupKFold(number, shuffle=True, random_state=seed + attempt)
            folds = list(parts.split(labels, labels, groups))
            if all(_has_both(labels[training]) for training, _ in folds):
                return folds
    raise DataError(
        "The patients left to train cannot be parted so that both classes remain whichever part "
        "is left out; split again with another split.seed, or use more data."
    )


def _has_both(labels: np.ndarray) -> bool:
    return len(set(labels)) == len(LABELS)
