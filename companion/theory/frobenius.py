"""RIF's bounds on the log-volume in closed form, from the singular values of a Jacobian.

All take singular values ``(…, latent)`` and return nats ``(…)``; all but ``log_volume`` are upper
bounds of ``log_volume``, ordered as they stand here. For two latents they are twice the logarithm
of the geometric mean, the arithmetic mean and the root of the mean square.
"""

import torch
from torch import Tensor


def log_volume(s: Tensor) -> Tensor:
    """Σ log sᵢ, the exact one (RIF eq. 2).

    >>> log_volume(torch.tensor([3.0, 4.0])).exp().round()
    tensor(12.)
    """
    return s.log().sum(-1)


def unit_probe(s: Tensor) -> Tensor:
    """E (d/2) log Σ sᵢ²uᵢ² over u uniform on the unit sphere (RIF eq. 7 with a unit v).

    log x = ∫ (e⁻ᵗ − e⁻ˣᵗ) dt/t turns the expectation over a Gaussian g into one integral,

        E log Σ sᵢ²gᵢ² = ∫ (e⁻ᵗ − Π (1 + 2sᵢ²t)^(−½)) dt/t,

    and the length of g, independent of its direction, leaves with the same integral at sᵢ = 1. By
    the trapezoid rule in log t, exact to rounding, in float64.

    >>> unit_probe(torch.tensor([3.0, 4.0], dtype=torch.float64)).exp()  # ((3 + 4)/2)²
    tensor(12.2500, dtype=torch.float64)
    """
    squares = s.double().square()
    scale = squares.mean(-1, keepdim=True)  # (…, 1) of order one inside the integral
    y = torch.arange(-45.0, 90.0, 0.05, dtype=squares.dtype, device=s.device)

    def mean_log(values: Tensor) -> Tensor:
        return -0.05 * (-0.5 * (2 * values[..., None] * y.exp()).log1p().sum(-2)).exp()

    difference = mean_log(squares / scale) - mean_log(torch.ones_like(squares))  # (…, grid)
    value = difference.sum(-1) + scale.squeeze(-1).log()
    return (s.shape[-1] / 2 * value).to(s.dtype)


def log_frobenius(s: Tensor) -> Tensor:
    """(d/2) log(Σ sᵢ²/d) (RIF eq. 5).

    >>> log_frobenius(torch.tensor([3.0, 4.0])).exp()
    tensor(12.5000)
    """
    return s.shape[-1] / 2 * s.square().mean(-1).log()


def frobenius(s: Tensor, scale: float) -> Tensor:
    """Σ sᵢ²/(2λ) + (d/2)(log λ − 1) with λ the ``scale`` (RIF eq. 4).

    >>> frobenius(torch.tensor([3.0, 4.0]), scale=12.5).exp()
    tensor(12.5000)
    """
    d, scale = s.shape[-1], torch.as_tensor(scale, dtype=s.dtype)
    return s.square().sum(-1) / (2 * scale) + d / 2 * (scale.log() - 1)


def spread(latent_dim: int, ratio: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Singular values in equal logarithmic steps, the largest ``ratio`` times the smallest.

    Their log-volume is zero, so that every bound on it is its own gap.

    >>> spread(3, 4.0)
    tensor([0.5000, 1.0000, 2.0000], dtype=torch.float64)

    Raises:
        ValueError: when the ratio is below one.
    """
    if not ratio >= 1:
        raise ValueError(f"spread: ratio must be at least 1, got {ratio}")
    steps = torch.linspace(-0.5, 0.5, latent_dim, dtype=dtype) if latent_dim > 1 else torch.zeros(1)
    return torch.as_tensor(ratio, dtype=dtype) ** steps.to(dtype)
