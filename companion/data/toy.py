"""Toy densities about which everything is known: samples, curve, normals, exact log-density."""

from dataclasses import dataclass
from math import exp, log, pi

import torch
from torch import Generator, Tensor

GRID_NUMBERS = 2**21  # how many numbers of a quadrature are held at once (16 MiB in float64)


@dataclass(frozen=True)
class Sinusoid:
    """A sinusoid with Gaussian noise around it: x₁ ~ N(0, 1), x₂ = sin(πx₁/2), plus N(0, noise²).

    The authors' code standardises both axes before it adds the noise; the paper does not say so.
    Here it is an option, with the exact standard deviations.

    Args:
        noise: standard deviation σ of the isotropic noise.
        standardize: divide the curve by its standard deviations before the noise is added.

    Raises:
        ValueError: when the noise is not positive.

    Source: MLAE §5.1 and App. E.1.

    >>> Sinusoid(0.1).sample(4, torch.Generator().manual_seed(0)).shape
    torch.Size([4, 2])
    """

    noise: float = 0.1
    standardize: bool = False

    def __post_init__(self):
        if not self.noise > 0:
            raise ValueError(f"Sinusoid: noise must be positive, got {self.noise}")

    @property
    def scale(self) -> tuple[float, float]:
        """What the clean coordinates are divided by: Var x₁ = 1, Var x₂ = (1 − exp(−π²/2))/2."""
        return (1.0, ((1 - exp(-(pi**2) / 2)) / 2) ** 0.5) if self.standardize else (1.0, 1.0)

    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw ``(n, 2)`` noisy points."""
        options = {"generator": generator, "dtype": dtype, "device": device}
        t = torch.randn(n, **options)
        return self.curve(t) + self.noise * torch.randn(n, 2, **options)

    def curve(self, t: Tensor) -> Tensor:
        """The clean curve at x₁ = t before standardising: ``(…) -> (…, 2)``."""
        a, b = self.scale
        return torch.stack([t / a, torch.sin(pi * t / 2) / b], -1)

    def tangent(self, t: Tensor) -> Tensor:
        """Unit tangents of the curve: ``(…) -> (…, 2)``."""
        a, b = self.scale
        direction = torch.stack([torch.ones_like(t) / a, pi / 2 * torch.cos(pi * t / 2) / b], -1)
        return direction / direction.norm(dim=-1, keepdim=True)

    def normal(self, t: Tensor) -> Tensor:
        """Unit normals of the curve, the tangents turned left: ``(…) -> (…, 2)``."""
        tangent = self.tangent(t)
        return torch.stack([-tangent[..., 1], tangent[..., 0]], -1)

    def nearest(self, x: Tensor) -> Tensor:
        """The parameter t of the curve point nearest to each x: ``(batch, 2) -> (batch,)``.

        It lies within half a period of x₁, |t − x₁| ≤ 2, for the curve has every height again one
        period (4) nearer to x₁. The best of a fine grid there, then golden-section search between
        its neighbours, all in float64.

        >>> toy, t = Sinusoid(), torch.tensor([0.3, -1.2], dtype=torch.float64)
        >>> torch.allclose(toy.nearest(toy.curve(t) + 0.1 * toy.normal(t)), t, atol=1e-6)
        True
        """
        points, step, golden = _double(x), 0.01, (5**0.5 - 1) / 2
        offsets = step * torch.arange(-200, 201, dtype=points.dtype, device=points.device)
        grid = points[:, :1] + offsets  # (batch, grid)
        closest = self._squared(points[:, None], grid).argmin(1, keepdim=True)
        best = grid.gather(1, closest)[:, 0]
        low, high = best - step, best + step
        for _ in range(32):
            width = golden * (high - low)
            left, right = high - width, low + width
            closer = self._squared(points, left) < self._squared(points, right)
            low, high = torch.where(closer, low, left), torch.where(closer, right, high)
        return ((low + high) / 2).to(x)

    def _squared(self, x: Tensor, t: Tensor) -> Tensor:
        return (x - self.curve(t)).square().sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log-density in nats: ``(batch, 2) -> (batch,)``, in float64 inside.

        With m = x₁/(1 + σ²), s² = σ²/(1 + σ²) and c₂(t) the height of the curve,

            p(x) = N(x₁; 0, 1 + σ²) ∫ N(t; m, s²) N(x₂; c₂(t), σ²) dt

        by the trapezoid rule with step σ/10, exact to rounding: its error falls faster than any
        power of the step for such integrands. Beyond |t − m| = 2 + 9s nothing counts, for one
        period (4) nearer to m the curve has the same height and N(t; m, s²) is e⁴⁰ times larger.

        >>> Sinusoid(0.1).log_prob(torch.zeros(1, 2)) > Sinusoid(0.1).log_prob(torch.ones(1, 2) * 2)
        tensor([True])
        """
        points, s = _double(x), self.noise / (1 + self.noise**2) ** 0.5
        reach, step = 2 + 9 * s, min(0.05, self.noise / 10)
        offsets = torch.arange(-reach, reach, step, dtype=points.dtype, device=points.device)
        weights = _log_normal(offsets, s) + log(step)
        inner = []
        for part in points.split(max(1, GRID_NUMBERS // len(offsets))):
            t = part[:, :1] / (1 + self.noise**2) + offsets  # (part, grid)
            height = torch.sin(pi * t / 2) / self.scale[1]
            inner.append((weights + _log_normal(part[:, 1:] - height, self.noise)).logsumexp(1))
        return (_log_normal(points[:, 0], (1 + self.noise**2) ** 0.5) + torch.cat(inner)).to(x)


@dataclass(frozen=True)
class Gaussian:
    """A zero-mean Gaussian whose covariance is diagonal: the linear model's data (MLAE App. C).

    Args:
        eigenvalues: the variances λ along the axes.

    Raises:
        ValueError: when there is none or one is not positive.

    >>> Gaussian((1.0, 0.05)).log_prob(torch.zeros(1, 2))
    tensor([-0.3400])
    """

    eigenvalues: tuple[float, ...]

    def __post_init__(self):
        if not self.eigenvalues or not all(v > 0 for v in self.eigenvalues):
            raise ValueError(f"Gaussian: eigenvalues must be positive, got {self.eigenvalues}")

    @property
    def covariance(self) -> Tensor:
        """The covariance matrix, in float64."""
        return torch.diag(torch.tensor(self.eigenvalues, dtype=torch.float64))

    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw ``(n, dim)`` points."""
        scale = torch.tensor(self.eigenvalues, dtype=dtype, device=device).sqrt()
        return scale * torch.randn(n, len(scale), generator=generator, dtype=dtype, device=device)

    def log_prob(self, x: Tensor) -> Tensor:
        """log N(x; 0, diag λ) in nats: ``(batch, dim) -> (batch,)``."""
        variance = torch.tensor(self.eigenvalues, dtype=x.dtype, device=x.device)
        return -0.5 * (x.square() / variance + (2 * pi * variance).log()).sum(-1)


def _double(x: Tensor) -> Tensor:
    """In float64, on the CPU where the device has none."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def _log_normal(x: Tensor, std: float) -> Tensor:
    return -0.5 * (x / std).square() - log(std) - 0.5 * log(2 * pi)
