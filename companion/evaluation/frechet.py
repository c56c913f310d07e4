"""The distance between the Gaussians that fit two samples."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.contracts import exact
from companion.training.inputs import check_finite


class Distance(NamedTuple):
    """A distance and the sizes of the two samples; without them the number means little."""

    value: float
    num_first: int
    num_second: int


def gaussian_w2(first: Tensor, second: Tensor) -> Distance:
    """Squared Wasserstein-2 distance between the Gaussians fitted to two samples.

    W₂² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁^½ Σ₂ Σ₁^½)^½), in float64.

    Args:
        first: ``(n, features)``.
        second: ``(m, features)``.

    Returns:
        A :class:`Distance`; the estimate is biased upward for small samples.

    Raises:
        ValueError: when the features differ, are not finite, or a sample has fewer than two rows.

    Source: the "FID-like" metric of MLAE Table 1; squared as in Heusel et al. (2017).

    >>> x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> round(gaussian_w2(x, x + torch.tensor([3.0, 4.0])).value, 6)
    25.0
    """
    if first.shape[1:] != second.shape[1:] or first.dim() != 2 or min(len(first), len(second)) < 2:
        raise ValueError(
            "gaussian_w2: expected (n, features) and (m, features) with n, m ≥ 2, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    for which, features in {"first": first, "second": second}.items():
        check_finite("gaussian_w2", f"the {which} sample's features", features)
    a, b = exact(first), exact(second)
    root = _root(torch.cov(a.T).view(a.shape[1], -1))
    cov_b = torch.cov(b.T).view(b.shape[1], -1)
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    value = (
        (a.mean(0) - b.mean(0)).square().sum() + (root @ root).trace() + cov_b.trace() - 2 * cross
    )
    return Distance(max(0.0, float(value)), len(a), len(b))


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
