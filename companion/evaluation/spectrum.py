"""What the decoder's singular values say about the learned manifold."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion import jacobians
from companion.models.base import Model, evaluating


class Spectrum(NamedTuple):
    """Singular values of the decoder at codes from the prior."""

    mean: Tensor  # (latent,) averaged over codes, largest first
    std: Tensor  # (latent,) over codes
    entropy: float  # of the model's density on its manifold, in nats
    num_samples: int


@torch.no_grad()
def decoder_spectrum(
    model: Model,
    n: int = 256,
    condition: Tensor | None = None,
    generator: Generator | None = None,
) -> Spectrum:
    """Singular values of g'(z) at codes from the model's own prior, and the entropy of its data.

    H(p_X) = H(p_Z) + E[½ log det(g'(z)ᵀg'(z))], where H(p_Z) = (d/2) log 2πe for N(0, 1) and
    ``model.prior_entropy`` for any other prior. A singular value counts how far the data move for
    one unit of its latent direction; those near zero are unused. What was fitted to the codes
    afterwards (``model.latents``) is left aside.

    Args:
        model: any model of the contract.
        n: how many codes are drawn.
        condition: ``(n, …)`` or nothing.
        generator: where the codes come from.

    Returns:
        A :class:`Spectrum`; means are over ``n`` codes.

    Source: MLAE App. E.2, eq. 117, Fig. 7.

    >>> from companion.models import MLAE
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> decoder_spectrum(MLAE(MLP(4, 2), MLP(2, 4), (4,), 2), n=8).mean.shape
    torch.Size([2])
    """
    with evaluating(model):
        z = model.draw_codes(n, generator)
        values = jacobians.singular_values(model.decode, z, condition).cpu()
        entropy = model.prior_entropy(z) + float(values.log().sum(-1).mean())
    return Spectrum(values.mean(0), values.std(0), entropy, n)
