"""A relaxed injective flow on the noisy sinusoid: squeezed codes, loops, and what η does."""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion import jacobians
from companion.data.toy import Sinusoid
from companion.evaluation import evaluate, self_crossings
from companion.lab.explorable import Control, Explorable
from companion.lab.study import Study
from companion.models import Model, RelaxedFlow
from companion.networks import MLP
from companion.training import TrainConfig
from figures import plots

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


def stretch_along(ax: Axes, result: Numbers, eta: float) -> None:
    """‖g'(z)‖ over the code, with the threshold η and the codes that data use as ticks."""
    ax.plot(result.grid, result.stretch, color=plots.BLUE, linewidth=1.8)
    ax.axhline(eta, color=plots.ORANGE, linewidth=1.4, linestyle="--", label=f"η = {eta:g}")
    ticks = {"color": plots.GREY, "alpha": 0.5, "markersize": 7}
    ax.plot(result.codes, np.full(len(result.codes), 0.0025), "|", **ticks)
    ax.set(yscale="log", ylim=(2e-3, 20), xlabel="code z  (ticks: data)", ylabel="stretch ‖g'(z)‖")
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, loc="upper right")


def draw(figure: Figure, result: Numbers, eta: float, mu: float, mu_in: float) -> str:
    """The manifold with its slowest place magnified, and the stretch along the code."""
    figure.subplots_adjust(0.075, 0.15, 0.985, 0.91, wspace=0.22)
    left, right = figure.subplots(1, 2)
    plots.manifold(left, result.points, result.codes, result.curve, result.grid)
    left.set_title(f"η = {eta:g}, μ = {mu:g}, μ_in = {mu_in:g}", fontsize=9)
    plots.magnified(left, result.curve, result.curve[result.stretch.argmin()])
    stretch_along(right, result, eta)
    right.set_title(
        f"self-crossings {result.crossings:g}, below η/2: {result.squeezed:.0%}", fontsize=9
    )
    return (
        f"Relaxed injective flow on the sinusoid, η = {eta:g}, μ = {mu:g}, μ_in = {mu_in:g}: "
        f"{result.crossings:g} self-crossings, {result.squeezed:.0%} of the codes are "
        f"stretched by less than η/2, the smallest stretch is {result.least:.2g}; reconstruction "
        f"error {result.reconstruction:.3g}, negative log-likelihood {result.nll:.2f} nats."
    )


EXPLORABLE = Explorable(
    title="A relaxed injective flow",
    study=STUDY,
    draw=draw,
    columns=2,
    presets={
        "μ small: all on one point": {"eta": 0.03, "mu": 1.0, "mu_in": 0.0},
        "loops": {"eta": 0.3, "mu": 3.0, "mu_in": 0.0},
        "the penalty on": {"eta": 0.3, "mu": 3.0, "mu_in": 100.0},
        "μ large: an autoencoder": {"mu": 30.0},
    },
    prompts=(
        "The loss rewards a small stretch. What will it do where η allows it, at a small μ?",
        "Where a curve turns round on the spot its stretch is small. What undoes the loop?",
    ),
)
