"""Autoencoders within flows and their kin on real digits: made, trained, measured (AEF §5)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.contracts import Map
from companion.data import images
from companion.evaluation import (
    Denoising,
    Features,
    add_noise,
    denoising_error,
    digit_features,
    score_samples,
)
from companion.models import AEF, VAE, DenoisingAutoencoder, Model, core_mask, posterior_size
from companion.networks import MLP, flows
from companion.networks.preprocess import bits_per_dimension, dequantise
from companion.training import TrainConfig, sweep

SHAPE, LEVELS = (1, 8, 8), 17
CORES = ("center", "corner", "random", "linear")
MODELS = (*CORES, "vae")
SIGMAS = (0.25, 0.5, 0.75, 1.0)  # AEF App. D.4
DENOISERS = ("autoencoder", "denoising", "vae", "linear")
FLOWS = ((False, False), (True, False), (False, True), (True, True))  # core or posterior, prior
SHOWN = 6  # digits in a picture
COPIES = 8  # noisy versions of each training digit


class Numbers(NamedTuple):
    """What a picture of one trained model shows."""

    x_hat: np.ndarray  # (shown, 8, 8) reconstructions of test digits, without residuals
    samples: np.ndarray  # (shown, 8, 8) at temperature 0.85, without residuals
    bits: float  # per dimension, on the test digits
    scale: float  # σ of the residuals, of a VAE's decoder
    error: float  # mean ‖x̂ − x‖² on the test digits


@cache
def digits() -> images.Splits:
    """The real 8×8 digits in three parts; ``x`` is 0 … 16 sixteenths."""
    splits = images.load("digits")
    parts = {
        name: images.Images((getattr(splits, name).x.float() * 16 / 255).round() / 16, y)
        for name, y in (
            ("train", splits.train.y),
            ("valid", splits.valid.y),
            ("test", splits.test.y),
        )
    }
    return splits._replace(**parts)


def make_data(part: str, seed: int = 0) -> Tensor:
    """Digits dequantised once with noise of this seed: ``(n, 1, 8, 8)`` in [0, 1).

    >>> make_data("test").shape
    torch.Size([300, 1, 8, 8])
    """
    x = getattr(digits(), part).x
    return dequantise(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)), LEVELS)


def mask(core: str, latent: int, seed: int = 0) -> Tensor:
    """Which pixels are the core; ``random`` depends on the seed."""
    return core_mask(SHAPE, latent, core, torch.Generator().manual_seed(seed))


def make_model(
    kind: str, latent: int, seed: int = 0, inner: bool = True, prior: bool = True
) -> Model:
    """A small model on the digits: networks of one hidden layer of 128, flows of two steps.

    Args:
        kind: ``center``, ``corner``, ``random`` or ``linear``, the core of an AEF, or ``vae``,
            ``autoencoder``, ``denoising``.
        latent: size of the code.
        seed: of the weights and a random core.
        inner: with a core encoder, in a VAE with a posterior flow (both IAF).
        prior: with a MAF prior.

    >>> make_model("center", 2).partition, make_model("linear", 2).partition
    (True, False)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        steps = {"transforms": 2, "hidden": (32, 32)}
        encoder, decoder = MLP(SHAPE, 2 * latent, [128]), MLP(latent, SHAPE, [128])
        if kind in ("autoencoder", "denoising"):
            encoder = MLP(SHAPE, latent, [128])
            return DenoisingAutoencoder(encoder, decoder, SHAPE, latent)
        p0 = flows.maf(latent, **steps) if prior else None
        h = posterior_size(latent) if kind == "vae" else 0
        n = flows.iaf(latent, h, **steps) if inner else None
        if kind == "vae":
            start = {"decoder_variance": 0.3**2, "learn_variance": True}
            return VAE(encoder, decoder, SHAPE, latent, posterior_flow=n, prior=p0, **start)
        core = MLP(SHAPE, latent, []) if kind == "linear" else mask(kind, latent, seed)
        return AEF(encoder, decoder, SHAPE, latent, core, n, p0, residual_scale=0.3)


def make_config(seed: int, epochs: int) -> TrainConfig:
    """One-cycle Adam, 20 steps of batch 64 an epoch."""
    return TrainConfig(epochs=epochs, batch_size=64, learning_rate=3e-3, seed=seed, device="cpu")


def train(
    kinds: Sequence[str], latent: int, seeds: Sequence[int], epochs: int, **options
) -> dict[tuple[str, int], Model]:
    """Train one model for each kind and seed, those of equal networks at once; in eval mode."""
    trained: dict[tuple[str, int], Model] = {}
    partitions = [kind for kind in kinds if kind in CORES[:3]]
    for group in filter(None, [partitions, *([k] for k in kinds if k not in partitions)]):
        keys = [(kind, seed) for kind in group for seed in seeds]
        models = [make_model(kind, latent, seed, **options) for kind, seed in keys]
        data = [make_data("train", seed) for _, seed in keys]
        sweep(models, data, [make_config(s, epochs) for _, s in keys], progress=False)
        trained |= {key: finish(model.eval()) for key, model in zip(keys, models, strict=True)}
    return trained


def finish(model: Model) -> Model:
    """Tune the proposal of an expanded model's importance sampling on the validation digits."""
    if isinstance(model, AEF) and not model.partition:
        model.tune_proposal(make_data("valid"))
    return model


@torch.no_grad()
def measure(model: Model, seed: int = 0) -> Numbers:
    """Judge a trained model on the test digits; the seed is that of its samples.

    Bits that are not exact are importance-sampled by 128 draws for each digit, whatever the model.
    """
    x = make_data("test")
    x_hat = model.decode(model.encode(x))
    generator = torch.Generator().manual_seed(seed)
    samples = model.sample(SHOWN, temperature=0.85, generator=generator)
    scale = model.residual_scale if isinstance(model, AEF) else model.variance.sqrt()
    error = (x_hat - x).square().flatten(1).sum(1).mean()
    bits = bits_per_dimension(model.log_prob(x).value, SHAPE, LEVELS).mean()
    pictures = (t[:SHOWN, 0].clamp(0, 1).numpy() for t in (x_hat, samples))
    return Numbers(*pictures, float(bits), float(scale), float(error))


@cache
def level_features() -> Features:
    """Those by which all digits are compared, of the levels that dequantised numbers stand for."""
    top, look = LEVELS - 1, digit_features().look
    return replace(digit_features(), look=lambda y: look((LEVELS * y).floor().clamp(max=top) / top))


def frechet(model: Model, seed: int = 0) -> float:
    """Fréchet distance of 500 samples at temperature 0.85 from the 500 held-out digits."""
    train, held_out = make_data("train"), torch.cat([make_data("valid"), make_data("test")])
    options = {"num_samples": len(held_out), "temperature": 0.85, "only": ("N",), "seed": seed}
    return score_samples(model, train, held_out, level_features(), **options).scores[0].frechet


def noisy_data(sigma: float) -> Tensor:
    """Each training digit eight times, each time with noise of its own, clipped to [0, 1]."""
    x = digits().train.x.repeat(COPIES, 1, 1, 1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return add_noise(x, noise, sigma)


def denoise(
    kind: str, latent: int, seeds: Sequence[int], epochs: int = 8, sigmas: Sequence[float] = SIGMAS
) -> tuple[list[Model], np.ndarray]:
    """Train on noisy digits at each σ, measure on fresh ones: feature errors ``(sigma, seed)``."""
    points = [(sigma, seed) for sigma in sigmas for seed in seeds]
    models = [make_model(kind, latent, seed) for _, seed in points]
    clean = digits().train.x.repeat(COPIES, 1, 1, 1)
    for model, (sigma, _) in zip(models, points, strict=True):
        if kind == "denoising":
            model.sigma.fill_(sigma)
    data = [clean if kind == "denoising" else noisy_data(sigma) for sigma, _ in points]
    sweep(models, data, [make_config(s, epochs) for _, s in points], progress=False)
    errors = [
        judge_denoising(lambda y, m=m: m.decode(m.encode(y)), sigma).features
        for m, (sigma, _) in zip(models, points, strict=True)
    ]
    return models, np.array(errors).reshape(len(sigmas), len(seeds))


def judge_denoising(reconstruct: Map, sigma: float) -> Denoising:
    """Errors on test digits with noise that no model has seen, the same for all."""
    x = digits().test.x
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    return denoising_error(reconstruct, x, noise, sigma, lambda y: digit_features()(y).features)


def ablate(seeds: Sequence[int], latent: int = 8, epochs: int = 100) -> dict[str, np.ndarray]:
    """AEF Table 7 on the digits: bits and Fréchet distance, ``(VAE or AEF, flows, seed)``."""
    shape = (2, len(FLOWS), len(seeds))
    found = {name: np.zeros(shape, np.float32) for name in ("bits", "frechet")}
    for i, kind in enumerate(("vae", "linear")):
        for j, (inner, prior) in enumerate(FLOWS):
            models = train([kind], latent, seeds, epochs, inner=inner, prior=prior)
            found["bits"][i, j] = [measure(models[kind, s]).bits for s in seeds]
            found["frechet"][i, j] = [frechet(models[kind, s], s) for s in seeds]
    return found
