"""Models on one contract: what each adds is its loss."""

from companion.models.aggregate import AggregateVAE
from companion.models.base import Model, by_epoch, constant, linear
from companion.models.baselines import Autoencoder, AutoencoderTerms
from companion.models.mlae import MLAE, MLAETerms, mlae_loss
from companion.models.posteriors import HouseholderFlow, PlanarFlow, VampPrior
from companion.models.relaxed import RelaxedFlow, RelaxedTerms, penalty, relaxed_loss
from companion.models.two_stage import TwoStageVAE
from companion.models.vae import (
    VAE,
    Posterior,
    VAETerms,
    gaussian_kl,
    gaussian_log_likelihood,
    posterior_size,
    vae_loss,
)

__all__ = [
    "MLAE",
    "VAE",
    "AggregateVAE",
    "Autoencoder",
    "AutoencoderTerms",
    "HouseholderFlow",
    "MLAETerms",
    "Model",
    "PlanarFlow",
    "Posterior",
    "RelaxedFlow",
    "RelaxedTerms",
    "TwoStageVAE",
    "VAETerms",
    "VampPrior",
    "by_epoch",
    "constant",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "linear",
    "mlae_loss",
    "penalty",
    "posterior_size",
    "relaxed_loss",
    "vae_loss",
]
