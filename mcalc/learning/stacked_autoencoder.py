"""A small stacked autoencoder with a classifier on top (Wang et al. 2016)."""

import warnings

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor


class StackedAutoencoder(ClassifierMixin, BaseEstimator):
    """Layers that first learn to rebuild their input one by one, then to tell the classes together.

    Each hidden layer is the encoder of an autoencoder that is trained on what the layer below
    says (Bengio et al., Greedy layer-wise training of deep networks, 2006); the layers and a
    logistic output are then trained as one network. Wang et al. print neither penalty nor
    optimiser: L-BFGS suits a few hundred rows of few columns.

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers; the source's network of 15 features is 15-30-15.
    alpha : float
        Weight decay.
    max_iter : int
        Steps of L-BFGS, of each layer and of all together.
    random_state : int
    """

    def __init__(self, hidden=(30, 15), alpha=0.3, max_iter=200, random_state=0):
        self.hidden = hidden
        self.alpha = alpha
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "StackedAutoencoder":
        """Learn from standardised features, shape (n, columns), and n labels."""
        options = {
            "activation": "logistic",
            "solver": "lbfgs",
            "alpha": self.alpha,
            "random_state": self.random_state,
        }
        with warnings.catch_warnings():
            # To stop before the end is part of the method.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.network_ = MLPClassifier(
                hidden_layer_sizes=self.hidden, max_iter=1, warm_start=True, **options
            )
            self.network_.fit(features, labels)
            seen = features
            for layer, units in enumerate(self.hidden):
                coder = MLPRegressor(
                    hidden_layer_sizes=(units,), max_iter=self.max_iter, **options
                ).fit(seen, seen)
                self.network_.coefs_[layer] = coder.coefs_[0]
                self.network_.intercepts_[layer] = coder.intercepts_[0]
                seen = expit(seen @ coder.coefs_[0] + coder.intercepts_[0])
            self.network_.set_params(max_iter=self.max_iter).fit(features, labels)
        self.classes_ = self.network_.classes_
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape (n, 2)."""
        return self.network_.predict_proba(features)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the likelier class of each row."""
        return self.network_.predict(features)

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(part.size for part in (*self.network_.coefs_, *self.network_.intercepts_))
