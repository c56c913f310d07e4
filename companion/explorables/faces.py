"""Synthetic faces of ten known factors: MLAE's β beside a VAE's fixed and learned γ."""

import platform
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from companion import jacobians, plots
from companion.data.faces import FACTORS, LABEL, Faces
from companion.evaluation import FactorReader, decoder_spectrum, gaussian_w2
from companion.explorables.base import (
    Control,
    Explorable,
    check_point,
    load_lattice,
    save_lattice,
)
from companion.latents import fit_latents
from companion.models import MLAE, VAE, Model, posterior_size
from companion.networks import MLP
from companion.sweep import sweep
from companion.training import TrainConfig

NAME = "faces"
BETAS = (1.0, 10.0, 100.0, 1000.0)
GAMMAS = (0.0005, 0.005, 0.05, 0.5)  # 1/(2β)
SEEDS = (0,)  # of the pictures
RUNS = (0, 1, 2)  # trainings behind each number
CONTROLS = {
    "beta": Control("MLAE's β", BETAS, 10.0),
    "gamma": Control("VAE's γ", GAMMAS, 0.05),
}
FACES, LATENT, DIM = Faces(24), 16, len(FACTORS)
SHAPE = (3, FACES.size, FACES.size)
NUM_TRAIN, NUM_TEST, NUM_SHOWN, EPOCHS, NOISE = 4096, 1000, 6, 20, 0.05
METRICS = ("error", "normal", "gaussian", "mixture")
SAMPLERS = METRICS[1:]
KEYS = tuple(f"mlae {b:g}" for b in BETAS) + tuple(f"vae {g:g}" for g in GAMMAS) + ("learned",)
COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN)


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
    kind, _, value = key.partition(" ")
    sizes = LATENT if kind == "mlae" else posterior_size(LATENT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets = MLP(SHAPE, sizes, (128, 128)), MLP(LATENT, SHAPE, (128, 128))
        if kind == "mlae":
            return MLAE(*nets, SHAPE, LATENT, beta=float(value))
        options = {"decoder_variance": float(value or GAMMAS[2]), "learn_variance": not value}
        return VAE(*nets, SHAPE, LATENT, **options)


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


def train(keys: Sequence[str], seeds: Sequence[int], progress: bool = False) -> list[Model]:
    """One model for each key and seed, seeds fastest; the keys must be of one kind."""
    runs = [(key, seed) for key in keys for seed in seeds]
    data = {seed: make_data(1000 + seed)[0] for seed in seeds}
    models = [make_model(*run) for run in runs]
    configs = [make_config(seed) for _, seed in runs]
    sweep(models, [data[seed] for _, seed in runs], configs, progress=progress)
    return [model.eval() for model in models]


@cache
def reader() -> FactorReader:
    """A reader of factors, trained on faces that no model sees."""
    return FactorReader(*make_data(3000), *make_data(3001, NUM_TEST))


@torch.no_grad()
def measure(model: Model, seed: int) -> Numbers:
    """Judge a trained model on test faces that are the same for all."""
    x, _ = make_data(2000, NUM_TEST)
    x_hat = model.decode(model.encode(x))
    generator = torch.Generator().manual_seed(4000)
    model.latents, features, shown = None, reader().features(x), {}
    codes = training_codes(model, seed)
    for name in SAMPLERS:
        model.latents = None if name == "normal" else fit_latents(name, codes)
        shown[name] = model.sample(NUM_TEST, generator=generator)
    distances = [gaussian_w2(reader().features(s), features).value for s in shown.values()]
    model.latents = None
    pictures = ((t[:NUM_SHOWN] + mean_face()).clamp(0, 1) for t in (x_hat, shown["normal"]))
    spectrum = decoder_spectrum(model, 128, generator=torch.Generator().manual_seed(4001)).mean
    error = float((x_hat - x).square().flatten(1).sum(1).mean())
    return Numbers(*(p.numpy() for p in pictures), spectrum.numpy(), error, *distances)


def training_codes(model: Model, seed: int) -> torch.Tensor:
    """The codes that a density is fitted to; a VAE's are drawn from its posterior."""
    x, generator = make_data(1000 + seed)[0], torch.Generator().manual_seed(4002)
    if isinstance(model, VAE):
        noise = torch.randn(1, len(x), LATENT, generator=generator)
        return model.draw_posterior(x, noise)[0]
    return model.encode(x)


def true_spectrum() -> np.ndarray:
    """Mean singular values of the faces' own map from standard normal factors: ``(10,)``."""
    f = FACES.sample_factors(128, torch.Generator().manual_seed(4003))
    return jacobians.singular_values(FACES.render, f).mean(0).numpy()


@cache
def lattice() -> dict[str, np.ndarray]:
    """All arrays, read once."""
    return load_lattice(NAME)[0]


def numbers(key: str) -> Numbers:
    """The numbers of one of ``KEYS``, pictures of the first run and medians of all.

    >>> numbers("mlae 100").error < numbers("mlae 1").error
    True
    """
    arrays, at = lattice(), KEYS.index(key)
    pictures = (arrays[name][at] / 255 for name in ("reconstructions", "samples"))
    medians = (float(np.median(arrays[name][at])) for name in METRICS)
    return Numbers(*pictures, arrays["spectrum"][at, 0].astype(float), *medians)


def trio(beta: float, gamma: float) -> dict[str, Numbers]:
    """The three models that a picture compares, by their captions.

    Raises:
        ValueError: for a point that is not on the lattice.
    """
    check_point(NAME, CONTROLS, SEEDS, SEEDS[0], {"beta": beta, "gamma": gamma})
    beta, gamma = CONTROLS["beta"].nearest(beta), CONTROLS["gamma"].nearest(gamma)
    learned = float(np.median(lattice()["learned_gamma"]))
    return {
        f"MLAE, β = {beta:g}": numbers(f"mlae {beta:g}"),
        f"VAE, γ = {gamma:g}": numbers(f"vae {gamma:g}"),
        f"VAE, γ learned: {learned:.2g}": numbers("learned"),
    }


def curves(name: str) -> dict[str, np.ndarray]:
    """One metric of all runs: ``beta`` and ``gamma`` are ``(4, run)``, ``learned`` is ``(run,)``.

    ``step`` says after which singular value the largest step down follows (as a ratio).
    """
    values = lattice()["spectrum" if name == "step" else name].astype(float)
    if name == "step":
        values = 1 + (values[..., :-1] / values[..., 1:]).argmax(-1)
    return {"beta": values[:4], "gamma": values[4:8], "learned": values[8]}


def _against_price(ax, name: str, label: str) -> None:
    """One metric against the price of an error, with the learned γ's runs at its own."""
    found, learned = curves(name), 0.5 / lattice()["learned_gamma"]
    plots.band(ax, BETAS, found["beta"], COLOURS[0], "MLAE")
    plots.band(ax, BETAS, found["gamma"][::-1], COLOURS[1], "VAE")
    ax.plot(learned, found["learned"], "s", color=COLOURS[2], label="VAE, γ learned")
    ax.set(xscale="log", xlabel="price of an error, β or 1/2γ", ylabel=label)
    ax.minorticks_off()


def trade_off() -> tuple[Figure, str]:
    """Reconstruction error and Fréchet distances against β and 1/2γ, with the alt text."""
    figure = plots.figure(3, size=(3.4, 3.0))
    titles = ("reconstructions", "samples, codes from N(0, 1)", "samples, codes from GMM(10)")
    names, texts = ("error", "normal", "mixture"), []
    axes = figure.subplots(1, 3)
    for ax, name, title in zip(axes, names, titles, strict=True):
        label = "mean ‖x̂ − x‖²" if name == "error" else "Fréchet distance"
        _against_price(ax, name, label)
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
    index, arrays = np.arange(1, LATENT + 1), lattice()
    for at, key in enumerate(KEYS):
        kind, _, value = key.partition(" ")
        colour, label = {"mlae": (COLOURS[0], "β = "), "vae": (COLOURS[1], "γ = ")}.get(
            kind, (COLOURS[2], "γ learned")
        )
        look = {"color": colour, "alpha": min(1.0, 0.4 + 0.2 * (at % 4 + at // 8 * 3))}
        mean = np.median(arrays["spectrum"][at], 0)
        left.semilogy(index, mean, label=label + value, **look)
    left.semilogy(index[:DIM], arrays["true_spectrum"], "k--", label="true map")
    left.axvline(DIM + 0.5, color=plots.GREY, linewidth=1, linestyle=":")
    left.set(xlabel="index of the singular value", ylabel="mean singular value of g'(z)")
    left.set(ylim=(8e-4, None), xticks=index[1::2])
    left.legend(frameon=False, fontsize=7, ncols=3, loc="lower left")
    _against_price(right, "step", "singular values before the largest step")
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


def render(seed: int, beta: float, gamma: float) -> Figure:
    """Faces, what three models make of them, their samples, and the decoders' spectra.

    >>> len(render(0, beta=10.0, gamma=0.05).axes)
    2
    """
    check_point(NAME, CONTROLS, SEEDS, seed, {})
    found, arrays = trio(beta, gamma), lattice()
    rows = [arrays["truth"] / 255]
    rows += [part for one in found.values() for part in one[:2]]
    figure = plots.figure(layout=None, size=(9.6, 4.6))
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
    return figure


def describe(seed: int, beta: float, gamma: float) -> str:
    """The alt text of :func:`render`, made from the same numbers.

    >>> describe(0, beta=10.0, gamma=0.05).startswith("Synthetic faces of ten known factors. MLAE")
    True
    """
    check_point(NAME, CONTROLS, SEEDS, seed, {})
    parts = [
        f"{caption}: reconstruction error {one.error:.2f}, Fréchet distance of samples "
        f"{one.normal:.1f}, singular values {one.spectrum[0]:.2f} to {one.spectrum[DIM - 1]:.2f} "
        f"(tenth) and {one.spectrum[DIM]:.2f} (eleventh)"
        for caption, one in trio(beta, gamma).items()
    ]
    return "Synthetic faces of ten known factors. " + "; ".join(parts) + "."


def build(progress: bool = True) -> None:
    """Train every model of the lattice and write it into the package."""
    models = train(KEYS[:4], RUNS, progress) + train(KEYS[4:8], RUNS, progress)
    models += train(KEYS[8:], RUNS, progress)
    found = [measure(m, s) for m, s in zip(models, RUNS * len(KEYS), strict=True)]
    arrays = {"true_spectrum": true_spectrum().astype(np.float32)}
    arrays["truth"] = _bytes(make_data(2000, NUM_TEST)[0][:NUM_SHOWN] + mean_face())
    for name in Numbers._fields[:2]:
        arrays[name] = np.stack([_bytes(getattr(r, name)) for r in found[:: len(RUNS)]])
    for name in Numbers._fields[2:]:
        stacked = np.stack([getattr(r, name) for r in found]).astype(np.float32)
        arrays[name] = stacked.reshape(len(KEYS), len(RUNS), *stacked.shape[1:])
    learned = [m.log_decoder_variance.exp().item() for m in models[-len(RUNS) :]]
    arrays["learned_gamma"] = np.array(learned, np.float32)
    arrays["reader_r2"] = reader().test_r2.numpy()
    pair = [reader().features(make_data(s, NUM_TEST)[0]) for s in (2000, 2001)]
    arrays["chance"] = np.float32(gaussian_w2(*pair).value)
    about = {
        "made_by": f"companion rebuild {NAME}",
        "data": f"{LABEL}, {FACES.size}×{FACES.size}, factors {', '.join(FACTORS)}",
        "models": list(KEYS),
        "runs": list(RUNS),
        "training": {"epochs": EPOCHS, "batch_size": 128, "learning_rate": 5e-3, "noise": NOISE},
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
    }
    save_lattice(NAME, arrays, about)
    lattice.cache_clear()


def _bytes(images) -> np.ndarray:
    return (np.asarray(images) * 255).round().astype(np.uint8)


def check(seed: int = 0, beta: float = 10.0) -> list[str]:
    """Retrain one model by itself and compare it with the band of the lattice's runs there."""
    key = f"mlae {beta:g}"
    result = measure(train([key], [seed])[0], seed)
    lines = []
    for name in METRICS:
        band, value = lattice()[name][KEYS.index(key)].astype(float), getattr(result, name)
        low, high = band.min(), band.max()
        slack = high - low
        verdict = "ok" if low - slack <= value <= high + slack else "OUTSIDE"
        lines.append(f"{name:9} lattice {low:.4g} … {high:.4g}, retrained {value:.4g}: {verdict}")
    return lines


EXPLORABLE = Explorable(
    name=NAME,
    title="Synthetic faces of ten known factors",
    controls=CONTROLS,
    seeds=SEEDS,
    render=render,
    describe=describe,
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
