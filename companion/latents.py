"""What to sample codes from: densities fitted after training to a model's codes.

==================  =============================================================================
``standard``        N(0, 1), as the models themselves take it
``gaussian``        a Gaussian of full covariance
``mixture``         a Gaussian mixture of full covariances, by scikit-learn (RIF's has 10)
``second_stage``    a VAE on the codes (2SVAE §4)
``flow``            an autoregressive spline flow (zuko)
==================  =============================================================================

Each has ``log_prob(z)``, ``sample(n, generator, temperature)`` and ``kind`` in words. Set as
``model.latents`` it is what ``model.sample`` draws from, and the model's ``state_dict`` has it.
All but the first are fitted to standardised codes, so that their floors and starts are shares of
the codes' spread: codes s times as wide have samples s times as wide.
"""

from math import log
from typing import NamedTuple

import torch
from sklearn.mixture import GaussianMixture
from torch import Generator, Tensor, nn

from companion.contracts import LogProb, exact
from companion.models.base import Model, standard_normal_nll
from companion.models.two_stage import second_stage
from companion.models.two_step import FlowTerms
from companion.models.vae import VAE
from companion.networks import flows
from companion.training import TrainConfig, fit
from companion.training.inputs import check_finite

KINDS = ("standard", "gaussian", "mixture", "second_stage", "flow")


SMALLEST = 1e-6  # variance of a direction in which standardised codes do not vary


class Mixture(nn.Module):
    """A mixture of Gaussians N(μₖ, LₖLₖᵀ), held in tensors; with one component a Gaussian.

    Temperature scales the spread about each centre, not the centres.

    >>> standard = Mixture(1, 2)
    >>> standard.log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    kind = "exact"

    def __init__(self, components: int, latent_dim: int):
        super().__init__()
        self.register_buffer("log_weights", torch.full((components,), -log(components)))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("scales", torch.eye(latent_dim).repeat(components, 1, 1))

    def set(
        self, weights: Tensor, means: Tensor, covariances: Tensor, units: "Units | None" = None
    ) -> None:
        """Take the parameters of a mixture fitted to codes in some units.

        Codes that do not fill their space (a latent that no sample uses, or one that follows from
        the others) leave a covariance without a Cholesky factor. If one has none, no direction of
        any keeps less than ``SMALLEST`` variance, nor less than that share of the largest one's.
        """
        means, covariances = exact(means), exact(covariances)
        scales, failed = torch.linalg.cholesky_ex(covariances)
        if failed.any():
            along, directions = torch.linalg.eigh(covariances)  # in rising order
            along = along.clamp(min=SMALLEST * along[:, -1:].clamp(min=1.0))
            scales = torch.linalg.cholesky(directions * along.unsqueeze(1) @ directions.mT)
        if units is not None:
            means, scales = units.mean + units.std * means, units.std[:, None] * scales
        for buffer, value in zip(self.buffers(), (weights.log(), means, scales), strict=True):
            buffer.copy_(value)

    def log_prob(self, z: Tensor) -> Tensor:
        """log Σₖ πₖ N(z; μₖ, LₖLₖᵀ): ``(batch, latent) -> (batch,)``."""
        away = (z[:, None] - self.means)[..., None]  # (batch, component, latent, 1)
        unit = torch.linalg.solve_triangular(self.scales, away, upper=False)[..., 0]
        log_det = self.scales.diagonal(dim1=1, dim2=2).log().sum(1)  # (component,)
        return (self.log_weights - standard_normal_nll(unit) - log_det).logsumexp(1)

    def sample(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw ``(n, latent)``, on the generator's device, then moved."""
        where = self.means.device if generator is None else generator.device
        weights = self.log_weights.exp().to(where)
        chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
        options = {"generator": generator, "device": where, "dtype": self.means.dtype}
        noise = torch.randn(n, self.means.shape[1], **options).to(self.means.device)
        chosen = chosen.to(self.means.device)
        spread = torch.einsum("nij,nj->ni", self.scales[chosen], noise)
        return self.means[chosen] + temperature * spread


class Units(NamedTuple):
    """What codes are measured in: their mean and spread in each direction, in float64."""

    mean: Tensor  # (latent,)
    std: Tensor  # (latent,)


def units_of(codes: Tensor) -> Units:
    """The units in which codes ``(n, latent)`` have mean 0 and variance 1.

    A direction in which they do not vary, but for rounding, takes the largest of the others.

    >>> units_of(torch.tensor([[0.0, 5.0], [2.0, 5.0]])).std.round(decimals=3)
    tensor([1.4140, 1.4140], dtype=torch.float64)
    """
    exactly, rounding = exact(codes), torch.finfo(codes.dtype).eps
    std, largest = exactly.std(0), exactly.abs().amax(0)
    varies = std > rounding * largest
    widest = (std * varies).max()
    return Units(exactly.mean(0), torch.where(varies, std, widest if widest > 0 else 1.0))


class FlowDensity(Model):
    """A flow over codes on the model contract: ``fit`` trains it by maximum likelihood."""

    def __init__(self, flow: flows.Flow):
        super().__init__((flow.dim,), flow.dim)
        self.flow = flow

    def loss(self, x: Tensor, condition=None, generator=None, **draws) -> FlowTerms:
        return FlowTerms(-self.flow.log_prob(x))

    def log_prob(self, x: Tensor, condition=None) -> LogProb:
        return LogProb(self.flow.log_prob(x), "exact")

    def draw_data(self, n: int, generator: Generator | None = None, temperature: float = 1.0):
        """Draw ``(n, latent)``."""
        return self.flow.sample(n, generator, temperature)


class Trained(nn.Module):
    """A density that ``fit`` trains, on codes that are standardised first."""

    def __init__(self, density: VAE | FlowDensity):
        super().__init__()
        self.density = density
        self.register_buffer("mean", torch.zeros(density.data_shape))
        self.register_buffer("std", torch.ones(density.data_shape))
        self.kind = "exact" if isinstance(density, FlowDensity) else "importance-sampled"

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats, of the kind that ``kind`` says: ``(batch,)``."""
        z, graph = (z - self.mean) / self.std, torch.is_grad_enabled()
        return self.density.log_prob(z, differentiable=graph).value - self.std.log().sum()

    def sample(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw ``(n, latent)``; a flow's and a VAE's temperature is that of their base."""
        return self.mean + self.std * self.density.draw_data(n, generator, temperature)


def build_latents(
    kind: str, latent_dim: int, components: int = 10, hidden: tuple[int, ...] = (64, 64)
) -> Mixture | Trained:
    """A density over codes before it is fitted, to load a saved ``state_dict`` into.

    Args:
        kind: one of the kinds at the head of this file.
        latent_dim: size of one code.
        components: of a mixture.
        hidden: widths of the networks of ``second_stage`` and ``flow``.

    Raises:
        ValueError: for an unknown kind.

    >>> build_latents("mixture", 2, components=3).means.shape
    torch.Size([3, 2])
    """
    if kind not in KINDS:
        raise ValueError(f"latents: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "flow":
        return Trained(FlowDensity(flows.spline_coupling(latent_dim, hidden=hidden)))
    if kind == "second_stage":
        return Trained(second_stage(latent_dim, hidden, floor=1e-4))
    return Mixture(components if kind == "mixture" else 1, latent_dim)


def fit_latents(
    kind: str,
    codes: Tensor,
    components: int = 10,
    hidden: tuple[int, ...] = (64, 64),
    config: TrainConfig | None = None,
    seed: int = 0,
) -> Mixture | Trained:
    """Fit a density to the codes of training data.

    Args:
        kind: one of the kinds at the head of this file.
        codes: ``(n, latent)``; of a VAE draws from the posterior, not its means
            (:func:`companion.evaluation.generation.codes_of`). For the second stage of 2SVAE
            :class:`companion.models.TwoStageVAE` redraws them for every batch.
        components: of a mixture.
        hidden: widths of the networks of ``second_stage`` and ``flow``.
        config: how those are trained.
        seed: of scikit-learn's initialisation or of the networks' weights.

    Returns:
        A frozen module; assign it to ``model.latents``.

    Raises:
        ValueError: for an unknown kind, codes of another shape, too few of them, or some that are
            not finite.

    Source: RIF §4.3 (ex-post density estimation); 2SVAE §4.

    >>> codes = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) + 3.0
    >>> latents = fit_latents("gaussian", codes)
    >>> latents.sample(1000, torch.Generator().manual_seed(1)).mean(0).round()
    tensor([3., 3.])
    """
    if codes.dim() != 2 or len(codes) <= codes.shape[-1]:
        raise ValueError(
            f"fit_latents: codes must be (n, latent) with n > latent, got {tuple(codes.shape)}"
        )
    check_finite("fit_latents", "codes", codes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        latents = build_latents(kind, codes.shape[1], components, hidden).to(codes)
    units = units_of(codes)
    standard = (exact(codes) - units.mean) / units.std
    if kind == "gaussian":
        one = standard.new_ones(1), standard.new_zeros(1, standard.shape[1])
        latents.set(*one, torch.cov(standard.T).view(1, *one[1].shape[1:] * 2), units)
    elif kind == "mixture":
        found = GaussianMixture(components, random_state=seed).fit(standard.numpy())
        parameters = found.weights_, found.means_, found.covariances_
        latents.set(*map(torch.as_tensor, parameters), units)
    elif kind in ("flow", "second_stage"):
        latents.mean.copy_(units.mean), latents.std.copy_(units.std)
        fit(latents.density, standard.to(codes), config=config, progress=False)
    return latents.eval().requires_grad_(False)
