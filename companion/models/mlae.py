"""The maximum-likelihood autoencoder: an unconstrained autoencoder with a log-volume term."""

from math import log10
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from companion import probes, volume
from companion.contracts import LogProb, Map, as_float, check_condition
from companion.models.base import (
    Model,
    check_batch_coupling,
    check_options,
    manifold_log_prob,
    refuse_counters,
    standard_normal_nll,
)
from companion.models.weight_schedules import Schedule, constant


class MLAETerms(NamedTuple):
    """The terms of MLAE eq. 20, each ``(batch,)``; they are what a training log shows."""

    prior: Tensor  # ½‖z‖² + (latent/2) log 2π, in nats
    surrogate: Tensor  # about the latent size near a good fit; its gradient is what matters
    reconstruction: Tensor  # ‖x̂ − x‖²
    loss: Tensor  # prior ∓ surrogate + β·reconstruction


def mlae_loss(
    x: Tensor,
    encode: Map,
    decode: Map,
    beta: float | Tensor,
    condition: Tensor | None = None,
    **options,
) -> MLAETerms:
    """The loss of a maximum-likelihood autoencoder, for any pair of callables.

    L(x) = ½‖z‖² + (d/2) log 2π − (1/K) Σₖ vₖᵀ f'(x) sg[g'(z) vₖ] + β‖x̂ − x‖², z = f(x), x̂ = g(z).

    With ``side="decoder"`` the surrogate is added instead of subtracted.

    Args:
        x: ``(batch, *data)``.
        encode: ``(batch, *data) -> (batch, latent)``.
        decode: ``(batch, latent) -> (batch, *data)``.
        beta: weight of the squared reconstruction error, a number or one per sample ``(batch,)``;
            β = 1/(2σ²) for an observation noise of variance σ².
        condition: second argument of both maps, or nothing.
        options: those of :func:`companion.volume.surrogate`.

    Returns:
        ``MLAETerms`` of per-sample tensors ``(batch,)``; average ``loss`` and differentiate.

    Raises:
        ValueError: when β is a negative number; see also :func:`companion.volume.surrogate`.

    Source: MLAE eqs 8 and 20.

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> encoder, decoder = MLP(2, 1), MLP(1, 2)
    >>> terms = mlae_loss(torch.randn(8, 2), encoder, decoder, beta=10.0)
    >>> terms.loss.mean().backward(); terms.loss.shape
    torch.Size([8])
    """
    x = as_float(x, call="mlae_loss")
    if not isinstance(beta, Tensor) and not beta >= 0:
        raise ValueError(f"mlae_loss: beta must not be negative, got {beta}")
    if isinstance(beta, Tensor) and beta.shape not in ((), (len(x),)):
        raise ValueError(
            f"mlae_loss: beta must be a number or ({len(x)},), got {tuple(beta.shape)}"
        )
    for network in (encode, decode):
        if isinstance(network, nn.Module):
            refuse_counters(network)
    out = volume.surrogate(x, encode, decode, condition, **options)
    prior = standard_normal_nll(out.z)
    reconstruction = (out.x_hat - x).square().flatten(1).sum(-1)
    sign = -1 if options.get("side", "encoder") == "encoder" else 1
    loss = prior + sign * out.surrogate + beta * reconstruction
    return MLAETerms(prior, out.surrogate, reconstruction, loss)


class MLAE(Model):
    """A maximum-likelihood autoencoder on the model contract.

    The networks see one condition vector: what the user gives (say one-hot labels), then the noise
    level if ``noise_levels`` is set (SoftFlow), then log₁₀ β if ``beta_range`` is set.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, latent)``.
        decoder: network back.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        beta: weight of the reconstruction, a number or a schedule of (progress, epoch).
        noise_levels: largest σ of a SoftFlow noise level: each training sample gets its own
            σ ~ U(0, noise_levels) and is told it; at σ = 0 the clean data are modelled.
        beta_range: train for all β in this range at once, β log-uniform and told to the networks.
        options: those of :func:`companion.volume.surrogate` without tensors: ``num_probes, kind,
            side, space, at, mode, fraction``. With a fraction ``kind="batch-orthogonal"`` loses
            least; it is the first samples of a batch, which :func:`companion.training.fit`
            shuffles.

    Raises:
        ValueError: for a negative β or range, a batch-normalising layer that torch.func cannot
            differentiate, and for ``fraction < 1``, ``at="manifold"`` or ``mode="forward"`` with
            any batch-normalising layer, whose statistics would see other data than the batch.

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = MLAE(MLP(2, 1), MLP(1, 2), (2,), 1, beta=5.0)
    >>> model.sample(3).shape, model.log_prob(torch.zeros(4, 2)).kind
    (torch.Size([3, 2]), 'exact, on the manifold at the reconstruction')
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        beta: float | Schedule = 10.0,
        noise_levels: float | None = None,
        beta_range: tuple[float, float] | None = None,
        **options,
    ):
        super().__init__(data_shape, latent_dim)
        check_options("MLAE", options, volume.surrogate)
        self.encoder, self.decoder, self.options = encoder, decoder, options
        self.schedule = beta if callable(beta) else constant(beta)
        self.noise_levels, self.beta_range = noise_levels, beta_range
        self.register_buffer("beta", torch.tensor(float(self.schedule(0.0, 0))))
        if not self.beta >= 0:
            raise ValueError(f"MLAE: beta must not be negative, got {float(self.beta)}")
        if beta_range is not None and not 0 < beta_range[0] < beta_range[1]:
            raise ValueError(f"MLAE: beta_range must be 0 < low < high, got {beta_range}")
        if beta_range is not None and not beta_range[0] <= self.beta <= beta_range[1]:
            raise ValueError(
                f"MLAE: beta must lie in beta_range {beta_range}, got {float(self.beta)}"
            )
        asked = {"fraction": 1.0, "at": "data", "mode": "mixed"} | options
        twice = asked["fraction"] < 1 or asked["at"] == "manifold" or asked["mode"] == "forward"
        if check_batch_coupling(self) and twice:
            raise ValueError(
                "MLAE: fraction < 1, at='manifold' and mode='forward' run a network more than once "
                "or on a part of the batch; they need networks that treat samples independently, "
                "got one that normalises over the batch"
            )

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.data(x)
        return self.bound("encoder", self.extend(condition, x))(x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.bound("decoder", self.extend(condition, z))(z)

    def extend(
        self,
        condition: Tensor | None,
        like: Tensor,
        noise_level: Tensor | float = 0.0,
        beta: Tensor | None = None,
    ) -> Tensor | None:
        """The whole condition ``(batch, …)``: the user's part, the noise level, log₁₀ β."""
        parts = []
        if condition is not None:
            check_condition(condition, len(like), "MLAE", flat=True)
            parts.append(condition.to(like.dtype))
        ones = like.new_ones(len(like), 1)
        if self.noise_levels is not None:
            parts.append(
                torch.as_tensor(noise_level, device=like.device).to(like.dtype).view(-1, 1) * ones
            )
        if self.beta_range is not None:
            beta = self.beta if beta is None else beta
            parts.append(beta.to(like.dtype).log10().view(-1, 1) * ones)
        return torch.cat(parts, dim=1) if parts else None

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        draws = {}
        random = {"generator": generator, "device": x.device, "dtype": x.dtype}
        if self.noise_levels is not None:
            draws["noise_level"] = torch.rand(len(x), **random) * self.noise_levels
            draws["noise"] = torch.randn(x.shape, **random)
        if self.beta_range is not None:
            low, high = map(log10, self.beta_range)
            draws["beta"] = 10 ** (low + (high - low) * torch.rand(len(x), **random))
        some = self._num_chosen(x)
        in_data = self.options.get("space", "latent") == "data"
        like = x[:some] if in_data else x.new_empty(some, self.latent_dim)
        kind, num_probes = self.options.get("kind", "orthogonal"), self.options.get("num_probes", 1)
        draws["probes"] = probes.sample(kind, num_probes, like, generator, call="MLAE")
        return draws

    def loss(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        generator: Generator | None = None,
        **draws,
    ) -> MLAETerms:
        """The terms of :func:`mlae_loss`; ``draws`` as :meth:`draw` makes them.

        A ``fraction`` is the first samples of the batch, which must come in random order, unless
        ``index`` names others.
        """
        x = self.data(x)
        draws = dict(draws) if "probes" in draws else self.draw(x, generator) | draws
        draws.setdefault("index", slice(self._num_chosen(x)))
        beta = draws.pop("beta", self.beta)
        level, noise = draws.pop("noise_level", 0.0), draws.pop("noise", None)
        if noise is not None:
            x = x + level.view(-1, *[1] * (x.dim() - 1)) * noise
        whole = self.extend(condition, x, level, beta)
        return mlae_loss(x, self.encoder, self.decoder, beta, whole, **self.options, **draws)

    def _num_chosen(self, x: Tensor) -> int:
        return volume.num_chosen(self.options.get("fraction", 1.0), len(x))

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Exact, on the manifold: :func:`companion.models.base.manifold_log_prob`."""
        return manifold_log_prob(self, x, condition)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        value = self.schedule(progress, epoch)
        self.beta.fill_(value)
        return {"beta": self.beta}
