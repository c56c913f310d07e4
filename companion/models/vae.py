"""The Gaussian variational autoencoder: decoder variance fixed or learned, three estimators."""

import warnings
from collections.abc import Callable, Sequence
from math import ceil, log
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb, Map, as_float, bind
from companion.models.base import SAMPLES, WithPrior, standard_normal_nll
from companion.models.gaussian import (
    Posterior,
    as_posterior,
    gaussian_kl,
    gaussian_log_likelihood,
    log_det,
    posterior_size,
    squared_error,
)
from companion.models.weight_schedules import Schedule, constant

ESTIMATORS = ("elbo", "sticking", "iwae")
POINTS = 4096  # how many codes `log_prob` decodes at once


class VAETerms(NamedTuple):
    """The terms of the objective, each ``(batch,)``, averaged over the codes drawn."""

    reconstruction: Tensor  # ‖x̂ − x‖²
    kl: Tensor  # KL(q(z | x) ‖ p(z)), in nats
    neg_log_likelihood: Tensor  # −log p(x | z) = ‖x̂ − x‖²/(2γ) + (D/2) log 2πγ
    loss: Tensor  # their sum, or the importance-weighted bound


def vae_loss(
    x: Tensor,
    encode: Map,
    decode: Map,
    variance: Tensor | float,
    noise: Tensor,
    condition: Tensor | None = None,
    *,
    kl_weight: Tensor | float = 1.0,
    covariance: str = "diagonal",
    estimator: str = "elbo",
    prior=None,
    posterior_flow: Callable | None = None,
) -> VAETerms:
    """The negative evidence lower bound of a Gaussian VAE, for any pair of callables.

    L(x) = E_q[‖x − x̂‖²/(2γ)] + (D/2) log 2πγ + w KL(q(z | x) ‖ p(z)),  z = μ + Sε, x̂ = g(z).

    ``elbo`` takes the KL in closed form where prior and posterior are Gaussian. ``sticking`` takes
    log q(z | x) at the sampled codes with its own parameters held fixed: the same expectation of
    the gradient, with no variance where q is the exact posterior. ``iwae`` is the bound
    −log (1/S) Σₛ p(x, zₛ)/q(zₛ | x), tighter with every sample.

    Args:
        x: ``(batch, *data)``.
        encode: ``(batch, *data) -> (batch, posterior_size)``, see
            :func:`companion.models.gaussian.as_posterior`.
        decode: ``(batch, latent) -> (batch, *data)``.
        variance: γ of the decoder, a number or a tensor that may require a gradient.
        noise: ε, ``(samples, batch, latent)`` from N(0, 1).
        condition: second argument of both maps, or nothing.
        kl_weight: w, the β of a β-VAE.
        covariance: ``diagonal`` or ``full``.
        estimator: ``elbo``, ``sticking`` or ``iwae``.
        prior: has ``log_prob(z)``; a standard normal if nothing.
        posterior_flow: ``(z0, h) -> (z, log_det)`` after the Gaussian, h the encoder's numbers.

    Source: 2SVAE eqs 2 and 6; Roeder et al. (2017); Burda et al. (2016).

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> encoder, decoder = MLP(3, posterior_size(1)), MLP(1, 3)
    >>> vae_loss(torch.randn(8, 3), encoder, decoder, 0.1, torch.randn(1, 8, 1)).loss.shape
    torch.Size([8])
    """
    if estimator == "sticking" and posterior_flow is not None:
        raise ValueError("VAE: estimator sticking needs a Gaussian posterior, got a posterior_flow")
    x = as_float(x, call="vae_loss")
    size = None if posterior_flow is not None else posterior_size(noise.shape[-1], covariance)
    h = bind(encode, condition, "vae_loss: the encoder", (size,))(x)
    q = as_posterior(h, noise.shape[-1], covariance)
    z, log_q = _draw(q, h, noise, posterior_flow, estimator == "sticking")
    x_hat = _decode(decode, z, condition, x.shape[1:])  # (samples, batch, *data)
    log_likelihood = gaussian_log_likelihood(x, x_hat, variance)  # (samples, batch)
    if estimator == "elbo" and prior is None and posterior_flow is None:
        kl = gaussian_kl(*q).expand(len(z), -1)
    else:
        kl = log_q - _log_prior(prior, z)
    log_weight = log_likelihood - kl_weight * kl
    bound = log_weight.mean(0)
    if estimator == "iwae":
        bound = log_weight.logsumexp(0) - log(len(z))
    error = squared_error(x, x_hat).mean(0)
    return VAETerms(error, kl.mean(0), -log_likelihood.mean(0), -bound)


class VAE(WithPrior):
    """A variational autoencoder with Gaussian encoder and decoder on the model contract.

    With γ → 0 the loss falls without bound where the data lie on a manifold, hence the floor; a
    fixed γ is the buffer ``decoder_variance``, a learned one the parameter
    ``log_decoder_variance``.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, posterior_size)``.
        decoder: network ``(batch, latent)[, condition] -> (batch, *data)``.
        data_shape: shape of one sample.
        latent_dim: size of one code, 2SVAE's κ.
        decoder_variance: γ, or where it starts; γ = 1/(2β) of MLAE's β.
        learn_variance: learn log γ with the networks.
        floor: smallest γ; when a learned one reaches it, ``fit`` warns once and γ stays there.
        covariance: ``diagonal`` or ``full``, of the posterior.
        kl_weight: a number or a schedule of (progress, epoch); the β of a β-VAE.
        estimator: ``elbo``, ``sticking`` or ``iwae``, see :func:`vae_loss`.
        num_samples: codes drawn for each x.
        posterior_flow: module ``(z0, h) -> (z, log_det)``, h the encoder's numbers, or nothing.
        prior: module with ``log_prob(z)`` and ``sample(n, generator, temperature)``, or a standard
            normal.

    Raises:
        ValueError: for a variance, floor, weight or number of samples out of range, an unknown
            covariance or estimator, and ``sticking`` with a posterior flow.

    Source: 2SVAE §2 to §4 (its public code calls the standard deviation γ; here it is the
    variance, as in the paper).

    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = VAE(MLP(3, posterior_size(1)), MLP(1, 3), (3,), 1, learn_variance=True)
    >>> model.sample(2).shape, model.log_prob(torch.zeros(4, 3)).kind
    (torch.Size([2, 3]), 'importance-sampled, 128 codes from the posterior, low on average')
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        decoder_variance: float = 1.0,
        learn_variance: bool = False,
        floor: float = 1e-6,
        covariance: str = "diagonal",
        kl_weight: float | Schedule = 1.0,
        estimator: str = "elbo",
        num_samples: int = 1,
        posterior_flow: nn.Module | None = None,
        prior: nn.Module | None = None,
    ):
        super().__init__(data_shape, latent_dim)
        self.encoder, self.decoder = encoder, decoder
        self.posterior_flow, self.prior = posterior_flow, prior
        self.schedule = kl_weight if callable(kl_weight) else constant(kl_weight)
        self.floor, self.num_samples, self.at_floor = floor, num_samples, False
        self.options = {"covariance": covariance, "estimator": estimator}
        self.learn_variance = learn_variance
        if learn_variance:
            self.log_decoder_variance = nn.Parameter(torch.tensor(float(decoder_variance)).log())
        else:
            self.register_buffer("decoder_variance", torch.tensor(float(decoder_variance)))
        self.register_buffer("kl_weight", torch.tensor(float(self.schedule(0.0, 0))))
        self._check(decoder_variance)

    def _check(self, decoder_variance: float) -> None:
        posterior_size(self.latent_dim, self.options["covariance"])
        if not 0 < self.floor <= decoder_variance:
            raise ValueError(
                "VAE: needs 0 < floor ≤ decoder_variance, got "
                f"floor {self.floor} and decoder_variance {decoder_variance}"
            )
        if not self.kl_weight >= 0:
            raise ValueError(f"VAE: kl_weight must not be negative, got {float(self.kl_weight)}")
        if self.options["estimator"] not in ESTIMATORS:
            raise ValueError(
                f"VAE: estimator must be one of {', '.join(ESTIMATORS)}, got "
                f"{self.options['estimator']!r}"
            )
        if self.options["estimator"] == "sticking" and self.posterior_flow is not None:
            raise ValueError("VAE: sticking needs a Gaussian posterior, got a posterior_flow")
        if self.num_samples < 1:
            raise ValueError(f"VAE: num_samples must be at least 1, got {self.num_samples}")

    def prepare(self, x: Tensor) -> None:
        if hasattr(self.prior, "prepare"):
            self.prior.prepare(x)

    def extra_repr(self) -> str:
        given = self.options | {"num_samples": self.num_samples, "floor": self.floor}
        return ", ".join(f"{name}={value}" for name, value in given.items())

    @property
    def variance(self) -> Tensor:
        """The decoder variance γ in use, a scalar; at the floor its gradient passes unchanged."""
        if not self.learn_variance:
            return self.decoder_variance
        raised = self.log_decoder_variance.clamp(min=log(self.floor))
        return (self.log_decoder_variance + (raised - self.log_decoder_variance).detach()).exp()

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> Posterior:
        """q(z | x) before any flow: mean and scale."""
        return self._read(x, condition)[1]

    def _read(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Posterior]:
        h = self.bound("encoder", condition)(self.data(x))
        return h, as_posterior(h, self.latent_dim, self.options["covariance"])

    @property
    def encoder_size(self) -> int | None:
        """What ``as_posterior`` reads; any more with a posterior flow, which is told it."""
        flow = self.posterior_flow
        return posterior_size(self.latent_dim, self.options["covariance"]) if flow is None else None

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.data(x)
        return self.draw_posterior(x, x.new_zeros(1, len(x), self.latent_dim), condition)[0]

    def draw_posterior(self, x: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes from q(z | x) for given noise: ``(samples, batch, latent)``, like the noise."""
        h, q = self._read(x, condition)
        return _draw(q, h, noise, self.posterior_flow)[0]

    def draw_data(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw x ~ p(x | z), z ~ p(z), with the observation noise that ``sample`` leaves out."""
        x_hat = self.sample(n, None, temperature, generator)
        where = x_hat.device if generator is None else generator.device
        noise = torch.randn(x_hat.shape, generator=generator, device=where, dtype=x_hat.dtype)
        return x_hat + temperature * self.variance.sqrt() * noise.to(x_hat.device)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        shape = (self.num_samples, len(x), self.latent_dim)
        random = {"generator": generator, "device": x.device, "dtype": x.dtype}
        return {"noise": torch.randn(shape, **random)}

    def objective(self, x: Tensor, condition: Tensor | None, noise: Tensor) -> VAETerms:
        """The terms of :func:`vae_loss`; ``draws`` as :meth:`draw` makes them."""
        return self.terms(x, noise, condition, kl_weight=self.kl_weight)

    def log_prob(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        num_samples: int = SAMPLES,
        generator: Generator | None = None,
    ) -> LogProb:
        """log (1/S) Σₛ p(x, zₛ)/q(zₛ | x), zₛ ~ q(z | x); without a generator always the same z.

        A few codes of each x are held at once, however many S there are: SFVAE takes 50,000.
        """
        x, values = self.data(x), []
        random = {"generator": generator or Generator(x.device).manual_seed(0)}
        random |= {"device": x.device, "dtype": x.dtype}
        at_once = max(1, POINTS // len(x))
        block = 16 * ceil(at_once / 16)  # torch draws multiples of 16 as it would all at once
        for start in range(0, num_samples, block):
            size = min(block, num_samples - start)
            noise = torch.randn(size, len(x), self.latent_dim, **random)
            for e in noise.split(at_once):
                values.append(log(len(e)) - self.terms(x, e, condition, estimator="iwae").loss)
        kind = f"importance-sampled, {num_samples} codes from the posterior, low on average"
        return LogProb(torch.stack(values).logsumexp(0) - log(num_samples), kind)

    def terms(
        self, x: Tensor, noise: Tensor, condition: Tensor | None = None, **options
    ) -> VAETerms:
        """:func:`vae_loss` of this model, at a KL weight of 1 unless told otherwise."""
        own = {"prior": self.prior, "posterior_flow": self.posterior_flow} | self.options
        maps = self.encoder, self.decoder, self.variance
        return vae_loss(x, *maps, noise, condition, **(own | options))

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        self.kl_weight.fill_(self.schedule(progress, epoch))
        if self.learn_variance and not self.at_floor:
            self.at_floor = float(self.log_decoder_variance.detach()) <= log(self.floor)
            if self.at_floor:
                warnings.warn(
                    f"VAE: the learned decoder variance reached its floor {self.floor:g} in epoch "
                    f"{epoch + 1} and stays there; the loss has no minimum on noise-free data",
                    stacklevel=3,
                )
        return {"kl_weight": self.kl_weight}


def _draw(
    q: Posterior, h: Tensor, noise: Tensor, flow: Callable | None, stick: bool = False
) -> tuple[Tensor, Tensor]:
    """Codes z = μ + Sε, through the flow, and log q(z | x): both with ``(samples, batch)``."""
    mean, scale = q
    full = scale.dim() == 3
    z = mean + (torch.einsum("bij,sbj->sbi", scale, noise) if full else scale * noise)
    standardised = noise
    if stick:  # the score of q in its own parameters has mean zero: leave it out
        mean, scale = mean.detach(), scale.detach()
        away = (z - mean)[..., None]
        solve = torch.linalg.solve_triangular
        standardised = solve(scale, away, upper=False)[..., 0] if full else (z - mean) / scale
    log_q = -standard_normal_nll(standardised) - log_det(scale)
    if flow is None:
        return z, log_q
    h = h.expand(len(z), *h.shape).flatten(0, 1)
    z, change = flow(z.flatten(0, 1), h)
    return z.unflatten(0, noise.shape[:2]), log_q - change.view(noise.shape[:2])


def _decode(decode: Map, z: Tensor, condition: Tensor | None, data_shape: Sequence[int]) -> Tensor:
    if condition is not None:
        condition = condition.expand(len(z), *condition.shape).flatten(0, 1)
    decode = bind(decode, condition, "vae_loss: the decoder", data_shape)
    return decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])


def _log_prior(prior, z: Tensor) -> Tensor:
    if prior is None:
        return -standard_normal_nll(z)
    return prior.log_prob(z.flatten(0, 1)).view(z.shape[:2])
