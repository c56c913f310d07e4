"""Injective networks: an invertible map behind a padding with zeros, inverted by a slice."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from companion.contracts import bind
from companion.networks.mlp import MLP


class Coupling(nn.Module):
    """One affine coupling: y_a = x_a, y_b = x_b · exp s(x_a) + t(x_a), with |s| < 2.

    Args:
        dim: size of x, at least 2; a is its first half.
        hidden: widths of the network that gives s and t.
        swap: let a be the second half instead.
        condition_dim: size of the condition, given to that network; 0 for none.
        activation: as for :class:`companion.networks.MLP`.

    Raises:
        ValueError: for a size below 2.

    Source: Dinh et al. (2017), "Density estimation using Real NVP".
    """

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int],
        swap: bool = False,
        condition_dim: int = 0,
        activation: str = "silu",
    ):
        super().__init__()
        if dim < 2:
            raise ValueError(f"Coupling: dim must be at least 2, got {dim}")
        self.swap, self.cut = swap, dim // 2
        seen = dim - self.cut if swap else self.cut
        self.net = MLP(seen, (2, dim - seen), hidden, condition_dim, activation)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Value ``(batch, dim)`` and log |det| of the Jacobian ``(batch,)``."""
        a, b = self._split(x)
        s, t = self._scale_and_shift(a, condition)
        return self._merge(a, b * s.exp() + t), s.sum(1)

    def inverse(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """The x of a y, exactly."""
        a, b = self._split(y)
        s, t = self._scale_and_shift(a, condition)
        return self._merge(a, (b - t) * (-s).exp())

    def _scale_and_shift(self, a: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        s, t = bind(self.net, condition)(a).unbind(1)
        return 2 * torch.tanh(s / 2), t

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x[:, : self.cut], x[:, self.cut :]
        return (second, first) if self.swap else (first, second)

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([b, a] if self.swap else [a, b], dim=1)


class RealNVP(nn.Module):
    """Affine couplings that take turns in which half they change.

    Unlike zuko's, their halves are no tensors, so that models stack under ``vmap``.

    Args:
        dim: size of x, at least 2.
        num_blocks: how many couplings.
        hidden: widths of each one's network.
        condition_dim: size of the condition; 0 for none.
        activation: as for :class:`companion.networks.MLP`.

    Raises:
        ValueError: for a size below 2 or no block.

    >>> rng = torch.manual_seed(0)
    >>> flow, x = RealNVP(3, 4, [8]), torch.randn(5, 3)
    >>> z, log_det = flow(x)
    >>> torch.allclose(flow.inverse(z), x, atol=1e-5), log_det.shape
    (True, torch.Size([5]))
    """

    def __init__(
        self,
        dim: int,
        num_blocks: int = 10,
        hidden: Sequence[int] = (128,) * 4,
        condition_dim: int = 0,
        activation: str = "silu",
    ):
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f"RealNVP: num_blocks must be at least 1, got {num_blocks}")
        self.blocks = nn.ModuleList(
            Coupling(dim, hidden, bool(i % 2), condition_dim, activation) for i in range(num_blocks)
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Value ``(batch, dim)`` and log |det| of the Jacobian ``(batch,)``."""
        log_det = x.new_zeros(len(x))
        for block in self.blocks:
            x, more = block(x, condition)
            log_det = log_det + more
        return x, log_det

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The x of a z, exactly."""
        for block in reversed(self.blocks):
            z = block.inverse(z, condition)
        return z


class InjectiveFlow(nn.Module):
    """A decoder g = w ∘ pad with the exact left inverse f = slice ∘ w⁻¹, so that f(g(z)) = z.

    pad appends zeros, slice keeps the first ``latent_dim`` numbers. g(f(x)) is a projection onto
    the decoder's manifold, but not the orthogonal one: f' is *a* pseudo-inverse of g', one of many.

    Args:
        dim: size of x.
        latent_dim: size of z, at most ``dim``.
        options: those of :class:`RealNVP`.

    Raises:
        ValueError: for a latent size that is not in 1 … ``dim``.

    Source: MLAE eq. 3; its inner map h is the prior flow of a model, its sizes those of App. E.3.

    >>> rng = torch.manual_seed(0)
    >>> net, z = InjectiveFlow(5, 2, num_blocks=4, hidden=[8]), torch.randn(3, 2)
    >>> torch.allclose(net.encode(net.decode(z)), z, atol=1e-5)
    True
    """

    def __init__(self, dim: int, latent_dim: int, **options):
        super().__init__()
        if not 1 <= latent_dim <= dim:
            raise ValueError(
                f"InjectiveFlow: latent_dim must be between 1 and {dim}, got {latent_dim}"
            )
        self.dim, self.latent_dim = dim, latent_dim
        self.flow = RealNVP(dim, **options)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """f: ``(batch, dim) -> (batch, latent)``."""
        return self.flow(x, condition)[0][:, : self.latent_dim]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """g: ``(batch, latent) -> (batch, dim)``."""
        return self.flow.inverse(F.pad(z, (0, self.dim - self.latent_dim)), condition)


class EncoderDecoder(nn.Module):
    """Any encoder and decoder where an injective network is expected, to compare the two.

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
