"""How many latent dimensions a VAE uses: from its posterior, its loss, and noise on its codes."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion.contracts import exact
from companion.models.base import evaluating
from companion.models.vae import VAE


class VarianceSpectrum(NamedTuple):
    """Posterior variances along the latent directions, smallest first."""

    values: Tensor  # (latent,) the mean over x of each eigenvalue of Σ_z
    directions: Tensor  # (latent, latent) the rows are the directions, in the same order


@torch.no_grad()
def variance_spectrum(model: VAE, x: Tensor, condition: Tensor | None = None) -> VarianceSpectrum:
    """The eigenvalues λ_j of the posterior covariance Σ_z, averaged over data.

    Near an optimum at small γ the r directions that carry the manifold have λ → 0 at the rate of
    γ, superfluous ones λ → 1. For a diagonal posterior these are its variances and the latent
    axes; for a full one eigenvalues and eigenvectors of the mean of Σ_z over x.

    Args:
        model: a VAE.
        x: ``(n, *data)``.
        condition: ``(n, …)`` or nothing.

    Source: 2SVAE §3, Fig. 11.

    >>> from companion.models.gaussian import posterior_size
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = VAE(MLP(3, posterior_size(2)), MLP(2, 3), (3,), 2)
    >>> variance_spectrum(model, torch.randn(8, 3)).directions.shape
    torch.Size([2, 2])
    """
    with evaluating(model):
        scale = exact(model.posterior(x, condition).scale)
    if scale.dim() == 2:
        values, order = scale.square().mean(0).sort()
        return VarianceSpectrum(values, torch.eye(len(values), dtype=values.dtype)[order])
    values, vectors = torch.linalg.eigh((scale @ scale.mT).mean(0))
    return VarianceSpectrum(values, vectors.T)


def active_dimensions(values: Tensor, threshold: float = 0.5) -> int:
    """How many posterior variances lie below a threshold between 0 and 1.

    >>> active_dimensions(torch.tensor([0.01, 0.02, 0.3, 1.0]))
    3
    """
    if not 0 < threshold < 1:
        raise ValueError(f"active_dimensions: threshold must lie between 0 and 1, got {threshold}")
    return int((values < threshold).sum())


def loss_slope(log_variance: Tensor, loss: Tensor) -> float:
    """The slope of 2·loss in log γ by least squares: D − r̂ near the limit γ → 0.

    The data term of an optimum goes as D log γ, the KL term as −r̂ log γ, so the loss itself counts
    the r̂ active dimensions.

    Args:
        log_variance: ``(n,)`` log γ.
        loss: ``(n,)`` mean losses in nats of models that are optimal at their γ.

    Raises:
        ValueError: when the two differ in shape or hold fewer than two numbers.

    Source: 2SVAE eqs 8 and 9; the first term of eq. 8 has a factor 2 too many.

    >>> loss_slope(torch.tensor([-3.0, -2.0, -1.0]), torch.tensor([-6.0, -4.0, -2.0]))
    4.0
    """
    if log_variance.shape != loss.shape or loss.dim() != 1 or len(loss) < 2:
        raise ValueError(
            "loss_slope: expected two (n,) with n ≥ 2, got "
            f"{tuple(log_variance.shape)} and {tuple(loss.shape)}"
        )
    away = exact(log_variance) - exact(log_variance).mean()
    return float((away * 2 * exact(loss)).sum() / away.square().sum())


class NoiseEffect(NamedTuple):
    """What noise along each latent direction does to the reconstruction, active ones first."""

    x_hat: Tensor  # (latent, num, *data)
    variance: Tensor  # (latent,) of the decoded numbers over the noise, their mean over the data


@torch.no_grad()
def noise_effect(
    model: VAE, x: Tensor, num: int = 15, generator: Generator | None = None
) -> NoiseEffect:
    """Decode the mean code of one sample with N(0, 1) noise along one direction at a time.

    Args:
        model: a VAE without condition.
        x: ``(1, *data)``, the sample; directions are those of its own posterior.
        num: noises per direction, the same ones for each.
        generator: where they come from.

    Source: 2SVAE Fig. 1 (centre) and Fig. 10.

    >>> from companion.models.gaussian import posterior_size
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = VAE(MLP(3, posterior_size(2)), MLP(2, 3), (3,), 2)
    >>> noise_effect(model, torch.randn(1, 3)).x_hat.shape
    torch.Size([2, 15, 3])
    """
    directions = variance_spectrum(model, x).directions.to(x)
    steps = torch.randn(num, generator=generator, device=x.device, dtype=x.dtype)
    with evaluating(model):
        codes = model.encode(x) + steps[:, None] * directions[:, None]  # (latent, num, latent)
        x_hat = model.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
    return NoiseEffect(x_hat, x_hat.flatten(2).var(1).mean(1))
