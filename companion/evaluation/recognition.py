"""How many generated digits a classifier of real digits recognises."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor


class Recognition(NamedTuple):
    """A share of recognised images and everything that the share depends on."""

    share: float  # of the images whose top class has at least ``threshold`` probability
    threshold: float
    classifier: str
    test_accuracy: float  # of the classifier, on real images it has not seen
    classes: np.ndarray  # (n,) the recognised class of each image, −1 where none


class Recogniser:
    """A one-hidden-layer classifier (scikit-learn's MLPClassifier) trained on real images.

    Args:
        x: ``(n, *data)`` real images in [0, 1].
        y: ``(n,)`` their classes.
        x_test: real images that it does not train on.
        y_test: their classes.
        seed: of its initialisation and data order.

    >>> from sklearn.datasets import load_digits
    >>> import torch
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = torch.tensor(x / 16).float(), torch.tensor(y)
    >>> judge = Recogniser(x[:800], y[:800], x[800:1000], y[800:1000])
    >>> judge.test_accuracy > 0.85, judge(torch.rand(20, 64)).share < judge(x[1000:]).share
    (True, True)
    """

    def __init__(self, x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor, seed: int = 0):
        self.network = MLPClassifier(
            (128,), random_state=seed, max_iter=300, tol=1e-3, n_iter_no_change=5
        )
        self.network.fit(_flat(x), y.cpu().numpy())
        self.test_accuracy = float(self.network.score(_flat(x_test), y_test.cpu().numpy()))

    def __call__(self, images: Tensor, threshold: float = 0.9) -> Recognition:
        """Classify images; one counts as recognised from ``threshold`` probability on."""
        probabilities = self.network.predict_proba(_flat(images))
        sure = probabilities.max(1) >= threshold
        classes = np.where(sure, self.network.classes_[probabilities.argmax(1)], -1)
        name = "MLPClassifier, one hidden layer of 128"
        return Recognition(float(sure.mean()), threshold, name, self.test_accuracy, classes)

    def features(self, images: Tensor) -> Tensor:
        """What the hidden layer makes of images, its rectified activations: ``(n, 128)``."""
        weight, bias = (
            torch.from_numpy(part[0]) for part in (self.network.coefs_, self.network.intercepts_)
        )
        return (torch.from_numpy(_flat(images)).to(weight) @ weight + bias).relu().to(images)


def _flat(images: Tensor) -> np.ndarray:
    return images.detach().cpu().float().flatten(1).numpy()
