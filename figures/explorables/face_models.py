"""Synthetic faces of ten known factors: MLAE's β beside a VAE's fixed and learned γ."""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from companion import jacobians
from companion.data.faces import FACTORS, LABEL, Faces
from companion.evaluation import decoder_spectrum, face_features, gaussian_w2
from companion.evaluation.generation import codes_of
from companion.lab.explorable import Computed, Explorable
from companion.lab.study import Study, as_bytes
from companion.latents import fit_latents
from companion.models import Model
from companion.networks import MLP
from companion.training import TrainConfig
from figures import plots
from figures.explorables.error_weights import COLOURS, ErrorWeights

NAME = "faces"
METRICS = ("error", "normal", "gaussian", "mixture")
SAMPLERS, PICTURES = METRICS[1:], ("reconstructions", "samples")
WEIGHTS = ErrorWeights((1.0, 10.0, 100.0, 1000.0), 10.0)
BETAS, GAMMAS, KEYS = WEIGHTS.betas, WEIGHTS.gammas, WEIGHTS.keys
FACES, LATENT, DIM = Faces(24), 16, len(FACTORS)
SHAPE = (3, FACES.size, FACES.size)
NUM_TRAIN, NUM_TEST, NUM_SHOWN, EPOCHS, NOISE = 4096, 1000, 6, 20, 0.05


class Numbers(NamedTuple):
    """What a picture shows of one trained model."""

    reconstructions: np.ndarray  # (shown, 3, size, size) in [0, 1]
    samples: np.ndarray  # the same, of standard normal codes
    spectrum: np.ndarray  # (latent,) mean singular values of the decoder
    error: float  # mean ‖x̂ − x‖² of held-out faces
    normal: float  # Fréchet distances of samples from test faces, by where codes come from
    gaussian: float
    mixture: float


def make_model(key: str, seed: int) -> Model:
    """The model of one of ``KEYS``: two hidden layers of 128 each way, seeded weights.

    >>> make_model("vae 0.05", seed=0).decoder_variance
    tensor(0.0500)
    """

    def networks(heads: int) -> tuple[MLP, MLP]:
        return MLP(SHAPE, heads * LATENT, (128, 128)), MLP(LATENT, SHAPE, (128, 128))

    return WEIGHTS.make(key, seed, networks, SHAPE, LATENT)


@cache
def make_data(seed: int, num: int = NUM_TRAIN) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces less :func:`mean_face`, ``(num, 3, 24, 24)``, and their factors."""
    x, f = FACES.sample(num, torch.Generator().manual_seed(seed))
    return x / 255 - mean_face(), f


@cache
def mean_face() -> torch.Tensor:
    """The face whose factors are all zero: ``(3, 24, 24)``."""
    return FACES.render(torch.zeros(1, DIM))[0]


def make_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """One-cycle Adam steps of batch 128 on faces with fresh noise, 32 in each epoch."""
    return TrainConfig(epochs, 128, learning_rate=5e-3, noise=NOISE, seed=seed, device="cpu")


def make_training_data(seed: int) -> torch.Tensor:
    """The faces that a model of this seed is trained on."""
    return make_data(1000 + seed)[0]


def features(x: torch.Tensor) -> torch.Tensor:
    """What distances compare, of faces less :func:`mean_face`: ``(n, features)``."""
    return face_features(FACES.size)((x + mean_face()).clamp(0, 1)).features


@torch.no_grad()
def measure(model: Model, seed: int) -> Numbers:
    """Judge a trained model on test faces that are the same for all."""
    x, _ = make_data(2000, NUM_TEST)
    x_hat = model.decode(model.encode(x))
    generator = torch.Generator().manual_seed(4000)
    model.latents, shown = None, {}
    codes = codes_of(model, make_training_data(seed), None, torch.Generator().manual_seed(4002))
    for name in SAMPLERS:
        model.latents = None if name == "normal" else fit_latents(name, codes)
        shown[name] = model.sample(NUM_TEST, generator=generator)
    distances = [gaussian_w2(features(s), features(x)).value for s in shown.values()]
    model.latents = None
    pictures = ((t[:NUM_SHOWN] + mean_face()).clamp(0, 1) for t in (x_hat, shown["normal"]))
    spectrum = decoder_spectrum(model, 128, generator=torch.Generator().manual_seed(4001)).mean
    error = float((x_hat - x).square().flatten(1).sum(1).mean())
    return Numbers(*(p.numpy() for p in pictures), spectrum.numpy(), error, *distances)


def true_spectrum() -> np.ndarray:
    """Mean singular values of the faces' own map from standard normal factors: ``(10,)``."""
    f = FACES.sample_factors(128, torch.Generator().manual_seed(4003))
    return jacobians.singular_values(FACES.render, f).mean(0).numpy()


def extra(models: dict[tuple, Model]) -> dict[str, np.ndarray]:
    """What the pictures need beside the models: faces, their map, what chance gives."""
    pair = [features(make_data(s, NUM_TEST)[0]) for s in (2000, 2001)]
    return {
        "learned_gamma": WEIGHTS.learned(models),
        "true_spectrum": true_spectrum().astype(np.float32),
        "truth": as_bytes(make_data(2000, NUM_TEST)[0][:NUM_SHOWN] + mean_face()),
        "chance": np.float32(gaussian_w2(*pair).value),
    }


RUNS = Study(
    NAME, WEIGHTS.axis, (0, 1, 2), Numbers, make_model, make_training_data, make_config, measure,
    METRICS, extra=extra, shared=dict.fromkeys(PICTURES, ("key",)),
    levels=dict.fromkeys(PICTURES, 255),
    notes={
        "data": f"{LABEL}, {FACES.size}×{FACES.size}, factors {', '.join(FACTORS)}",
        "training": {"epochs": EPOCHS, "batch_size": 128, "learning_rate": 5e-3, "noise": NOISE},
    },
)  # fmt: skip


def curves(name: str) -> dict[str, np.ndarray]:
    """One metric of all runs: ``beta`` and ``gamma`` are ``(4, run)``, ``learned`` is ``(run,)``.

    ``step`` says after which singular value the largest step down follows (as a ratio).
    """
    values = RUNS.at("spectrum" if name == "step" else name)
    if name == "step":
        values = 1 + (values[..., :-1] / values[..., 1:]).argmax(-1)
    return WEIGHTS.curves(values)


def trade_off() -> tuple[Figure, str]:
    """Reconstruction error and Fréchet distances against β and 1/2γ, with the alt text."""
    figure = plots.figure(3, size=(3.4, 3.0))
    titles = ("reconstructions", "samples, codes from N(0, 1)", "samples, codes from GMM(10)")
    names, texts = ("error", "normal", "mixture"), []
    axes = figure.subplots(1, 3)
    for ax, name, title in zip(axes, names, titles, strict=True):
        label = "mean ‖x̂ − x‖²" if name == "error" else "Fréchet distance"
        WEIGHTS.draw(ax, RUNS, curves(name), label)
        ax.set(yscale="log", title=title)
        found = {k: np.median(v, -1) for k, v in curves(name).items() if k != "learned"}
        ends = found["beta"][0], found["beta"][-1], found["gamma"][-1], found["gamma"][0]
        texts.append("{}: MLAE {:.3g} to {:.3g}, VAE {:.3g} to {:.3g}".format(title, *ends))
    high = max(ax.get_ylim()[1] for ax in axes[1:]), min(ax.get_ylim()[0] for ax in axes[1:])
    for ax in axes[1:]:
        ax.set_ylim(*high[::-1])
    axes[0].legend(frameon=False, fontsize=8)
    words = "From the lowest price of an error to the highest, medians of three runs. "
    return figure, words + "; ".join(texts) + "."


def spectra_figure() -> tuple[Figure, str]:
    """Spectra at all β and γ, and after which value they fall most, with the alt text."""
    figure = plots.figure(2, size=(4.6, 3.3))
    left, right = figure.subplots(1, 2)
    index, arrays = np.arange(1, LATENT + 1), RUNS.arrays
    for at, style in enumerate(WEIGHTS.styles().values()):
        left.semilogy(index, np.median(arrays["spectrum"][at], 0), **style)
    left.semilogy(index[:DIM], arrays["true_spectrum"], "k--", label="true map")
    left.axvline(DIM + 0.5, color=plots.GREY, linewidth=1, linestyle=":")
    left.set(xlabel="index of the singular value", ylabel="mean singular value of g'(z)")
    left.set(ylim=(8e-4, None), xticks=index[1::2])
    left.legend(frameon=False, fontsize=7, ncols=3, loc="lower left")
    WEIGHTS.draw(right, RUNS, curves("step"), "singular values before the largest step")
    right.axhline(DIM, color="black", linewidth=1.2, linestyle="--")
    right.set(ylim=(0, LATENT), yticks=index[1::2])
    right.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    found = {k: np.median(v, -1) for k, v in curves("step").items()}
    words = ", ".join(f"{n:g} at β = {b:g}" for b, n in zip(BETAS, found["beta"], strict=True))
    others = ", ".join(f"{n:g} at γ = {g:g}" for g, n in zip(GAMMAS, found["gamma"], strict=True))
    return figure, (
        f"Median number of singular values before the largest step: MLAE {words}; VAE {others}; "
        f"learned γ {found['learned']:g}; true dimension {DIM}."
    )


def draw(figure: Figure, found: dict[str, Numbers]) -> str:
    """Faces, what three models make of them, their samples, and the decoders' spectra."""
    arrays = RUNS.arrays
    rows = [arrays["truth"] / 255, *(part for one in found.values() for part in one[:2])]
    left = figure.add_axes((0.215, 0.01, 0.36, 0.93))
    plots.image_grid(left, np.concatenate(rows), NUM_SHOWN, f"{LABEL} (top row)", (1, 3, 5))
    step = left.get_ylim()[0] / len(rows)
    for i, (caption, one) in enumerate(found.items()):
        text = (
            f"{caption}\nreconstructions, error {one.error:.2g}\nsamples, Fréchet {one.normal:.2g}"
        )
        left.text(-4, (2 * i + 2) * step, text, ha="right", va="center", color=COLOURS[i])
    right = figure.add_axes((0.655, 0.12, 0.335, 0.81))
    spectra = {caption: one.spectrum for caption, one in found.items()}
    plots.spectra(right, spectra, COLOURS, arrays["true_spectrum"])
    parts = [
        f"{caption}: reconstruction error {one.error:.2f}, Fréchet distance of samples "
        f"{one.normal:.1f}, singular values {one.spectrum[0]:.2f} to {one.spectrum[DIM - 1]:.2f} "
        f"(tenth) and {one.spectrum[DIM]:.2f} (eleventh)"
        for caption, one in found.items()
    ]
    return "Synthetic faces of ten known factors. " + "; ".join(parts) + "."


STUDY = Computed(
    NAME, WEIGHTS.controls, (0,), partial(WEIGHTS.three, RUNS), RUNS.check, RUNS.compute
)
EXPLORABLE = Explorable(
    title="Synthetic faces of ten known factors",
    study=STUDY,
    draw=draw,
    size=(9.6, 4.6),
    presets={
        "one price: β = 1/2γ = 10": {"beta": 10.0, "gamma": 0.05},
        "β → ∞, γ → 0": {"beta": BETAS[-1], "gamma": GAMMAS[0]},
        "β → 0, γ → ∞": {"beta": BETAS[0], "gamma": GAMMAS[-1]},
    },
    prompts=(
        "At β = 1/2γ both models pay the same price for an error. Whose faces will be sharper?",
        "How many singular values stand out at a large γ, and how many at a small one?",
    ),
)
