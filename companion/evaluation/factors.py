"""What known factors a reader finds in synthetic faces, and features for a Fréchet distance."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from torch import Tensor


class FactorReader:
    """A one-hidden-layer regressor (scikit-learn's MLPRegressor) of the factors of known images.

    It predicts u = erf(f/√2) in (−1, 1), through which a factor acts
    (:meth:`companion.data.faces.Faces.render`).

    Args:
        x: ``(n, *data)`` images in [0, 1].
        factors: ``(n, dim)`` the standard normal factors that made them.
        x_test: images that it does not train on.
        factors_test: their factors.
        seed: of its initialisation and data order.
        epochs: passes over the images.

    >>> from companion.data.faces import Faces
    >>> x, f = Faces(8, ("turn", "tone")).sample(400, torch.Generator().manual_seed(0))
    >>> reader = FactorReader(x[:300] / 255, f[:300], x[300:] / 255, f[300:], epochs=40)
    >>> reader(x[:5] / 255).shape, bool((reader.test_r2 > 0.5).all())
    (torch.Size([5, 2]), True)
    """

    def __init__(
        self,
        x: Tensor,
        factors: Tensor,
        x_test: Tensor,
        factors_test: Tensor,
        seed: int = 0,
        epochs: int = 20,
    ):
        self.mean = x.mean(0)
        self.network = MLPRegressor(
            hidden_layer_sizes=(128,), random_state=seed, max_iter=epochs, batch_size=128,
            tol=0.0, n_iter_no_change=epochs,
        )  # fmt: skip
        with warnings.catch_warnings():  # the number of epochs is a choice
            warnings.simplefilter("ignore", ConvergenceWarning)
            targets = _uniform(factors).cpu().numpy()
            self.network.fit(self._flat(x), targets.ravel() if targets.shape[1] == 1 else targets)
        miss = (self(x_test) - _uniform(factors_test)).square().mean(0)
        self.test_r2 = 1 - miss / _uniform(factors_test).var(0)  # (dim,) share of variance read

    def __call__(self, images: Tensor) -> Tensor:
        """The factors that images seem to have, in (−1, 1) where they are faces: ``(n, dim)``."""
        found = self.network.predict(self._flat(images)).reshape(len(images), -1)
        return torch.from_numpy(found).to(images)

    def features(self, images: Tensor) -> Tensor:
        """The hidden layer's rectified activations: ``(n, 128)``."""
        weight, bias = (
            torch.from_numpy(part[0]) for part in (self.network.coefs_, self.network.intercepts_)
        )
        return (torch.from_numpy(self._flat(images)).to(weight) @ weight + bias).relu().to(images)

    def _flat(self, images: Tensor) -> np.ndarray:
        return (images.detach() - self.mean).cpu().float().flatten(1).numpy()


def _uniform(factors: Tensor) -> Tensor:
    return torch.erf(factors / 2**0.5)
