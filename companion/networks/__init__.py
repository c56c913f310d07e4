"""Networks that know no probability: they map tensors to tensors."""

from companion.networks.conv import ConvDecoder, ConvEncoder, batch_norm
from companion.networks.injective import InjectiveFlow, Pair
from companion.networks.mlp import MLP

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "InjectiveFlow",
    "Pair",
    "batch_norm",
]
