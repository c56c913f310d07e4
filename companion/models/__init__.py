"""Models on one contract: what each adds is its loss."""

from companion.models.aef import AEF, core_mask
from companion.models.aggregate import AggregateVAE
from companion.models.ambient import AEFTerms, aef_loss, aef_map
from companion.models.base import Model
from companion.models.baselines import (
    Autoencoder,
    AutoencoderTerms,
    DenoisingAutoencoder,
    DenoisingTerms,
)
from companion.models.flow_vae import FlowVAE
from companion.models.gaussian import (
    Posterior,
    gaussian_kl,
    gaussian_log_likelihood,
    posterior_size,
)
from companion.models.mlae import MLAE, MLAETerms, mlae_loss
from companion.models.rectangular import RectangularFlow, RectangularTerms, rectangular_loss
from companion.models.relaxed import RelaxedFlow, RelaxedTerms, penalty, relaxed_loss
from companion.models.taylor import TaylorTerms, TaylorVAE, taylor_loss
from companion.models.two_stage import TwoStageVAE, second_stage
from companion.models.two_step import FlowTerms, TwoStepFlow
from companion.models.vae import VAE, VAETerms, vae_loss
from companion.models.vamp_prior import VampPrior
from companion.models.weight_schedules import by_epoch, constant, linear

__all__ = [
    "AEF",
    "MLAE",
    "VAE",
    "AEFTerms",
    "AggregateVAE",
    "Autoencoder",
    "AutoencoderTerms",
    "DenoisingAutoencoder",
    "DenoisingTerms",
    "FlowTerms",
    "FlowVAE",
    "MLAETerms",
    "Model",
    "Posterior",
    "RectangularFlow",
    "RectangularTerms",
    "RelaxedFlow",
    "RelaxedTerms",
    "TaylorTerms",
    "TaylorVAE",
    "TwoStageVAE",
    "TwoStepFlow",
    "VAETerms",
    "VampPrior",
    "aef_loss",
    "aef_map",
    "by_epoch",
    "constant",
    "core_mask",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "linear",
    "mlae_loss",
    "penalty",
    "posterior_size",
    "rectangular_loss",
    "relaxed_loss",
    "second_stage",
    "taylor_loss",
    "vae_loss",
]
