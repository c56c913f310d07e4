"""The VAE without sampling under weight and variance: map, objective, true bound (SFVAE Fig. 1)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from companion.contracts import as_float
from companion.data import images
from companion.lab.explorable import Control, Explorable, Question
from companion.lab.marks import Images, Line, Mark, Rule, Span
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import Model, TaylorVAE, posterior_size
from companion.models.base import evaluating
from companion.networks import MLP
from companion.training import TrainConfig
from figures import draw

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
COLOURS = ("orange", "blue")  # of the objective and the bound


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


def gallery(weights: Sequence[float], seed: int = 0, variance: float = 0.04) -> Picture:
    """Latent maps at several weights side by side."""
    panels, texts = [], []
    for weight in weights:
        result = STUDY(seed, taylor_weight=weight, variance=variance)
        gap = result.objective - result.elbo
        title = f"γ = {weight:g}: true bound {result.elbo:.0f}, objective {gap:.0f} above"
        panels.append(latent_map(result.map, SPAN, title))
        texts.append(words(result, weight, variance))
    return Picture(panels, " ".join(texts), (3.3 * len(panels), 3.5))


def opening() -> Picture:
    """One latent map, and nothing of what its model is worth."""
    one = STUDY(0)
    says = f"Digits decoded from a grid of {SIDE} × {SIDE} codes between −{SPAN:g} and {SPAN:g}."
    return Picture([latent_map(one.map, SPAN)], says, (3.5, 3.5))


def latent_map(images, span: float, title: str = "") -> Panel:
    """Decoded images over a square of two-dimensional codes, as SFVAE Fig. 2 shows them.

    Args:
        images: ``(side², channels, height, width)`` in [0, 1], row by row, the first row on top.
        span: codes run from −span to span on both axes.
        title: above the map.

    >>> latent_map(np.zeros((9, 1, 2, 2)), 2.0).y.names
    ('2', '0', '-2')
    """
    side = round(len(images) ** 0.5)
    at, names = (0.5, side / 2, side - 0.5), (f"{-span:g}", "0", f"{span:g}")
    x, y = Axis("z₁", limits=(0, side), ticks=at, names=names), Axis("z₂", limits=(side, 0))
    y = replace(y, ticks=at, names=names[::-1])
    return Panel([Images(images, side)], x, y, title=title, legend="", equal=True)


def objective_gap(variance: float, here: tuple[float, float, float] | None = None, **rest) -> Panel:
    """What a sampling-free VAE maximised beside the true bound, by weight (SFVAE Fig. C.2).

    Args:
        variance: of the observation.
        here: ``(weight, objective, elbo)`` of one run to mark, or nothing.
        rest: of the panel.
    """
    marks: tuple[Mark, ...] = ()
    found = {"objective": "Taylor objective", "elbo": "ELBO by sampling"}
    for (name, label), colour in zip(found.items(), COLOURS, strict=True):
        marks += draw.spread(WEIGHTS, STUDY.at(name, variance=variance), colour, label)
    if here is not None:
        weight, *values = here
        styles = zip(values, COLOURS, "so", strict=True)
        marks += (Rule(weight), *(draw.chosen(weight, *style) for style in styles))
    return Panel(marks, Axis("γ, weight of the correction"), Axis("nats per sample"), **rest)


def linearisation(z, values, mean: float, scale: float, value: float, slope: float) -> Panel:
    """A decoder of one number and its Taylor line, over the posterior's reach (SFVAE Fig. A.1).

    Args:
        z: ``(m,)`` codes.
        values: ``(m,)`` the decoder's output.
        mean: of the posterior, where the line touches.
        scale: standard deviation of the posterior.
        value: the decoder's output at the mean.
        slope: its derivative there.
    """
    marks = (
        Span((mean - 2 * scale, mean + 2 * scale), colour="blue", alpha=0.12),
        Line(z, values, "grey", width=3, label="decoder"),
        Line(z, value + slope * (z - mean), "orange", label="its Taylor line"),
        draw.chosen(mean, value, "orange"),
    )
    free = 0.3 * np.ptp(values)
    x = Axis("z;  shaded: posterior ± 2 std", limits=(z[0], z[-1]))
    return Panel(marks, x, Axis("x̂", limits=(values.min() - free, values.max() + free)))


def picture(result: Numbers, taylor_weight: float, variance: float) -> Picture:
    """One model's map beside what it maximised and what it should have."""
    left = latent_map(result.map, SPAN, f"γ = {taylor_weight:g}, c = {variance:g}")
    here = taylor_weight, result.objective, result.elbo
    right = objective_gap(variance, here, title=draw.SPREAD)
    return Picture([left, right], words(result, taylor_weight, variance), widths=(4, 5))


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


def widened() -> tuple[int, str]:
    """What a smaller c does to the distance between objective and true bound."""
    weight = CONTROLS["taylor_weight"].start
    gap = STUDY.at("objective", taylor_weight=weight) - STUDY.at("elbo", taylor_weight=weight)
    small, large = gap[0], gap[-1]  # (seed,) of each
    change = 0 if small.min() > large.max() else 1 if small.max() < large.min() else 2
    return change, (
        f"At γ = {weight:g} the objective is {small.mean():.1f} nats above the true bound at "
        f"c = {VARIANCES[0]:g} and {large.mean():.1f} at c = {VARIANCES[-1]:g} (means of "
        f"{len(small)} trainings)."
    )


EXPLORABLE = Explorable(
    title="The VAE without sampling",
    study=STUDY,
    draw=picture,
    presets={
        "γ = 0: only the determinant is left": {"taylor_weight": 0.0},
        "γ = ½, c = ½: the paper's choice": {"taylor_weight": 0.5, "variance": 0.5},
        "γ = 1: the whole correction": {"taylor_weight": 1.0},
        "c → 0: the noise fades": {"variance": VARIANCES[0]},
    },
    prompts=(
        "Which γ gives the highest objective, and which the highest true bound?",
        "Do the digits of the map look better where the objective is higher?",
    ),
    question=Question(
        "What is maximised is not the true bound. A smaller c asks for sharper digits and a "
        "narrower posterior: what becomes of the distance between the two?",
        ("it grows", "it shrinks", "it stays about the same"),
        widened,
    ),
)
