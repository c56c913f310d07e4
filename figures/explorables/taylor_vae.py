"""The VAE without sampling under weight and variance: map, objective, true bound (SFVAE Fig. 1)."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from companion.contracts import as_float
from companion.data import images
from companion.lab.explorable import Control, Explorable
from companion.lab.study import Study
from companion.models import Model, TaylorVAE, posterior_size
from companion.models.base import evaluating
from companion.networks import MLP
from companion.training import TrainConfig
from figures import plots

NAME = "taylor"
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
VARIANCES = (0.01, 0.04, 0.15, 0.5)
SEEDS = (0, 1, 2, 3, 4)
CONTROLS = {
    "taylor_weight": Control("γ, weight of the correction", WEIGHTS, 0.5),
    "variance": Control("c, observation variance", VARIANCES, 0.04),
}
EPOCHS, DATA = 40, "the 8×8 digits of scikit-learn"
SIDE, SPAN = 7, 3.0  # the map decodes SIDE × SIDE codes from −SPAN to SPAN
LEVELS = 16  # of grey, as in the original digits
METRICS = ("objective", "elbo", "reconstruction")


class Numbers(NamedTuple):
    """Everything that a picture of one trained model shows."""

    map: np.ndarray  # (SIDE², 1, 8, 8) decoded codes, in [0, 1], first row on top
    objective: float  # mean of what was maximised, on test digits, in nats
    elbo: float  # the evidence lower bound of the same model by sampling
    reconstruction: float  # mean ‖x̂ − x‖² at the posterior's mean


@cache
def digits() -> images.Splits:
    """The 8×8 digits of scikit-learn."""
    return images.load("digits")


def make(
    kind: type[Model],
    latent: int,
    hidden: tuple[int, ...],
    seed: int,
    variance: float,
    activation: str = "relu",
    **options,
) -> Model:
    """A VAE of 8×8 digits with seeded weights.

    >>> make(TaylorVAE, 8, (64, 64), 0, 0.04, "tanh").latent_dim
    8
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape, nets = (1, 8, 8), {"hidden": hidden, "activation": activation}
        encoder, decoder = MLP(shape, posterior_size(latent), **nets), MLP(latent, shape, **nets)
        return kind(encoder, decoder, shape, latent, decoder_variance=variance, **options)


def make_model(taylor_weight: float, variance: float, seed: int, kind=TaylorVAE, **options):
    """ReLU networks of two hidden layers of 64 and two latent dimensions, seeded weights.

    >>> make_model(0.5, 0.04, seed=0).latent_dim
    2
    """
    if kind is TaylorVAE:
        options["taylor_weight"] = taylor_weight
    return make(kind, 2, (64, 64), seed, variance, **options)


def make_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """Ten one-cycle Adam steps of batch 128 in each of 40 epochs."""
    return TrainConfig(epochs=epochs, batch_size=128, learning_rate=5e-3, seed=seed, device="cpu")


def make_data() -> Tensor:
    """The training digits of every run: ``(n, 1, 8, 8)``."""
    return as_float(digits().train.x)


def grid_codes(side: int = SIDE, span: float = SPAN) -> Tensor:
    """Codes of a square, row by row from the top left: ``(side², 2)``."""
    axis = torch.linspace(-span, span, side)
    return torch.cartesian_prod(axis.flip(0), axis).flip(1)


@torch.no_grad()
def measure(model: TaylorVAE) -> Numbers:
    """Judge a trained model on the test digits; the true bound is a mean over 64 codes each."""
    x = as_float(digits().test.x).repeat(64, 1, 1, 1)
    with evaluating(model):
        terms = model.loss(x, generator=Generator().manual_seed(0))
        shown = model.decode(grid_codes()).clamp(0, 1)
    means = (float(t.double().mean()) for t in (-terms.loss, terms.elbo, terms.reconstruction))
    return Numbers((shown * LEVELS).round().numpy() / LEVELS, *means)


STUDY = Study(
    NAME, CONTROLS, SEEDS, Numbers, make_model, make_data, make_config, measure, METRICS,
    levels={"map": LEVELS},
    notes={
        "data": DATA,
        "training": {"steps": 10 * EPOCHS, "batch_size": 128, "learning_rate": 5e-3},
    },
)  # fmt: skip


def gallery(weights: Sequence[float], seed: int = 0, variance: float = 0.04) -> tuple[Figure, str]:
    """Latent maps at several weights side by side, with the alt text."""
    figure, texts = plots.figure(len(weights), size=(3.0, 3.3)), []
    for ax, weight in zip(figure.subplots(1, len(weights)), weights, strict=True):
        result = STUDY(seed, taylor_weight=weight, variance=variance)
        gap = result.objective - result.elbo
        plots.latent_map(ax, result.map, SPAN, f"γ = {weight:g}: true bound {result.elbo:.0f},")
        ax.set_title(ax.get_title() + f"\nobjective {gap:.0f} nats above it", fontsize=10)
        texts.append(words(result, weight, variance))
    return figure, " ".join(texts)


def draw(figure: Figure, result: Numbers, taylor_weight: float, variance: float) -> str:
    """One model's map beside what it maximised and what it should have."""
    figure.subplots_adjust(0.07, 0.15, 0.98, 0.91, wspace=0.25)
    left, right = figure.subplots(1, 2, width_ratios=(4, 5))
    plots.latent_map(left, result.map, SPAN, f"γ = {taylor_weight:g}, c = {variance:g}")
    curves = {name: STUDY.at(name, variance=variance) for name in ("objective", "elbo")}
    here = (taylor_weight, result.objective, result.elbo)
    plots.objective_gap(right, WEIGHTS, **curves, here=here)
    return words(result, taylor_weight, variance)


def words(result: Numbers, taylor_weight: float, variance: float) -> str:
    """What a picture of one trained model shows.

    >>> words(STUDY(0, taylor_weight=0.5), 0.5, 0.04)[:40]
    'Digits in two latent dimensions, γ = 0.5'
    """
    return (
        f"Digits in two latent dimensions, γ = {taylor_weight:g}, c = {variance:g}: the objective "
        f"says {result.objective:.1f} nats, sampling says {result.elbo:.1f}, a gap of "
        f"{result.objective - result.elbo:.1f}; reconstruction error {result.reconstruction:.2f}."
    )


EXPLORABLE = Explorable(
    title="The VAE without sampling",
    study=STUDY,
    draw=draw,
    columns=2,
    presets={
        "γ = 0: only the determinant is left": {"taylor_weight": 0.0},
        "γ = ½, c = ½: the paper's choice": {"taylor_weight": 0.5, "variance": 0.5},
        "γ = 1: the whole correction": {"taylor_weight": 1.0},
        "c → 0: the noise fades": {"variance": VARIANCES[0]},
    },
    prompts=(
        "Which γ gives the highest objective, and which the highest true bound?",
        "A smaller c asks for sharper digits: does the gap grow or shrink?",
    ),
)
