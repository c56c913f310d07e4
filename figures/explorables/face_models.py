"""Synthetic faces of ten known factors: MLAE's β beside a VAE's fixed and learned γ."""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch

from companion import jacobians
from companion.data.faces import FACTORS, LABEL, Faces
from companion.evaluation import decoder_spectrum, face_features, gaussian_w2
from companion.evaluation.generation import codes_of
from companion.lab.explorable import Computed, Explorable, Question
from companion.lab.marks import Line, Rule
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study, as_bytes
from companion.latents import fit_latents
from companion.models import Model
from companion.networks import MLP
from companion.training import TrainConfig
from figures import draw
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


def trade_off() -> Picture:
    """Reconstruction error and Fréchet distances against β and 1/2γ."""
    titles = {
        "error": "reconstructions",
        "normal": "samples, codes from N(0, 1)",
        "mixture": "samples, codes from GMM(10)",
    }
    distances = np.concatenate([RUNS.arrays[name].ravel() for name in ("normal", "mixture")])
    (limits,) = draw.common([distances])
    panels, texts = [], []
    for name, title in titles.items():
        y = Axis("Fréchet distance", "log", limits)
        y = Axis("mean ‖x̂ − x‖²", "log") if name == "error" else y
        panels.append(WEIGHTS.panel(RUNS, curves(name), y, title=title))
        found = {k: np.median(v, -1) for k, v in curves(name).items() if k != "learned"}
        ends = found["beta"][0], found["beta"][-1], found["gamma"][-1], found["gamma"][0]
        texts.append("{}: MLAE {:.3g} to {:.3g}, VAE {:.3g} to {:.3g}".format(title, *ends))
    words = "From the lowest price of an error to the highest, medians of three runs. "
    return Picture(panels, words + "; ".join(texts) + ".", (10.2, 3.0))


def all_spectra() -> Picture:
    """Spectra at all β and γ, and after which value they fall most."""
    index, ticks = np.arange(1, LATENT + 1), tuple(range(2, LATENT + 1, 2))
    lines = [
        Line(index, np.median(found, 0), **style)
        for found, style in zip(RUNS.arrays["spectrum"], WEIGHTS.styles().values(), strict=True)
    ]
    truth = RUNS.arrays["true_spectrum"]
    lines += [Line(index[:DIM], truth, "ink", dash="dashed", label="true map")]
    y = Axis("mean singular value of g'(z)", "log", (8e-4, 1.3 * truth.max()))
    x = Axis("index of the singular value", ticks=ticks)
    left = Panel((*lines, Rule(DIM + 0.5)), x, y)
    steps = Axis("singular values before the largest step", limits=(0, LATENT), ticks=ticks)
    level = Rule(y=DIM, colour="ink", dash="dashed", label="true dimension")
    right = WEIGHTS.panel(RUNS, curves("step"), steps, marks=(level,), legend="above")
    found = {k: np.median(v, -1) for k, v in curves("step").items()}
    words = ", ".join(f"{n:g} at β = {b:g}" for b, n in zip(BETAS, found["beta"], strict=True))
    others = ", ".join(f"{n:g} at γ = {g:g}" for g, n in zip(GAMMAS, found["gamma"], strict=True))
    says = (
        f"Median number of singular values before the largest step: MLAE {words}; VAE {others}; "
        f"learned γ {found['learned']:g}; true dimension {DIM}."
    )
    return Picture([left, right], says, (9.2, 3.6))


def picture(found: dict[str, Numbers]) -> Picture:
    """Faces, what three models make of them, their samples, and the decoders' spectra."""
    shown, names = [RUNS.arrays["truth"] / 255], ["held-out faces"]
    for caption, one in found.items():
        shown += [one.reconstructions, one.samples]
        names += [f"{caption}\nreconstructions,\nerror {one.error:.2g}"]
        names += [f"samples,\nFréchet {one.normal:.2g}"]
    sheet = np.concatenate(shown)
    left = draw.image_rows(sheet, NUM_SHOWN, (1, 3, 5), title=LABEL, names=names)
    spectra = {caption: one.spectrum for caption, one in found.items()}
    right = draw.spectra(spectra, COLOURS, RUNS.arrays["true_spectrum"])
    parts = [
        f"{caption}: reconstruction error {one.error:.2f}, Fréchet distance of samples "
        f"{one.normal:.1f}, singular values {one.spectrum[0]:.2f} to {one.spectrum[DIM - 1]:.2f} "
        f"(tenth) and {one.spectrum[DIM]:.2f} (eleventh)"
        for caption, one in found.items()
    ]
    says = "Synthetic faces of ten known factors. " + "; ".join(parts) + "."
    return Picture([left, right], says, (9.6, 4.6), (6, 4))


def sharper(beta: float = 10.0) -> tuple[int, str]:
    """Whose error is smaller at one price, within a tenth, in the median of the trainings."""
    medians = {name: np.median(values, -1) for name, values in curves("error").items()}
    ratios = medians["gamma"][::-1] / medians["beta"]  # (price,) from cheap errors to dear ones
    here = ratios[BETAS.index(beta)]
    right = 2 if 1 / 1.1 < here < 1.1 else 0 if here > 1 else 1
    found = ", ".join(f"{r:.2f} at β = {b:g}" for b, r in zip(BETAS, ratios, strict=True))
    return right, (
        f"The VAE's reconstruction error over MLAE's, both at β = 1/2γ, medians of "
        f"{len(RUNS.seeds)} trainings: {found}."
    )


STUDY = Computed(
    NAME, WEIGHTS.controls, (0,), partial(WEIGHTS.three, RUNS), RUNS.check, RUNS.compute
)
EXPLORABLE = Explorable(
    title="Synthetic faces of ten known factors",
    study=STUDY,
    draw=picture,
    presets={
        "one price: β = 1/2γ = 10": {"beta": 10.0, "gamma": 0.05},
        "β → ∞, γ → 0": {"beta": BETAS[-1], "gamma": GAMMAS[0]},
        "β → 0, γ → ∞": {"beta": BETAS[0], "gamma": GAMMAS[-1]},
    },
    prompts=("How many singular values stand out at a large γ, and how many at a small one?",),
    question=Question(
        "At β = 10 and γ = 0.05 both pay the same price for an error. Whose reconstructions are "
        "sharper?",
        ("MLAE's", "the VAE's", "both alike"),
        sharper,
    ),
    opening=0,
)
