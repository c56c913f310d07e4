"""Where samples' codes come from: one stage, two, and what fails (2SVAE §4, footnotes 5 and 6)."""

from typing import NamedTuple

import numpy as np
import torch

from companion.data.manifold import Manifold
from companion.evaluation import gaussian_w2
from companion.lab.explorable import Control, Explorable, Question
from companion.lab.marks import Bars, Points
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import VAE, Autoencoder, Model, TwoStageVAE, posterior_size, second_stage
from companion.networks import MLP
from companion.training import TrainConfig

NAME = "stages"
ARMS = (
    "γ = 1, fixed",
    "γ learned",
    "second stage on it",
    "both stages at once",
    "autoencoder",
    "second stage on that",
)
FIRST = {2: 1, 5: 4}  # the arm whose trained model is the first stage of another
SEEDS = (0, 1, 2, 3, 4)
CONTROLS = {
    "arm": Control("model", tuple(range(len(ARMS))), 1, names=ARMS),
}
DIM, LATENT, HIDDEN = 5, 3, (32, 32)
NUM, NUM_SHOWN, EPOCHS, SECOND_EPOCHS = 4096, 150, 60, 150
BINS = np.linspace(-2, 2, 61)
METRICS = ("energy", "w2", "distance", "variance", "second_variance")


class Numbers(NamedTuple):
    """Everything that a picture of one trained model shows."""

    histogram: np.ndarray  # (bins,) density of the samples' coordinate u
    truth: np.ndarray  # (bins,) of the data's
    codes: np.ndarray  # (shown, 2) the data's first two principal codes, standardised by nothing
    drawn: np.ndarray  # (shown, 2) codes that samples are decoded from, in the same plane
    energy: float  # distance of the samples' coordinates from the data's
    w2: float  # squared Wasserstein distance of the Gaussians fitted to samples and data
    distance: float  # mean distance of samples from the manifold
    variance: float  # γ of the first stage
    second_variance: float  # of the second, or not a number


def make_first(seed: int, **options) -> VAE:
    """A VAE with three latent dimensions for a curve in five, seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets = MLP(DIM, posterior_size(LATENT), HIDDEN), MLP(LATENT, DIM, HIDDEN)
        return VAE(*nets, (DIM,), LATENT, **options)


def make_second(first: Model, seed: int, joint: bool = False) -> TwoStageVAE:
    """A second stage on it, whose γ starts at 0.1: from 1 it stays at the prior."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 100)
        return TwoStageVAE(first, second_stage(LATENT, HIDDEN), joint)


def make_autoencoder(seed: int) -> Autoencoder:
    """A plain autoencoder with the same networks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(MLP(DIM, LATENT, HIDDEN), MLP(LATENT, DIM, HIDDEN), (DIM,), LATENT)


def toy(seed: int) -> Manifold:
    """A curve in five dimensions with two clusters on it."""
    return Manifold(1, DIM, "clusters", seed=seed)


def make_data(seed: int, stream: int = 1000) -> torch.Tensor:
    """``(4096, 5)``."""
    return toy(seed).sample(NUM, torch.Generator().manual_seed(stream + seed))


def make_model(arm: int, seed: int, before: Model | None) -> Model:
    """One of ``ARMS``; a second stage is made on the trained model ``before``.

    >>> make_model(1, seed=0, before=None).latent_dim
    3
    """
    learned = {"learn_variance": True, "decoder_variance": 0.01}
    if ARMS[arm] == "both stages at once":
        return make_second(make_first(seed, **learned), seed, joint=True)
    if ARMS[arm] == "autoencoder":
        return make_autoencoder(seed)
    if arm in FIRST:
        return make_second(before, seed)
    return make_first(seed, **learned if ARMS[arm] == "γ learned" else {})


def make_config(arm: int, seed: int) -> TrainConfig:
    """One-cycle Adam steps, of a larger batch for a second stage."""
    epochs, batch = (SECOND_EPOCHS, 512) if arm in FIRST else (EPOCHS, 128)
    return TrainConfig(epochs, batch, 5e-3, seed=seed, device="cpu")


def energy_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """2E‖a − b‖ − E‖a − a'‖ − E‖b − b'‖ ≥ 0, zero for equal distributions (Székely, 2003)."""
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


@torch.no_grad()
def measure(model: Model, seed: int) -> Numbers:
    """Judge a trained model by its samples."""
    curve, test, generator = toy(seed), make_data(seed, 2000), torch.Generator().manual_seed(3000)
    drawn = model.draw_codes(NUM, generator)
    samples, first = model.decode(drawn), getattr(model, "first", model)
    codes = first.encode(test)
    if isinstance(first, VAE):
        noise = torch.randn(1, *codes.shape, generator=generator)
        codes = first.draw_posterior(test, noise)[0]
    u, truth = curve.project(samples), curve.project(test)
    axes = torch.linalg.svd(codes - codes.mean(0), full_matrices=False).Vh[:2].T
    second = float(model.second.variance) if isinstance(model, TwoStageVAE) else float("nan")
    return Numbers(
        np.histogram(u.numpy(), BINS, density=True)[0],
        np.histogram(truth.numpy(), BINS, density=True)[0],
        ((codes - codes.mean(0)) @ axes)[:NUM_SHOWN].numpy(),
        ((drawn - codes.mean(0)) @ axes)[:NUM_SHOWN].numpy(),
        energy_distance(u[:2000], truth[:2000]),
        gaussian_w2(samples, test).value,
        float(curve.distance(samples).mean()),
        float(getattr(first, "variance", torch.tensor(float("nan")))),
        second,
    )


STUDY = Study(
    NAME, CONTROLS, SEEDS, Numbers, make_model, make_data, make_config, measure, METRICS,
    after=lambda arm: {"arm": FIRST[arm]} if arm in FIRST else None, checked={"arm": 0},
    notes={
        "data": "two clusters on a curve in five dimensions",
        "training": {"epochs": EPOCHS, "second_epochs": SECOND_EPOCHS, "num_train": NUM},
    },
)  # fmt: skip


def picture(result: Numbers, arm: int) -> Picture:
    """Codes of data and of samples, and where samples lie on the curve."""
    codes = (
        Points(*result.codes.T, "grey", size=2.5, alpha=0.7, label="codes of data"),
        Points(*result.drawn.T, "green", marker="+", label="codes of samples"),
    )
    axes = Axis("first principal code"), Axis("second")
    left = Panel(codes, *axes, title=ARMS[arm], legend="above")
    bars = (
        Bars(BINS, result.truth, "grey", label="data"),
        Bars(BINS, result.histogram, "green", outline=True, label="samples"),
    )
    axes = Axis("coordinate u along the curve"), Axis("density")
    right = Panel(bars, *axes, title=f"energy distance {result.energy:.3g}", legend="above")
    return Picture([left, right], words(result, arm), (9.2, 3.2))


def in_gap(histogram: np.ndarray) -> np.ndarray:
    """The share of each histogram ``(…, bins)`` that lies between the clusters."""
    middle = np.abs(BINS[:-1] + BINS[1:]) < 1
    return (histogram[..., middle] * np.diff(BINS)[middle]).sum(-1)


def words(result: Numbers, arm: int) -> str:
    """What a picture of one trained model shows."""
    return (
        f"Two clusters on a curve, {ARMS[arm]}: {in_gap(result.histogram):.0%} of the samples lie "
        f"in the gap between the clusters; energy distance {result.energy:.3g}, samples "
        f"{result.distance:.2g} off the curve."
    )


def strayed() -> tuple[int, str]:
    """Where samples of a first stage with a learned γ go wrong, over all trainings."""
    arm = ARMS.index("γ learned")
    off, share, true = (
        STUDY.at("distance", arm=arm),
        *(in_gap(STUDY.at(name, arm=arm)) for name in ("histogram", "truth")),
    )  # (seed,) of each
    wrong = 0 if np.median(off) > 0.2 else 1 if share.min() > 2 * true.max() else 2
    return wrong, (
        f"In {len(off)} trainings {share.min():.0%} to {share.max():.0%} of the samples lie in the "
        f"gap, where {true.max():.1%} of the data are at most; their "
        f"distance from the curve is {np.median(off):.2g} (median)."
    )


EXPLORABLE = Explorable(
    title="One stage, two stages",
    study=STUDY,
    draw=picture,
    presets={"one stage": {"arm": 1}, "two stages": {"arm": 2}, "an autoencoder first": {"arm": 5}},
    prompts=(
        "Which of the six models puts the fewest samples into the gap?",
        "What will a second stage do with codes that fill only a curve of their space?",
    ),
    question=Question(
        "Two clusters lie on a curve. A VAE with a learned γ is trained on them. Where do its "
        "samples go wrong?",
        ("off the curve", "on the curve, between the clusters", "nowhere that can be seen"),
        strayed,
    ),
)
