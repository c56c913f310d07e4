"""Probes orthogonal across the batch beside independent ones: noise of a step, and what it costs.

The course's own measurement, on no paper's table: eight seeds of three networks on real digits.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from companion import volume
from companion.atomic import write_json
from companion.contracts import as_float
from companion.data import images
from companion.lab.explorable import Computed, compare
from companion.models import MLAE
from companion.networks import MLP, ConvDecoder, ConvEncoder
from companion.training import TrainConfig, fit
from figures import plots

NAME = "batch_orthogonal"
KINDS = {"sphere": "independent", "batch-orthogonal": "orthogonal across"}
FRACTIONS = (1.0, 1 / 8, 1 / 16)
SEEDS = tuple(range(8))
BETA, BATCH, DRAWS, VALID = 10.0, 128, 10, 500
TRAINING = {"learning_rate": 2e-3, "noise": 0.1}
METRICS = ("nll", "error")  # in nats, and mean ‖x̂ − x‖², on validation digits
COLOURS = dict(zip(KINDS, (plots.ORANGE, plots.BLUE), strict=True))
STUDENT = 2.365  # the t of 95 % for eight runs


class Setting(NamedTuple):
    """Data, networks and how long they are trained."""

    data: str
    latent: int
    epochs: int
    networks: Callable[[tuple[int, ...], int], tuple[nn.Module, nn.Module]]


def _mlps(shape: tuple[int, ...], latent: int) -> tuple[nn.Module, nn.Module]:
    options = {"hidden": (128, 128), "residual": True}
    return MLP(shape, latent, **options), MLP(latent, shape, **options)


def _convolutions(shape: tuple[int, ...], latent: int) -> tuple[nn.Module, nn.Module]:
    options = {"channels": (8, 16), "hidden": (64,)}
    return ConvEncoder(shape, latent, **options), ConvDecoder(latent, shape, **options)


SETTINGS = {
    "MNIST, conv net, d = 16": Setting("mnist", 16, 6, _convolutions),
    "8×8 digits, d = 16": Setting("digits", 16, 25, _mlps),
    "8×8 digits, d = 8": Setting("digits", 8, 25, _mlps),
}


def excess(setting: str, kind: str, metric: str = "loss") -> np.ndarray:
    """How much worse the runs end than those of the usual way, seed by seed: ``(fraction, seed)``.

    The usual way is independent probes on the whole batch; the loss is NLL + β‖x̂ − x‖², exact.

    >>> excess("8×8 digits, d = 16", "sphere")[0].tolist() == [0.0] * 8
    True
    """
    found = {name: STUDY.arrays[name].astype(float) for name in METRICS}
    runs = found["nll"] + BETA * found["error"] if metric == "loss" else found[metric]
    at = runs[list(SETTINGS).index(setting)]
    return at[list(KINDS).index(kind)] - at[0, 0]


def noise_ratio(setting: str) -> np.ndarray:
    """Noise of a step over that of independent probes, new and trained: ``(2, seed)``.

    >>> bool((noise_ratio("8×8 digits, d = 16")[0] < 0.2).all())
    True
    """
    found = STUDY.arrays["noise"][list(SETTINGS).index(setting)].astype(float)
    return found[:, 1] / found[:, 0]


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the runs of the last axis, and half the width of its 95 % interval.

    >>> interval(np.arange(8.0))[0]
    np.float64(3.5)
    """
    return values.mean(-1), STUDENT * values.std(-1, ddof=1) / values.shape[-1] ** 0.5


def picture() -> tuple[Figure, str]:
    """The noise of a step and what a fraction of the batch costs, with the alt text."""
    figure = plots.figure(1 + len(SETTINGS), size=(2.9, 3.0))
    first, *others = figure.subplots(1, 1 + len(SETTINGS))
    words = []
    for at, (setting, ax) in enumerate(zip(SETTINGS, others, strict=True)):
        for ratios, shift, (marker, when) in zip(
            noise_ratio(setting), (-0.1, 0.1), (("o", "new"), ("^", "trained")), strict=True
        ):
            label = when if at == 0 else ""
            first.plot(ratios, [at + shift] * len(SEEDS), marker, color=plots.BLUE, alpha=0.6,
                       label=label)  # fmt: skip
        for shift, (kind, name) in zip((0.97, 1.03), KINDS.items(), strict=True):
            mean, half = interval(excess(setting, kind))
            places = np.array(FRACTIONS) * shift
            ax.errorbar(places, mean, half, fmt="o-", color=COLOURS[kind], label=name, capsize=3)
            ends = ", ".join(f"{m:+.2f} ± {h:.2f}" for m, h in zip(mean, half, strict=True))
            words.append(f"{setting}, {name}: {ends}")
        ax.axhline(0, color=plots.GREY, linewidth=0.8)
        ax.set(xscale="log", xlabel="share of the batch", title=setting)
        ax.set_xticks(FRACTIONS, ["1", "1/8", "1/16"])
        ax.minorticks_off()
    first.set(xscale="log", xlabel="noise over independent probes'", yticks=range(len(SETTINGS)))
    first.set_yticklabels([name.replace(", ", "\n") for name in SETTINGS], fontsize=8)
    first.axvline(1, color=plots.GREY, linewidth=0.8)
    for ax in (first, others[0]):
        ax.legend(frameon=False, fontsize=8)
    others[0].set_ylabel("excess of the final loss (nats)")
    shares = ", ".join(f"{s:g}" for s in FRACTIONS)
    says = f"Mean excess of the final loss with its 95 % interval, at shares {shares}"
    return figure, f"{says}. {'; '.join(words)}."


@cache
def load(name: str) -> tuple[Tensor, Tensor, str]:
    """Training and validation images of a set, and where they come from in words.

    Raises:
        companion.data.fetch.DataNotFoundError: saying which file to put where.
    """
    found = images.load(name, test_files_only=name != "digits")
    return as_float(found.train.x), as_float(found.valid.x)[:VALID], found.note


def make_model(setting: str, seed: int, kind: str, fraction: float) -> MLAE:
    """Seeded weights.

    >>> make_model("8×8 digits, d = 8", 0, "sphere", 1.0).latent_dim
    8
    """
    one = SETTINGS[setting]
    shape = (1, 8, 8) if one.data == "digits" else (1, 28, 28)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = one.networks(shape, one.latent)
    return MLAE(*pair, shape, one.latent, beta=BETA, kind=kind, fraction=fraction)


def config(setting: str, seed: int) -> TrainConfig:
    """One-cycle Adam steps; the models are those of the last epoch."""
    return TrainConfig(SETTINGS[setting].epochs, BATCH, seed=seed, device="cpu", **TRAINING)


def train(setting: str, kind: str, fraction: float) -> dict:
    """Train and measure all seeds of one way; those of the usual way also the noise of a step."""
    x, valid, _ = load(SETTINGS[setting].data)
    new, models = ([make_model(setting, s, kind, fraction) for s in SEEDS] for _ in range(2))
    for seed, model in zip(SEEDS, models, strict=True):
        fit(model, x, None, config(setting, seed), progress=False)
    found = [measure(model.eval(), valid) for model in models]
    result = {name: [getattr(run, name) for run in found] for name in METRICS}
    if (kind, fraction) == (next(iter(KINDS)), FRACTIONS[0]):
        result["noise"] = [[noise(m, x) for m in some] for some in (new, models)]
    return result


@torch.no_grad()
def measure(model: MLAE, valid: Tensor) -> SimpleNamespace:
    """The exact NLL and the error on validation images."""
    error = (model.decode(model.encode(valid)) - valid).square().flatten(1).sum(1).mean()
    return SimpleNamespace(nll=-model.log_prob(valid).value.mean().item(), error=error.item())


def noise(model: MLAE, x: Tensor) -> list[float]:
    """Variance of the batch mean's surrogate gradient over its squared length, for each kind."""
    maps, generator = (model.encoder, model.decoder), torch.Generator().manual_seed(0)
    weights = list(model.encoder.parameters())
    options = {"num_probes": 1, "generator": generator, "draws": DRAWS}
    part = x[:BATCH], *maps, weights, None
    far = [volume.gradient_distance(*part, kind=kind, **options) for kind in KINDS]
    return [d.square().mean().item() for d in far]


def compute(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Train all models; goes on where it stopped.

    Needs MNIST's two test files (`companion data`) and about half an hour of one processor core.
    """
    found = []
    directory.mkdir(parents=True, exist_ok=True)
    for at, setting in enumerate(SETTINGS):
        for kind in KINDS:
            for fraction in FRACTIONS:
                path = directory / f"{at}-{kind}-{fraction:g}.json"
                if not path.exists():
                    write_json(path, train(setting, kind, fraction))
                found.append(json.loads(path.read_text("utf-8")))
    shape = (len(SETTINGS), len(KINDS), len(FRACTIONS), len(SEEDS))
    arrays = {m: np.reshape([one[m] for one in found], shape).astype(np.float32) for m in METRICS}
    noises = np.array([one["noise"] for one in found if "noise" in one], np.float32)
    arrays["noise"] = noises.transpose(0, 1, 3, 2)  # (setting, new or trained, kind, seed)
    about = {
        "settings": {
            name: {"data": load(s.data)[2], "latent": s.latent, "epochs": s.epochs}
            for name, s in SETTINGS.items()
        },
        "kinds": list(KINDS),
        "fractions": list(FRACTIONS),
        "seeds": list(SEEDS),
        "training": {"beta": BETA, "batch_size": BATCH} | TRAINING,
    }
    return arrays, about


def check(seed: int = 0, setting: str = "8×8 digits, d = 8") -> list[str]:
    """Retrain one model by itself and compare it with the band of the seeds there."""
    kind, (x, valid, _) = next(iter(KINDS)), load(SETTINGS[setting].data)
    model = make_model(setting, seed, kind, FRACTIONS[0])
    fit(model, x, None, config(setting, seed), progress=False)
    bands = {name: STUDY.arrays[name][list(SETTINGS).index(setting), 0, 0] for name in METRICS}
    return compare(measure(model.eval(), valid), bands)


STUDY = Computed(NAME, {}, (0,), None, check, compute)
