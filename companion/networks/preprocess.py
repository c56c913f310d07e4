"""What happens to images before a model of densities sees them: invertible maps with log-dets.

Bytes are discrete, and a density on them would grow without bound, so uniform noise fills the gaps
(dequantisation). A logit takes the unit interval to the whole line, and ActNorm standardises.
"""

from math import log, prod

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from companion.networks.flows import Mapped


def dequantise(x: Tensor, u: Tensor | float = 0.5, levels: int = 256) -> Tensor:
    """((levels − 1)·x + u)/levels: levels in [0, 1], spread by u ~ U(0, 1) (AEF App. D.4).

    >>> dequantise(torch.tensor([0.0, 1.0]), u=0.5)
    tensor([0.0020, 0.9980])
    """
    return ((levels - 1) * x + u) / levels


def requantise(y: Tensor, levels: int = 256) -> Tensor:
    """The middle of the way back: ``dequantise`` at u = ½, inverted; values are not rounded."""
    return (levels * y - 0.5) / (levels - 1)


def bits_per_dimension(log_prob: Tensor, data_shape: tuple[int, ...], levels: int = 256) -> Tensor:
    """−log₂ p per number of data dequantised to [0, 1), plus log₂ levels for their unit.

    Args:
        log_prob: nats, on the scale where the data lie in [0, 1).
        data_shape: shape of one sample.
        levels: how many values one number could take.

    Source: AEF App. D.4.

    >>> bits_per_dimension(torch.zeros(1), (1, 28, 28))  # the uniform density
    tensor([8.])
    """
    return (log(levels) - log_prob / prod(data_shape)) / log(2)


class Logit(nn.Module):
    """y = logit(λ + (1 − 2λ)x), entry by entry (AEF eq. 19).

    Args:
        margin: the λ that keeps 0 and 1 finite; the paper's 1e-6 for digits, 0.05 for faces.

    Raises:
        ValueError: when λ is not in (0, ½).

    >>> layer, x = Logit(0.05), torch.rand(2, 3)
    >>> torch.allclose(layer.inverse(layer(x).value).value, x)
    True
    """

    def __init__(self, margin: float = 1e-6):
        super().__init__()
        if not 0 < margin < 0.5:
            raise ValueError(f"Logit: margin must be between 0 and 1/2, got {margin}")
        self.margin = margin

    def forward(self, x: Tensor) -> Mapped:
        p = self.margin + (1 - 2 * self.margin) * x
        slope = log(1 - 2 * self.margin) - p.log() - (-p).log1p()
        return Mapped(p.log() - (-p).log1p(), slope.flatten(1).sum(-1))

    def inverse(self, y: Tensor) -> Mapped:
        x = (y.sigmoid() - self.margin) / (1 - 2 * self.margin)
        slope = logsigmoid(y) + logsigmoid(-y) - log(1 - 2 * self.margin)
        return Mapped(x, slope.flatten(1).sum(-1))

    def prepare(self, x: Tensor) -> None:
        """Nothing here depends on data."""


class ActNorm(nn.Module):
    """y = exp(s) ⊙ x + b with one s and b for each channel, or each number of a vector.

    ``prepare`` sets them so that the first batch comes out with mean 0 and variance 1; afterwards
    they are learned like any other weight.

    Args:
        data_shape: shape of one sample; its first axis holds the channels.

    Source: Kingma and Dhariwal, *Glow*, 2018; AEF App. D.3.

    >>> _ = torch.manual_seed(0)
    >>> layer, x = ActNorm((3,)), 5 + 2 * torch.randn(100, 3)
    >>> layer.prepare(x)
    >>> y = layer(x).value
    >>> bool(y.mean(0).abs().max() < 1e-5), bool((y.std(0) - 1).abs().max() < 1e-5)
    (True, True)
    """

    def __init__(self, data_shape: tuple[int, ...]):
        super().__init__()
        shape = (data_shape[0], *[1] * (len(data_shape) - 1))
        self.log_scale, self.shift = (
            nn.Parameter(torch.zeros(shape)),
            nn.Parameter(torch.zeros(shape)),
        )
        self.repeats = prod(data_shape[1:])  # numbers that share one scale
        self.register_buffer("prepared", torch.tensor(False))

    def forward(self, x: Tensor) -> Mapped:
        log_det = self.repeats * self.log_scale.sum()
        return Mapped(self.log_scale.exp() * x + self.shift, log_det.expand(len(x)))

    def inverse(self, y: Tensor) -> Mapped:
        log_det = -self.repeats * self.log_scale.sum()
        return Mapped((y - self.shift) * (-self.log_scale).exp(), log_det.expand(len(y)))

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Standardise this batch, the first time only."""
        if not self.prepared:
            axes = [axis for axis in range(x.dim()) if axis != 1]
            mean, std = x.mean(axes), x.std(axes).clamp(min=1e-5)
            self.log_scale.copy_(-std.log().view_as(self.log_scale))
            self.shift.copy_(-(mean / std).view_as(self.shift))
            self.prepared.fill_(True)


class Preprocess(nn.Module):
    """Several such maps one after the other; none at all is the identity.

    >>> layers = Preprocess(Logit(0.05), ActNorm((1, 2, 2)))
    >>> layers(torch.rand(3, 1, 2, 2)).log_det.shape
    torch.Size([3])
    """

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Mapped:
        log_det = x.new_zeros(len(x))
        for layer in self.layers:
            x, change = layer(x)
            log_det = log_det + change
        return Mapped(x, log_det)

    def inverse(self, y: Tensor) -> Mapped:
        log_det = y.new_zeros(len(y))
        for layer in reversed(self.layers):
            y, change = layer.inverse(y)
            log_det = log_det + change
        return Mapped(y, log_det)

    def prepare(self, x: Tensor) -> None:
        """Let each layer see the first training batch as the layers before it return it."""
        for layer in self.layers:
            layer.prepare(x)
            x = layer(x).value
