"""Spectral normalisation: every layer of a network with a largest singular value of one."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class UnitSpectralNorm(nn.Module):
    """W ↦ W/σ₁(W), a kernel read as the matrix (out channels) × (all else).

    The norm is exact. torch's own layer follows it by a power iteration whose state changes in
    place, which neither ``vmap`` nor an exact Jacobian allows.

    Args:
        transposed: the output channels are the second axis, as in transposed convolutions.
    """

    def __init__(self, transposed: bool = False):
        super().__init__()
        self.transposed = transposed

    def forward(self, weight: Tensor) -> Tensor:
        matrix = (weight.transpose(0, 1) if self.transposed else weight).flatten(1)
        return weight / torch.linalg.matrix_norm(matrix, ord=2)


def spectral_norm(network: nn.Module) -> nn.Module:
    """Divide every linear and convolutional weight of a network by its spectral norm, in place.

    Raises:
        ValueError: when there is no such layer.

    Source: Miyato et al. (2018), *Spectral normalization for generative adversarial networks*; RIF
    §4 (AE+SN).

    >>> layer = spectral_norm(nn.Linear(3, 2))
    >>> torch.linalg.matrix_norm(layer.weight, ord=2).round(decimals=4)
    tensor(1., grad_fn=<RoundBackward1>)
    """
    layers = [m for m in network.modules() if isinstance(m, LAYERS + TRANSPOSED)]
    if not layers:
        raise ValueError(f"spectral_norm: no linear or convolutional layer in {network}")
    for layer in layers:
        rule = UnitSpectralNorm(isinstance(layer, TRANSPOSED))
        parametrize.register_parametrization(layer, "weight", rule)
    return network
