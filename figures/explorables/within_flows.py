"""Autoencoders within flows on real digits: which core, how many latents, how long (AEF Fig. 5)."""

import numpy as np
from matplotlib.figure import Figure

from companion.lab.explorable import Control, Explorable
from companion.lab.study import Study
from companion.models import Model
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


def make_model(core: int, latent: int, seed: int) -> Model:
    """One of ``MODELS``, by where it stands there; the last is no core but a VAE."""
    return digit_flows.make_model(MODELS[core], latent, seed)


def measure(model: Model, seed: int) -> Numbers:
    """Judge a trained model on the test digits."""
    return digit_flows.measure(digit_flows.finish(model), seed)


def extra() -> dict[str, np.ndarray]:
    """AEF Table 7, and Fig. 10: feature errors ``(latent, denoiser, sigma, seed)``."""
    denoised = [
        [digit_flows.denoise(kind, latent, SEEDS)[1] for kind in digit_flows.DENOISERS]
        for latent in DENOISED
    ]
    found = {f"ablation_{name}": values for name, values in digit_flows.ablate(SEEDS).items()}
    return found | {"denoising": np.array(denoised, np.float32)}


STUDY = Study(
    NAME, CONTROLS, SEEDS, Numbers, make_model, lambda seed: digit_flows.make_data("train", seed),
    digit_flows.make_config, measure, METRICS, extra=extra, levels={"x_hat": 255, "samples": 255},
    wider={"core": tuple(range(len(MODELS)))}, apart=("core", "latent", "epochs"),
    checked={"core": 0, "epochs": 25},
    notes={
        "data": "the 8×8 digits of scikit-learn",
        "training": {"batch_size": 64, "learning_rate": 3e-3, "num_train": 1297},
    },
)  # fmt: skip


def over_seeds(name: str, kind: str, latent: int) -> np.ndarray:
    """One metric of one kind of model: ``(epochs, seed)``."""
    return STUDY.at(name, core=MODELS.index(kind), latent=latent)


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
    styles = {
        "autoencoder": ("AE, noisy targets", plots.GREY),
        "denoising": ("AE, clean targets", plots.GREEN),
        "vae": ("VAE", plots.ORANGE),
        "linear": ("AEF", plots.BLUE),
    }
    panels, texts = figure.subplots(1, len(DENOISED), sharey=True), []
    idle = [digit_flows.judge_denoising(lambda y: y, sigma).features for sigma in SIGMAS]
    for ax, latent, part in zip(panels, DENOISED, STUDY.arrays["denoising"], strict=True):
        for (name, color), errors in zip(styles.values(), part, strict=True):
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


def draw(figure: Figure, result: Numbers, seed: int, core: int, latent: int, epochs: int) -> str:
    """A model's pictures beside where it stands among all trainings with so many latents."""
    at = {"core": MODELS.index("vae"), "latent": latent, "epochs": epochs, "seed": seed}
    kind, vae = CORES[core], {name: STUDY.at(name, **at) for name in Numbers._fields}
    figure.subplots_adjust(0.12, 0.12, 0.98, 0.92, wspace=0.3, hspace=0.12)
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1))
    left, top, bottom = (figure.add_subplot(g) for g in (grid[:, 0], grid[0, 1], grid[1, 1]))
    title = f"{kind} core, {latent} latents, {epochs} epochs"
    plots.image_grid(left, rows(kind, latent, seed, result, vae["samples"]), SHOWN, title)
    labels = ("digits", "their core", "from z", "error", "samples", "a VAE's")
    left.set_yticks([9 * i + 4 for i in range(6)], labels=labels, fontsize=8)
    left.tick_params(length=0)
    labels = {"bits": "bits per dimension", "scale": "σ of residuals"}
    for ax, (name, label) in zip((top, bottom), labels.items(), strict=True):
        for of, color, who in ((kind, plots.BLUE, "AEF"), ("vae", plots.ORANGE, "VAE")):
            plots.band(ax, EPOCHS, over_seeds(name, of, latent), color, who)
        ax.plot(epochs, getattr(result, name), "o", color=plots.BLUE, mec="black", markersize=8)
        ax.set(xscale="log", ylabel=label, xticks=EPOCHS, xticklabels=EPOCHS)
        ax.minorticks_off()
    top.set(xticklabels=[], title="test digits: median and range over seeds")
    top.title.set_fontsize(9)
    top.legend(frameon=False, fontsize=8)
    bottom.set(xlabel="epochs of training")
    return (
        f"Autoencoder within a flow, {kind} core, {latent} latents, {epochs} epochs: "
        f"{result.bits:.2f} bits per dimension on test digits, σ of the residuals "
        f"{result.scale:.3f}; the VAE with the same networks: {vae['bits']:.2f}, "
        f"σ {vae['scale']:.3f}."
    )


EXPLORABLE = Explorable(
    title="Autoencoders within flows",
    study=STUDY,
    draw=draw,
    columns=2,
    size=(4.3, 4.0),
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
)
