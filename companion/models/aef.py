"""Autoencoders within flows: an encoder and a decoder as two affine layers of an invertible map."""

from functools import partial
from math import expm1, log, prod
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from companion.contracts import LogProb, Map, bind
from companion.models.base import SAMPLES, Model, standard_normal_nll
from companion.networks.flows import Flow
from companion.networks.preprocess import Preprocess, dequantise, requantise

SMALLEST = 1e-5  # below every learned scale, as in the authors' code
POINTS = 4096  # how many codes `log_prob` decodes at once
PLACES = ("center", "corner", "random")


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


def core_mask(
    data_shape: tuple[int, ...],
    latent_dim: int,
    place: str = "center",
    generator: Generator | None = None,
) -> Tensor:
    """Which numbers of a sample are the core: a boolean mask with ``latent_dim`` true entries.

    Args:
        data_shape: shape of one sample; with three axes the first holds channels.
        latent_dim: how many.
        place: ``center`` or ``corner``, the numbers nearest to it, or ``random``.
        generator: of the random choice.

    Raises:
        ValueError: for an unknown place.

    Source: AEF §3.2, §5.

    >>> core_mask((1, 4, 4), 4).int()[0].tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    if place not in PLACES:
        raise ValueError(f"core_mask: place must be one of {', '.join(PLACES)}, got {place!r}")
    if place == "random":
        order = torch.rand(data_shape, generator=generator)
    else:
        sides = data_shape[1:] if len(data_shape) == 3 else data_shape
        target = [(side - 1) / 2 if place == "center" else 0 for side in sides]
        away = [(torch.arange(s) - t).abs() for s, t in zip(sides, target, strict=True)]
        order = torch.stack(torch.meshgrid(*away, indexing="ij")).amax(0).expand(data_shape)
    chosen = order.flatten().argsort(stable=True)[:latent_dim]
    mask = torch.zeros(prod(data_shape), dtype=torch.bool)
    mask[chosen] = True
    return mask.view(data_shape)


class AEF(Model):
    """An autoencoder within a flow on the model contract.

    With a mask as ``core`` it is a partition model, exactly invertible and with an exact
    likelihood. With a network as ``core``, w = h(x) expands the data; then the loss is
    −log p(x, w), *not* a bound on −log p(x): scaling h down and n⁻¹ up by a changes no code and no
    reconstruction, and lowers the loss by d log a. Compare such models by :meth:`log_prob`.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, 2·latent)``, see
            :func:`as_affine`; a partition model shows it the data with zeros for the core.
        decoder: network ``(batch, latent)[, condition] -> (batch, *data)``; a partition model
            uses its shell entries only.
        data_shape: shape of one sample.
        latent_dim: size of one code, the paper's D.
        core: a boolean mask (:func:`core_mask`) or h ``(batch, *data) -> (batch, latent)``, linear
            or learned in any other way.
        core_encoder: n⁻¹ as a flow, or nothing for the identity.
        prior: p₀ with ``log_prob(z)`` and ``sample(n, generator, temperature)``, or nothing for a
            standard normal.
        residual_scale: where σ starts; it is learned through softplus.
        per_pixel: one residual scale for each number of the shell (the authors' code) instead of
            one for all (the paper's equations).
        preprocess: invertible layers before everything else, say logit and ActNorm.
        levels: how many values one number takes, to dequantise with fresh noise in every step;
            nothing for continuous data.

    Raises:
        ValueError: for a mask of another shape or number of entries, or a scale out of range.

    Source: AEF §3.

    >>> from companion.networks import MLP, flows
    >>> _ = torch.manual_seed(0)
    >>> model = AEF(MLP(4, 4), MLP(2, 4), (4,), 2, core_mask((4,), 2), flows.iaf(2), flows.maf(2))
    >>> model.log_prob(torch.rand(3, 4)).kind
    'exact'
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        core: Tensor | nn.Module,
        core_encoder: Flow | None = None,
        prior: nn.Module | None = None,
        residual_scale: float = 1.0,
        per_pixel: bool = False,
        preprocess: Preprocess | None = None,
        levels: int | None = None,
    ):
        super().__init__(data_shape, latent_dim)
        self.encoder, self.decoder = encoder, decoder
        self.core_encoder, self.prior = core_encoder, prior
        self.preprocess = preprocess or Preprocess()
        self.options = {"levels": levels}
        self.partition = isinstance(core, Tensor)
        if self.partition:
            self._check(core)
            core = core.flatten().to(torch.uint8)
            order = core.argsort(descending=True, stable=True)  # core first, then shell
            self.register_buffer("order", order)
            self.register_buffer("back", order.argsort())
        else:
            self.expand = core
        shell = (prod(data_shape) - latent_dim,) if self.partition else self.data_shape
        if not residual_scale > SMALLEST:
            raise ValueError(f"AEF: residual_scale must exceed {SMALLEST}, got {residual_scale}")
        start = log(expm1(residual_scale - SMALLEST))  # softplus gives the scale
        self.raw_scale = nn.Parameter(torch.full(shell if per_pixel else (1,), start))
        self.register_buffer("proposal_scale", torch.tensor(0.1))

    def _check(self, mask: Tensor) -> None:
        if mask.dtype != torch.bool or mask.shape != self.data_shape:
            raise ValueError(
                f"AEF: the core's mask must be boolean of shape {self.data_shape}, got "
                f"{mask.dtype} of shape {tuple(mask.shape)}"
            )
        if not int(mask.sum()) == self.latent_dim < mask.numel():
            raise ValueError(
                f"AEF: the core must be {self.latent_dim} of {mask.numel()} numbers, as many as "
                f"latents and not all, got {int(mask.sum())}"
            )

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

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> AEFTerms:
        """The terms of :func:`aef_loss`; ``draws`` as :meth:`draw` makes them."""
        latents = self.transform(x, condition, **draws)
        return aef_loss(latents, self.residual_scale, self.prior)

    def transform(
        self, x: Tensor, condition: Tensor | None = None, u: Tensor | float = 0.5
    ) -> Latents:
        """All that ``x`` becomes, with the log-determinant of preprocessing and Φ⁻¹ together."""
        y, log_det = self.preprocess(self._dequantise(self.data(x), u))
        shell, core = self._split(y)
        latents = self._map(shell, core, self._affine(shell, condition), condition)
        return latents._replace(log_det=log_det + latents.log_det)

    def invert(
        self, z: Tensor, delta: Tensor | float = 0.0, condition: Tensor | None = None
    ) -> Tensor:
        """Back to the data: shell = f(z) + δ, core = n((z − g_m(shell))/g_s(shell)) (AEF eq. 8)."""
        shell = self._decode_shell(z, condition) + delta
        if self.partition:
            mean, scale = self._affine(shell, condition)
            core = (z - mean) / scale
            if self.core_encoder is not None:
                core = self.core_encoder.inverse(core).value
            shell = self._join(core, shell)
        x = self.preprocess.inverse(shell).value
        levels = self.options["levels"]
        return x if levels is None else requantise(x, levels)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.transform(x, condition).z

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.invert(z, condition=condition)

    def draw_codes(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw z from the prior, a flow's through its base at ``temperature``: ``(n, latent)``."""
        if self.prior is None:
            return super().draw_codes(n, generator, temperature)
        return self.prior.sample(n, generator, temperature)

    def prior_entropy(self, z: Tensor) -> float:
        if self.prior is None:
            return super().prior_entropy(z)
        return -float(self.prior.log_prob(z).mean())

    def log_prob(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        num_samples: int = SAMPLES,
        generator: Generator | None = None,
    ) -> LogProb:
        """log p(x): exact for a partition, else log (1/K) Σₖ p(x, wₖ)/q(wₖ), wₖ ~ N(h(x), ε²).

        The importance weights are AEF eqs 17 and 18 *with* the −log K that the authors' code lacks;
        ε is the buffer ``proposal_scale``, see :meth:`tune_proposal`. Data with levels are
        dequantised once. Without a generator the chance is always the same.
        """
        x = self.data(x)
        generator = generator or Generator(x.device).manual_seed(0)
        draws, once = self.draw(x, generator), ""
        if draws:
            once = ", of data dequantised once"
        if self.partition:
            return LogProb(-self.loss(x, condition, **draws).loss, "exact" + once)
        y, log_det = self.preprocess(self._dequantise(x, **draws))
        value = log_det + self._importance_sampled(y, condition, num_samples, generator)
        kind = f"importance-sampled, {num_samples} cores around h(x), low on average"
        return LogProb(value, kind + once)

    def _importance_sampled(
        self, y: Tensor, condition: Tensor | None, num_samples: int, generator: Generator
    ) -> Tensor:
        core, affine = self._split(y)[1], self._affine(y, condition)
        random = {"generator": generator, "device": y.device, "dtype": y.dtype}
        log_weights = []
        for noise in torch.randn(num_samples, *core.shape, **random).split(POINTS // len(y) + 1):
            many, *told = (_repeat(t, len(noise)) for t in (y, *affine))
            c = None if condition is None else _repeat(condition, len(noise))
            w = (core + self.proposal_scale * noise).flatten(0, 1)
            latents = self._map(many, w, Affine(*told), c)
            log_joint = -aef_loss(latents, self.residual_scale, self.prior).loss
            log_q = -standard_normal_nll(noise) - self.latent_dim * self.proposal_scale.log()
            log_weights.append(log_joint.view(noise.shape[:2]) - log_q)
        return torch.cat(log_weights).logsumexp(0) - log(num_samples)

    def _map(
        self, shell: Tensor, core: Tensor, affine: Affine, condition: Tensor | None
    ) -> Latents:
        decode = partial(self._decode_shell, condition=condition)
        return aef_map(shell, core, lambda _: affine, decode, self.core_encoder)

    @torch.no_grad()
    def tune_proposal(
        self, x: Tensor, condition: Tensor | None = None, num_samples: int = SAMPLES
    ) -> float:
        """Set ε to the best of a grid on these validation data, and return it (AEF App. C).

        The estimate is low on average whatever ε is, so that the largest mean is the nearest.
        """
        scores = {}
        for scale in torch.logspace(-4, 1, 16).tolist():
            self.proposal_scale.fill_(scale)
            scores[scale] = float(self.log_prob(x, condition, num_samples).value.mean())
        best = max(scores, key=scores.get)
        self.proposal_scale.fill_(best)
        return best

    def _dequantise(self, x: Tensor, u: Tensor | float = 0.5) -> Tensor:
        levels = self.options["levels"]
        return x if levels is None else dequantise(x, u, levels)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        if not self.partition:
            return y, bind(self.expand, None, "AEF: the core", (self.latent_dim,))(y)
        ordered = y.flatten(1)[:, self.order]
        return ordered[:, self.latent_dim :], ordered[:, : self.latent_dim]

    def _join(self, core: Tensor, shell: Tensor) -> Tensor:
        return torch.cat([core, shell], dim=1)[:, self.back].reshape(len(core), *self.data_shape)

    def _affine(self, shell: Tensor, condition: Tensor | None = None) -> Affine:
        if self.partition:
            shell = self._join(shell.new_zeros(len(shell), self.latent_dim), shell)
        return as_affine(self.bound("encoder", condition)(shell))

    @property
    def encoder_size(self) -> int:
        """What :func:`as_affine` reads."""
        return 2 * self.latent_dim

    def _decode_shell(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x_hat = self.bound("decoder", condition)(z)
        return self._split(x_hat)[0] if self.partition else x_hat


def _repeat(t: Tensor, times: int) -> Tensor:
    """``(batch, …) -> (times·batch, …)``, the whole batch again and again."""
    return t.expand(times, *t.shape).flatten(0, 1)
