"""Noise along one latent direction of a VAE on real digits (2SVAE Figs 1, 10 and 11)."""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import active_dimensions, noise_effect, variance_spectrum
from companion.evaluation.dimension import NoiseEffect
from companion.lab.explorable import Computed, Control, Explorable, compare
from companion.models import VAE, TwoStageVAE, posterior_size, second_stage
from companion.networks import MLP
from companion.training import TrainConfig, fit
from figures import plots

NAME = "directions"
LATENT, NUM_NOISES, EPOCHS = 16, 10, 300
SHAPE, RUNS = (1, 8, 8), (0, 1, 2, 3, 4)
CONTROLS = {
    "direction": Control("latent direction, by λ", tuple(range(1, LATENT + 1)), 1),
    "sample": Control("digit", (1, 2, 3, 4, 5), 1),
}


def make_first(seed: int = 0, **options) -> VAE:
    """A VAE on 8×8 digits with 16 latent dimensions, two hidden layers of 128 on each side."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets = MLP(SHAPE, posterior_size(LATENT), (128, 128)), MLP(LATENT, SHAPE, (128, 128))
        return VAE(*nets, SHAPE, LATENT, **options)


def make_second(first: VAE, seed: int = 0) -> TwoStageVAE:
    """A second stage with as many latents, two hidden layers of 128, on top of a first."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        return TwoStageVAE(first, second_stage(first.latent_dim, (128, 128)))


def make_config(seed: int = 0, epochs: int = EPOCHS) -> TrainConfig:
    """One-cycle Adam steps of batch 128, ten in each epoch of the 1,297 training digits."""
    return TrainConfig(epochs, 128, learning_rate=2e-3, seed=seed, device="cpu")


@cache
def digits() -> images.Splits:
    """The digits inside scikit-learn."""
    return images.load("digits")


def code_spectra(model: TwoStageVAE, x: torch.Tensor) -> np.ndarray:
    """Singular values over √n of matrices of codes: N(0, 1), first stage, second stage.

    ``(3, latent)``; codes are posterior draws. Source: 2SVAE Fig. 1 (right).
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 1, len(x), model.latent_dim, generator=generator)
    with torch.no_grad():
        z = model.draw_posterior(x, noise[1])
        u = model.second.draw_posterior(z[0], noise[2])
    codes = torch.cat([noise[0], z, u])  # (3, n, latent)
    return (torch.linalg.svdvals(codes) / len(x) ** 0.5).numpy()


class Numbers(NamedTuple):
    """What the picture shows of one digit."""

    original: np.ndarray  # (1, 8, 8) in [0, 1]
    images: np.ndarray  # (noises, 1, 8, 8) decoded under noise along the direction
    effect: np.ndarray  # (latent,) variance of the pixels under noise along each direction
    variances: np.ndarray  # (latent,) of the posterior, smallest first


def numbers(direction: int, sample: int) -> Numbers:
    """The part of the lattice that belongs to a direction and a digit, both counted from 1."""
    arrays, j, i = STUDY.arrays, direction - 1, sample - 1
    pictures = arrays["originals"][i] / 255, arrays["images"][i, j] / 255
    return Numbers(*pictures, arrays["effect"][i], arrays["variances"])


def draw(figure: Figure, n: Numbers, direction: int, sample: int) -> str:
    """A digit, its decoded code under noise along one direction, and all directions' variances."""
    figure.subplots_adjust(0.02, 0.16, 0.925, 0.88, wspace=0.2)
    left, right = figure.subplots(1, 2)
    blank = np.zeros((4, *n.original.shape))
    sheet = np.concatenate([n.original[None], blank, n.images])
    plots.image_grid(left, sheet, 5, f"digit, and noise along direction {direction}", [1])
    plots.posterior_variances(right, n.variances)
    value = n.variances[direction - 1]
    right.plot(direction, value, "o", color="black", markersize=11, fillstyle="none")
    twin = right.twinx()
    twin.plot(range(1, LATENT + 1), n.effect, "s-", color=plots.GREEN, markersize=3, alpha=0.7)
    twin.set_ylabel("pixel variance under noise", color=plots.GREEN)
    right.legend(fontsize=7, loc="center right")
    return (
        f"Digit {sample}: noise along latent direction {direction} of {LATENT}, whose posterior "
        f"variance is {value:.3g}, changes the pixels with variance {n.effect[direction - 1]:.2g} "
        f"(largest of all directions: {n.effect.max():.2g}); "
        f"{active_dimensions(torch.tensor(n.variances))} directions are active."
    )


class Trained(NamedTuple):
    """Both stages, and what was seen of the first along its training."""

    model: TwoStageVAE
    gamma: np.ndarray  # (epochs,)
    error: np.ndarray  # (epochs,) mean squared error of a pixel


def train(seed: int) -> Trained:
    """Train both stages on digits and follow γ."""
    x, config, gamma = as_float(digits().train.x), make_config(seed), []
    first = make_first(seed, learn_variance=True, decoder_variance=0.3)
    follow = {"callback": lambda _: gamma.append(first.variance.item()), "progress": False}
    log = fit(first, x, None, config, **follow)
    model = make_second(first, seed)
    fit(model, x, None, config, progress=False)
    return Trained(model, np.array(gamma), np.array(log.column("reconstruction")) / 64)


def under_noise(model: VAE, test: torch.Tensor) -> list[NoiseEffect]:
    """Noise along each direction for each of the digits that can be chosen."""
    generators = [torch.Generator().manual_seed(0) for _ in CONTROLS["sample"].values]
    return [noise_effect(model, test[[i]], NUM_NOISES, g) for i, g in enumerate(generators)]


def compute() -> tuple[dict[str, np.ndarray], dict]:
    """Train both stages from some seeds, and keep what the pictures of the first need."""
    x, test = (as_float(part.x) for part in (digits().train, digits().test))
    runs = [train(seed) for seed in RUNS]
    model, gamma, error = runs[0]
    effects = under_noise(model.first, test)
    pixels = torch.stack([e.x_hat for e in effects]).clamp(0, 1) * 255
    spectra = np.stack([variance_spectrum(run.model.first, x).values for run in runs])
    codes = np.stack([code_spectra(run.model, x) for run in runs])
    looks = [[e.variance for e in under_noise(run.model.first, test)] for run in runs]
    all_effects = [torch.stack(variances).mean(0).numpy() for variances in looks]
    arrays = {
        "originals": digits().test.x[: len(effects)].numpy(),
        "images": pixels.round().numpy().astype(np.uint8),
        "effect": torch.stack([e.variance for e in effects]).numpy().astype(np.float32),
        "variances": spectra[0].astype(np.float32),
        "codes": codes[0].astype(np.float32),
        "second": np.float32(model.second.variance.item()),
        "gamma": gamma.astype(np.float32),
        "error": error.astype(np.float32),
        "all_gamma": np.stack([run.gamma[[0, -1]] for run in runs]).astype(np.float32),
        "all_variances": spectra.astype(np.float32),
        "all_codes": codes.astype(np.float32),
        "all_effects": np.stack(all_effects).astype(np.float32),
    }
    about = {
        "data": digits().note,
        "training": {"epochs": EPOCHS, "batch_size": 128, "learning_rate": 2e-3},
        "seeds": list(RUNS),
        "device": "cpu",
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return arrays, about


def check() -> list[str]:
    """Train the first stage again and compare where γ and the error end, ± 30 %."""
    model = make_first(learn_variance=True, decoder_variance=0.3)
    log = fit(model, as_float(digits().train.x), None, make_config(), progress=False)
    error = log.column("reconstruction")[-1] / 64
    found = SimpleNamespace(gamma=model.variance.item(), error=error)
    widened = np.array([0.9, 1.1])  # of one training; compare() widens it by its own width
    return compare(found, {n: STUDY.arrays[n][-1] * widened for n in ("gamma", "error")})


STUDY = Computed(NAME, CONTROLS, (0,), numbers, check, compute)
EXPLORABLE = Explorable(
    title="Noise along one latent direction",
    study=STUDY,
    draw=draw,
    columns=2,
    size=(4.9, 3.0),
    presets={
        "the busiest direction": {"direction": 1},
        "the idlest direction": {"direction": LATENT},
    },
    prompts=(
        "A direction with posterior variance near 0: large or small changes in the image?",
        "And one with posterior variance near 1?",
    ),
)
