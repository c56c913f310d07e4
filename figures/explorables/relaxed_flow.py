"""A relaxed injective flow on the noisy sinusoid: squeezed codes, loops, and what η does."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from companion import jacobians
from companion.data.toy import Sinusoid
from companion.evaluation import evaluate, self_crossings
from companion.lab.explorable import Control, Explorable, Question
from companion.lab.marks import Line, Points, Rule
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import Model, RelaxedFlow
from companion.networks import MLP
from companion.training import TrainConfig
from figures import draw

NAME = "relaxed"
ETAS = (0.03, 0.1, 0.3, 1.0)
MUS = (1.0, 3.0, 10.0, 30.0)
MUS_IN = (0.0, 100.0)
SEEDS = (0, 1, 2, 3, 4)
CONTROLS = {
    "eta": Control("η, smallest stretch that costs nothing", ETAS, 0.3),
    "mu": Control("μ, weight of the reconstruction", MUS, 3.0),
    "mu_in": Control("μ_in, weight of the injectivity penalty", MUS_IN, 0.0),
}
NOISE, NUM_TRAIN, NUM_TEST, NUM_SHOWN, EPOCHS = 0.1, 4096, 1000, 200, 40
NUM_CURVE, FINE = 161, 5  # points of the stored curve; how much finer its crossings are counted
TRAINING = {"steps": 640, "batch_size": 256, "learning_rate": 5e-3, "num_train": NUM_TRAIN}
REACH = 0.12  # half the width of what is magnified
METRICS = ("reconstruction", "nll", "least", "squeezed", "crossings")


class Numbers(NamedTuple):
    """Everything that a picture of one trained model shows."""

    points: np.ndarray  # (shown, 2) test data
    codes: np.ndarray  # (shown,) their codes
    grid: np.ndarray  # (curve,) codes from the 0.2 % to the 99.8 % quantile of the data's
    curve: np.ndarray  # (curve, 2) the decoder there
    stretch: np.ndarray  # (curve,) ‖g'(z)‖ there
    reconstruction: float  # mean ‖x̂ − x‖²
    nll: float  # exact, in nats, on the manifold
    least: float  # smallest stretch on the grid
    squeezed: float  # share of data whose code is stretched by less than η/2
    crossings: float  # self-crossings of the curve


def make_model(eta: float, mu: float, mu_in: float, seed: int) -> RelaxedFlow:
    """Networks of three hidden layers of 32, one latent dimension, eq. 9 with constant weights.

    >>> make_model(0.1, 10.0, 1.0, seed=0).latent_dim
    1
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets = MLP(2, 1, (32, 32, 32)), MLP(1, 2, (32, 32, 32))
        return RelaxedFlow(*nets, (2,), 1, mu=mu, mu_in=mu_in, eta=eta)


def make_data(seed: int) -> torch.Tensor:
    """The training data of one run: ``(4096, 2)``."""
    return Sinusoid(NOISE).sample(NUM_TRAIN, torch.Generator().manual_seed(1000 + seed))


def make_config(seed: int) -> TrainConfig:
    """640 one-cycle Adam steps of batch 256."""
    options = {"batch_size": 256, "learning_rate": 5e-3, "device": "cpu"}
    return TrainConfig(epochs=EPOCHS, seed=seed, **options)


def measure(model: Model, eta: float) -> Numbers:
    """Judge a trained model on test data that are the same for all models."""
    x = Sinusoid(NOISE).sample(NUM_TEST, torch.Generator().manual_seed(2000))
    quality = evaluate(model, x, chunk=NUM_TEST)
    with torch.no_grad():
        codes = model.encode(x)
        low, high = codes.quantile(0.002), codes.quantile(0.998)
        share = torch.linspace(0, 1, FINE * (NUM_CURVE - 1) + 1)[:, None]
        fine = low + share * (high - low)
        curve = model.decode(fine)
    stretch = jacobians.singular_values(model.decode, fine)[:, 0]
    at_data = jacobians.singular_values(model.decode, codes)[:, 0]
    squeezed = float((at_data < eta / 2).float().mean())
    shown, few = slice(NUM_SHOWN), slice(None, None, FINE)
    return Numbers(
        x[shown].numpy(), codes[shown, 0].numpy(), fine[few, 0].numpy(), curve[few].numpy(),
        stretch[few].numpy(), quality.reconstruction, quality.nll, float(stretch.min()), squeezed,
        float(self_crossings(curve)),
    )  # fmt: skip


STUDY = Study(
    NAME, CONTROLS, SEEDS, Numbers, make_model, make_data, make_config, measure, METRICS,
    shared={"points": ()}, half=("points", "codes", "grid", "curve"),
    checked={"eta": 0.1, "mu": 30.0, "mu_in": 100.0},
    notes={"data": "noisy sinusoid, σ = 0.1", "training": TRAINING},
)  # fmt: skip


def of_curve(result: Numbers, title: str) -> Panel:
    """The manifold, with a frame around its slowest place."""
    panel, middle = draw.manifold(*result[:2], result.curve, result.grid, title), slowest(result)
    x, y = middle[:, None] + REACH * np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]])
    return replace(panel, marks=(*panel.marks, Line(x, y, "ink", width=1)))


def opening() -> Picture:
    """A decoder's curve through the data, coloured by the code, and nothing about its speed."""
    one = STUDY(0, eta=ETAS[0], mu=MUS[-1], mu_in=0.0)
    panel = draw.manifold(*one[:2], one.curve, one.grid, "a decoder of one number")
    says = (
        f"{NUM_SHOWN} points about a sinusoid and the curve of a decoder, coloured by its code, "
        f"which goes from {one.grid[0]:.1f} to {one.grid[-1]:.1f}."
    )
    return Picture([panel], says, (4.6, 3.4))


def slowest(result: Numbers) -> np.ndarray:
    """Where the decoder moves least: ``(2,)``."""
    return result.curve[result.stretch.argmin()]


def magnified(result: Numbers) -> Panel:
    """The curve within that frame."""
    centre = slowest(result)
    axes = (Axis(limits=(at - REACH, at + REACH), ticks=()) for at in centre)
    near = (np.abs(result.curve - centre) < 3 * REACH).all(1)
    curve = np.where(near[:, None], result.curve, np.nan)  # broken where it is far away
    curve = curve[near | np.roll(near, 1)]
    title, note = "its slowest place", f"magnified: {2 * REACH:g} wide"
    return Panel([Line(*curve.T, "ink")], *axes, title=title, note=note, equal=True)


def stretch_along(result: Numbers, eta: float) -> Panel:
    """‖g'(z)‖ over the code, with the threshold η and the codes that data use as ticks."""
    codes, least = result.codes[::2], result.stretch.argmin()
    marks = (
        Line(result.grid, result.stretch, "blue", width=1.8),
        Rule(y=eta, colour="orange", dash="dashed", label=f"η = {eta:g}"),
        Points(codes, np.full(len(codes), 0.0025), "grey", marker="|", size=7, alpha=0.5),
        Points(result.grid[least], result.stretch[least], "ink", marker="s", hollow=True),
    )
    title = f"self-crossings {result.crossings:g}, below η/2: {result.squeezed:.0%}"
    x, y = Axis("code z  (ticks: data)"), Axis("stretch ‖g'(z)‖", "log", (2e-3, 20))
    return Panel(marks, x, y, title=title)


def picture(result: Numbers, eta: float, mu: float, mu_in: float) -> Picture:
    """The manifold, its slowest place magnified, and the stretch along the code."""
    left = of_curve(result, f"η = {eta:g}, μ = {mu:g}, μ_in = {mu_in:g}")
    panels = left, magnified(result), stretch_along(result, eta)
    return Picture(panels, words(result, eta, mu, mu_in), (10.6, 3.5), (5, 2, 5))


def words(result: Numbers, eta: float, mu: float, mu_in: float) -> str:
    """What a picture of one trained model shows."""
    return (
        f"Relaxed injective flow on the sinusoid, η = {eta:g}, μ = {mu:g}, μ_in = {mu_in:g}: "
        f"{result.crossings:g} self-crossings, {result.squeezed:.0%} of the codes are "
        f"stretched by less than η/2, the smallest stretch is {result.least:.2g}; reconstruction "
        f"error {result.reconstruction:.3g}, negative log-likelihood {result.nll:.2f} nats."
    )


def led() -> tuple[int, str]:
    """Where most trainings leave the curve when moving slowly is paid and errors are cheap."""
    eta, mu = ETAS[1], MUS[0]
    errors = STUDY.at("reconstruction", eta=eta, mu=mu, mu_in=0.0)  # (seed,)
    variance = float(STUDY.at("points").var(0).sum())  # the error of one point, at the mean
    on_a_point = errors > 0.75 * variance
    most = 1 if on_a_point.mean() > 0.5 else 2 if np.median(errors) > 0.1 * variance else 0
    return most, (
        f"In {on_a_point.sum()} of {len(errors)} trainings at η = {eta:g}, μ = {mu:g} the whole "
        f"data set goes nearly to one point: the error is {errors.min():.2f} to "
        f"{errors.max():.2f}, the data's variance {variance:.2f}."
    )


EXPLORABLE = Explorable(
    title="A relaxed injective flow",
    study=STUDY,
    draw=picture,
    presets={
        "μ small: all on one point": {"eta": 0.03, "mu": 1.0, "mu_in": 0.0},
        "loops": {"eta": 0.3, "mu": 3.0, "mu_in": 0.0},
        "the penalty on": {"eta": 0.3, "mu": 3.0, "mu_in": 100.0},
        "μ large: an autoencoder": {"mu": 30.0},
    },
    prompts=(
        "Where a curve turns round on the spot its stretch is small. What undoes the loop?",
        "Which μ makes an autoencoder of it, whatever η is?",
    ),
    question=Question(
        "The loss pays for a small stretch, down to η = 0.1. Where will the decoded curve lie when "
        "errors cost little (μ = 1)?",
        ("along the data, only slower", "nearly on one point", "along one half of the data"),
        led,
    ),
)
