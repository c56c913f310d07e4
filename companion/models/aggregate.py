"""Penalties on the codes of a whole batch: does the aggregate posterior look like the prior?"""

from math import log, pi
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion.contracts import LogProb
from companion.models.base import Model
from companion.models.gaussian import as_posterior
from companion.models.vae import VAE, vae_loss

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


class AggregateTerms(NamedTuple):
    """The VAE's terms and the penalty, each ``(batch,)``."""

    reconstruction: Tensor  # ‖x̂ − x‖²
    kl: Tensor  # KL(q(z | x) ‖ p(z)), in nats
    penalty: Tensor  # MMD² or total correlation, before its weight
    loss: Tensor  # the VAE's loss + weight·penalty


class AggregateVAE(Model):
    """A VAE that also pays for the shape of its aggregate posterior: InfoVAE and β-TC-VAE.

    ==========  =========================  ======================  ==============
    name         penalty                    its weight              VAE's KL weight
    ==========  =========================  ======================  ==============
    InfoVAE      ``mmd``                    α + λ − 1               1 − α
    β-TC-VAE     ``total_correlation``      β − 1                   1
    ==========  =========================  ======================  ==============

    Args:
        vae: with a diagonal posterior, no posterior flow and the estimator ``elbo``.
        penalty: ``mmd`` or ``total_correlation``.
        weight: see the table.
        kernel: of the MMD.

    Raises:
        ValueError: for another VAE, an unknown penalty or kernel.

    Source: Zhao et al. (2019), eq. 6; Chen et al. (2018), eq. 4.

    >>> from companion.networks import MLP
    >>> _ = torch.manual_seed(0)
    >>> model = AggregateVAE(VAE(MLP(3, 4), MLP(2, 3), (3,), 2), "total_correlation", weight=5.0)
    >>> model.loss(torch.randn(8, 3)).loss.shape
    torch.Size([8])
    """

    def __init__(self, vae: VAE, penalty: str, weight: float, kernel: str = "imq"):
        super().__init__(vae.data_shape, vae.latent_dim)
        self.compares_samples = True
        if penalty not in ("mmd", "total_correlation"):
            raise ValueError(
                f"AggregateVAE: penalty must be mmd or total_correlation, got {penalty!r}"
            )
        if kernel not in KERNELS:
            raise ValueError(f"AggregateVAE: kernel must be imq or rbf, got {kernel!r}")
        if vae.options != {"covariance": "diagonal", "estimator": "elbo"} or vae.posterior_flow:
            raise ValueError(
                "AggregateVAE: the VAE must have a diagonal posterior, no posterior flow and the "
                f"estimator elbo, got {vae.options}"
            )
        self.vae, self.options = vae, {"penalty": penalty, "kernel": kernel}
        self.register_buffer("weight", torch.tensor(float(weight)))

    def prepare(self, x: Tensor) -> None:
        self.vae.prepare(x)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.vae.encode(x, condition)

    def draw_posterior(self, x: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """The VAE's codes for given noise: ``(samples, batch, latent)``."""
        return self.vae.draw_posterior(x, noise, condition)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.vae.decode(z, condition)

    def draw_codes(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return self.vae.draw_codes(n, generator, temperature)

    def prior_entropy(self, z: Tensor) -> float:
        return self.vae.prior_entropy(z)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        draws = self.vae.draw(x, generator)
        if self.options["penalty"] == "mmd":
            draws["prior"] = self.vae.draw_codes(len(x), generator).detach()
        return draws

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> AggregateTerms:
        """``draws`` as :meth:`draw` makes them."""
        vae = self.vae
        h = vae.bound("encoder", condition)(x)
        terms = vae_loss(
            x, lambda *_: h, vae.decoder, vae.variance, draws["noise"], condition,
            kl_weight=vae.kl_weight, prior=vae.prior,
        )  # fmt: skip
        q = as_posterior(h, self.latent_dim)
        z = q.mean + q.scale * draws["noise"][0]
        if self.options["penalty"] == "mmd":
            penalty = mmd(z, draws["prior"], self.options["kernel"])
        else:
            penalty = total_correlation(z, *q)
        loss = terms.loss + self.weight * penalty
        return AggregateTerms(terms.reconstruction, terms.kl, penalty, loss)

    def log_prob(self, x: Tensor, condition: Tensor | None = None, **options) -> LogProb:
        """The VAE's, importance-sampled."""
        options = {"differentiable": torch.is_grad_enabled()} | options
        return self.vae.log_prob(x, condition, **options)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        changed = self.vae.advance(progress, epoch)
        return {f"vae.{name}": value for name, value in changed.items()}
