"""Gaussians over codes and over data: a VAE's posterior and its likelihood."""

from math import pi, prod
from typing import NamedTuple

import torch
from torch import Tensor


class Posterior(NamedTuple):
    """A Gaussian over codes, q(z | x) = N(mean, SSᵀ)."""

    mean: Tensor  # (batch, latent)
    scale: Tensor  # (batch, latent) standard deviations or (batch, latent, latent) lower Cholesky


def posterior_size(latent_dim: int, covariance: str = "diagonal") -> int:
    """How many numbers the encoder network returns for one sample.

    >>> posterior_size(3), posterior_size(3, "full")
    (6, 9)
    """
    if covariance not in ("diagonal", "full"):
        raise ValueError(f"VAE: covariance must be diagonal or full, got {covariance!r}")
    entries = 1 if covariance == "diagonal" else (latent_dim + 1) / 2
    return latent_dim + int(latent_dim * entries)


def as_posterior(h: Tensor, latent_dim: int, covariance: str = "diagonal") -> Posterior:
    """Read an encoder's numbers: mean and log-variances, or mean and Cholesky factor.

    The factor's diagonal comes first, as logarithms, then the rows below the diagonal. Numbers
    beyond :func:`posterior_size` are left to a posterior flow.

    >>> as_posterior(torch.zeros(1, 5), 2, "full").scale
    tensor([[[1., 0.],
             [0., 1.]]])
    """
    size = posterior_size(latent_dim, covariance)
    if h.shape[-1] < size:
        raise ValueError(
            f"VAE: the encoder must return {size} numbers for {latent_dim} latents and "
            f"{covariance} covariance, got {h.shape[-1]}"
        )
    mean, log_scale = h[:, :latent_dim], h[:, latent_dim : 2 * latent_dim]
    if covariance == "diagonal":
        return Posterior(mean, (0.5 * log_scale).exp())
    entries = torch.cat([torch.zeros_like(mean[:, :1]), log_scale.exp(), h[:, 2 * latent_dim :]], 1)
    place = torch.diag(torch.arange(1, latent_dim + 1, device=h.device))  # 0 holds the zero
    rows, columns = torch.tril_indices(latent_dim, latent_dim, -1, device=h.device)
    place[rows, columns] = torch.arange(latent_dim + 1, size - latent_dim + 1, device=h.device)
    return Posterior(mean, entries[:, place])  # (batch, latent, latent)


def gaussian_kl(mean: Tensor, scale: Tensor) -> Tensor:
    """KL(N(μ, SSᵀ) ‖ N(0, 1)) = ½(‖μ‖² + tr SSᵀ − d) − log det S, in nats: ``(batch,)``.

    Args:
        mean: ``(batch, latent)``.
        scale: ``(batch, latent)`` standard deviations or ``(batch, latent, latent)`` Cholesky.

    >>> gaussian_kl(torch.ones(1, 2), torch.ones(1, 2))
    tensor([1.])
    """
    trace = scale.square().flatten(1).sum(-1)
    return 0.5 * (mean.square().sum(-1) + trace - mean.shape[-1]) - log_det(scale)


def gaussian_log_likelihood(x: Tensor, x_hat: Tensor, variance: Tensor | float) -> Tensor:
    """log N(x; x̂, γ) = −‖x − x̂‖²/(2γ) − (D/2) log 2πγ, in nats.

    Args:
        x: ``(batch, *data)``.
        x_hat: ``(batch, *data)``, with axes in front if wanted.
        variance: γ, a number or one per sample ``(batch,)``.

    >>> gaussian_log_likelihood(torch.zeros(1, 2), torch.ones(1, 2), 1.0)
    tensor([-2.8379])
    """
    variance = torch.as_tensor(variance, dtype=x.dtype, device=x.device)
    normaliser = 0.5 * prod(x.shape[1:]) * (2 * pi * variance).log()
    return -squared_error(x, x_hat) / (2 * variance) - normaliser


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """‖x − x̂‖² of each sample; ``x_hat`` may have axes in front of the batch.

    >>> squared_error(torch.zeros(1, 2), torch.ones(3, 1, 2)).shape
    torch.Size([3, 1])
    """
    return (x_hat - x).square().flatten(x_hat.dim() - x.dim() + 1).sum(-1)


def log_det(scale: Tensor) -> Tensor:
    """log det S of standard deviations or of a Cholesky factor: ``(batch,)``.

    >>> log_det(torch.ones(1, 2))
    tensor([0.])
    """
    diagonal = scale.diagonal(dim1=-2, dim2=-1) if scale.dim() == 3 else scale
    return diagonal.log().sum(-1)
