"""Networks that know no probability: they map tensors to tensors."""

from companion.networks import flows
from companion.networks.conv import ConvDecoder, ConvEncoder
from companion.networks.injective import EncoderDecoder, InjectiveFlow
from companion.networks.mlp import MLP
from companion.networks.spectral import spectral_norm
from companion.networks.summary import count, summary
from companion.networks.table import Pair, Table, batch_norm, build

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "EncoderDecoder",
    "InjectiveFlow",
    "Pair",
    "Table",
    "batch_norm",
    "build",
    "count",
    "flows",
    "spectral_norm",
    "summary",
]
