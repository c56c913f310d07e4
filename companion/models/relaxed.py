"""Relaxed injective flows: an autoencoder whose decoder pays for how far it stretches volume."""

from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb, Map, as_float, bind
from companion.models.base import (
    Model,
    check_batch_coupling,
    manifold_log_prob,
)
from companion.models.weight_schedules import Schedule, constant
from companion.volume import bounds

Objective = Literal["log", "scale"]
SCHEDULED = ("mu", "mu_in")


class RelaxedTerms(NamedTuple):
    """The terms of RIF eqs 9 and 10, each ``(batch,)``."""

    prior: Tensor  # w‖z‖²
    bound: Tensor  # upper bound of the log-volume, in nats, with stretches below η raised to η
    injectivity: Tensor  # [‖Jv‖/‖v‖ − η]²₋, zero where no probe is squeezed below η
    reconstruction: Tensor  # ‖x̂ − x‖²
    loss: Tensor  # prior + bound + μ_in·injectivity + μ·reconstruction


def relaxed_loss(
    x: Tensor,
    encode: Map,
    decode: Map,
    probes: Tensor,
    condition: Tensor | None = None,
    *,
    objective: Objective = "log",
    mu: Tensor | float = 10.0,
    mu_in: Tensor | float = 1.0,
    eta: Tensor | float = 0.1,
    scale: Tensor | float = 1.0,
    prior_weight: Tensor | float = 0.5,
    how: bounds.How = "forward",
    epsilon: float = 0.01,
) -> RelaxedTerms:
    """The loss of a relaxed injective flow, for any pair of callables.

    L(x) = w‖z‖² + B(max(r, η)) + μ_in [r − η]²₋ + μ‖x̂ − x‖²,  r = ‖Jv‖/‖v‖, z = f(x), x̂ = g(z),

    with J the decoder's Jacobian at z and B the bound of :mod:`companion.volume.bounds`: eq. 7 for
    objective ``log``, which is the paper's eq. 9, eq. 4 for ``scale``, its eq. 10. Constants that
    the paper drops are kept, so that w‖z‖² + B bounds the negative log-likelihood up to the prior's
    normalisation. A positive r everywhere is necessary for an injective decoder, not sufficient:
    its manifold may still cross itself.

    Args:
        x: ``(batch, *data)``.
        encode: ``(batch, *data) -> (batch, latent)``.
        decode: ``(batch, latent) -> (batch, *data)``.
        probes: v, see :func:`companion.volume.bounds.draw`.
        condition: second argument of both maps, or nothing.
        objective: ``log`` or ``scale``.
        mu: μ, weight of the reconstruction; MLAE's β = 1/(2σ²).
        mu_in: weight of the injectivity penalty.
        eta: η, the smallest stretch that costs nothing.
        scale: λ of ``scale``.
        prior_weight: w = 1/(2σ²) for a prior N(0, σ²).
        how: how r is measured, see :func:`companion.volume.bounds.stretch`.
        epsilon: step of ``how="difference"``.

    Returns:
        ``RelaxedTerms`` of per-sample tensors ``(batch,)``.

    Source: RIF eqs 9 and 10.

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> terms = relaxed_loss(torch.randn(8, 2), MLP(2, 1), MLP(1, 2), torch.randn(1, 8, 1))
    >>> terms.loss.shape
    torch.Size([8])
    """
    x = as_float(x, call="relaxed_loss")
    z = bind(encode, condition, "relaxed_loss: the encoder", (None,))(x)
    decode = bind(decode, condition, "relaxed_loss: the decoder", x.shape[1:])
    x_hat, r = bounds.stretch(decode, z, probes, None, how, epsilon)  # r (probe, batch)
    raised = torch.maximum(r, torch.as_tensor(eta, dtype=r.dtype, device=r.device))
    if objective == "log":
        bound = bounds.log_stretch(raised, z.shape[1])
    else:
        bound = bounds.frobenius(raised, z.shape[1], scale)
    injectivity = (raised - r).square().mean(0)
    prior = prior_weight * z.square().sum(-1)
    reconstruction = (x_hat - x).square().flatten(1).sum(-1)
    loss = prior + bound + mu_in * injectivity + mu * reconstruction
    return RelaxedTerms(prior, bound, injectivity, reconstruction, loss)


def penalty(nu: float = 1.0, num_steps: int = 100_000) -> Schedule:
    """The paper's growing weight μ = 1 + i^ν/1000 at step i of ``num_steps``.

    A shorter run that keeps the paper's 100,000 here goes through the same values faster: up to 101
    for ν = 1 and up to 3,163 for ν = 1.3.

    Source: RIF §4.

    >>> penalty(1.0)(0.5, 0), round(penalty(1.3)(1.0, 0), 1)
    (51.0, 3163.3)
    """
    return partial(_power, nu, num_steps)


def _power(nu: float, num_steps: int, progress: float, epoch: int) -> float:
    return 1 + (progress * num_steps) ** nu / 1000


class RelaxedFlow(Model):
    """A relaxed injective flow on the model contract.

    Gradient clipping is :class:`companion.training.TrainConfig`'s; a decoder of unit spectral norms
    comes from :func:`companion.networks.spectral_norm`. Codes for sampling are best fitted after
    training (:mod:`companion.latents`): the aggregate posterior is not the prior.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, latent)``.
        decoder: network back.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        objective: ``log`` (InjFlowˡⁿ, eq. 9) or ``scale`` (InjFlow, eq. 10).
        mu: weight of the reconstruction, a number or a schedule such as :func:`penalty`.
        mu_in: the same for the injectivity penalty.
        eta: see :func:`relaxed_loss`.
        scale: λ of eq. 10.
        prior_weight: w = 1/(2σ²); ½ is the standard normal, 0 no prior at all.
        num_probes: v for each sample.
        kind: of the probes, see :func:`companion.probes.sample`.
        how: ``forward``, ``difference`` (eq. 8) or ``backward`` (‖Jᵀv‖).
        epsilon: step of ``difference``.

    Raises:
        ValueError: for an unknown objective or ``how``, a weight or threshold below zero, a λ or ε
            that is not positive.

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = RelaxedFlow(MLP(2, 1), MLP(1, 2), (2,), 1, mu=penalty(1.3))
    >>> float(model.advance(0.01, 0)["mu"]), model.sample(3).shape
    (8.943282127380371, torch.Size([3, 2]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        objective: Objective = "log",
        mu: float | Schedule = 10.0,
        mu_in: float | Schedule = 1.0,
        eta: float = 0.1,
        scale: float = 1.0,
        prior_weight: float = 0.5,
        num_probes: int = 1,
        kind: str = "sphere",
        how: bounds.How = "forward",
        epsilon: float = 0.01,
    ):
        super().__init__(data_shape, latent_dim)
        self.encoder, self.decoder = encoder, decoder
        self.options = {"objective": objective, "how": how, "epsilon": epsilon}
        self.num_probes, self.kind = num_probes, kind
        given = {"mu": mu, "mu_in": mu_in}
        self.schedules = {k: v if callable(v) else constant(v) for k, v in given.items()}
        numbers = {name: schedule(0.0, 0) for name, schedule in self.schedules.items()}
        numbers |= {"eta": eta, "scale": scale, "prior_weight": prior_weight}
        if objective not in get_args(Objective):
            raise ValueError(f"RelaxedFlow: objective must be log or scale, got {objective!r}")
        for name, value in numbers.items():
            if value < 0 or name == "scale" and value == 0:
                bound = "be positive" if name == "scale" else "not be negative"
                raise ValueError(f"RelaxedFlow: {name} must {bound}, got {value}")
            self.register_buffer(name, torch.tensor(float(value)))
        bounds.check(how, epsilon)
        check_batch_coupling(self)

    def extra_repr(self) -> str:
        return f"num_probes={self.num_probes}, kind={self.kind}"

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        how = self.options["how"]
        v = bounds.draw(how, x, self.latent_dim, self.num_probes, self.kind, generator)
        return {"probes": v}

    def draw_codes(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw z ~ N(0, (temperature·σ)²), σ² = 1/(2w): ``(n, latent)``."""
        if self.prior_weight == 0:
            raise ValueError(
                "RelaxedFlow: a prior weight of 0 leaves no prior to sample from; fit one to the "
                "codes with companion.latents"
            )
        return super().draw_codes(n, generator, temperature) / (2 * self.prior_weight).sqrt()

    def prior_entropy(self, z: Tensor) -> float:
        return super().prior_entropy(z) - 0.5 * self.latent_dim * float(
            (2 * self.prior_weight).log()
        )

    def objective(self, x: Tensor, condition: Tensor | None, probes: Tensor) -> RelaxedTerms:
        """The terms of :func:`relaxed_loss`; ``draws`` as :meth:`draw` makes them."""
        names = ("mu", "mu_in", "eta", "scale", "prior_weight")
        numbers = {name: getattr(self, name) for name in names}
        return relaxed_loss(
            x, self.encoder, self.decoder, probes, condition, **numbers, **self.options
        )

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Exact, on the manifold, with the prior N(0, 1/(2w)); −∞ at w = 0, where there is none."""
        return manifold_log_prob(self, x, condition, self.prior_weight)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        for name in SCHEDULED:
            getattr(self, name).fill_(self.schedules[name](progress, epoch))
        return {name: getattr(self, name) for name in SCHEDULED}
