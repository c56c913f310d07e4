"""Models on one contract: what each adds is its loss."""

from companion.models.aef import AEF, AEFTerms, aef_loss, aef_map, core_mask
from companion.models.base import Model, by_epoch, constant, linear
from companion.models.denoising import DenoisingAutoencoder, DenoisingTerms
from companion.models.mlae import MLAE, MLAETerms, mlae_loss
from companion.models.taylor import TaylorTerms, TaylorVAE, taylor_loss
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
    "AEF",
    "MLAE",
    "VAE",
    "AEFTerms",
    "DenoisingAutoencoder",
    "DenoisingTerms",
    "MLAETerms",
    "Model",
    "Posterior",
    "TwoStageVAE",
    "TaylorTerms",
    "TaylorVAE",
    "VAETerms",
    "aef_loss",
    "aef_map",
    "by_epoch",
    "constant",
    "core_mask",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "linear",
    "mlae_loss",
    "posterior_size",
    "taylor_loss",
    "vae_loss",
]
