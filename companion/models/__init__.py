"""Models on one contract: what each adds is its loss."""

from companion.models.aef import AEF, AEFTerms, aef_loss, aef_map, core_mask
from companion.models.base import Model, by_epoch, constant, linear
from companion.models.mlae import MLAE, MLAETerms, mlae_loss

__all__ = [
    "AEF",
    "AEFTerms",
    "MLAE",
    "MLAETerms",
    "Model",
    "aef_loss",
    "aef_map",
    "by_epoch",
    "constant",
    "core_mask",
    "linear",
    "mlae_loss",
]
