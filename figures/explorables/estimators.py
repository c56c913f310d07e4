"""Sampling or not: test NLL and collapse by estimator, on real digits (SFVAE §4.3, §4.4)."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.contracts import as_float
from companion.evaluation import posterior_collapse
from companion.lab.explorable import Control
from companion.lab.study import Study
from companion.models import VAE, Model, TaylorVAE
from companion.training import TrainConfig
from figures.explorables import taylor_vae

VARIANCE, WEIGHT, SEEDS = 0.04, 0.5, (0, 1, 2, 3, 4)
ESTIMATORS = {  # SFVAE Table 3, and the exact expectation of the linearised decoder
    "VAE, S = 1": (VAE, {}),
    "VAE, S = 20": (VAE, {"num_samples": 20}),
    "sticking, S = 20": (VAE, {"estimator": "sticking", "num_samples": 20}),
    "IWAE, S = 20": (VAE, {"estimator": "iwae", "num_samples": 20}),
    "SFVAE": (TaylorVAE, {"taylor_weight": WEIGHT}),
    "exact": (TaylorVAE, {"expectation": "exact", "tangents": "one"}),
}
EPOCHS = (30, 150)  # a step of SFVAE's costs five of a VAE's in matrix products, 1 + 8/2
COLLAPSING = {
    "VAE": (VAE, {}),
    "SFVAE": (TaylorVAE, {"taylor_weight": WEIGHT, "tangents": "all"}),
    "exact": (TaylorVAE, {"expectation": "exact", "tangents": "one"}),
}
STEPS, WIDE = (30, 100), 40


class Nll(NamedTuple):
    """What is measured of one trained model."""

    nll: float  # mean −log p(x) of test digits, nats, from 256 importance samples


class Collapse(NamedTuple):
    """What is measured of one trained model with more latents than it needs."""

    share: float  # of latent dimensions whose KL is below 0.05 nats for 99 % of the data
    error: float  # mean ‖x̂ − x‖² at the posterior's mean


@torch.no_grad()
def measure_nll(model: Model) -> Nll:
    """Judge by the test digits."""
    chance = torch.Generator().manual_seed(0)
    found = model.log_prob(as_float(taylor_vae.digits().test.x), num_samples=256, generator=chance)
    return Nll(-float(found.value.double().mean()))


def thousand() -> Tensor:
    """The training digits of the collapse: ``(1000, 1, 8, 8)``."""
    return taylor_vae.make_data()[:1000]


@torch.no_grad()
def measure_collapse(model: Model) -> Collapse:
    """Count on the training digits, as the paper does."""
    q = model.posterior(x := thousand())
    error = (model.decode(q.mean) - x).square().flatten(1).sum(1).mean()
    return Collapse(float(posterior_collapse(q).share), float(error))


def _control(names: dict) -> Control:
    known = tuple(names)
    return Control("estimator", known, known[0], names=known)


def make_estimator(estimator: str, seed: int) -> Model:
    """One of ``ESTIMATORS`` with eight latents.

    >>> make_estimator("IWAE, S = 20", 0).options["estimator"]
    'iwae'
    """
    kind, options = ESTIMATORS[estimator]
    return taylor_vae.make(kind, 8, (64, 64), seed, VARIANCE, "tanh", **options)


def make_wide(estimator: str, seed: int) -> Model:
    """One of ``COLLAPSING`` with more latents than it needs.

    >>> make_wide("VAE", 0).latent_dim
    40
    """
    kind, options = COLLAPSING[estimator]
    return taylor_vae.make(kind, WIDE, (128, 64), seed, VARIANCE, **options)


NLL = Study(
    "estimators",
    {"estimator": _control(ESTIMATORS), "epochs": Control("epochs", EPOCHS, EPOCHS[0])},
    SEEDS, Nll, make_estimator, taylor_vae.make_data,
    lambda epochs, seed: TrainConfig(epochs, 64, 3e-3, seed=seed, device="cpu"),
    measure_nll, ("nll",), apart=("estimator", "epochs"), notes={"data": taylor_vae.DATA},
)  # fmt: skip
COLLAPSE = Study(
    "collapse",
    {"estimator": _control(COLLAPSING), "steps": Control("full-batch steps", STEPS, STEPS[0])},
    SEEDS, Collapse, make_wide, thousand,
    lambda steps, seed: TrainConfig(steps, 1000, 1e-3, "constant", seed=seed, device="cpu"),
    measure_collapse, ("share", "error"), apart=("estimator", "steps"),
    notes={"data": f"{taylor_vae.DATA}, 1,000 of them in one batch"},
)  # fmt: skip
