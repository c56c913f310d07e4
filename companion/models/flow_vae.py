"""The VAE that an autoencoder within flows is compared with: the same parts, noise for a core."""

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb
from companion.models.aef import AEF, AEFTerms, Affine, Latents, aef_loss
from companion.models.base import SAMPLES, standard_normal_nll
from companion.networks.flows import Flow


class FlowVAE(AEF):
    """A VAE with a flow after its posterior and one as its prior, on dequantised pixels.

    z = n(g_m(x) + g_s(x) ⊙ ε) with ε ~ N(0, 1) and a posterior flow n; its loss is −ELBO on one
    draw, −log p₀(z) − log r(x − f(z)) − log|det ∂z/∂ε| + log N(ε): that of
    :func:`companion.models.aef_loss` with noise for the core, and log N(ε).

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, 2·latent)``, see
            :func:`companion.models.aef.as_affine`.
        decoder: network ``(batch, latent)[, condition] -> (batch, *data)``.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        posterior_flow: n, or nothing for the identity; it is told nothing of x.
        prior: p₀ with ``log_prob(z)`` and ``sample(n, generator, temperature)``, or nothing for a
            standard normal.
        options: ``residual_scale``, ``per_pixel``, ``preprocess`` and ``levels``, as of
            :class:`companion.models.AEF`.

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
        **options,
    ):
        networks = encoder, decoder, data_shape, latent_dim
        super().__init__(*networks, nn.Identity(), posterior_flow, prior, **options)
        self.proposal_scale.fill_(1.0)

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
        latents = self._map(y, core, self._affine(y, condition), condition)
        return latents._replace(log_det=log_det + latents.log_det)

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
        value = log_det + self._importance_sampled(y, condition, num_samples, generator)
        kind = f"importance-sampled, {num_samples} codes from the posterior, low on average"
        return LogProb(value, kind + ", of data dequantised once" * bool(once))

    def tune_proposal(self, *_, **__) -> float:
        """The posterior proposes: nothing is to be tuned."""
        return float(self.proposal_scale)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return y, y.new_zeros(len(y), self.latent_dim)

    def _map(
        self, shell: Tensor, core: Tensor, affine: Affine, condition: Tensor | None
    ) -> Latents:
        mean, scale = affine
        z, log_det = mean + scale * core, scale.log().sum(-1)
        if self.core_encoder is not None:
            z, change = self.core_encoder(z)
            log_det = log_det + change
        return Latents(z, shell - self._decode_shell(z, condition), log_det)
