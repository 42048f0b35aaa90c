"""Probabilities of a classifier that only says how far on which side a row lies."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

# The least slope of the sigmoid, for decisions of unit deviation.
LEAST_SLOPE = 0.1


class PlattSigmoid(ClassifierMixin, BaseEstimator):
    """A classifier with Platt's sigmoid of its decisions, which never turns them round.

    The sigmoid is fitted to decisions for rows of inner folds that the classifier was not fitted
    to (Platt, Probabilistic outputs for support vector machines, 1999). Where nothing can be
    learned these decisions may by chance put the classes the wrong way round, and a free sigmoid
    would then turn round whatever the classifier says afterwards, also of rows that it knows by
    heart. So its slope has a least value: such probabilities stay near the classes' share.

    Parameters
    ----------
    estimator : classifier
        With `decision_function`.
    folds : list of (ndarray, ndarray)
        A partition: rows to fit and rows to ask.
    """

    def __init__(self, estimator, folds):
        self.estimator = estimator
        self.folds = folds

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "PlattSigmoid":
        """Fit the classifier to all rows, and the sigmoid to its decisions of inner folds."""
        decisions = cross_val_predict(
            self.estimator, features, labels, cv=self.folds, method="decision_function"
        )
        self.middle_, self.spread_ = decisions.mean(), max(decisions.std(), 1e-9)
        sigmoid = LogisticRegression().fit(self._scaled(decisions), labels)
        self.slope_ = float(sigmoid.coef_[0, 0])
        self.intercept_ = float(sigmoid.intercept_[0])
        if self.slope_ < LEAST_SLOPE:
            share = np.mean(labels == sigmoid.classes_[1])
            self.slope_, self.intercept_ = LEAST_SLOPE, float(np.log(share / (1 - share)))
        self.classes_ = sigmoid.classes_
        self.fitted_ = clone(self.estimator).fit(features, labels)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape (n, 2)."""
        scaled = self._scaled(self.fitted_.decision_function(features))[:, 0]
        second = 1 / (1 + np.exp(-(self.slope_ * scaled + self.intercept_)))
        return np.column_stack([1 - second, second])

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the likelier class of each row."""
        return self.classes_[self.predict_proba(features).argmax(axis=1)]

    def _scaled(self, decisions: np.ndarray) -> np.ndarray:
        return ((decisions - self.middle_) / self.spread_)[:, None]
