"""The VAE without sampling under weight and variance: map, objective, true bound (SFVAE Fig. 1)."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from companion import plots
from companion.contracts import as_float
from companion.data import images
from companion.explorables.base import (
    Control,
    Explorable,
    check_point,
    compare,
    load_lattice,
    save_lattice,
)
from companion.models import TaylorVAE, posterior_size
from companion.models.base import evaluating
from companion.networks import MLP
from companion.sweep import grid, sweep
from companion.training import TrainConfig, fit

NAME = "taylor"
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
VARIANCES = (0.01, 0.04, 0.15, 0.5)
SEEDS = (0, 1, 2, 3, 4)
CONTROLS = {
    "taylor_weight": Control("γ, weight of the correction", WEIGHTS, 0.5),
    "variance": Control("c, observation variance", VARIANCES, 0.04),
}
EPOCHS = 40
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


def make_model(taylor_weight: float, variance: float, seed: int, kind=TaylorVAE, **options):
    """ReLU networks of two hidden layers of 64 and two latent dimensions, seeded weights.

    >>> make_model(0.5, 0.04, seed=0).latent_dim
    2
    """
    if kind is TaylorVAE:
        options["taylor_weight"] = taylor_weight
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape, nets = (1, 8, 8), {"hidden": (64, 64), "activation": "relu"}
        encoder, decoder = MLP(shape, posterior_size(2), **nets), MLP(2, shape, **nets)
        return kind(encoder, decoder, shape, 2, decoder_variance=variance, **options)


def make_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """Ten one-cycle Adam steps of batch 128 in each of 40 epochs."""
    return TrainConfig(epochs=epochs, batch_size=128, learning_rate=5e-3, seed=seed, device="cpu")


def train(points: Sequence[dict], epochs: int = EPOCHS, progress: bool = True) -> list[TaylorVAE]:
    """Train one model for each ``{"taylor_weight", "variance", "seed"}``, all at once."""
    models = [make_model(**point) for point in points]
    x = as_float(digits().train.x)
    configs = [make_config(point["seed"], epochs) for point in points]
    sweep(models, [x] * len(points), configs, progress=progress)
    return models


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


@cache
def _lattice() -> dict[str, np.ndarray]:
    return load_lattice(NAME)[0]


def numbers(seed: int, taylor_weight: float, variance: float) -> Numbers:
    """The numbers of one lattice point.

    Raises:
        ValueError: for a point that is not on the lattice.

    >>> found = numbers(0, taylor_weight=1.0, variance=0.04)
    >>> found.objective > found.elbo
    True
    """
    point = {"taylor_weight": taylor_weight, "variance": variance}
    check_point(NAME, CONTROLS, SEEDS, seed, point)
    at = _at(taylor_weight, variance) + (SEEDS.index(seed),)
    arrays = _lattice()
    metrics = (float(arrays[name][at]) for name in METRICS)
    return Numbers(arrays["map"][at].astype(float) / LEVELS, *metrics)


def _at(taylor_weight: float, variance: float) -> tuple[int, int]:
    pairs = ((WEIGHTS, taylor_weight), (VARIANCES, variance))
    return tuple(int(np.abs(np.subtract(values, value)).argmin()) for values, value in pairs)


def runs(name: str, variance: float) -> np.ndarray:
    """One metric of all runs at one variance: ``(weight, seed)``."""
    return _lattice()[name][:, _at(0.0, variance)[1]].astype(float)


def gallery(weights: Sequence[float], seed: int = 0, variance: float = 0.04) -> tuple[Figure, str]:
    """Latent maps at several weights side by side, with the alt text."""
    figure, texts = plots.figure(len(weights), size=(3.0, 3.3)), []
    for ax, weight in zip(figure.subplots(1, len(weights)), weights, strict=True):
        result = numbers(seed, weight, variance)
        gap = result.objective - result.elbo
        plots.latent_map(ax, result.map, SPAN, f"γ = {weight:g}: true bound {result.elbo:.0f},")
        ax.set_title(ax.get_title() + f"\nobjective {gap:.0f} nats above it", fontsize=10)
        texts.append(describe_numbers(result, weight, variance))
    return figure, " ".join(texts)


def draw(result: Numbers, taylor_weight: float, variance: float) -> Figure:
    """One model's map beside what it maximised and what it should have."""
    figure = plots.figure(2, layout=None)  # fixed margins: a slider cannot wait for the layout
    figure.subplots_adjust(0.07, 0.15, 0.98, 0.91, wspace=0.25)
    left, right = figure.subplots(1, 2, width_ratios=(4, 5))
    plots.latent_map(left, result.map, SPAN, f"γ = {taylor_weight:g}, c = {variance:g}")
    curves = {"objective": runs("objective", variance), "elbo": runs("elbo", variance)}
    here = (taylor_weight, result.objective, result.elbo)
    plots.objective_gap(right, WEIGHTS, **curves, here=here)
    return figure


def render(seed: int, taylor_weight: float, variance: float = 0.04) -> Figure:
    """The latent map and the two bounds at one lattice point.

    >>> render(0, taylor_weight=0.5, variance=0.04).axes[0].get_title()
    'γ = 0.5, c = 0.04'
    """
    return draw(numbers(seed, taylor_weight, variance), taylor_weight, variance)


def describe(seed: int, taylor_weight: float, variance: float = 0.04) -> str:
    """The alt text of :func:`render`, made from the same numbers.

    >>> describe(0, taylor_weight=0.5)[:40]
    'Digits in two latent dimensions, γ = 0.5'
    """
    return describe_numbers(numbers(seed, taylor_weight, variance), taylor_weight, variance)


def describe_numbers(result: Numbers, taylor_weight: float, variance: float) -> str:
    """The alt text of any trained model's picture."""
    return (
        f"Digits in two latent dimensions, γ = {taylor_weight:g}, c = {variance:g}: the objective "
        f"says {result.objective:.1f} nats, sampling says {result.elbo:.1f}, a gap of "
        f"{result.objective - result.elbo:.1f}; reconstruction error {result.reconstruction:.2f}."
    )


def train_live(
    seed: int, callback: Callable | None = None, *, taylor_weight: float, variance: float = 0.04
) -> tuple[Figure, str]:
    """Retrain one point now and draw it as :func:`render` does; the callback may stop it early."""
    model, x = make_model(taylor_weight, variance, seed), as_float(digits().train.x)
    fit(model, x, None, make_config(seed), progress=False, callback=callback)
    result = measure(model)
    return draw(result, taylor_weight, variance), describe_numbers(result, taylor_weight, variance)


def build(progress: bool = True) -> None:
    """Train every point of the lattice and write it into the package."""
    shape = (len(WEIGHTS), len(VARIANCES), len(SEEDS))
    points = grid(taylor_weight=WEIGHTS, variance=VARIANCES, seed=SEEDS)
    results = [measure(model) for model in train(points, progress=progress)]
    pictures = np.stack([r.map for r in results]) * LEVELS
    arrays = {"map": pictures.astype(np.uint8).reshape(*shape, *pictures.shape[1:])}
    for name in METRICS:
        arrays[name] = np.array([getattr(r, name) for r in results], np.float32).reshape(shape)
    about = {
        "made_by": f"companion rebuild {NAME}",
        "controls": {name: list(control.values) for name, control in CONTROLS.items()},
        "seeds": list(SEEDS),
        "training": {"steps": 10 * EPOCHS, "batch_size": 128, "learning_rate": 5e-3},
    }
    save_lattice(NAME, arrays, about)


def check(seed: int = 0, taylor_weight: float = 0.5, variance: float = 0.04) -> list[str]:
    """Retrain one point by itself and compare it with the band of the lattice's seeds there."""
    point = {"taylor_weight": taylor_weight, "variance": variance, "seed": seed}
    at = _at(taylor_weight, variance)
    bands = {name: _lattice()[name][at].astype(float) for name in METRICS}
    return compare(measure(train([point], progress=False)[0]), bands)


EXPLORABLE = Explorable(
    name=NAME,
    title="The VAE without sampling",
    controls=CONTROLS,
    seeds=SEEDS,
    render=render,
    describe=describe,
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
    train=train_live,
    epochs=EPOCHS,
)
