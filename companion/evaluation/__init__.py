"""Numbers about trained models, and nothing else."""

from companion.evaluation.collapse import Collapse, posterior_collapse
from companion.evaluation.covariance import SpreadQuality, compare_covariances, spread_quality
from companion.evaluation.crossings import nearest_far, self_crossings
from companion.evaluation.denoising import Denoising, add_noise, denoising_error
from companion.evaluation.dimension import (
    active_dimensions,
    loss_slope,
    noise_effect,
    variance_spectrum,
)
from companion.evaluation.factors import FactorReader
from companion.evaluation.frechet import Distance, gaussian_w2
from companion.evaluation.likelihood import Fit, evaluate
from companion.evaluation.order import normal_alignment, rank_correlation
from companion.evaluation.recognition import Recogniser, Recognition
from companion.evaluation.spectrum import Spectrum, decoder_spectrum

__all__ = [
    "Collapse",
    "Denoising",
    "Distance",
    "FactorReader",
    "Fit",
    "Recogniser",
    "Recognition",
    "Spectrum",
    "SpreadQuality",
    "active_dimensions",
    "add_noise",
    "compare_covariances",
    "decoder_spectrum",
    "denoising_error",
    "evaluate",
    "gaussian_w2",
    "loss_slope",
    "nearest_far",
    "noise_effect",
    "normal_alignment",
    "posterior_collapse",
    "rank_correlation",
    "self_crossings",
    "spread_quality",
    "variance_spectrum",
]
