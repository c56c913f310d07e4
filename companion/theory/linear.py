"""The linear autoencoder trained by maximum likelihood, in closed form (MLAE App. C), and pPCA.

Encoder z = A x, decoder x̂ = A⁺ z with the pseudo-inverse A⁺, data of mean zero and covariance Σ
with eigenvalues λ. Everything depends on β = 1/(2σ²) = 1/(2γ): σ² is the paper's, γ the decoder
variance of a VAE. The cost of keeping an eigen-direction is ½(log λ − 2βλ), concave in λ with its
top at λ = σ², so that the best directions lie at the ends of the spectrum.
"""

from collections.abc import Sequence
from itertools import combinations
from math import inf, log
from typing import NamedTuple

import torch
from torch import Tensor


def loss(A: Tensor, covariance: Tensor, beta: float) -> Tensor:
    """L(A) = ½ tr(AΣAᵀ) − ½ log det(AAᵀ) + β tr(Σ(1 − A⁺A)), in nats.

    Args:
        A: ``(latent, dim)`` encoder of full rank, with a batch in front if wanted.
        covariance: ``(dim, dim)``.
        beta: weight of the reconstruction error.

    Returns:
        A scalar, or one for each encoder of the batch; the constant (d/2) log 2π is left out.

    Source: MLAE eqs 42 to 46, with β = 1/(2σ²).

    >>> loss(torch.eye(1, 2), torch.eye(2), beta=0.5)
    tensor(1.)
    """
    fit = 0.5 * torch.einsum("...ij,jk,...ik->...", A, covariance, A)
    volume = torch.linalg.svdvals(A).log().sum(-1)
    kept = torch.linalg.pinv(A) @ A
    lost = covariance.trace() - torch.einsum("ij,...ji->...", covariance, kept)
    return fit - volume + beta * lost


def gradient(A: Tensor, covariance: Tensor, beta: float) -> Tensor:
    """∂L/∂A = (ΣAᵀ − A⁺ − 2β(1 − A⁺A)ΣA⁺)ᵀ, like ``A``. Source: MLAE Lemma C.2.

    >>> gradient(torch.eye(1, 2), torch.eye(2), beta=0.5)
    tensor([[0., 0.]])
    """
    pinv = torch.linalg.pinv(A)
    across = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) - pinv @ A
    return (covariance @ A.mT - pinv - 2 * beta * across @ covariance @ pinv).mT


class CriticalSet(NamedTuple):
    """A set of critical points: eigen-directions kept, and free directions of variance σ²."""

    kept: tuple[int, ...]  # indices into the ascending spectrum
    num_free: int  # directions u with uᵀΣu = σ² outside the kept ones; 0 for an isolated subspace
    value: float  # the loss there


def critical_points(eigenvalues: Sequence[float], latent: int, beta: float) -> list[CriticalSet]:
    """All critical subspaces of the loss, the continua included.

    A row space is critical exactly if it is spanned by eigenvectors and by a subspace W of the
    other eigenvectors' span on which Σ compresses to σ²·1. Such a W of dimension k exists if at
    least k of the others have λ ≥ σ² and at least k have λ ≤ σ². Lemma C.3 of the paper lists
    k = 0 only; for latent = 1 the case k = 1 is every u with uᵀΣu = σ², the barrier between two
    minima.

    Args:
        eigenvalues: the spectrum of Σ, all positive, in any order.
        latent: number d of latent dimensions.
        beta: weight of the reconstruction error.

    Returns:
        One :class:`CriticalSet` for each choice; indices refer to the ascending spectrum.

    Raises:
        ValueError: for a spectrum or a number of latent dimensions that makes no sense.

    >>> [(s.kept, s.num_free) for s in critical_points((1.0, 0.05), latent=1, beta=1.0)]
    [((0,), 0), ((1,), 0), ((), 1)]
    """
    spectrum = _spectrum("critical_points", eigenvalues, latent, beta)
    variance, found = 1 / (2 * beta), []
    for num_free in range(latent + 1):
        for kept in combinations(range(len(spectrum)), latent - num_free):
            others = [v for i, v in enumerate(spectrum) if i not in kept]
            above, below = (sum(map(test, others)) for test in (variance.__le__, variance.__ge__))
            if num_free <= min(above, below):
                free = num_free * 0.5 * (log(variance) - 1)  # −2βσ² = −1
                value = free + sum(0.5 * (log(spectrum[i]) - 2 * beta * spectrum[i]) for i in kept)
                constant = latent / 2 + beta * sum(spectrum)
                found.append(CriticalSet(kept, num_free, value + constant))
    return found


def representative(eigenvalues: Sequence[float], beta: float, point: CriticalSet) -> Tensor:
    """One encoder of a critical set, for Σ = diag of the ascending spectrum: ``(latent, dim)``.

    Each free direction is an eigenvector with λ = σ², or mixes one with λ > σ² and one with λ < σ²
    to a variance of σ².

    >>> point = critical_points((1.0, 0.05), latent=1, beta=1.0)[2]
    >>> A = representative((1.0, 0.05), 1.0, point)
    >>> gradient(A, torch.diag(torch.tensor([0.05, 1.0], dtype=A.dtype)), 1.0).abs().max() < 1e-12
    tensor(True)
    """
    spectrum, variance = sorted(eigenvalues), 1 / (2 * beta)
    rows = [torch.eye(len(spectrum), dtype=torch.float64)[i] for i in point.kept]
    others = [i for i in range(len(spectrum)) if i not in point.kept]
    for _ in range(point.num_free):
        level = [i for i in others if spectrum[i] == variance]
        low, high = (level or others)[0], (level[:1] or others)[-1]
        others = [i for i in others if i not in (low, high)]
        spread = spectrum[high] - spectrum[low]
        share = (variance - spectrum[low]) / spread if spread > 0 else 0.0
        row = torch.zeros(len(spectrum), dtype=torch.float64)
        row[high] += share**0.5
        row[low] += (1 - share) ** 0.5
        rows.append(row)
    basis = torch.stack(rows)  # (latent, dim), orthonormal, with diagonal compression of Σ
    scale = (basis.square() @ torch.tensor(spectrum, dtype=torch.float64)).rsqrt()
    return scale[:, None] * basis


def local_minima(eigenvalues: Sequence[float], latent: int, beta: float) -> list[tuple[int, ...]]:
    """The row spaces that are local minima, as indices into the ascending spectrum.

    They are the k smallest eigenvalues, all at most σ², with the d − k largest, all at least σ².

    >>> local_minima((1.0, 0.05), latent=1, beta=1.0)
    [(1,), (0,)]
    """
    spectrum = _spectrum("local_minima", eigenvalues, latent, beta)
    variance, found = 1 / (2 * beta), []
    for k in range(latent + 1):
        kept = _ends(len(spectrum), latent, k)
        small, large = kept[:k], kept[k:]
        if all(spectrum[i] <= variance for i in small) and all(
            spectrum[i] >= variance for i in large
        ):
            found.append(kept)
    return found


def global_minimum(eigenvalues: Sequence[float], latent: int, beta: float) -> tuple[int, ...]:
    """The row space of least loss, as indices into the ascending spectrum (MLAE Theorem C.4).

    >>> global_minimum((1.0, 0.05), latent=1, beta=1.0), global_minimum((1.0, 0.05), 1, beta=2.0)
    ((0,), (1,))
    """
    spectrum = _spectrum("global_minimum", eigenvalues, latent, beta)
    choices = [_ends(len(spectrum), latent, k) for k in range(latent + 1)]
    return min(
        choices, key=lambda kept: sum(log(spectrum[i]) - 2 * beta * spectrum[i] for i in kept)
    )


class Threshold(NamedTuple):
    """One exchange of a small eigen-direction for a large one as β grows."""

    small: float  # eigenvalue that is given up
    large: float  # eigenvalue that replaces it
    appears: float  # 1/(2·large): from here on the new set is a local minimum
    tie: float  # β*: from here on it is the better one
    vanishes: float  # 1/(2·small): from here on the old set is no local minimum


def thresholds(eigenvalues: Sequence[float], latent: int) -> list[Threshold]:
    """All exchanges between the smallest and the largest eigen-directions, in the order of β.

    β* = (log λ_large − log λ_small)/(2(λ_large − λ_small)), one over twice the logarithmic mean.
    The paper's text names only ``vanishes``. Between ``appears`` and ``vanishes`` both sets are
    local minima: sweeping β up and down shows hysteresis. Exchanges of equal eigenvalues are left
    out.

    >>> [round(v, 3) for v in thresholds((1.0, 0.05), latent=1)[0]]
    [0.05, 1.0, 0.5, 1.577, 10.0]
    """
    spectrum = _spectrum("thresholds", eigenvalues, latent, 1.0)
    found = []
    for k in range(latent, 0, -1):
        small, large = spectrum[k - 1], spectrum[len(spectrum) - latent + k - 1]
        if large > small:
            tie = (log(large) - log(small)) / (2 * (large - small))
            found.append(Threshold(small, large, 1 / (2 * large), tie, 1 / (2 * small)))
    return found


class LinearVAE(NamedTuple):
    """The optimal linear VAE, which is probabilistic PCA, at a fixed decoder variance γ."""

    active: tuple[int, ...]  # indices into the ascending spectrum with λ > γ, at most ``latent``
    singular_values: Tensor  # (latent,) of the decoder, √(λ − γ) or 0, largest first
    posterior_variance: Tensor  # (latent,) of each latent direction: γ/λ if active, else 1
    log_likelihood: float  # expected, per sample, in nats


def linear_vae(eigenvalues: Sequence[float], latent: int, decoder_variance: float) -> LinearVAE:
    """The best linear VAE for data of covariance Σ: its decoder is U(Λ − γ)^½ R for any rotation R.

    A direction survives exactly if λ > γ; on the axis of this file γ = σ² = 1/(2β). Its likelihood
    is that of the data, not of a projection, so it always prefers the *largest* eigenvalues.

    Args:
        eigenvalues: the spectrum of Σ.
        latent: number of latent dimensions.
        decoder_variance: γ > 0.

    Source: Tipping and Bishop (1999); 2SVAE for the linear VAE.

    >>> linear_vae((1.0, 0.05), latent=2, decoder_variance=0.1).active
    (1,)
    """
    spectrum = _spectrum("linear_vae", eigenvalues, latent, 1 / (2 * decoder_variance))
    gamma, dim = decoder_variance, len(spectrum)
    active = tuple(i for i in range(dim - 1, dim - latent - 1, -1) if spectrum[i] > gamma)
    variances = [spectrum[i] if i in active else gamma for i in range(dim)]
    log_likelihood = -0.5 * sum(
        log(2 * torch.pi * v) + s / v for v, s in zip(variances, spectrum, strict=True)
    )
    kept = torch.tensor([spectrum[i] for i in active] + [gamma] * (latent - len(active)))
    return LinearVAE(active, (kept - gamma).sqrt(), gamma / kept, log_likelihood)


def _ends(dim: int, latent: int, k: int) -> tuple[int, ...]:
    """Indices of the k smallest and the latent − k largest of an ascending spectrum."""
    return (*range(k), *range(dim - latent + k, dim))


def _spectrum(call: str, eigenvalues: Sequence[float], latent: int, beta: float) -> list[float]:
    spectrum = sorted(float(v) for v in eigenvalues)
    if not spectrum or spectrum[0] <= 0 or spectrum[-1] == inf:
        raise ValueError(
            f"{call}: eigenvalues must be positive and finite, got {list(eigenvalues)}"
        )
    if not 1 <= latent <= len(spectrum):
        raise ValueError(f"{call}: latent must be between 1 and {len(spectrum)}, got {latent}")
    if not beta > 0:
        raise ValueError(f"{call}: beta must be positive, got {beta}")
    return spectrum
