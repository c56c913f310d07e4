"""How well a linearised decoder predicts the spread of its outputs, against sampling it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion.contracts import Map
from companion.models.gaussian import Posterior
from companion.models.linearised import linearise, spread

CHUNK = 1000  # codes decoded at once for each sample


class SpreadQuality(NamedTuple):
    """An estimate of the outputs' covariance beside the true one, averaged over samples."""

    correlation: float  # Pearson's, of the variances of all n numbers
    frobenius: float  # ‖estimate − truth‖, over the truth's own norm
    ratio: float  # sum of the estimated variances over that of the true ones


def compare_covariances(estimate: Tensor, truth: Tensor) -> SpreadQuality:
    """Judge estimates of covariances ``(batch, n, n)``; SFVAE Table 1 and §4.1.

    >>> truth = torch.diag(torch.tensor([1.0, 2.0, 3.0])).unsqueeze(0)
    >>> compare_covariances(2 * truth, truth)
    SpreadQuality(correlation=1.0, frobenius=1.0, ratio=2.0)
    """
    one, two = (c.diagonal(dim1=1, dim2=2) for c in (estimate, truth))  # (batch, n)
    ratio = one.sum(1) / two.sum(1)
    one, two = (v - v.mean(1, keepdim=True) for v in (one, two))
    correlation = torch.cosine_similarity(one, two, dim=1)
    frobenius = (estimate - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    return SpreadQuality(*(round(float(v.mean()), 6) for v in (correlation, frobenius, ratio)))


@torch.no_grad()
def spread_quality(
    decode: Map,
    q: Posterior,
    counts: Sequence[int] = (1, 5, 25, 100),
    num_true: int = 15_000,
    generator: Generator | None = None,
) -> dict[int, SpreadQuality]:
    """The Taylor covariance UUᵀ and those of few samples, against the covariance of many.

    Args:
        decode: ``(batch, latent) -> (batch, *data)``.
        q: the posterior of the data to judge on.
        counts: numbers of samples; they know the true mean, as the paper's single sample must.
        num_true: samples of the truth.
        generator: where the codes come from.

    Returns:
        Qualities by number of samples; 0 is the Taylor approximation, which takes none.

    Source: SFVAE Table 1.

    >>> q = Posterior(torch.zeros(2, 1), torch.ones(2, 1))
    >>> A = torch.tensor([[1.0, 2.0]])
    >>> found = spread_quality(lambda z: z @ A, q, (5,), 3000, Generator().manual_seed(0))
    >>> found[0].frobenius < 0.1 < found[5].frobenius
    True
    """

    def outputs(count: int) -> Tensor:
        noise = torch.randn(count, *q.mean.shape, dtype=q.mean.dtype, generator=generator)
        codes = q.mean + spread(q.scale, noise)
        return decode(codes.flatten(0, 1)).view(count, len(q.mean), -1)  # (count, batch, n)

    parts = [outputs(min(CHUNK, num_true - start)) for start in range(0, num_true, CHUNK)]
    mean = torch.cat([p.sum(0, keepdim=True) for p in parts]).sum(0) / num_true  # (batch, n)

    def second_moment(away: Tensor) -> Tensor:
        return torch.einsum("sbi,sbj->bij", away, away)

    truth = sum(second_moment(p - mean) for p in parts) / num_true
    factor = linearise(decode, q).tangents  # (latent, batch, n)
    found = {0: compare_covariances(second_moment(factor), truth)}
    for count in counts:
        estimate = second_moment(outputs(count) - mean) / count
        found[count] = compare_covariances(estimate, truth)
    return found
