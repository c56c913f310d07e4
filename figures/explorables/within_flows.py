"""Autoencoders within flows on real digits: which core, how many latents, how long (AEF Fig. 5)."""

import numpy as np

from companion.lab.explorable import Control, Explorable, Question
from companion.lab.marks import Images, Line, Mark, Points, Text
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import Model
from figures import draw
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
COLOURS = ("blue", "green", "purple", "grey", "orange")  # of MODELS
DENOISERS = {  # in the order of the lattice
    "AE, noisy targets": "grey", "AE, clean targets": "green", "VAE": "orange", "AEF": "blue"
}  # fmt: skip
ROWS = ("digits", "their core", "from z", "error", "samples", "a VAE's")


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


def bits_gallery() -> Picture:
    """Bits per dimension over the number of latents, as AEF Fig. 5."""
    marks, texts = [], []
    for kind, colour in zip(MODELS, COLOURS, strict=True):
        bits = np.array([over_seeds("bits", kind, n)[-1] for n in LATENTS])
        marks += draw.spread(LATENTS, bits, colour, kind)
        texts.append(f"{kind} {np.median(bits[0]):.2f} to {np.median(bits[-1]):.2f}")
    axes = Axis("latents", "log", ticks=LATENTS), Axis("bits per dimension, test digits")
    says = f"Bits per dimension from {LATENTS[0]} to {LATENTS[-1]} latents: {', '.join(texts)}."
    return Picture([Panel(marks, *axes)], says, (5.6, 3.6))


def denoising_gallery() -> Picture:
    """Error of denoising over the noise, as AEF Fig. 10."""
    panels, texts, errors = [], [], STUDY.arrays["denoising"]
    idle = [digit_flows.judge_denoising(lambda y: y, sigma).features for sigma in SIGMAS]
    noisy = Line(SIGMAS, idle, "ink", dash="dotted", label="the noisy digit")
    _, y = draw.common([np.array(SIGMAS), np.append(errors, idle)])
    for latent, part in zip(DENOISED, errors, strict=True):
        marks = []
        for (name, colour), found in zip(DENOISERS.items(), part, strict=True):
            marks += draw.spread(SIGMAS, found, colour, name)
            texts.append(f"{name} with {latent} latents {np.median(found[-1]):.3f}")
        axes = Axis("σ of the noise", ticks=SIGMAS), Axis("mean squared feature error", limits=y)
        panels.append(Panel((*marks, noisy), *axes, title=f"{latent} latents"))
    says = f"Feature error at σ = {SIGMAS[-1]:g}: the noisy digit {idle[-1]:.3f}, "
    return Picture(panels, says + ", ".join(texts) + ".", (7.8, 3.3))


def codes_by_class(codes, classes) -> Panel:
    """Two-dimensional codes, coloured and numbered by class (AEF Fig. 7, SFVAE Fig. 2).

    Args:
        codes: ``(n, 2)``.
        classes: ``(n,)`` whole numbers from 0 to 9.

    >>> codes_by_class([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]], [3, 3, 7]).marks[1].data()
    {'kind': 'text', 'x': 1.0, 'y': 0.0, 'text': '3', 'boxed': True}
    """
    codes, classes = np.asarray(codes), np.asarray(classes)
    marks: list[Mark] = [Points(*codes.T, "classes", shade=classes, size=3.2, alpha=0.6)]
    for label in np.unique(classes):
        x, y = np.median(codes[classes == label], axis=0).tolist()
        marks.append(Text(x, y, str(label), boxed=True))
    return Panel(marks, Axis("z₁"), Axis("z₂"))


def rows(core: str, latent: int, seed: int, model: Numbers, other: np.ndarray) -> np.ndarray:
    """Digits, what is their core, reconstructions, errors, samples, a VAE's samples."""
    x = digit_flows.digits().test.x[:SHOWN, 0].numpy()
    chosen = np.ones(SHAPE) if core == "linear" else digit_flows.mask(core, latent, seed).numpy()
    parts = (x, x * chosen, model.x_hat, np.abs(x - model.x_hat), model.samples, other)
    return np.concatenate(parts)[:, None]


def opening() -> Picture:
    """Digits and their core of two pixels: what there is before any model."""
    x = digit_flows.digits().test.x[:SHOWN, 0].numpy()
    cores = np.concatenate([x, x * digit_flows.mask(CORES[0], LATENTS[0]).numpy()])[:, None]
    says = f"{SHOWN} digits of 64 pixels, and the {LATENTS[0]} pixels at the centre of each."
    return Picture([Panel.of_images(Images(cores, SHOWN), names=ROWS[:2])], says, (5.2, 1.9))


def against_epochs(name: str, kind: str, latent: int, here: tuple, y: str, title="") -> Panel:
    """One metric over the epochs, of an AEF and a VAE with so many latents; one AEF is marked."""
    marks = draw.spread(EPOCHS, over_seeds(name, kind, latent), "blue", "AEF")
    marks += draw.spread(EPOCHS, over_seeds(name, "vae", latent), "orange", "VAE")
    x = Axis("epochs of training", "log", ticks=EPOCHS)
    return Panel((*marks, draw.chosen(*here, "blue")), x, Axis(y), title=title)


def picture(result: Numbers, seed: int, core: int, latent: int, epochs: int) -> Picture:
    """A model's pictures beside where it stands among all trainings with so many latents."""
    at = {"core": MODELS.index("vae"), "latent": latent, "epochs": epochs, "seed": seed}
    kind, vae = CORES[core], {name: STUDY.at(name, **at) for name in Numbers._fields}
    sheet = Images(rows(kind, latent, seed, result, vae["samples"]), SHOWN)
    title = f"{kind} core, {latent} latents, {epochs} epochs"
    top = against_epochs(
        "bits", kind, latent, (epochs, result.bits), "bits per dimension", draw.SPREAD
    )
    bottom = against_epochs("scale", kind, latent, (epochs, result.scale), "σ of residuals")
    says = (
        f"Autoencoder within a flow, {kind} core, {latent} latents, {epochs} epochs: "
        f"{result.bits:.2f} bits per dimension on test digits, σ of the residuals "
        f"{result.scale:.3f}; the VAE with the same networks: {vae['bits']:.2f}, "
        f"σ {vae['scale']:.3f}."
    )
    left = Panel.of_images(sheet, title=title, names=ROWS)
    return Picture([left, [top, bottom]], says, (8.6, 4.0))


def lead() -> tuple[int, str]:
    """Who needs fewer bits with the most latents: all trainings of one, or neither."""
    few, many = (
        [over_seeds("bits", kind, n)[-1] for kind in (CORES[0], "vae")]
        for n in (LATENTS[0], LATENTS[-1])
    )  # (seed,) of each
    aef, vae = many
    ahead = 0 if aef.max() < vae.min() else 1 if vae.max() < aef.min() else 2
    return ahead, (
        f"With {LATENTS[-1]} latents the flow needs {np.median(aef):.2f} bits per dimension, the "
        f"VAE {np.median(vae):.2f} (medians of {len(aef)} trainings); with {LATENTS[0]} latents "
        f"{np.median(few[0]):.2f} and {np.median(few[1]):.2f}."
    )


EXPLORABLE = Explorable(
    title="Autoencoders within flows",
    study=STUDY,
    draw=picture,
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
    question=Question(
        "A flow with its core at the centre and a VAE have the same networks. With 32 latents, "
        "which needs fewer bits for a new digit?",
        ("the flow, which loses nothing", "the VAE", "no difference"),
        lead,
    ),
)
