"""Convolutional encoder and decoder for images of any size: strided convolutions, then an MLP."""

from collections.abc import Sequence

from torch import Tensor, nn

from companion.networks.mlp import ACTIVATIONS, MLP
from companion.networks.table import NORMS, batch_norm


class ConvEncoder(nn.Module):
    """Halve the image once for each entry of ``channels``, flatten, and finish with an MLP.

    Args:
        data_shape: ``(channels, height, width)`` of one image.
        latent_dim: size of the code.
        channels: output channels of the strided 4×4 convolutions.
        hidden: hidden widths of the MLP.
        condition_dim: size of the condition, given to the MLP; 0 for none.
        norm: ``none``, ``batch`` (couples the samples) or ``group`` (does not).
        activation: as for :class:`companion.networks.MLP`.

    Raises:
        ValueError: when the image is too small for so many halvings, or for an unknown norm.

    >>> import torch
    >>> ConvEncoder((1, 28, 28), 16)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (256,),
        condition_dim: int = 0,
        norm: str = "none",
        activation: str = "silu",
    ):
        super().__init__()
        sizes = _sizes("ConvEncoder", data_shape, channels, norm, activation)
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip([data_shape[0], *channels[:-1]], channels, strict=True):
            layers += [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), *_norm(norm, fan_out)]
            layers.append(ACTIVATIONS[activation]())
        self.features = nn.Sequential(*layers)
        self.head = MLP((channels[-1], *sizes[-1]), latent_dim, hidden, condition_dim, activation)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.features(x), condition)


class ConvDecoder(nn.Module):
    """The mirror image of :class:`ConvEncoder`: an MLP, then transposed convolutions.

    Arguments, the first two swapped, and errors are those of the encoder; no final squashing.

    >>> import torch
    >>> ConvDecoder(16, (1, 28, 28))(torch.zeros(2, 16)).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        latent_dim: int,
        data_shape: Sequence[int],
        channels: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (256,),
        condition_dim: int = 0,
        norm: str = "none",
        activation: str = "silu",
    ):
        super().__init__()
        sizes = _sizes("ConvDecoder", data_shape, channels, norm, activation)
        shape = (channels[-1], *sizes[-1])
        self.stem = MLP(latent_dim, shape, hidden, condition_dim, activation)
        outs = [*reversed(channels[:-1]), data_shape[0]]
        layers: list[nn.Module] = []
        for fan_in, fan_out, small, large in zip(
            reversed(channels), outs, reversed(sizes[1:]), reversed(sizes[:-1]), strict=True
        ):
            odd = tuple(big - 2 * little for big, little in zip(large, small, strict=True))
            layers += [*_norm(norm, fan_in), ACTIVATIONS[activation]()]
            layers.append(
                nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1, output_padding=odd)
            )
        self.image = nn.Sequential(*layers)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.image(self.stem(z, condition))


def _sizes(
    name: str, data_shape: Sequence[int], channels: Sequence[int], norm: str, activation: str
) -> list[tuple[int, int]]:
    """Heights and widths before and after each halving."""
    if norm not in NORMS:
        raise ValueError(f"{name}: norm must be one of {', '.join(NORMS)}, got {norm!r}")
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"{name}: activation must be one of {known}, got {activation!r}")
    height, width = data_shape[1:]
    if min(height, width) < 2 ** len(channels):
        raise ValueError(
            f"{name}: {len(channels)} halvings need an image of at least "
            f"{2 ** len(channels)} pixels a side, got {height}×{width}"
        )
    return [(height >> i, width >> i) for i in range(len(channels) + 1)]


def _norm(norm: str, channels: int) -> list[nn.Module]:
    if norm == "batch":
        return [batch_norm(channels)]
    return [nn.GroupNorm(1, channels)] if norm == "group" else []
