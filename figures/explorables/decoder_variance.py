"""The decoder variance γ on a manifold of known dimension: blur, count, slope (2SVAE §3)."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from companion.data.manifold import Manifold
from companion.evaluation import active_dimensions, variance_spectrum
from companion.lab.explorable import Computed, Control, Explorable, compare
from companion.models import VAE, posterior_size
from companion.networks import MLP
from companion.training import TrainConfig, fit, sweep
from figures import plots

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


def lower(
    models: Sequence[VAE],
    points: Sequence[tuple[int, int]],
    gammas: Sequence[float],
    progress: bool = False,
) -> Iterator[float]:
    """Train models of ``(dimension, seed)`` at one γ after another, all at once; yields each γ."""
    data = [make_data(*point) for point in points]
    for step, gamma in enumerate(gammas):
        for model in models:
            model.decoder_variance.fill_(gamma)
        epochs = STEP_EPOCHS if step else EPOCHS
        configs = [make_config(seed, epochs) for _, seed in points]
        sweep(models, data, configs, progress=progress)
        yield gamma


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


def numbers(seed: int, gamma: float, dimension: int, way: int) -> Numbers:
    """The numbers of one lattice point."""
    at = way, GAMMAS.index(gamma), DIMENSIONS.index(dimension), SEEDS.index(seed)
    values = {n: STUDY.arrays[n][at[2:] if n == "points" else at] for n in Numbers._fields}
    return Numbers(**{n: float(v) if n in METRICS else v.astype(float) for n, v in values.items()})


def curves(dimension: int, name: str = "loss") -> dict[str, np.ndarray]:
    """One metric of all runs on one dimension, by how γ was set: each ``(gamma, seed)``."""
    at = DIMENSIONS.index(dimension)
    return {w: STUDY.arrays[name][i, :, at].astype(float) for i, w in enumerate(WAYS)}


def counts(dimension: int, way: int) -> np.ndarray:
    """Active dimensions of all runs: ``(gamma, seed)``."""
    return (STUDY.arrays["spectrum"][way, :, DIMENSIONS.index(dimension)] < 0.5).sum(-1)


def gallery(gammas: Sequence[float], seed: int = 0, dimension: int = 2) -> tuple[Figure, str]:
    """Data, reconstructions and samples at several γ side by side, with the alt text."""
    figure = plots.figure(len(gammas), size=(3.4, 2.9))
    texts = []
    for ax, gamma in zip(figure.subplots(1, len(gammas), sharey=True), gammas, strict=True):
        result = STUDY(seed, gamma=gamma, dimension=dimension)
        plots.blur(ax, result.points, result.reconstructions, result.samples)
        ax.set_title(f"γ = {gamma:g}", fontsize=10)
        texts.append(words(result, gamma, dimension, 1))
    return figure, " ".join(texts)


def draw(figure: Figure, result: Numbers, gamma: float, dimension: int, way: int) -> str:
    """Data against samples, the posterior variances, and where the loss stands among all runs."""
    figure.subplots_adjust(0.075, 0.15, 0.985, 0.9, wspace=0.32)
    left, middle, right = figure.subplots(1, 3)
    plots.blur(left, result.points, result.reconstructions, result.samples)
    left.set_title(f"γ = {gamma:g}: error {result.error:.2g}", fontsize=9)
    plots.posterior_variances(middle, result.spectrum, dimension)
    middle.set_title(f"active {result.active} of {LATENT}, true {dimension}", fontsize=9)
    twice = {name: 2 * values for name, values in curves(dimension).items()}
    here = gamma, 2 * result.loss
    plots.loss_against_variance(right, GAMMAS, twice, DIM - dimension, here)
    right.set_title("median and range over seeds", fontsize=9)
    return words(result, gamma, dimension, way)


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


def live(callback: Callable | None, seed: int, gamma: float, dimension: int, way: int) -> Numbers:
    """Retrain one point now; the callback may stop it early."""
    model, x = make_model(seed), make_data(dimension, seed)
    path = [g for g in GAMMAS[::-1] if g >= gamma] if way else [gamma]
    for step, value in enumerate(path):
        model.decoder_variance.fill_(value)
        config = make_config(seed, STEP_EPOCHS if step else EPOCHS)
        if fit(model, x, None, config, progress=False, callback=callback).stopped:
            break
    return measure(model, dimension, seed)


def compute() -> tuple[dict[str, np.ndarray], dict]:
    """Train every point of the lattice; takes some minutes."""
    points = [(r, seed) for r in DIMENSIONS for seed in SEEDS]
    found: dict[tuple[int, float], list[Numbers]] = {}
    paths = [(0, [gamma]) for gamma in GAMMAS] + [(1, list(GAMMAS[::-1]))]
    for way, path in paths:
        models = [make_model(seed) for _, seed in points]
        for gamma in lower(models, points, path, progress=True):
            found[way, gamma] = [measure(m, *p) for m, p in zip(models, points, strict=True)]
    shape = (len(WAYS), len(GAMMAS), len(DIMENSIONS), len(SEEDS))
    ordered = [n for way in range(len(WAYS)) for gamma in GAMMAS for n in found[way, gamma]]
    types = dict.fromkeys(("points", "reconstructions", "samples"), np.float16)
    types |= dict.fromkeys(("spectrum", *METRICS), np.float32)
    arrays = {}
    for name, dtype in types.items():
        stacked = np.stack([getattr(n, name) for n in ordered])
        arrays[name] = stacked.reshape(*shape, *stacked.shape[1:]).astype(dtype)
    arrays["points"] = arrays["points"][0, 0]  # the same for every γ
    about = {
        "controls": {name: list(control.values) for name, control in CONTROLS.items()},
        "seeds": list(SEEDS),
        "training": {"epochs": EPOCHS, "step_epochs": STEP_EPOCHS, "num_train": NUM_TRAIN},
    }
    return arrays, about


def check(seed: int = 0, gamma: float = 0.1, dimension: int = 2) -> list[str]:
    """Retrain one point by itself and compare it with the band of the lattice's seeds there."""
    model = make_model(seed)
    for _ in lower([model], [(dimension, seed)], [gamma]):
        result = measure(model, dimension, seed)
    at = (0, GAMMAS.index(gamma), DIMENSIONS.index(dimension))
    return compare(result, {name: STUDY.arrays[name][at].astype(float) for name in METRICS})


STUDY = Computed(
    NAME, CONTROLS, SEEDS, numbers, check, compute, live=live, epochs=lambda **_: EPOCHS
)
EXPLORABLE = Explorable(
    title="The decoder variance",
    study=STUDY,
    draw=draw,
    columns=3,
    size=(3.6, 3.4),
    presets={
        "γ = 1, as many do": {"gamma": 1.0},
        "γ → 0, lowered": {"gamma": GAMMAS[0], "way": 1},
        "γ → 0 at once": {"gamma": GAMMAS[0], "way": 0},
    },
    prompts=(
        "With a smaller γ, will more or fewer latent dimensions carry information?",
        "Does it matter whether γ is small from the start or only at the end?",
    ),
)
