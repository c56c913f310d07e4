"""Noise along one latent direction of a VAE on real digits (2SVAE Figs 1, 10 and 11)."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import active_dimensions, noise_effect, variance_spectrum
from companion.evaluation.dimension import NoiseEffect
from companion.lab.explorable import Computed, Control, Explorable, Question, compare
from companion.lab.marks import Images, Line, Mark, Rule, Text
from companion.lab.picture import Axis, Panel, Picture
from companion.models import VAE, TwoStageVAE, posterior_size, second_stage
from companion.networks import MLP
from companion.training import TrainConfig, fit
from figures import draw

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


def picture(n: Numbers, direction: int, sample: int) -> Picture:
    """A digit, its decoded code under noise along one direction, and all directions' variances."""
    line = Rule(y=1, colour="orange", dash="solid")
    sheet = Images(n.original[None], 5), Images(n.images, 5, row=1), line
    title, names = f"noise along direction {direction}", (f"digit {sample}", "under\nnoise")
    left = Panel.of_images(*sheet, title=title, names=names, at=(0.5, 2))
    return Picture([left, variances(n, direction)], words(n, direction, sample), (9.2, 3.0), (4, 5))


def variances(n: Numbers, direction: int) -> Panel:
    """All directions' posterior variances beside what noise along them does to the pixels."""
    value, style = n.variances[direction - 1], {"marker": "s", "alpha": 0.7, "right": True}
    marks = (
        Line(range(1, LATENT + 1), n.effect, "green", **style),
        Rule(direction),
        draw.chosen(direction, value, "blue" if value < 0.5 else "orange"),
    )
    right = Axis("pixel variance under noise", colour="green")
    return draw.posterior_variances(n.variances, marks=marks, right=right, legend="above")


def noise_rows(images, effects, values, title: str) -> Panel:
    """Decoded noise along latent directions, one row each (2SVAE Figs 1 and 10).

    Args:
        images: ``(directions, n, channels, height, width)`` in [0, 1].
        effects: ``(directions,)`` pixel variance under the noise, at the end of a row.
        values: ``(directions,)`` posterior variances λ, before it.
        title: above.
    """
    rows, columns = images.shape[:2]
    marks: list[Mark] = [Images(images.reshape(-1, *images.shape[2:]), columns)]
    marks += [
        Text(columns + 0.2, row + 0.5, f"{effect:.1e}", anchor="start", size=7)
        for row, effect in enumerate(effects)
    ]
    names = [f"λ = {value:.2g}" for value in values]
    panel = Panel.of_images(*marks, title=title, names=names)
    return replace(panel, x=replace(panel.x, limits=(0, columns + 1.8)))


def words(n: Numbers, direction: int, sample: int) -> str:
    """What a picture of one digit and one direction shows."""
    value = n.variances[direction - 1]
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


def heard() -> tuple[int, str]:
    """Which directions change the picture, by their posterior variance, over all trainings."""
    effects, variances = STUDY.arrays["all_effects"], STUDY.arrays["all_variances"]
    shares = effects / effects.max(1, keepdims=True)  # (seed, latent), of the busiest
    active, idle = shares[variances < 0.5], shares[variances > 0.9]
    ratio = np.median(active) / np.median(idle)
    louder = 0 if ratio > 2 else 1 if ratio < 0.5 else 2
    return louder, (
        f"In {len(RUNS)} trainings noise along a direction with λ > 0.9 does at most "
        f"{idle.max():.2%} of what it does along the busiest; along one with λ < 0.5 at least "
        f"{active.min():.0%}."
    )


STUDY = Computed(NAME, CONTROLS, (0,), numbers, check, compute)
EXPLORABLE = Explorable(
    title="Noise along one latent direction",
    study=STUDY,
    draw=picture,
    presets={
        "the busiest direction": {"direction": 1},
        "the idlest direction": {"direction": LATENT},
    },
    prompts=(
        "At which direction does the picture stop changing?",
        "Is that the same direction for every digit?",
    ),
    question=Question(
        "Noise of variance 1 is added along one latent direction. Along which does it change the "
        "decoded digit?",
        (
            "where the posterior variance λ is near 0",
            "where λ is near 1, as wide as the noise",
            "along all of them about equally",
        ),
        heard,
    ),
    opening=0,
)
