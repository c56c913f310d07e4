"""The Gaussian VAE trained without sampling, through a linearised decoder."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor, nn

from companion import probes
from companion.contracts import LogProb, Map, as_float, bind
from companion.models.base import Model, batch_norms
from companion.models.gaussian import (
    Posterior,
    as_posterior,
    gaussian_kl,
    gaussian_log_likelihood,
    posterior_size,
    squared_error,
)
from companion.models.linearised import (
    Tangents,
    bound_log_likelihood,
    exact_log_likelihood,
    spread,
)
from companion.models.vae import VAE
from companion.models.weight_schedules import Schedule, constant

Expectation = Literal["bound", "exact"]
ROWS = 4096  # samples × latent dimensions pushed at once: more do not fit into a fast cache


class TaylorTerms(NamedTuple):
    """The terms of the objective, each ``(batch,)``, and what it approximates."""

    reconstruction: Tensor  # ‖x̂ − x‖² at the posterior's mean
    kl: Tensor  # KL(q(z | x) ‖ p(z)), in nats
    neg_log_likelihood: Tensor  # that of the linearised decoder, in nats
    elbo: Tensor  # the evidence lower bound of the decoder itself, unbiased, from one code
    loss: Tensor  # neg_log_likelihood + kl


def taylor_loss(
    x: Tensor,
    encode: Map,
    decode: Map,
    variance: float | Tensor,
    noise: Tensor,
    condition: Tensor | None = None,
    *,
    taylor_weight: float | Tensor = 0.5,
    expectation: Expectation = "bound",
    tangents: Tangents = "all",
    covariance: str = "diagonal",
    probe: Tensor | None = None,
) -> TaylorTerms:
    """The sampling-free loss of a Gaussian VAE, for any pair of callables.

    Args:
        x: ``(batch, *data)``.
        encode: ``(batch, *data) -> (batch, posterior_size)``, see
            :func:`companion.models.gaussian.as_posterior`.
        decode: ``(batch, latent) -> (batch, *data)``.
        variance: c; c = 1/(2β) of MLAE's β.
        noise: ε of the reported ELBO, ``(batch, latent)`` from N(0, 1); the loss does not see it.
        condition: second argument of both maps, or nothing.
        taylor_weight: w of :func:`companion.models.linearised.woodbury`; ``exact`` has none.
        expectation: ``bound``, the paper's log E_q p(x | z), or ``exact``, E_q log p(x | z).
        tangents: how the gradient in U is computed, see
            :func:`companion.models.linearised.bound_log_likelihood`.
        covariance: ``diagonal`` or ``full``, of the posterior.
        probe: ``(batch, latent)``, for ``tangents`` other than ``all``.

    Raises:
        ValueError: for an unknown option or a missing probe.

    Source: SFVAE eq. 20.

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> encoder, decoder = MLP(3, posterior_size(1)), MLP(1, 3)
    >>> taylor_loss(torch.randn(8, 3), encoder, decoder, 0.5, torch.randn(8, 1)).loss.shape
    torch.Size([8])
    """
    _check_options(expectation, tangents)
    if tangents != "all" and probe is None:
        raise ValueError(f"taylor_loss: tangents {tangents!r} needs a probe, got none")
    x, latent_dim = as_float(x, call="taylor_loss"), noise.shape[-1]
    size = posterior_size(latent_dim, covariance)
    q = as_posterior(
        bind(encode, condition, "taylor_loss: the encoder", (size,))(x), latent_dim, covariance
    )

    def decoder(c):  # not annotated: torch.compile would evaluate that
        return bind(decode, c, "taylor_loss: the decoder", x.shape[1:])

    def likelihood(x: Tensor, mean: Tensor, scale: Tensor, condition, probe):
        maps = x, decoder(condition), Posterior(mean, scale), variance
        if expectation == "bound":
            return bound_log_likelihood(*maps, taylor_weight, tangents, probe)
        return exact_log_likelihood(*maps, tangents, probe)

    single = expectation == "exact" and tangents != "all"
    rows = len(x) if single else max(1, ROWS // latent_dim)
    log_likelihood, x_hat = _in_parts(likelihood, rows, x, *q, condition, probe)
    kl = gaussian_kl(*q)
    with torch.no_grad():
        sampled = decoder(condition)(q.mean + spread(q.scale, noise))
        elbo = gaussian_log_likelihood(x, sampled, variance) - kl
    return TaylorTerms(squared_error(x, x_hat), kl, -log_likelihood, elbo, kl - log_likelihood)


def _in_parts(function: Callable, rows: int, *batches: Tensor | None) -> tuple[Tensor, ...]:
    """The outputs of a function of batches, which sees ``rows`` samples at a time."""
    number = -(-len(batches[0]) // rows)
    split = [[None] * number if t is None else t.split(rows) for t in batches]
    pieces = [function(*part) for part in zip(*split, strict=True)]
    return tuple(torch.cat(output) for output in zip(*pieces, strict=True))


def _check_options(expectation: str, tangents: str) -> None:
    for name, value, kind in (
        ("expectation", expectation, Expectation),
        ("tangents", tangents, Tangents),
    ):
        if value not in get_args(kind):
            raise ValueError(f"taylor: {name} must be one of {get_args(kind)}, got {value!r}")


class TaylorVAE(Model):
    """A variational autoencoder trained without sampling, on the model contract.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, posterior_size)``.
        decoder: network ``(batch, latent)[, condition] -> (batch, *data)``.
        data_shape: shape of one sample.
        latent_dim: size m of one code.
        decoder_variance: c, by default the paper's.
        taylor_weight: w in [0, 1], the paper's γ: a number or a schedule of (progress, epoch).
        expectation: ``bound`` or ``exact``, see :func:`taylor_loss`.
        tangents: ``all``, ``two`` or ``one``.
        covariance: ``diagonal`` or ``full``, of the posterior.

    Raises:
        ValueError: for a number out of range, an unknown option, and a decoder that normalises over
            the batch, whose Jacobian would not be one sample's.

    Source: SFVAE §3.

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = TaylorVAE(MLP(3, posterior_size(1)), MLP(1, 3), (3,), 1)
    >>> model.loss(torch.zeros(4, 3)).elbo.shape, model.sample(2).shape
    (torch.Size([4]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        decoder_variance: float = 0.5,
        taylor_weight: float | Schedule = 0.5,
        expectation: Expectation = "bound",
        tangents: Tangents = "all",
        covariance: str = "diagonal",
    ):
        super().__init__(data_shape, latent_dim)
        _check_options(expectation, tangents)
        posterior_size(latent_dim, covariance)
        self.encoder, self.decoder = encoder, decoder
        self.options = {"expectation": expectation, "tangents": tangents, "covariance": covariance}
        self.schedule = taylor_weight if callable(taylor_weight) else constant(taylor_weight)
        self.register_buffer("decoder_variance", torch.tensor(float(decoder_variance)))
        self.register_buffer("taylor_weight", torch.tensor(float(self.schedule(0.0, 0))))
        if not self.decoder_variance > 0:
            raise ValueError(f"TaylorVAE: needs decoder_variance > 0, got {decoder_variance}")
        if not 0 <= self.taylor_weight <= 1:
            raise ValueError(
                f"TaylorVAE: taylor_weight must be in [0, 1], got {float(self.taylor_weight)}"
            )
        if batch_norms(decoder):
            raise ValueError(
                "TaylorVAE: the decoder must treat samples independently, got layer "
                f"'{batch_norms(decoder)[0][0]}', which normalises over the batch"
            )

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> Posterior:
        """q(z | x): mean and scale."""
        h = self.bound("encoder", condition)(self.data(x))
        return as_posterior(h, self.latent_dim, self.options["covariance"])

    @property
    def encoder_size(self) -> int:
        """What :func:`companion.models.gaussian.as_posterior` reads."""
        return posterior_size(self.latent_dim, self.options["covariance"])

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.posterior(x, condition).mean

    def draw_posterior(self, x: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes from q(z | x) for given noise: ``(samples, batch, latent)``, like the noise."""
        return self.sampling().draw_posterior(x, noise, condition)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        like = x.new_empty(len(x), self.latent_dim)
        kinds = {"noise": "gaussian"}
        if self.options["tangents"] != "all":
            kinds["probe"] = "rademacher"
        return {name: probes.sample(kind, 1, like, generator)[0] for name, kind in kinds.items()}

    def loss(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        generator: Generator | None = None,
        **draws,
    ) -> TaylorTerms:
        """The terms of :func:`taylor_loss`; ``draws`` as :meth:`draw` makes them."""
        x = self.data(x)
        draws = draws if "noise" in draws else self.draw(x, generator) | draws
        options = self.options | {"taylor_weight": self.taylor_weight} | draws
        return taylor_loss(
            x, self.encoder, self.decoder, self.decoder_variance, condition=condition, **options
        )

    def sampling(self) -> VAE:
        """The same networks as a VAE that samples, to judge both alike."""
        return VAE(
            self.encoder, self.decoder, self.data_shape, self.latent_dim,
            float(self.decoder_variance), covariance=self.options["covariance"],
        )  # fmt: skip

    def log_prob(self, x: Tensor, condition: Tensor | None = None, **options) -> LogProb:
        """That of the VAE with the same networks, see ``VAE.log_prob``."""
        options = {"differentiable": torch.is_grad_enabled()} | options
        return self.sampling().log_prob(x, condition, **options)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        self.taylor_weight.fill_(self.schedule(progress, epoch))
        return {"taylor_weight": self.taylor_weight}
