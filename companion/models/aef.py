"""Autoencoders within flows: an encoder and a decoder as two affine layers of an invertible map."""

from functools import partial
from math import prod

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb, bind
from companion.models.ambient import (
    AEFTerms,
    Affine,
    AmbientModel,
    Latents,
    aef_loss,
    aef_map,
)
from companion.models.base import SAMPLES
from companion.networks.flows import Flow
from companion.networks.preprocess import Preprocess

PLACES = ("center", "corner", "random")


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


class AEF(AmbientModel):
    """An autoencoder within a flow on the model contract.

    With a mask as ``core`` it is a partition model, exactly invertible and with an exact
    likelihood. With a network as ``core``, w = h(x) expands the data; then the loss is
    −log p(x, w), *not* a bound on −log p(x): scaling h down and n⁻¹ up by a changes no code and no
    reconstruction, and lowers the loss by d log a. Compare such models by :meth:`log_prob`.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, 2·latent)``, see
            :func:`companion.models.ambient.as_affine`; a partition model shows it the data with
            zeros for the core.
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
        self.partition = isinstance(core, Tensor)
        shell = (prod(data_shape) - latent_dim,) if self.partition else tuple(data_shape)
        super().__init__(
            encoder, decoder, data_shape, latent_dim, core_encoder, prior, residual_scale,
            shell if per_pixel else None, preprocess, levels,
        )  # fmt: skip
        if self.partition:
            self._check(core)
            core = core.flatten().to(torch.uint8)
            order = core.argsort(descending=True, stable=True)  # core first, then shell
            self.register_buffer("order", order)
            self.register_buffer("back", order.argsort())
        else:
            self.expand = core
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

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> AEFTerms:
        """The terms of :func:`companion.models.aef_loss`; ``draws`` as :meth:`draw` makes them."""
        latents = self.transform(x, condition, **draws)
        return aef_loss(latents, self.residual_scale, self.prior)

    def transform(
        self, x: Tensor, condition: Tensor | None = None, u: Tensor | float = 0.5
    ) -> Latents:
        """All that ``x`` becomes, with the log-determinant of preprocessing and Φ⁻¹ together."""
        y, log_det = self.preprocess(self._dequantise(self.data(x), u))
        shell, core = self._split(y)
        latents = self.mapped(shell, core, self._affine(shell, condition), condition)
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
        return self.restored(shell)

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
        core = self._split(y)[1]
        sampling = self.proposal_scale, condition, num_samples, generator
        value = log_det + self._importance_sampled(y, core, *sampling)
        kind = f"importance-sampled, {num_samples} cores around h(x), low on average"
        return LogProb(value, kind + once)

    def mapped(
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
        return super()._affine(shell, condition)

    def _decode_shell(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        x_hat = self.bound("decoder", condition)(z)
        return self._split(x_hat)[0] if self.partition else x_hat
