"""Models on one contract: what each adds is its loss."""

from companion.models.base import Model, by_epoch, constant, linear
from companion.models.mlae import MLAE, MLAETerms, mlae_loss
from companion.models.rectangular import RectangularFlow, RectangularTerms, rectangular_loss

__all__ = [
    "MLAE",
    "MLAETerms",
    "Model",
    "RectangularFlow",
    "RectangularTerms",
    "by_epoch",
    "constant",
    "linear",
    "mlae_loss",
    "rectangular_loss",
]
