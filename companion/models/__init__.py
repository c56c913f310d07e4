"""Models on one contract: what each adds is its loss."""

from companion.models.base import Model, by_epoch, constant, linear
from companion.models.baselines import Autoencoder, AutoencoderTerms
from companion.models.mlae import MLAE, MLAETerms, mlae_loss
from companion.models.relaxed import RelaxedFlow, RelaxedTerms, penalty, relaxed_loss

__all__ = [
    "MLAE",
    "MLAETerms",
    "Autoencoder",
    "AutoencoderTerms",
    "Model",
    "RelaxedFlow",
    "RelaxedTerms",
    "by_epoch",
    "constant",
    "linear",
    "mlae_loss",
    "penalty",
    "relaxed_loss",
]
