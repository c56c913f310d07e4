"""Conditional models of real digits: MLAE's β beside a VAE's fixed and learned γ (App. E.2)."""

from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import decoder_spectrum, digit_features, gaussian_w2, score_samples
from companion.evaluation.features import DIGITS_LEARNED
from companion.evaluation.generation import codes_of
from companion.lab.explorable import Computed, Explorable, Question
from companion.lab.marks import Rule
from companion.lab.picture import Picture
from companion.lab.study import Study, as_bytes
from companion.models import Model
from companion.networks import MLP
from companion.training import TrainConfig
from figures import draw
from figures.explorables.error_weights import COLOURS, ErrorWeights

NAME = "digits"
METRICS = ("error", "entropy", "distance", "clean", "variety", "recognised", "normal", "mixture")
PICTURES = ("reconstructions", "samples")
WEIGHTS = ErrorWeights((0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0), 10.0)
BETAS, GAMMAS, KEYS = WEIGHTS.betas, WEIGHTS.gammas, WEIGHTS.keys
SHAPE, LATENT, CLASSES = (1, 8, 8), 16, images.NUM_CLASSES
EPOCHS, NOISE, NUM_SAMPLES = 200, 0.1, 500
THRESHOLD = 8 / 28  # MLAE Fig. 7 counts from 1 at 28 pixels a side; ‖x‖ grows with the side
DATA = "the 8×8 digits of scikit-learn, 1,297 to train on, 500 held out"
TRAINING = {"epochs": EPOCHS, "batch_size": 128, "learning_rate": 2e-3, "noise": NOISE}
EDGES = np.linspace(-4, 4, 41)  # of the histogram of code entries


class Numbers(NamedTuple):
    """What a picture shows of one trained model."""

    reconstructions: np.ndarray  # (10, 1, 8, 8) of one held-out digit of each class
    samples: np.ndarray  # (100, 1, 8, 8) of standard normal codes, the class changing fastest
    spectrum: np.ndarray  # (latent,) mean singular values of the decoder
    histogram: np.ndarray  # (2, 40) density of the entries of held-out codes: with noise, clean
    error: float  # mean ‖x̂ − x‖² of held-out digits
    entropy: float  # of the model's density on its manifold, in nats (MLAE eq. 117)
    distance: float  # squared W₂ from N(0, 1) of codes of held-out digits, with training's noise
    clean: float  # the same of the digits without noise
    variety: float  # variance of samples within a class, summed over pixels
    recognised: float  # share of samples that a classifier takes for the class that was asked for
    normal: float  # Fréchet distance of samples from held-out digits, codes from N(0, 1)
    mixture: float  # the same, codes from GMM(10)


class Digits(NamedTuple):
    """Images in [0, 1] with their one-hot classes."""

    x: Tensor  # (n, 1, 8, 8)
    condition: Tensor  # (n, 10)
    y: Tensor  # (n,)


def make_model(key: str, seed: int) -> Model:
    """The model of one of ``KEYS``: two hidden layers of 128 and a linear skip, seeded weights.

    >>> make_model("mlae 10", seed=0).latent_dim
    16
    """

    def networks(heads: int) -> tuple[MLP, MLP]:
        options = {"hidden": (128, 128), "condition_dim": CLASSES, "residual": True}
        return MLP(SHAPE, heads * LATENT, **options), MLP(LATENT, SHAPE, **options)

    return WEIGHTS.make(key, seed, networks, SHAPE, LATENT)


@cache
def make_data() -> tuple[Digits, Digits]:
    """1,297 digits to train on and the 500 others, which no model sees.

    >>> [len(part.x) for part in make_data()]
    [1297, 500]
    """
    splits = images.load("digits")
    held_out = (torch.cat(pair) for pair in zip(splits.valid, splits.test, strict=True))
    pairs = tuple(splits.train), tuple(held_out)
    return tuple(Digits(as_float(x), images.one_hot(y), y) for x, y in pairs)


def make_config(seed: int) -> TrainConfig:
    """2,000 one-cycle Adam steps of batch 128 on digits with fresh noise."""
    return TrainConfig(EPOCHS, 128, learning_rate=2e-3, noise=NOISE, seed=seed, device="cpu")


@cache
def asked() -> tuple[Tensor, Tensor]:
    """The classes of the samples and their condition: every class in turn."""
    y = torch.arange(NUM_SAMPLES) % CLASSES
    return y, images.one_hot(y)


def variety(x: Tensor, y: Tensor) -> float:
    """Variance within a class, summed over pixels, its mean over classes.

    >>> variety(torch.tensor([[0.0], [2.0], [5.0], [5.0]]), torch.tensor([0, 0, 1, 1]))
    1.0
    """
    return float(torch.stack([x[y == c].var(0).sum() for c in y.unique()]).mean())


def frechet(model: Model, conditional: bool) -> list[float]:
    """Fréchet distances of samples from the held-out digits: codes from N(0, 1) and GMM(10).

    Args:
        model: a trained model.
        conditional: whether it is told the class.
    """
    train, held_out = make_data()
    conditions = (train.condition, held_out.condition) if conditional else (None, None)
    table = score_samples(
        model, train.x, held_out.x, digit_features(), condition=conditions[0],
        test_condition=conditions[1], num_samples=NUM_SAMPLES, only=("N", "GMM(10)"), seed=4000,
    )  # fmt: skip
    return [score.frechet for score in table.scores]


@torch.no_grad()
def measure(model: Model, seed: int) -> Numbers:
    """Judge a trained model on held-out digits that are the same for all."""
    _, held_out = make_data()
    y, condition = asked()
    x_hat = model.decode(model.encode(held_out.x, held_out.condition), held_out.condition)
    generator = torch.Generator().manual_seed(4001)
    noisy = held_out.x + NOISE * torch.randn(held_out.x.shape, generator=generator)
    codes = [codes_of(model, x, held_out.condition, generator) for x in (noisy, held_out.x)]
    spectrum = decoder_spectrum(model, NUM_SAMPLES, condition, generator)
    samples = model.sample(NUM_SAMPLES, condition, 1.0, torch.Generator().manual_seed(4000))
    found = digit_features()(samples.clamp(0, 1)).classes() == y
    return Numbers(
        x_hat[one_of_each()].numpy(),
        samples[: 10 * CLASSES].numpy(),
        spectrum.mean.numpy(),
        np.stack([np.histogram(z.numpy(), EDGES, density=True)[0] for z in codes]),
        float((x_hat - held_out.x).square().flatten(1).sum(1).mean()),
        spectrum.entropy,
        *(gaussian_w2(z, prior(4000, 4002)).value for z in codes),
        variety(samples, y),
        float(found.float().mean()),
        *frechet(model, conditional=True),
    )


def prior(n: int, seed: int) -> Tensor:
    """Standard normal codes: ``(n, 16)``."""
    return torch.randn(n, LATENT, generator=torch.Generator().manual_seed(seed))


@cache
def one_of_each() -> Tensor:
    """Where the first held-out digit of each class is: ``(10,)``."""
    y = make_data()[1].y
    return torch.stack([(y == c).nonzero()[0, 0] for c in range(CLASSES)])


def extra(models: dict[tuple, Model]) -> dict[str, np.ndarray]:
    """What the pictures need beside the models: digits, and what real ones and chance give."""
    digits, held_out = make_data()
    real = [digit_features()(x).features for x in (digits.x[DIGITS_LEARNED:], held_out.x)]
    chance = [gaussian_w2(prior(500, s), prior(4000, 4002)).value for s in range(20)]
    found = digit_features()(held_out.x).classes() == held_out.y
    return {
        "learned_gamma": WEIGHTS.learned(models),
        "truth": as_bytes(held_out.x[one_of_each()]),
        "chance": np.float32(gaussian_w2(*real).value),
        "distance_chance": np.array(chance, np.float32),
        "variety_real": np.float32(variety(held_out.x, held_out.y)),
        "recognised_real": np.float32(found.float().mean()),
    }


RUNS = Study(
    NAME, WEIGHTS.axis, (0, 1, 2, 3, 4), Numbers, make_model, lambda: make_data()[0].x,
    make_config, measure, METRICS, condition=lambda: make_data()[0].condition, extra=extra,
    shared=dict.fromkeys(PICTURES, ("key",)), levels=dict.fromkeys(PICTURES, 255),
    notes={"data": DATA, "training": TRAINING},
)  # fmt: skip


def curves(name: str) -> dict[str, np.ndarray]:
    """One metric of all runs: ``beta`` and ``gamma`` are ``(7, run)``, ``learned`` is ``(run,)``.

    ``count`` is the number of mean singular values of at least ``THRESHOLD`` (MLAE Fig. 7, right).
    """
    values = RUNS.at("spectrum" if name == "count" else name)
    return WEIGHTS.curves((values >= THRESHOLD).sum(-1) if name == "count" else values)


def picture(found: dict[str, Numbers], beta: float) -> Picture:
    """Held-out digits, what three models make of them, their samples, their decoders' spectra."""
    shown, names, at = [RUNS.arrays["truth"] / 255], ["held-out digits"], [0.5]
    for caption, one in found.items():
        row = sum(map(len, shown)) // CLASSES
        shown += [one.reconstructions, one.samples[: 2 * CLASSES]]
        names += [
            f"{caption}\nreconstructions,\nerror {one.error:.2g}",
            f"samples,\nrecognised {one.recognised:.0%},\nvariance {one.variety:.2g}",
        ]
        at += [row + 0.5, row + 2]
    rest = {"title": "a column for each class", "names": names, "at": at}
    left = draw.image_rows(np.concatenate(shown), CLASSES, (1, 4, 7), **rest)
    spectra = {caption: one.spectrum for caption, one in found.items()}
    right = draw.spectra(spectra, COLOURS, marks=(noise_level(beta),))
    right = replace(right, y=replace(right.y, limits=(5e-3, 4)))
    parts = [
        f"{caption}: reconstruction error {one.error:.2f}, {one.recognised:.0%} of samples "
        f"recognised, their variance within a class {one.variety:.2f}, singular values "
        f"{one.spectrum[0]:.2g} to {one.spectrum[-1]:.2g}, {(one.spectrum >= THRESHOLD).sum()} of "
        f"them at least {THRESHOLD:.2f}"
        for caption, one in found.items()
    ]
    says = "Real digits of 8×8 pixels, conditional models. " + "; ".join(parts) + "."
    return Picture([left, right], says, (9.6, 4.6), (6.5, 4))


def noise_level(beta: float) -> Rule:
    """MLAE's own noise scale σ = 1/√(2β), in a panel of spectra."""
    sigma = (2 * beta) ** -0.5
    return Rule(y=sigma, label=f"σ = 1/√(2β) = {sigma:.2g}")


def at_a_low_price() -> tuple[int, str]:
    """What MLAE's samples are at the smallest β, in the median of the trainings."""
    found = {name: curves(name)["beta"][0] for name in ("recognised", "variety")}
    recognised, variety = (float(np.median(values)) for values in found.values())
    real = float(RUNS.arrays["variety_real"])
    right = 2 if recognised < 0.5 else 1 if variety < 0.1 * real else 0
    return right, (
        f"At β = {BETAS[0]:g} a classifier recognises {recognised:.0%} of MLAE's samples. Their "
        f"variance within a class is {variety:.1f}, that of real digits {real:.1f} (medians of "
        f"{len(found['variety'])} trainings)."
    )


STUDY = Computed(
    NAME, WEIGHTS.controls, (0,), partial(WEIGHTS.three, RUNS), RUNS.check, RUNS.compute
)
EXPLORABLE = Explorable(
    title="Real digits, told which",
    study=STUDY,
    draw=picture,
    presets={
        "one price: β = 1/2γ = 10": {"beta": 10.0, "gamma": 0.05},
        "the price of the noise on the images": {"beta": 50.0, "gamma": 0.01},
        "β → ∞, γ → 0": {"beta": BETAS[-1], "gamma": GAMMAS[0]},
        "β → 0, γ → ∞": {"beta": BETAS[0], "gamma": GAMMAS[-1]},
    },
    prompts=("As β grows, do only the large singular values grow, or the small ones too?",),
    question=Question(
        "At β = 0.1 an error is almost free. What will MLAE's samples look like?",
        (
            "digits that differ too little",
            "one mean image for each class",
            "nothing like digits",
        ),
        at_a_low_price,
    ),
)
