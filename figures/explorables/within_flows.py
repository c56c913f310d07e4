"""Autoencoders within flows on real digits: which core, how many latents, how long (AEF Fig. 5)."""

from collections.abc import Callable
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from companion.lab.explorable import (
    Control,
    Explorable,
    check_point,
    compare,
    load_lattice,
    save_lattice,
)
from companion.training import fit
from figures import plots
from figures.explorables import digit_flows
from figures.explorables.digit_flows import CORES, MODELS, SHAPE, SHOWN, SIGMAS, Numbers

NAME = "within_flows"
LATENTS, EPOCHS, SEEDS = (2, 8, 32), (1, 5, 25, 100), (0, 1, 2, 3, 4)
CONTROLS = {
    "core": Control("core", (0, 1, 2, 3), 0, names=("centre", "corner", "random", "linear h(x)")),
    "latent": Control("latents", LATENTS, 2),
    "epochs": Control("epochs of training", EPOCHS, 100),
}
METRICS = ("bits", "scale", "error")
DENOISED = (2, 32)  # latents of the models that denoise
COLORS = (plots.BLUE, plots.GREEN, plots.PURPLE, plots.GREY, plots.ORANGE)  # of MODELS


@cache
def lattice() -> dict[str, np.ndarray]:
    """All arrays that :func:`build` made."""
    return load_lattice(NAME)[0]


def numbers(seed: int, kind: str, latent: int, epochs: int) -> Numbers:
    """What one training came to.

    Raises:
        ValueError: for a point that is not on the lattice.

    >>> numbers(0, "center", 2, epochs=1).scale > numbers(0, "center", 2, epochs=100).scale
    True
    """
    check_point(NAME, CONTROLS, SEEDS, seed, {"latent": latent, "epochs": epochs})
    runs = MODELS.index(kind), LATENTS.index(int(latent)), EPOCHS.index(int(epochs))
    at = (*runs, SEEDS.index(seed))
    pictures = (lattice()[name][at] / 255 for name in ("x_hat", "samples"))
    return Numbers(*pictures, *(float(lattice()[name][at]) for name in METRICS))


def over_seeds(name: str, kind: str, latent: int) -> np.ndarray:
    """One metric of one kind of model: ``(epochs, seed)``."""
    return lattice()[name][MODELS.index(kind), LATENTS.index(int(latent))].astype(float)


def bits_gallery() -> tuple[Figure, str]:
    """Bits per dimension over the number of latents, as AEF Fig. 5, with the alt text."""
    figure = plots.figure(size=(5.6, 3.6))
    ax, texts = figure.subplots(), []
    for kind, color in zip(MODELS, COLORS, strict=True):
        bits = np.array([over_seeds("bits", kind, n)[-1] for n in LATENTS])
        plots.band(ax, LATENTS, bits, color, kind)
        texts.append(f"{kind} {np.median(bits[0]):.2f} to {np.median(bits[-1]):.2f}")
    ax.set(xscale="log", xticks=LATENTS, xticklabels=LATENTS, xlabel="latents")
    ax.set_ylabel("bits per dimension, test digits")
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8)
    alt = f"Bits per dimension from {LATENTS[0]} to {LATENTS[-1]} latents: "
    return figure, alt + ", ".join(texts) + "."


def denoising_gallery() -> tuple[Figure, str]:
    """Error of denoising over the noise, as AEF Fig. 10, with the alt text."""
    figure = plots.figure(len(DENOISED), size=(3.9, 3.3))
    looks = {
        "autoencoder": ("AE, noisy targets", plots.GREY),
        "denoising": ("AE, clean targets", plots.GREEN),
        "vae": ("VAE", plots.ORANGE),
        "linear": ("AEF", plots.BLUE),
    }
    panels, texts = figure.subplots(1, len(DENOISED), sharey=True), []
    idle = [digit_flows.judge_denoising(lambda y: y, sigma).features for sigma in SIGMAS]
    for ax, latent, part in zip(panels, DENOISED, lattice()["denoising"], strict=True):
        for (name, color), errors in zip(looks.values(), part, strict=True):
            plots.band(ax, SIGMAS, errors, color, name)
            texts.append(f"{name} with {latent} latents {np.median(errors[-1]):.3f}")
        ax.plot(SIGMAS, idle, ":", color="black", label="the noisy digit")
        ax.set(title=f"{latent} latents", xlabel="σ of the noise", xticks=SIGMAS)
    panels[0].set_ylabel("mean squared feature error")
    panels[0].legend(frameon=False, fontsize=8)
    alt = f"Feature error at σ = {SIGMAS[-1]:g}: the noisy digit {idle[-1]:.3f}, "
    return figure, alt + ", ".join(texts) + "."


def rows(core: str, latent: int, seed: int, model: Numbers, other: np.ndarray) -> np.ndarray:
    """Digits, what is their core, reconstructions, errors, samples, a VAE's samples."""
    x = digit_flows.digits().test.x[:SHOWN, 0].numpy()
    chosen = np.ones(SHAPE) if core == "linear" else digit_flows.mask(core, latent, seed).numpy()
    parts = (x, x * chosen, model.x_hat, np.abs(x - model.x_hat), model.samples, other)
    return np.concatenate(parts)[:, None]


def draw(seed: int, core: str, latent: int, epochs: int, result: Numbers) -> Figure:
    """A model's pictures beside where it stands among all trainings with so many latents."""
    figure = plots.figure(2, layout=None, size=(4.3, 4.0))
    figure.subplots_adjust(0.12, 0.12, 0.98, 0.92, wspace=0.3, hspace=0.12)
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1))
    left, top, bottom = (figure.add_subplot(g) for g in (grid[:, 0], grid[0, 1], grid[1, 1]))
    other = numbers(seed, "vae", latent, epochs).samples
    title = f"{core} core, {latent} latents, {epochs} epochs"
    plots.image_grid(left, rows(core, latent, seed, result, other), SHOWN, title)
    labels = ("digits", "their core", "from z", "error", "samples", "a VAE's")
    left.set_yticks([9 * i + 4 for i in range(6)], labels=labels, fontsize=8)
    left.tick_params(length=0)
    labels = {"bits": "bits per dimension", "scale": "σ of residuals"}
    for ax, (name, label) in zip((top, bottom), labels.items(), strict=True):
        for kind, color, who in ((core, plots.BLUE, "AEF"), ("vae", plots.ORANGE, "VAE")):
            plots.band(ax, EPOCHS, over_seeds(name, kind, latent), color, who)
        ax.plot(epochs, getattr(result, name), "o", color=plots.BLUE, mec="black", markersize=8)
        ax.set(xscale="log", ylabel=label, xticks=EPOCHS, xticklabels=EPOCHS)
        ax.minorticks_off()
    top.set(xticklabels=[], title="test digits: median and range over seeds")
    top.title.set_fontsize(9)
    top.legend(frameon=False, fontsize=8)
    bottom.set(xlabel="epochs of training")
    return figure


def render(seed: int, core: float, latent: int = 2, epochs: int = 100) -> Figure:
    """Pictures, bits per dimension and residual scale of one training.

    >>> render(0, core=0, latent=2, epochs=25).axes[0].get_title()
    'center core, 2 latents, 25 epochs'
    """
    kind = _kind(core)
    return draw(seed, kind, int(latent), int(epochs), numbers(seed, kind, latent, epochs))


def describe(seed: int, core: float, latent: int = 2, epochs: int = 100) -> str:
    """The alt text of :func:`render`, from the same numbers."""
    kind = _kind(core)
    return describe_numbers(seed, kind, latent, epochs, numbers(seed, kind, latent, epochs))


def describe_numbers(seed: int, core: str, latent: int, epochs: int, result: Numbers) -> str:
    """The alt text of any trained model's picture."""
    vae = numbers(seed, "vae", latent, epochs)
    return (
        f"Autoencoder within a flow, {core} core, {latent:g} latents, {epochs:g} epochs: "
        f"{result.bits:.2f} bits per dimension on test digits, σ of the residuals "
        f"{result.scale:.3f}; the VAE with the same networks: {vae.bits:.2f}, σ {vae.scale:.3f}."
    )


def _kind(core: float) -> str:
    check_point(NAME, CONTROLS, SEEDS, SEEDS[0], {"core": core})
    return CORES[int(core)]


def train_live(
    seed: int, callback: Callable | None = None, *, core: float, latent: int, epochs: int
) -> tuple[Figure, str]:
    """Retrain one point now; the callback may stop it early."""
    kind, latent, epochs = _kind(core), int(latent), int(epochs)
    model = digit_flows.make_model(kind, latent, seed)
    data, config = digit_flows.make_data("train", seed), digit_flows.make_config(seed, epochs)
    fit(model, data, None, config, progress=False, callback=callback)
    result = digit_flows.measure(digit_flows.finish(model.eval()), seed)
    point = (seed, kind, latent, epochs, result)
    return draw(*point), describe_numbers(*point)


def build_models(latent: int) -> dict[str, np.ndarray]:
    """Every training with so many latents, arrays of ``(kind, epochs, seed, …)``."""
    found = []
    for epochs in EPOCHS:
        models = digit_flows.train(MODELS, latent, SEEDS, epochs)
        found.append([[digit_flows.measure(models[k, s], s) for s in SEEDS] for k in MODELS])
    stacked = {
        name: np.array([[[getattr(r, name) for r in kind] for kind in part] for part in found])
        for name in Numbers._fields
    }  # (epochs, kind, seed, …)
    for name in ("x_hat", "samples"):
        stacked[name] = (stacked[name] * 255).round().astype(np.uint8)
    small = {n: a if a.dtype == np.uint8 else a.astype(np.float32) for n, a in stacked.items()}
    return {name: a.swapaxes(0, 1) for name, a in small.items()}


def build_denoising(latent: int) -> np.ndarray:
    """AEF Fig. 10 on the digits: feature errors ``(denoiser, sigma, seed)``."""
    kinds = digit_flows.DENOISERS
    return np.stack([digit_flows.denoise(k, latent, SEEDS)[1] for k in kinds]).astype(np.float32)


def build(progress: bool = True) -> None:
    """Train every point of the lattice and write it into the package."""
    parts = [build_models(latent) for latent in LATENTS]
    arrays = {name: np.stack([p[name] for p in parts], axis=1) for name in parts[0]}
    arrays |= {f"ablation_{k}": v for k, v in digit_flows.ablate(SEEDS).items()}
    arrays["denoising"] = np.stack([build_denoising(latent) for latent in DENOISED])
    save(arrays)


def save(arrays: dict[str, np.ndarray]) -> None:
    """Write the lattice with what it depends on."""
    about = {
        "made_by": f"companion rebuild {NAME}",
        "controls": {name: list(control.values) for name, control in CONTROLS.items()},
        "seeds": list(SEEDS),
        "training": {"batch_size": 64, "learning_rate": 3e-3, "num_train": 1297},
    }
    save_lattice(NAME, arrays, about)


def check(seed: int = 0, core: float = 0, latent: int = 2, epochs: int = 25) -> list[str]:
    """Retrain one point by itself and compare it with the band of the lattice's seeds there."""
    kind, at = _kind(core), EPOCHS.index(epochs)
    model = digit_flows.train([kind], latent, [seed], epochs)[kind, seed]
    bands = {name: over_seeds(name, kind, latent)[at] for name in METRICS}
    return compare(digit_flows.measure(model, seed), bands)


EXPLORABLE = Explorable(
    name=NAME,
    title="Autoencoders within flows",
    controls=CONTROLS,
    seeds=SEEDS,
    render=render,
    describe=describe,
    presets={
        "before it learns": {"epochs": 1, "latent": 2},
        "an autoencoder: few latents": {"epochs": 100, "latent": 2},
        "nearly a flow: many latents": {"epochs": 100, "latent": 32},
        "more than the data: w = h(x)": {"core": 3, "latent": 8},
    },
    prompts=(
        "Which core should cost fewer bits: pixels at the centre, or in a corner, always white?",
        "The residuals shrink with training. What do they approach, and what stops them?",
    ),
    train=train_live,
    epochs=EPOCHS[-1],
)
