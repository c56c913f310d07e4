"""Numbers about trained models, and nothing else."""

from companion.evaluation.dimension import (
    active_dimensions,
    loss_slope,
    noise_effect,
    variance_spectrum,
)
from companion.evaluation.frechet import Distance, gaussian_w2
from companion.evaluation.likelihood import Fit, evaluate
from companion.evaluation.order import normal_alignment, rank_correlation
from companion.evaluation.recognition import Recogniser, Recognition
from companion.evaluation.spectrum import Spectrum, decoder_spectrum

__all__ = [
    "Distance",
    "Fit",
    "Recogniser",
    "Recognition",
    "Spectrum",
    "active_dimensions",
    "decoder_spectrum",
    "evaluate",
    "gaussian_w2",
    "loss_slope",
    "noise_effect",
    "normal_alignment",
    "rank_correlation",
    "variance_spectrum",
]
