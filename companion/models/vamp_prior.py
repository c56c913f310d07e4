"""A richer prior of a VAE: a mixture of its posteriors.

A richer posterior needs no module of its own: it is :func:`companion.networks.flows.iaf` with the
encoder's numbers as its condition.
"""

import torch
from torch import Generator, Tensor, nn

from companion.models.base import standard_normal_nll
from companion.models.gaussian import as_posterior


class VampPrior(nn.Module):
    """A prior made of posteriors: p(z) = (1/K) Σ q(z | uₖ) at learned pseudo-inputs uₖ.

    Args:
        encoder: the VAE's own encoder.
        pseudo_inputs: where the uₖ start, ``(K, *data)``; training samples, say.
        latent_dim: size of one code.
        covariance: the VAE's.

    Source: Tomczak & Welling (2018), *VAE with a VampPrior*.

    >>> from companion.networks import MLP
    >>> _ = torch.manual_seed(0)
    >>> prior = VampPrior(MLP(3, 4), torch.randn(5, 3), latent_dim=2)
    >>> prior.log_prob(prior.sample(7)).shape
    torch.Size([7])
    """

    def __init__(
        self,
        encoder: nn.Module,
        pseudo_inputs: Tensor,
        latent_dim: int,
        covariance: str = "diagonal",
    ):
        super().__init__()
        self.encoder, self.latent_dim, self.covariance = encoder, latent_dim, covariance
        self.pseudo_inputs = nn.Parameter(pseudo_inputs.clone())

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Start at these samples, ``(n, *data)``; where they are fewer than K, the rest stay."""
        self.pseudo_inputs[: len(x)] = x[: len(self.pseudo_inputs)]

    def components(self) -> tuple[Tensor, Tensor]:
        """Means ``(K, latent)`` and lower Cholesky factors ``(K, latent, latent)``."""
        q = as_posterior(self.encoder(self.pseudo_inputs), self.latent_dim, self.covariance)
        return q.mean, q.scale if q.scale.dim() == 3 else torch.diag_embed(q.scale)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(batch, latent) -> (batch,)``, in nats."""
        mean, scale = self.components()
        away = (z[:, None] - mean)[..., None]  # (batch, K, latent, 1)
        white = torch.linalg.solve_triangular(scale, away, upper=False)[..., 0]
        log_det = scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        logs = -standard_normal_nll(white) - log_det  # (batch, K)
        return logs.logsumexp(1) - torch.tensor(float(len(mean))).log()

    def sample(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw ``(n, latent)``; the temperature scales the spread about each component's mean."""
        mean, scale = self.components()
        where = mean.device if generator is None else generator.device
        k = torch.randint(len(mean), (n,), generator=generator, device=where).to(mean.device)
        options = {"generator": generator, "device": where, "dtype": mean.dtype}
        noise = torch.randn(n, self.latent_dim, 1, **options).to(mean.device)
        return mean[k] + temperature * (scale[k] @ noise)[..., 0]
