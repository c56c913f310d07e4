"""Latent dimensions in which the posterior says nothing about the data."""

from typing import NamedTuple

from torch import Tensor

from companion.models.gaussian import Posterior


class Collapse(NamedTuple):
    """Which latent dimensions have (ε, δ)-collapsed."""

    share: float  # of all dimensions
    collapsed: Tensor  # (latent,) bool
    kl: Tensor  # (latent,) mean over the data, in nats


def posterior_collapse(q: Posterior, epsilon: float = 0.05, delta: float = 0.01) -> Collapse:
    """The dimensions whose KL(q(zᵢ | x) ‖ N(0, 1)) is below ε for at least a share 1 − δ of data.

    Args:
        q: posterior of all data, mean ``(n, latent)``; of a full covariance the marginals count.
        epsilon: in nats.
        delta: share of the data that may speak.

    Raises:
        ValueError: when ε is not positive or δ not in [0, 1).

    Source: SFVAE eq. 22, after Lucas et al. (2019).

    >>> import torch
    >>> mean = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    >>> posterior_collapse(Posterior(mean, torch.ones(2, 2)))
    Collapse(share=0.5, collapsed=tensor([ True, False]), kl=tensor([0.0000, 0.5000]))
    """
    if not epsilon > 0 or not 0 <= delta < 1:
        raise ValueError(
            f"posterior_collapse: needs epsilon > 0 and 0 ≤ delta < 1, got {epsilon} and {delta}"
        )
    variance = q.scale.square() if q.scale.dim() == 2 else q.scale.square().sum(-1)  # (n, latent)
    kl = 0.5 * (q.mean.square() + variance - 1 - variance.log())
    collapsed = (kl >= epsilon).sum(0) <= delta * len(kl)  # (latent,)
    return Collapse(float(collapsed.float().mean()), collapsed, kl.mean(0))
