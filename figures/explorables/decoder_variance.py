"""The decoder variance γ on a manifold of known dimension: blur, count, slope (2SVAE §3)."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from companion.data.manifold import Manifold
from companion.evaluation import active_dimensions, variance_spectrum
from companion.lab.explorable import Control, Explorable, Question
from companion.lab.marks import Line, Points
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import VAE, posterior_size
from companion.networks import MLP
from companion.training import TrainConfig
from figures import draw

NAME = "variance"
GAMMAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
DIMENSIONS = (1, 2, 5)
WAYS = ("fixed from the start", "lowered step by step")
SEEDS = (0, 1, 2, 3, 4)
CONTROLS = {
    "gamma": Control("decoder variance γ", GAMMAS, 1.0),
    "dimension": Control("true dimension r", DIMENSIONS, 2),
    "way": Control("γ is", (0, 1), 1, names=WAYS),
}
DIM, LATENT = 30, 10  # D and κ
NUM_TRAIN, NUM_TEST, NUM_SHOWN = 4096, 1000, 80
EPOCHS, STEP_EPOCHS = 30, 12  # at the first γ, at each lower one
METRICS = ("loss", "error", "clean_error", "distance")


class Numbers(NamedTuple):
    """Everything that a picture of one trained model shows."""

    points: np.ndarray  # (shown, 2) test data in the plane of the picture
    reconstructions: np.ndarray  # (shown, 2) decoded posterior draws of the same
    samples: np.ndarray  # (shown, 2)
    spectrum: np.ndarray  # (latent,) mean posterior variances, smallest first
    loss: float  # mean, in nats
    error: float  # mean ‖x̂ − x‖² of posterior draws
    clean_error: float  # the same of posterior means
    distance: float  # mean distance of samples from the manifold

    @property
    def active(self) -> int:
        """Latent directions with a posterior variance below ½."""
        return active_dimensions(torch.as_tensor(self.spectrum))


def make_model(seed: int, latent: int = LATENT, **options) -> VAE:
    """Two hidden layers of 64 on each side, seeded weights.

    >>> make_model(0, learn_variance=True).latent_dim
    10
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = MLP(DIM, posterior_size(latent)), MLP(latent, DIM)
        return VAE(*networks, (DIM,), latent, **options)


def make_data(dimension: int, seed: int, num: int = NUM_TRAIN, stream: int = 1000) -> torch.Tensor:
    """Points of one seed's manifold: ``(num, 30)``."""
    generator = torch.Generator().manual_seed(stream + seed)
    return Manifold(dimension, DIM, seed=seed).sample(num, generator)


def make_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """One-cycle Adam steps of batch 128, 32 in each epoch."""
    return TrainConfig(epochs, 128, learning_rate=3e-3, seed=seed, device="cpu")


def start(gamma: float, seed: int, before: VAE | None) -> VAE:
    """A model at this γ: a new one, or one that was trained at the γ above."""
    model = copy.deepcopy(before) if before else make_model(seed)
    model.decoder_variance.fill_(gamma)
    return model


def lowered_from(gamma: float, way: int) -> dict[str, float] | None:
    """Where a model at this γ comes from: the γ above, if it is lowered step by step.

    >>> lowered_from(0.1, way=1), lowered_from(0.1, way=0), lowered_from(3.0, way=1)
    ({'gamma': 0.3}, None, None)
    """
    above = GAMMAS.index(gamma) + 1
    return {"gamma": GAMMAS[above]} if way and above < len(GAMMAS) else None


def make_step(gamma: float, way: int, seed: int) -> TrainConfig:
    """The training at one γ, shorter where a model was trained before."""
    return make_config(seed, STEP_EPOCHS if lowered_from(gamma, way) else EPOCHS)


@torch.no_grad()
def measure(model: VAE, dimension: int, seed: int) -> Numbers:
    """Judge a trained model on test data of its manifold."""
    toy, x = Manifold(dimension, DIM, seed=seed), make_data(dimension, seed, NUM_TEST, 2000)
    generator = torch.Generator().manual_seed(3000)
    noise = torch.randn(8, NUM_TEST, model.latent_dim, generator=generator)
    terms, x_hat = model.eval().terms(x, noise), model.decode(model.encode(x))
    drawn = model.decode(model.draw_posterior(x[:NUM_SHOWN], noise[:1, :NUM_SHOWN])[0])
    samples = model.sample(NUM_TEST, generator=generator)
    shown = (toy.plane(t[:NUM_SHOWN]).numpy() for t in (x, drawn, samples))
    return Numbers(
        *shown,
        variance_spectrum(model, x).values.numpy(),
        float(terms.loss.mean()),
        float(terms.reconstruction.mean()),
        float((x_hat - x).square().sum(1).mean()),
        float(toy.distance(samples).mean()),
    )


STUDY = Study(
    NAME, CONTROLS, SEEDS, Numbers, start, make_data, make_step, measure, METRICS,
    after=lowered_from, shared={"points": ("dimension", "seed")},
    half=("points", "reconstructions", "samples"), order=("way", "gamma", "dimension"),
    checked={"gamma": 0.1, "way": 0},
    notes={
        "data": "curved manifolds in 30 dimensions",
        "training": {"epochs": EPOCHS, "step_epochs": STEP_EPOCHS, "num_train": NUM_TRAIN},
    },
)  # fmt: skip


def curves(dimension: int, metric: str = "loss") -> dict[str, np.ndarray]:
    """One metric of all runs on one dimension, by how γ was set: each ``(gamma, seed)``."""
    return {name: STUDY.at(metric, way=i, dimension=dimension) for i, name in enumerate(WAYS)}


def counts(dimension: int, way: int) -> np.ndarray:
    """Active dimensions of all runs: ``(gamma, seed)``."""
    return (STUDY.at("spectrum", way=way, dimension=dimension) < 0.5).sum(-1)


def gallery(gammas: Sequence[float], seed: int = 0, dimension: int = 2) -> Picture:
    """Data, reconstructions and samples at several γ side by side."""
    panels, texts = [], []
    for gamma in gammas:
        result = STUDY(seed, gamma=gamma, dimension=dimension)
        panels.append(blur(result, f"γ = {gamma:g}"))
        texts.append(words(result, gamma, dimension, 1))
    return Picture(panels, " ".join(texts), (3.4 * len(panels), 2.9))


def blur(result: Numbers, title: str) -> Panel:
    """Data, their reconstructions and samples of a model in the plane of the picture."""
    marks = (
        Points(*np.transpose(result.points), "grey", size=2.5, alpha=0.5, label="data"),
        Points(*np.transpose(result.samples), "green", marker="+", size=4.5, label="samples"),
        Points(*np.transpose(result.reconstructions), "orange", size=2.5, label="reconstructions"),
    )
    x = Axis("along the manifold, u₁", limits=(-2.6, 2.6))
    return Panel(marks, x, Axis("its bend", limits=(-0.75, 0.95)), title=title, legend="above")


def loss_against_variance(dimension: int, way: int, gamma: float, loss: float) -> Panel:
    """Twice the loss against γ, median and range over seeds, beside its slope in log γ, D − r.

    The line goes through the smallest γ of the lowered runs; one run is marked.
    """
    colours, found = ("orange", "blue"), curves(dimension)
    marks = ()
    for (name, values), colour in zip(found.items(), colours, strict=True):
        marks += draw.spread(GAMMAS, 2 * values, colour, name)
    slope = DIM - dimension
    line = np.median(2 * found[WAYS[1]][0]) + slope * np.log(np.divide(GAMMAS, GAMMAS[0]))
    label = f"slope D − r = {slope:g}"
    marks += (Line(GAMMAS, line, "grey", width=1.2, dash="dashed", label=label),)
    marks += (draw.chosen(gamma, 2 * loss, colours[way]),)
    x, y = Axis("decoder variance γ", "log"), Axis("2 · loss (nats)")
    return Panel(marks, x, y, title=draw.SPREAD)


def picture(result: Numbers, gamma: float, dimension: int, way: int) -> Picture:
    """Data against samples, the posterior variances, and where the loss stands among all runs."""
    title = f"active {result.active} of {LATENT}, true {dimension}"
    panels = (
        blur(result, f"γ = {gamma:g}: error {result.error:.2g}"),
        draw.posterior_variances(result.spectrum, dimension, title=title),
        loss_against_variance(dimension, way, gamma, result.loss),
    )
    return Picture(panels, words(result, gamma, dimension, way), (10.8, 3.4))


def words(result: Numbers, gamma: float, dimension: int, way: int) -> str:
    """What a picture of one trained model shows.

    >>> words(STUDY(0, gamma=0.01), 0.01, 2, 1)[:60]
    'Manifold of dimension 2 in 30 numbers, γ = 0.01 lowered step'
    """
    return (
        f"Manifold of dimension {dimension} in {DIM} numbers, γ = {gamma:g} {WAYS[way]}: "
        f"{result.active} of {LATENT} latent dimensions are active; reconstruction error "
        f"{result.error:.3g}, samples {result.distance:.3g} off the manifold, twice the loss "
        f"{2 * result.loss:.1f} nats."
    )


def wired() -> tuple[int, str]:
    """How many latent dimensions a tiny γ keeps in use if it is there from the start."""
    r, (at_once, lowered) = 2, (counts(2, way)[0] for way in range(len(WAYS)))  # (seed,)
    most = int(np.sign(np.median(at_once) - r)) + 1
    one, other = (" to ".join(map(str, sorted({c.min(), c.max()}))) for c in (at_once, lowered))
    return most, (
        f"At γ = {GAMMAS[0]:g} from the start {one} of {LATENT} dimensions are active "
        f"in {len(at_once)} trainings; where γ is lowered step by step, {other}."
    )


EXPLORABLE = Explorable(
    title="The decoder variance",
    study=STUDY,
    draw=picture,
    presets={
        "γ = 1, as many do": {"gamma": 1.0},
        "γ → 0, lowered": {"gamma": GAMMAS[0], "way": 1},
        "γ → 0 at once": {"gamma": GAMMAS[0], "way": 0},
    },
    prompts=(
        "With a smaller γ, will more or fewer latent dimensions carry information?",
        "What does the loss at γ → 0 tell about r?",
    ),
    question=Question(
        "The data lie on a surface, r = 2; the code has 10 numbers. With γ = 0.003 from the first "
        "step on, how many of the ten are in use?",
        ("fewer than 2", "2", "more than 2"),
        wired,
    ),
)
