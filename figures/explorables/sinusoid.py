"""The noisy sinusoid under β and noise: what does one latent dimension keep (MLAE Figs 3, 6)?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from companion.data.toy import Sinusoid
from companion.evaluation import evaluate, normal_alignment, rank_correlation
from companion.lab.explorable import Control, Explorable, Question
from companion.lab.marks import Line, Points, Span, Text
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig
from figures import draw

NAME = "sinusoid"
BETAS = tuple(float(f"{b:.3g}") for b in np.logspace(-2, 2, 13))  # holds 0.01, 0.1, 1, 10, 100
PAPER_BETAS = tuple(float(b) for b in np.logspace(-2, 2, 14))  # of the authors' notebook
NOISES = (0.1, 0.2, 0.3)
SEEDS = (0, 1, 2, 3, 4)
CONTROLS = {
    "beta": Control("β, weight of the reconstruction", BETAS, 10.0),
    "noise": Control("noise σ of the data", NOISES, 0.1),
}
NUM_TRAIN, NUM_TEST, NUM_SHOWN = 7680, 1000, 400
EPOCHS = 50
CODES = np.linspace(-2.5, 2.5, 101)  # where the decoder's curve is drawn
METRICS = ("nll", "reconstruction", "alignment", "correlation")
TRAINING = {"steps": 1500, "batch_size": 256, "learning_rate": 5e-3, "num_train": NUM_TRAIN}


class Numbers(NamedTuple):
    """Everything that a picture of one trained model shows."""

    points: np.ndarray  # (shown, 2) test data
    codes: np.ndarray  # (shown,) their latent codes
    curve: np.ndarray  # (codes, 2) the decoder at evenly spaced codes
    nll: float  # exact, in nats, on the manifold at the reconstruction
    reconstruction: float  # mean ‖x̂ − x‖²
    alignment: float  # mean cos² between the code's gradient and the sinusoid's normal
    correlation: float  # |rank correlation| of code and x₁


def make_model(beta: float, seed: int) -> MLAE:
    """Residual networks of three hidden layers of 64, one latent dimension, seeded weights.

    >>> make_model(10.0, seed=0).latent_dim
    1
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        options = {"hidden": (64, 64, 64), "residual": True}
        return MLAE(MLP(2, 1, **options), MLP(1, 2, **options), (2,), 1, beta=beta)


def make_data(noise: float, seed: int) -> torch.Tensor:
    """The training data of one run: ``(7680, 2)``."""
    return Sinusoid(noise).sample(NUM_TRAIN, torch.Generator().manual_seed(1000 + seed))


def make_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """1,500 one-cycle Adam steps of batch 256 in 50 epochs."""
    return TrainConfig(epochs=epochs, batch_size=256, learning_rate=5e-3, seed=seed, device="cpu")


def measure(model: MLAE, noise: float) -> Numbers:
    """Judge a trained model on test data that are the same for all models of one noise level."""
    toy = Sinusoid(noise)
    x = toy.sample(NUM_TEST, torch.Generator().manual_seed(2000))
    quality = evaluate(model, x, chunk=NUM_TEST)
    with torch.no_grad():
        codes = model.encode(x)[:, 0]
        curve = model.decode(torch.tensor(CODES, dtype=x.dtype)[:, None])
    alignment = normal_alignment(model.encode, x, toy.normal(toy.nearest(x)))
    correlation = abs(rank_correlation(codes, x[:, 0]))
    shown = slice(NUM_SHOWN)
    return Numbers(
        x[shown].numpy(), codes[shown].numpy(), curve.numpy(),
        quality.nll, quality.reconstruction, alignment, correlation,
    )  # fmt: skip


STUDY = Study(
    NAME, CONTROLS, SEEDS, Numbers, make_model, make_data, make_config, measure, METRICS,
    shared={"points": ("noise",)}, half=("points", "codes", "curve"),
    order=("noise", "beta"), notes={"data": "noisy sinusoid", "training": TRAINING},
)  # fmt: skip


def trade_off(noise: float) -> dict[str, np.ndarray]:
    """NLL and reconstruction error of all runs at one noise level: each ``(beta, seed)``.

    >>> bool((trade_off(0.1)["reconstruction"][-1] < 0.02).all())
    True
    """
    return {"beta": np.asarray(BETAS), **{name: STUDY.at(name, noise=noise) for name in METRICS}}


def transitions(noise: float) -> np.ndarray:
    """For each seed the β above which the code follows the curve for good: ``(seed,)``.

    Where the mean cos² to the normal falls through ½ for the last time, log-interpolated.

    >>> transitions(0.1).shape
    (5,)
    """
    return onsets(BETAS, trade_off(noise)["alignment"])


def onsets(betas: Sequence[float], alignment: np.ndarray) -> np.ndarray:
    """Where the mean cos² ``(beta, seed)`` falls through ½ for the last time: ``(seed,)``.

    >>> onsets([0.1, 1.0, 10.0], np.array([[0.9], [0.7], [0.3]])).round(3)
    array([3.162])
    """
    log_beta, found = np.log(betas), []
    for run in alignment.T:
        last = min(int(np.flatnonzero(run >= 0.5).max(initial=0)), len(betas) - 2)
        high, low = run[last], run[last + 1]
        share = np.clip((high - 0.5) / (high - low), 0, 1)
        found.append(np.exp(log_beta[last] + share * (log_beta[last + 1] - log_beta[last])))
    return np.array(found)


def posed(noise: float = 0.1) -> Picture:
    """The data alone, and the two directions of which a code could tell one."""
    points = STUDY(0, noise=CONTROLS["noise"].nearest(noise)).points
    arms = np.array([-0.7, 0.7]), np.ones(2)
    marks = (
        Points(*points.T, "grey", size=3, alpha=0.55),
        Line(1 + arms[0], arms[1], "orange", width=2.6),
        Line(arms[1], 1 + arms[0], "green", width=2.6),
        Text(1.75, 1.0, "along?", "orange", "start"),
        Text(1.0, 1.8, "across?", "green"),
        Points([1.0], [1.0], "ink", size=6),
    )
    axes = Axis("x₁", limits=(-3.3, 3.3)), Axis("x₂", limits=(-2.2, 2.2))
    says = (
        "Points near a sinusoid. One number for each may say where along the curve it lies, or how "
        "far across it."
    )
    return Picture([Panel(marks, *axes)], says, (4.3, 3.0))


def gallery(betas: Sequence[float], seed: int = 0, noise: float = 0.1) -> Picture:
    """Manifolds at several β side by side, as MLAE Fig. 3 shows them."""
    panels, texts = [], []
    for beta in map(CONTROLS["beta"].nearest, betas):
        result = STUDY(seed, beta=beta, noise=noise)
        panels.append(of_codes(result, f"β = {beta:g}"))
        texts.append(words(result, beta, noise))
    return Picture(panels, " ".join(texts), (3.2 * len(panels), 2.9))


def of_codes(result: Numbers, title: str) -> Panel:
    """The manifold of one trained model."""
    return draw.manifold(result.points, result.codes, result.curve, CODES, title)


def noise_gallery() -> Picture:
    """The trade-off at each noise level, as MLAE Fig. 6, with the range of the transition."""
    panels, texts = [], []
    limits = draw.common(np.stack([trade_off(noise)[n] for noise in NOISES]) for n in METRICS[:2])
    for noise in NOISES:
        low, high = transitions(noise).min(), transitions(noise).max()
        panel = draw.trade_off(**trade_off(noise), title=f"σ = {noise:g};  green: transition")
        nats, error = replace(panel.right, limits=limits[0]), replace(panel.y, limits=limits[1])
        marks = (Span((low, high), colour="green", alpha=0.25), *panel.marks)
        panels.append(replace(panel, marks=marks, y=error, right=nats))
        texts.append(f"at σ = {noise:g} the transition lies between β = {low:.2g} and {high:.2g}")
    says = "Trade-off at three noise levels: " + "; ".join(texts) + " over seeds."
    return Picture(panels, says, (10.5, 3.2))


def picture(result: Numbers, beta: float, noise: float) -> Picture:
    """One model's manifold beside where it stands among all runs of its noise level."""
    left = of_codes(result, f"β = {beta:g}, σ = {noise:g}")
    here = beta, result.reconstruction, result.nll
    right = draw.trade_off(**trade_off(noise), here=here)
    return Picture([left, right], words(result, beta, noise), widths=(5, 4))


def words(result: Numbers, beta: float, noise: float) -> str:
    """What a picture of one trained model shows.

    >>> words(STUDY(0, beta=100.0), 100.0, 0.1)[:54]
    'Noisy sinusoid, β = 100, σ = 0.1: the code follows the'
    """
    follows = "noise across the curve" if result.alignment > 0.5 else "position along the curve"
    return (
        f"Noisy sinusoid, β = {beta:g}, σ = {noise:g}: the code follows the {follows} "
        f"(mean cos² to the normal {result.alignment:.2f}); reconstruction error "
        f"{result.reconstruction:.3g}, negative log-likelihood {result.nll:.2f} nats."
    )


def followed() -> tuple[int, str]:
    """Which direction the code follows at the smallest β, in most of the trainings."""
    across = STUDY.at("alignment", noise=NOISES[0])[0]  # mean cos² to the normal, (seed,)
    most = int(np.median(across) > 0.5)
    return most, (
        f"At β = {BETAS[0]:g} the code follows the noise across the curve in "
        f"{(across > 0.5).sum()} of {len(across)} trainings: the likelihood alone prefers the "
        "direction in which the data vary least."
    )


EXPLORABLE = Explorable(
    title="The noisy sinusoid",
    study=STUDY,
    draw=picture,
    presets={
        "β → 0: likelihood alone": {"beta": BETAS[0]},
        "the transition": {"beta": BETAS[5]},
        "β → ∞: reconstruction alone": {"beta": BETAS[-1]},
    },
    prompts=(
        "More noise: does the change from one regime to the other come at a smaller or a larger β?",
    ),
    question=Question(
        "At β = 0.01 the reconstruction hardly counts. What will the one number of the code say?",
        ("where along the curve a point lies", "how far across the curve it lies", "neither"),
        followed,
    ),
)
