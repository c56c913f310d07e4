"""Models on one contract: what each adds is its loss."""

from companion.models.base import Model, by_epoch, constant, linear
from companion.models.mlae import MLAE, MLAETerms, mlae_loss
from companion.models.rectangular import RectangularFlow, RectangularTerms, rectangular_loss
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
    "MLAETerms",
    "Model",
    "Posterior",
    "RectangularFlow",
    "RectangularTerms",
    "TwoStageVAE",
    "VAETerms",
    "by_epoch",
    "constant",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "linear",
    "mlae_loss",
    "posterior_size",
    "rectangular_loss",
    "vae_loss",
]
