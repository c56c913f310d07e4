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
from companion.evaluation.features import (
    Classifier,
    Features,
    classifier,
    digit_features,
    face_features,
    identity,
    inception,
)
from companion.evaluation.frechet import Distance, gaussian_w2
from companion.evaluation.generation import (
    Generation,
    Score,
    inception_score,
    samplers,
    score_samples,
)
from companion.evaluation.likelihood import Bits, Fit, bits_of, evaluate
from companion.evaluation.order import normal_alignment, rank_correlation
from companion.evaluation.spectrum import Spectrum, decoder_spectrum

__all__ = [
    "Bits",
    "Classifier",
    "Collapse",
    "Denoising",
    "Distance",
    "Features",
    "Fit",
    "Generation",
    "Score",
    "Spectrum",
    "SpreadQuality",
    "active_dimensions",
    "add_noise",
    "bits_of",
    "classifier",
    "compare_covariances",
    "decoder_spectrum",
    "denoising_error",
    "digit_features",
    "evaluate",
    "face_features",
    "gaussian_w2",
    "identity",
    "inception",
    "inception_score",
    "loss_slope",
    "nearest_far",
    "noise_effect",
    "normal_alignment",
    "posterior_collapse",
    "rank_correlation",
    "samplers",
    "score_samples",
    "self_crossings",
    "spread_quality",
    "variance_spectrum",
]
