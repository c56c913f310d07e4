"""Richer posteriors and priors of a VAE: linear-time flows and a mixture of posteriors.

An inverse autoregressive posterior needs no module of its own: it is
:func:`companion.networks.flows.iaf` with the encoder's numbers as its condition.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from companion.models.base import standard_normal_nll
from companion.models.gaussian import as_posterior


class HouseholderFlow(nn.Module):
    """Reflections z ← z − 2v(vᵀz)/‖v‖², one after the other: a posterior turned at no cost.

    Each v is a linear map of the encoder's numbers, so that a diagonal Gaussian becomes one with a
    covariance of its own for each sample; the log-determinant is zero.

    Args:
        latent_dim: size of one code.
        condition_dim: how many numbers the encoder returns.
        steps: reflections.

    Source: Tomczak & Welling (2016), *Improving variational auto-encoders using Householder flow*.

    >>> _ = torch.manual_seed(0)
    >>> z, log_det = HouseholderFlow(2, 4)(torch.tensor([[3.0, 4.0]]), torch.randn(1, 4))
    >>> z.norm().round(), log_det
    (tensor(5., grad_fn=<RoundBackward0>), tensor([0.]))
    """

    def __init__(self, latent_dim: int, condition_dim: int, steps: int = 4):
        super().__init__()
        self.latent_dim, self.steps = latent_dim, steps
        self.directions = nn.Linear(condition_dim, steps * latent_dim)

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, latent), (batch, condition) -> (batch, latent), (batch,)``."""
        for v in F.normalize(self.directions(h).unflatten(1, (self.steps, -1)), dim=-1).unbind(1):
            z = z - 2 * v * (v * z).sum(-1, keepdim=True)
        return z, z.new_zeros(len(z))


class PlanarFlow(nn.Module):
    """z ← z + û tanh(wᵀz + b), whose log-determinant log|1 + ûᵀw tanh'| takes linear time.

    û is u moved along w until ûᵀw > −1, which makes every step invertible. This is the flow of the
    paper that MLAE Table 2 cites for its "VAE-lin NF": linear in time, not in z.

    Args:
        latent_dim: size of one code.
        condition_dim: how many numbers the encoder returns; they give u, w and b.
        steps: how many planes.

    Source: Rezende & Mohamed (2015), *Variational inference with normalizing flows*, eq. 10 and
    App. A.

    >>> _ = torch.manual_seed(0)
    >>> z, log_det = PlanarFlow(2, 4)(torch.randn(3, 2), torch.randn(3, 4))
    >>> z.shape, log_det.shape
    (torch.Size([3, 2]), torch.Size([3]))
    """

    def __init__(self, latent_dim: int, condition_dim: int, steps: int = 4):
        super().__init__()
        self.latent_dim, self.steps = latent_dim, steps
        self.planes = nn.Linear(condition_dim, steps * (2 * latent_dim + 1))

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, latent), (batch, condition) -> (batch, latent), (batch,)``."""
        log_det = z.new_zeros(len(z))
        for plane in self.planes(h).unflatten(1, (self.steps, -1)).unbind(1):
            u, w, b = plane.split([self.latent_dim, self.latent_dim, 1], dim=1)
            inner = (u * w).sum(1, keepdim=True)
            u = u + (F.softplus(inner) - 1 - inner) * w / w.square().sum(1, keepdim=True)
            t = torch.tanh((w * z).sum(1, keepdim=True) + b)  # (batch, 1)
            slope = 1 + (1 - t.square()) * (u * w).sum(1, keepdim=True)
            z, log_det = z + u * t, log_det + slope.log().squeeze(1)
        return z, log_det


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
