"""Maximum-likelihood autoencoders and their kin: exact likelihoods on a learned manifold.

The package is a row of small modules that you read from left to right; nothing is imported before
you ask for it. What most programs need is here by its own name, too.

>>> import companion
>>> companion.MLAE is companion.models.MLAE
True
>>> companion.__version__
'0.1.0'
"""

from importlib import import_module

TYPE_CHECKING = False  # as typing's, whose import would be most of the time that ours takes
if TYPE_CHECKING:  # for editors; __getattr__ finds the same
    from companion.evaluation import evaluate
    from companion.models import (
        AEF,
        MLAE,
        VAE,
        AggregateVAE,
        Autoencoder,
        DenoisingAutoencoder,
        RectangularFlow,
        RelaxedFlow,
        TaylorVAE,
        TwoStageVAE,
        aef_loss,
        mlae_loss,
        rectangular_loss,
        relaxed_loss,
        taylor_loss,
        vae_loss,
    )
    from companion.training import TrainConfig, fit, sweep
    from companion.volume import surrogate

__version__ = "0.1.0"
__all__ = [
    "AEF",
    "MLAE",
    "VAE",
    "AggregateVAE",
    "Autoencoder",
    "DenoisingAutoencoder",
    "RectangularFlow",
    "RelaxedFlow",
    "TaylorVAE",
    "TrainConfig",
    "TwoStageVAE",
    "aef_loss",
    "evaluate",
    "fit",
    "mlae_loss",
    "rectangular_loss",
    "relaxed_loss",
    "surrogate",
    "sweep",
    "taylor_loss",
    "vae_loss",
]
ROOMS = "volume", "models", "training", "evaluation"  # each imports those before it


def __getattr__(name: str) -> object:
    """One of ``__all__``, imported with no more rooms than it takes."""
    if name in __all__:
        for room in map(import_module, (f"{__name__}.{room}" for room in ROOMS)):
            if hasattr(room, name):
                return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
