"""The VAE that an autoencoder within flows is compared with: the same parts, noise for a core."""

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb
from companion.models.ambient import (
    AEFTerms,
    Affine,
    AmbientModel,
    Latents,
    aef_loss,
)
from companion.models.base import SAMPLES, standard_normal_nll
from companion.networks.flows import Flow
from companion.networks.preprocess import Preprocess


class FlowVAE(AmbientModel):
    """A VAE with a flow after its posterior and one as its prior, on dequantised pixels.

    z = n(g_m(x) + g_s(x) ⊙ ε) with ε ~ N(0, 1) and a posterior flow n; its loss is −ELBO on one
    draw, −log p₀(z) − log r(x − f(z)) − log|det ∂z/∂ε| + log N(ε): that of
    :func:`companion.models.aef_loss` with noise for the core, and log N(ε).

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, 2·latent)``, see
            :func:`companion.models.ambient.as_affine`.
        decoder: network ``(batch, latent)[, condition] -> (batch, *data)``.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        posterior_flow: n, or nothing for the identity; it is told nothing of x.
        prior: p₀ with ``log_prob(z)`` and ``sample(n, generator, temperature)``, or nothing for a
            standard normal.
        residual_scale: as ``per_pixel``, ``preprocess`` and ``levels`` of
            :class:`companion.models.AEF`.
        per_pixel: see there.
        preprocess: see there.
        levels: see there.

    Source: AEF §2, §5 (its baseline), App. D.

    >>> from companion.networks import MLP, flows
    >>> _ = torch.manual_seed(0)
    >>> model = FlowVAE(MLP(4, 4), MLP(2, 4), (4,), 2, flows.iaf(2), flows.maf(2))
    >>> model.log_prob(torch.rand(3, 4)).kind
    'importance-sampled, 128 codes from the posterior, low on average'
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        posterior_flow: Flow | None = None,
        prior: nn.Module | None = None,
        residual_scale: float = 1.0,
        per_pixel: bool = False,
        preprocess: Preprocess | None = None,
        levels: int | None = None,
    ):
        super().__init__(
            encoder, decoder, data_shape, latent_dim, posterior_flow, prior, residual_scale,
            tuple(data_shape) if per_pixel else None, preprocess, levels,
        )  # fmt: skip

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        random = {"generator": generator, "device": x.device, "dtype": x.dtype}
        noise = torch.randn(len(x), self.latent_dim, **random)
        return super().draw(x, generator) | {"noise": noise}

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> AEFTerms:
        """The terms of :func:`companion.models.aef_loss`; their ``loss`` is −ELBO."""
        terms = aef_loss(self.transform(x, condition, **draws), self.residual_scale, self.prior)
        return terms._replace(loss=terms.loss - standard_normal_nll(draws["noise"]))

    def transform(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        u: Tensor | float = 0.5,
        noise: Tensor | float = 0.0,
    ) -> Latents:
        """Code and residuals for given noise ε, by default that of the posterior's middle."""
        y, log_det = self.preprocess(self._dequantise(self.data(x), u))
        core = y.new_zeros(len(y), self.latent_dim) + noise
        latents = self.mapped(y, core, self._affine(y, condition), condition)
        return latents._replace(log_det=log_det + latents.log_det)

    def invert(
        self, z: Tensor, delta: Tensor | float = 0.0, condition: Tensor | None = None
    ) -> Tensor:
        """Back to the data: f(z) + δ without what was done to them before."""
        return self.restored(self.bound("decoder", condition)(z) + delta)

    def draw_posterior(self, x: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes for given noise: ``(samples, batch, latent)``, like the noise."""
        return torch.stack([self.transform(x, condition, noise=one).z for one in noise])

    def log_prob(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        num_samples: int = SAMPLES,
        generator: Generator | None = None,
    ) -> LogProb:
        """log (1/K) Σₖ p(x, zₖ)/q(zₖ | x), zₖ ~ q(z | x) (AEF App. D.6).

        Data with levels are dequantised once. Without a generator the chance is always the same.
        """
        x = self.data(x)
        generator = generator or Generator(x.device).manual_seed(0)
        once = super().draw(x, generator)
        y, log_det = self.preprocess(self._dequantise(x, **once))
        middle = y.new_zeros(len(y), self.latent_dim)
        sampling = 1.0, condition, num_samples, generator
        value = log_det + self._importance_sampled(y, middle, *sampling)
        kind = f"importance-sampled, {num_samples} codes from the posterior, low on average"
        return LogProb(value, kind + ", of data dequantised once" * bool(once))

    def mapped(
        self, shell: Tensor, core: Tensor, affine: Affine, condition: Tensor | None
    ) -> Latents:
        mean, scale = affine
        z, log_det = mean + scale * core, scale.log().sum(-1)
        if self.core_encoder is not None:
            z, change = self.core_encoder(z)
            log_det = log_det + change
        return Latents(z, shell - self.bound("decoder", condition)(z), log_det)
