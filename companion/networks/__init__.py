"""Networks that know no probability: they map tensors to tensors."""

from companion.networks import flows
from companion.networks.conv import ConvDecoder, ConvEncoder, batch_norm
from companion.networks.mlp import MLP
from companion.networks.spectral import spectral_norm

__all__ = ["MLP", "ConvDecoder", "ConvEncoder", "batch_norm", "flows", "spectral_norm"]
