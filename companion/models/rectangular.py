"""Rectangular flows: maximum likelihood on the manifold of a decoder with an exact left inverse."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor, nn

from companion import jacobians, probes, volume
from companion.contracts import LogProb, Map, as_float, bind
from companion.models.base import (
    Model,
    batch_norms,
    check_options,
    standard_normal_nll,
)
from companion.models.weight_schedules import Schedule, constant
from companion.networks.flows import Flow

Estimator = Literal["conjugate", "exact", "one-pass", "none"]


class RectangularTerms(NamedTuple):
    """The terms of MLAE eq. 4, each ``(batch,)``; they are what a training log shows."""

    prior: Tensor  # −log p_Z(z) in nats
    log_volume: Tensor  # ½ log det(JᵀJ) if exact; else a surrogate, whose gradient is what matters
    reconstruction: Tensor  # ‖x̂ − x‖²
    iterations: Tensor  # of conjugate gradients; 0 for the others
    residual: Tensor  # of conjugate gradients, relative; 0 for the others
    loss: Tensor  # prior + log_volume + β·reconstruction


def rectangular_loss(
    x: Tensor,
    encode: Map,
    decode: Map,
    beta: float | Tensor = 50.0,
    prior: Callable[[Tensor], Tensor] = standard_normal_nll,
    estimator: Estimator = "conjugate",
    condition: Tensor | None = None,
    **options,
) -> RectangularTerms:
    """The loss of a rectangular flow, for any encoder and decoder.

    L(x) = −log p_Z(z) + ½ log det(g'(z)ᵀg'(z)) + β‖x̂ − x‖², z = f(x), x̂ = g(z).

    ==============  ==============================================================================
    estimator       gradient of the log-volume
    ==============  ==============================================================================
    ``conjugate``   :func:`companion.volume.conjugate` (MLAE eq. 7)
    ``exact``       :func:`companion.jacobians.log_volume`, by the whole Jacobian
    ``one-pass``    :func:`companion.volume.surrogate` on the decoder at x̂ (MLAE eq. 11), which
                    takes f'(x̂) for g'(z)'s pseudo-inverse
    ``none``        none, and the loss is β‖x̂ − x‖² alone, as in the first step of
                    :class:`companion.models.TwoStepFlow`: the manifold never hears of likelihood
    ==============  ==============================================================================

    Args:
        x: ``(batch, *data)``.
        encode: ``(batch, *data) -> (batch, latent)``.
        decode: ``(batch, latent) -> (batch, *data)``.
        beta: weight of the squared reconstruction error.
        prior: negative log-density of codes, ``(batch, latent) -> (batch,)``.
        estimator: see above.
        condition: second argument of both maps, or nothing.
        options: those of the estimator, ``num_probes, kind, probes, tolerance, …``.

    Returns:
        ``RectangularTerms`` of per-sample tensors ``(batch,)``.

    Raises:
        ValueError: for an unknown estimator or a negative β; see also the estimators.

    Source: MLAE eqs 4–7.

    >>> from companion.networks import InjectiveFlow
    >>> from companion.networks.flows import realnvp
    >>> rng = torch.manual_seed(0)
    >>> net = InjectiveFlow(realnvp(4, hidden=[8]), 2)
    >>> terms = rectangular_loss(torch.randn(8, 4), net.encode, net.decode)
    >>> terms.loss.mean().backward(); terms.loss.shape
    torch.Size([8])
    """
    if estimator not in get_args(Estimator):
        expected = ", ".join(get_args(Estimator))
        raise ValueError(
            f"rectangular_loss: estimator must be one of {expected}, got {estimator!r}"
        )
    if not isinstance(beta, Tensor) and not beta >= 0:
        raise ValueError(f"rectangular_loss: beta must not be negative, got {beta}")
    x = as_float(x, call="rectangular_loss")
    decoder = bind(decode, condition, "rectangular_loss: the decoder", x.shape[1:])
    rounds = residual = x.new_zeros(len(x))
    if estimator == "one-pass":
        on_manifold = {"side": "decoder", "at": "manifold"}
        out = volume.surrogate(x, encode, decode, condition, **on_manifold, **options)
        z, x_hat, log_volume = out
    else:
        z = bind(encode, condition, "rectangular_loss: the encoder", (None,))(x)
        log_volume = rounds
        if estimator == "conjugate":
            out = volume.conjugate(decoder, z, **options)
            x_hat, log_volume = out.x_hat, out.surrogate
            rounds, residual = out.iterations.to(x.dtype), out.residual
        else:
            x_hat = decoder(z)
    if estimator == "exact":
        log_volume = jacobians.log_volume(decode, z, condition, differentiable=True)
    reconstruction = (x_hat - x).square().flatten(1).sum(-1)
    nll, loss = prior(z), beta * reconstruction
    if estimator != "none":
        loss = nll + log_volume + loss
    return RectangularTerms(nll, log_volume, reconstruction, rounds, residual, loss)


class RectangularFlow(Model):
    """A rectangular flow on the model contract: an injective network and a prior flow.

    Codes of the model are the prior flow's standard normal ones: encode = h⁻¹ ∘ f, decode = g ∘ h.

    Args:
        network: injective network with ``encode`` and ``decode``, say
            :class:`companion.networks.InjectiveFlow`; or a pair of free ones as an
            :class:`companion.networks.EncoderDecoder`, for which x̂ may not be encoded as z and the
            likelihood is that of the decoder.
        prior: flow over z, say :func:`companion.networks.flows.realnvp`; nothing for a standard
            normal z.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        beta: weight of the reconstruction, a number or a schedule of (progress, epoch).
        estimator: as in :func:`rectangular_loss`.
        options: those of the estimator without tensors: ``num_probes, kind, tolerance,
            max_iterations, stop_early``; a sweep needs ``stop_early=False``.

    Raises:
        ValueError: for an unknown estimator, a negative β, a prior that ``none`` would not train,
            and a layer that normalises over the batch, which no exact inverse survives.

    Source: MLAE §3; Caterini et al. (2021), whose regularisation is β = 50.

    >>> from companion.networks import InjectiveFlow
    >>> from companion.networks.flows import realnvp
    >>> rng = torch.manual_seed(0)
    >>> network = InjectiveFlow(realnvp(4, hidden=[8]), 2)
    >>> model = RectangularFlow(network, realnvp(2, hidden=[8]), (4,), 2)
    >>> model.sample(3).shape, model.log_prob(torch.zeros(5, 4)).kind
    (torch.Size([3, 4]), 'exact, on the manifold at the reconstruction')
    """

    def __init__(
        self,
        network: nn.Module,
        prior: Flow | None,
        data_shape: tuple[int, ...],
        latent_dim: int,
        beta: float | Schedule = 50.0,
        estimator: Estimator = "conjugate",
        **options,
    ):
        super().__init__(data_shape, latent_dim)
        if estimator not in get_args(Estimator):
            expected = ", ".join(get_args(Estimator))
            raise ValueError(
                f"RectangularFlow: estimator must be one of {expected}, got {estimator!r}"
            )
        takes = {"conjugate": (volume.conjugate,), "one-pass": (volume.surrogate,)}
        check_options(f"RectangularFlow, {estimator}", options, *takes.get(estimator, ()))
        self.network, self.prior = network, prior
        self.options = {"estimator": estimator, **options}
        self.schedule = beta if callable(beta) else constant(beta)
        self.register_buffer("beta", torch.tensor(float(self.schedule(0.0, 0))))
        if not self.beta >= 0:
            raise ValueError(f"RectangularFlow: beta must not be negative, got {float(self.beta)}")
        if estimator == "none" and prior is not None:
            raise ValueError(
                "RectangularFlow: estimator none trains no prior; pass prior=None and fit one to "
                "the codes with TwoStepFlow"
            )
        if batch_norms(self):
            raise ValueError(
                "RectangularFlow: its networks must treat samples independently, got one that "
                "normalises over the batch"
            )

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        z = bind(self.network.encode, condition, "RectangularFlow: the encoder", (None,))(
            self.data(x)
        )
        return z if self.prior is None else self.prior.normalise(z, condition).value

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        inner = z if self.prior is None else self.prior.generate(z, condition).value
        who = "RectangularFlow: the decoder"
        return bind(self.network.decode, condition, who, self.data_shape)(inner)

    def prior_nll(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """−log p_Z(z) of the network's codes, by the prior flow: ``(batch,)``."""
        if self.prior is None:
            return standard_normal_nll(z)
        return -self.prior.log_prob(z, condition)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        if self.options["estimator"] in ("exact", "none"):
            return {}
        like = x.new_empty(len(x), self.latent_dim)
        kind, num_probes = self.options.get("kind", "orthogonal"), self.options.get("num_probes", 1)
        return {"probes": probes.sample(kind, num_probes, like, generator, "RectangularFlow")}

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> RectangularTerms:
        """The terms of :func:`rectangular_loss`; ``draws`` as :meth:`draw` makes them."""
        return rectangular_loss(
            x,
            self.network.encode,
            self.network.decode,
            self.beta,
            lambda z: self.prior_nll(z, condition),
            condition=condition,
            **self.options,
            **draws,
        )

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """log p(x̂) = log p_Z(z) − ½ log det(g'(z)ᵀg'(z)) at z = f(x), x̂ = g(z) (MLAE eq. 2)."""
        z = self.network.encode(self.data(x), condition)
        log_volume = jacobians.log_volume(
            self.network.decode, z, condition, differentiable=torch.is_grad_enabled()
        )
        kind = "exact, on the manifold at the reconstruction"
        return LogProb(-self.prior_nll(z, condition) - log_volume, kind)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        self.beta.fill_(self.schedule(progress, epoch))
        return {"beta": self.beta}
