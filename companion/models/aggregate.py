"""Penalties on the codes of a whole batch: does the aggregate posterior look like the prior?"""

from math import log, pi

import torch
from torch import Tensor

KERNELS = ("imq", "rbf")
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def mmd(z: Tensor, prior: Tensor, kernel: str = "imq") -> Tensor:
    """Maximum mean discrepancy between codes and as many draws from the prior: ``(batch,)``.

    The mean over the batch is the unbiased MMD² = (1/n(n−1)) Σ_{i≠j} k(zᵢ, zⱼ) + k(pᵢ, pⱼ)
    − k(zᵢ, pⱼ) − k(pᵢ, zⱼ), and sample i's share is its part of the sum. Kernels sum over
    C = 2·latent·SCALES: ``imq`` is C/(C + ‖a − b‖²), ``rbf`` is exp(−‖a − b‖²/C).

    Args:
        z: ``(batch, latent)``.
        prior: the same shape, drawn from the prior.
        kernel: ``imq`` or ``rbf``.

    Raises:
        ValueError: for an unknown kernel, unequal shapes and a batch of one.

    Source: Gretton et al. (2012), *A kernel two-sample test*; Tolstikhin et al. (2018),
    *Wasserstein auto-encoders*; Zhao et al. (2019), *InfoVAE*.

    >>> _ = torch.manual_seed(0)
    >>> z, prior = torch.randn(2, 500, 2)
    >>> bool(mmd(z, prior).mean().abs() < 0.01 < mmd(2 + z, prior).mean())
    True
    """
    if kernel not in KERNELS:
        raise ValueError(f"mmd: kernel must be imq or rbf, got {kernel!r}")
    if z.shape != prior.shape or len(z) < 2:
        raise ValueError(
            "mmd: needs two samples of one shape with at least 2 rows, got "
            f"{tuple(z.shape)} and {tuple(prior.shape)}"
        )
    n, latent = z.shape
    both = torch.cat([z, prior])
    squared = (both[:, None] - both).square().sum(-1)  # (2·batch, 2·batch)
    widths = [2 * latent * scale for scale in SCALES]
    k = sum(c / (c + squared) if kernel == "imq" else (-squared / c).exp() for c in widths)
    h = k[:n, :n] + k[n:, n:] - k[:n, n:] - k[n:, :n]  # (batch, batch)
    return (h.sum(1) - h.diagonal()) / (n - 1)


def total_correlation(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """log q(z) − Σ log q(z_k) under the batch's mixture of posteriors: ``(batch,)``.

    The aggregate q(z) is estimated by (1/B) Σⱼ N(z; μⱼ, diag σⱼ²). Weighting by the size of the
    data set instead, as the paper does, changes the value by a constant.

    Args:
        z: one code for each posterior, ``(batch, latent)``.
        mean: μ, ``(batch, latent)``.
        scale: σ, ``(batch, latent)``.

    Source: Chen et al. (2018), *Isolating sources of disentanglement in VAEs*, eq. S6.

    >>> z = torch.zeros(3, 2)
    >>> total_correlation(z, z, torch.ones(3, 2)).abs()  # one posterior, independent entries
    tensor([0., 0., 0.])
    """
    away = (z[:, None] - mean) / scale
    logs = -0.5 * (away.square() + log(2 * pi)) - scale.log()  # (batch, batch, latent)
    joint = logs.sum(-1).logsumexp(1)
    alone = logs.logsumexp(1).sum(-1)
    return joint - alone + (z.shape[1] - 1) * log(len(z))
