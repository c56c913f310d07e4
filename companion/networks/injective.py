"""Injective networks: an invertible map behind a padding with zeros, inverted by a slice."""

import torch.nn.functional as F
from torch import Tensor, nn

from companion.contracts import bind
from companion.networks.flows import Flow


class InjectiveFlow(nn.Module):
    """A decoder g = w ∘ pad with the exact left inverse f = slice ∘ w⁻¹, so that f(g(z)) = z.

    pad appends zeros, slice keeps the first ``latent_dim`` numbers. g(f(x)) is a projection onto
    the decoder's manifold, but not the orthogonal one: f' is *a* pseudo-inverse of g', one of many.

    Args:
        flow: w⁻¹, from data to codes and zeros; couplings are cheap both ways.
        latent_dim: size of z, at most the flow's.

    Raises:
        ValueError: for a latent size that is not in 1 … ``flow.dim``.

    Source: MLAE eq. 3, whose inner map h is the prior flow of a model.

    >>> import torch
    >>> from companion.networks.flows import realnvp
    >>> rng = torch.manual_seed(0)
    >>> net, z = InjectiveFlow(realnvp(5, hidden=[8]), 2), torch.randn(3, 2)
    >>> torch.allclose(net.encode(net.decode(z)), z, atol=1e-5)
    True
    """

    def __init__(self, flow: Flow, latent_dim: int):
        super().__init__()
        if not 1 <= latent_dim <= flow.dim:
            raise ValueError(
                f"InjectiveFlow: latent_dim must be between 1 and {flow.dim}, got {latent_dim}"
            )
        self.flow, self.latent_dim = flow, latent_dim

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """f: ``(batch, dim) -> (batch, latent)``."""
        return self.flow.normalise(x, condition).value[:, : self.latent_dim]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """g: ``(batch, latent) -> (batch, dim)``."""
        padded = F.pad(z, (0, self.flow.dim - self.latent_dim))
        return self.flow.generate(padded, condition).value


class EncoderDecoder(nn.Module):
    """Any encoder and decoder where an injective network is expected, to compare the two.

    >>> import torch
    >>> net = EncoderDecoder(nn.Linear(3, 1), nn.Linear(1, 3))
    >>> net.decode(net.encode(torch.zeros(2, 3))).shape
    torch.Size([2, 3])
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The encoder's code of x."""
        return bind(self.encoder, condition)(x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The decoder's data of z."""
        return bind(self.decoder, condition)(z)
