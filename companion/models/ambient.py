"""Densities of all numbers of a sample: a code and the residuals that the decoder leaves."""

from math import expm1, log
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from companion.contracts import Map, bind
from companion.models.base import WithPrior, standard_normal_nll
from companion.networks.flows import Flow
from companion.networks.preprocess import Preprocess, dequantise, requantise

SMALLEST = 1e-5  # below every learned scale, as in the authors' code
POINTS = 4096  # how many codes `log_prob` decodes at once


class Affine(NamedTuple):
    """What the shell says about the code: z = mean + scale ⊙ n⁻¹(core)."""

    mean: Tensor  # (batch, latent)
    scale: Tensor  # (batch, latent), positive


class AEFTerms(NamedTuple):
    """The terms of AEF eqs 7 and 10, each ``(batch,)``, in nats but for the first."""

    reconstruction: Tensor  # ‖δ‖² of the residuals, on the preprocessed scale
    residual: Tensor  # −log r(δ)
    prior: Tensor  # −log p₀(z)
    log_det: Tensor  # log|det DΦ⁻¹|
    loss: Tensor  # residual + prior − log_det


class Latents(NamedTuple):
    """Everything that a point becomes; from it the point comes back exactly."""

    z: Tensor  # (batch, latent)
    delta: Tensor  # (batch, *shell) the residuals
    log_det: Tensor  # (batch,)


def aef_map(
    shell: Tensor, core: Tensor, encode: Map, decode: Map, core_encoder: Flow | None = None
) -> Latents:
    """Φ⁻¹: (core, shell) ↦ (z, δ), z = g_m(shell) + g_s(shell) ⊙ n⁻¹(core), δ = shell − f(z).

    Args:
        shell: ``(batch, *shell)``.
        core: ``(batch, latent)``, some of the data or features of them.
        encode: ``(batch, *shell) -> Affine``.
        decode: ``(batch, latent) -> (batch, *shell)``.
        core_encoder: n⁻¹, a flow or nothing for the identity.

    Source: AEF eqs 4, 5 and 9. Its eq. 3 gives the loss of a flow with the log-determinant's sign
    wrong; the loss *subtracts* it, as its eqs 7 and 10 do.
    """
    mean, scale = encode(shell)
    log_det = scale.log().sum(-1)
    if core_encoder is not None:
        core, change = core_encoder(core)
        log_det = log_det + change
    z = mean + scale * core
    decode = bind(decode, None, "aef_map: the decoder", shell.shape[1:])
    return Latents(z, shell - decode(z), log_det)


def aef_loss(latents: Latents, scale: Tensor, prior=None) -> AEFTerms:
    """−log p₀(z) − log r(δ) − log|det DΦ⁻¹| with r(δ) = N(δ; 0, σ²).

    With noise ε for the core and no core encoder this is the VAE's loss on one sample without its
    constant: in expectation −ELBO + (d/2) log 2πe.

    Args:
        latents: what :func:`aef_map` returns.
        scale: σ of the residuals, one number or one for each of them.
        prior: has ``log_prob(z)``; a standard normal if nothing.

    Source: AEF eqs 7 and 10, Algorithm 1.

    >>> from companion.networks import MLP
    >>> _ = torch.manual_seed(0)
    >>> encode, f = (lambda x: as_affine(MLP(3, 2)(x))), MLP(1, 3)
    >>> latents = aef_map(torch.randn(8, 3), torch.randn(8, 1), encode, f)
    >>> aef_loss(latents, torch.tensor(1.0)).loss.shape
    torch.Size([8])
    """
    z, delta, log_det = latents
    delta = delta.flatten(1)
    sigma = scale.flatten().expand(delta.shape[1])
    residual = standard_normal_nll(delta / sigma) + sigma.log().sum()
    neg_log_prior = standard_normal_nll(z) if prior is None else -prior.log_prob(z)
    reconstruction = delta.square().sum(-1)
    loss = residual + neg_log_prior - log_det
    return AEFTerms(reconstruction, residual, neg_log_prior, log_det, loss)


def as_affine(h: Tensor) -> Affine:
    """Read an encoder network's ``(batch, 2·latent)`` numbers: means, and scales by softplus.

    >>> as_affine(torch.zeros(1, 2)).scale
    tensor([[0.6932]])
    """
    mean, raw = h.chunk(2, dim=-1)
    return Affine(mean, softplus(raw) + SMALLEST)


class AmbientModel(WithPrior):
    """A model whose density is one of all numbers of a sample, with what such models share.

    Abstract: :class:`companion.models.AEF` and :class:`companion.models.FlowVAE` give ``mapped``.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, 2·latent)``, see
            :func:`as_affine`.
        decoder: network ``(batch, latent)[, condition] -> (batch, *data)``.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        core_encoder: a flow over ``(batch, latent)``, or nothing for the identity.
        prior: p₀ with ``log_prob(z)`` and ``sample(n, generator, temperature)``, or nothing for a
            standard normal.
        residual_scale: where σ starts; it is learned through softplus.
        per_pixel: the shape of one residual, for a scale of each of its numbers (the authors'
            code), or nothing for one of all (the paper's equations).
        preprocess: invertible layers before everything else, say logit and ActNorm.
        levels: how many values one number takes, to dequantise with fresh noise in every step;
            nothing for continuous data.

    Raises:
        ValueError: for a scale out of range.

    Source: AEF §3, App. D.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        core_encoder: Flow | None,
        prior: nn.Module | None,
        residual_scale: float = 1.0,
        per_pixel: tuple[int, ...] | None = None,
        preprocess: Preprocess | None = None,
        levels: int | None = None,
    ):
        super().__init__(data_shape, latent_dim)
        self.encoder, self.decoder = encoder, decoder
        self.core_encoder, self.prior = core_encoder, prior
        self.preprocess = preprocess or Preprocess()
        self.options = {"levels": levels}
        if not residual_scale > SMALLEST:
            name = type(self).__name__
            raise ValueError(f"{name}: residual_scale must exceed {SMALLEST}, got {residual_scale}")
        start = log(expm1(residual_scale - SMALLEST))  # softplus gives the scale
        self.raw_scale = nn.Parameter(torch.full(per_pixel or (1,), start))

    def mapped(
        self, shell: Tensor, core: Tensor, affine: Affine, condition: Tensor | None
    ) -> Latents:
        """Code, residuals and log-determinant of preprocessed data and a core."""
        raise NotImplementedError

    @property
    def residual_scale(self) -> Tensor:
        """σ of the residuals: ``(1,)``, or one for each number of the shell."""
        return softplus(self.raw_scale) + SMALLEST

    def prepare(self, x: Tensor) -> None:
        self.preprocess.prepare(self._dequantise(x))

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        if self.options["levels"] is None:
            return {}
        return {"u": torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)}

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.transform(x, condition).z

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.invert(z, condition=condition)

    def restored(self, y: Tensor) -> Tensor:
        """From preprocessed data to data, of numbers with levels to these."""
        x = self.preprocess.inverse(y).value
        levels = self.options["levels"]
        return x if levels is None else requantise(x, levels)

    def _importance_sampled(
        self,
        y: Tensor,
        core: Tensor,
        scale: float | Tensor,
        condition: Tensor | None,
        num_samples: int,
        generator: Generator,
    ) -> Tensor:
        """log (1/K) Σₖ p(y, wₖ)/q(wₖ) of preprocessed data, wₖ ~ N(core, scale²)."""
        affine = self._affine(y, condition)
        random = {"generator": generator, "device": y.device, "dtype": y.dtype}
        log_weights = []
        for noise in torch.randn(num_samples, *core.shape, **random).split(POINTS // len(y) + 1):
            many, *told = (_repeat(t, len(noise)) for t in (y, *affine))
            c = None if condition is None else _repeat(condition, len(noise))
            w = (core + scale * noise).flatten(0, 1)
            latents = self.mapped(many, w, Affine(*told), c)
            log_joint = -aef_loss(latents, self.residual_scale, self.prior).loss
            log_q = -standard_normal_nll(noise) - self.latent_dim * torch.as_tensor(scale).log()
            log_weights.append(log_joint.view(noise.shape[:2]) - log_q)
        return torch.cat(log_weights).logsumexp(0) - log(num_samples)

    def _affine(self, shell: Tensor, condition: Tensor | None = None) -> Affine:
        return as_affine(self.bound("encoder", condition)(shell))

    def _dequantise(self, x: Tensor, u: Tensor | float = 0.5) -> Tensor:
        levels = self.options["levels"]
        return x if levels is None else dequantise(x, u, levels)

    @property
    def encoder_size(self) -> int:
        """What :func:`as_affine` reads."""
        return 2 * self.latent_dim


def _repeat(t: Tensor, times: int) -> Tensor:
    """``(batch, …) -> (times·batch, …)``, the whole batch again and again."""
    return t.expand(times, *t.shape).flatten(0, 1)
