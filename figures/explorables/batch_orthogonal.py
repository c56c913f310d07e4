"""Probes orthogonal across the batch beside independent ones: noise of a step, and what it costs.

The course's own measurement, on no paper's table: eight seeds of three networks on real digits.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from companion import volume
from companion.contracts import as_float
from companion.data import images
from companion.lab import verdicts
from companion.lab.explorable import Control
from companion.lab.marks import Line, Mark, Points, Rule
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import MLAE
from companion.networks import MLP, ConvDecoder, ConvEncoder
from companion.training import TrainConfig
from figures import draw

NAME = "batch_orthogonal"
KINDS = {"sphere": "independent", "batch-orthogonal": "orthogonal across"}
FRACTIONS = (1.0, 1 / 8, 1 / 16)
BETA, BATCH, DRAWS, VALID = 10.0, 128, 10, 500
TRAINING = {"learning_rate": 2e-3, "noise": 0.1}
METRICS = ("nll", "error")
COLOURS = dict(zip(KINDS, ("orange", "blue"), strict=True))


class Numbers(NamedTuple):
    """What is measured of a trained model, on validation digits."""

    nll: float  # in nats
    error: float  # mean ‖x̂ − x‖²


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
    found = {name: STUDY.at(name, setting=setting) for name in METRICS}  # (kind, fraction, seed)
    runs = found["nll"] + BETA * found["error"] if metric == "loss" else found[metric]
    return runs[list(KINDS).index(kind)] - runs[0, 0]


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
    high = np.apply_along_axis(lambda runs: verdicts.interval(runs).high, -1, values)
    return values.mean(-1), high - values.mean(-1)


def picture() -> Picture:
    """The noise of a step and what a fraction of the batch costs."""
    panels, words = [noise_of_steps()], []
    for setting in SETTINGS:
        marks: list[Mark] = [Rule(y=0, width=0.8, dash="solid")]
        for shift, (kind, name) in zip((0.97, 1.03), KINDS.items(), strict=True):
            mean, half = interval(excess(setting, kind))
            places = np.array(FRACTIONS) * shift
            marks += [Line(places, mean, COLOURS[kind], label=name)]
            marks += draw.error_bars(places, mean, half, COLOURS[kind])
            ends = ", ".join(f"{m:+.2f} ± {h:.2f}" for m, h in zip(mean, half, strict=True))
            words.append(f"{setting}, {name}: {ends}")
        x = Axis("share of the batch", "log", ticks=FRACTIONS, names=("1", "1/8", "1/16"))
        y = Axis("excess of the final loss (nats)")
        panels.append(Panel(marks, x, y, title=setting))
    shares = ", ".join(f"{s:g}" for s in FRACTIONS)
    says = f"Mean excess of the final loss with its 95 % interval, at shares {shares}"
    return Picture(panels, f"{says}. {'; '.join(words)}.", (11.6, 3.0))


def noise_of_steps() -> Panel:
    """The noise ratio of every seed, a row for each setting."""
    marks: list[Mark] = [Rule(1, width=0.8, dash="solid")]
    styles = zip((-0.1, 0.1), "o^", ("new", "trained"), strict=True)
    for i, (shift, marker, when) in enumerate(styles):
        found = np.stack([noise_ratio(setting)[i] for setting in SETTINGS])  # (setting, seed)
        at = np.repeat(np.arange(len(SETTINGS)) + shift, found.shape[1])
        marks += [Points(found.ravel(), at, marker=marker, alpha=0.6, label=when)]
    names = tuple(name.replace(", ", "\n") for name in SETTINGS)
    x = Axis("noise over independent probes'", "log")
    y = Axis(limits=(-0.5, len(SETTINGS) - 0.5), ticks=tuple(range(len(SETTINGS))), names=names)
    return Panel(marks, x, y)


@cache
def load(name: str) -> tuple[Tensor, Tensor]:
    """Training and validation images of a set; MNIST's are those of its two test files.

    Raises:
        companion.data.fetch.DataNotFoundError: saying which file to put where.
    """
    found = images.load(name, test_files_only=name != "digits")
    return as_float(found.train.x), as_float(found.valid.x)[:VALID]


def make_model(setting: str, kind: str, fraction: float, seed: int) -> MLAE:
    """Seeded weights.

    >>> make_model("8×8 digits, d = 8", "sphere", 1.0, seed=0).latent_dim
    8
    """
    one = SETTINGS[setting]
    shape = (1, 8, 8) if one.data == "digits" else (1, 28, 28)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pair = one.networks(shape, one.latent)
    return MLAE(*pair, shape, one.latent, beta=BETA, kind=kind, fraction=fraction)


def make_data(setting: str) -> Tensor:
    """The training images of one setting."""
    return load(SETTINGS[setting].data)[0]


def make_config(setting: str, seed: int) -> TrainConfig:
    """One-cycle Adam steps; the models are those of the last epoch."""
    return TrainConfig(SETTINGS[setting].epochs, BATCH, seed=seed, device="cpu", **TRAINING)


@torch.no_grad()
def measure(model: MLAE, setting: str) -> Numbers:
    """The exact NLL and the error on validation images."""
    valid = load(SETTINGS[setting].data)[1]
    error = (model.decode(model.encode(valid)) - valid).square().flatten(1).sum(1).mean()
    return Numbers(-model.log_prob(valid).value.mean().item(), error.item())


def noise(model: MLAE, x: Tensor) -> list[float]:
    """Variance of the batch mean's surrogate gradient over its squared length, for each kind."""
    maps, generator = (model.encoder, model.decoder), torch.Generator().manual_seed(0)
    weights = list(model.encoder.parameters())
    options = {"num_probes": 1, "generator": generator, "draws": DRAWS}
    part = x[:BATCH], *maps, weights, None
    far = [volume.gradient_distance(*part, kind=kind, **options) for kind in KINDS]
    return [d.square().mean().item() for d in far]


def extra(models: dict[tuple, MLAE]) -> dict[str, np.ndarray]:
    """The noise of a step of the usual way, ``(setting, new or trained, kind, seed)``."""
    found: dict[str, list] = {}
    for (setting, kind, fraction, seed), model in models.items():
        if (kind, fraction) == (next(iter(KINDS)), FRACTIONS[0]):
            pair = make_model(setting, kind, fraction, seed), model
            found.setdefault(setting, []).append([noise(m, make_data(setting)) for m in pair])
    ordered = np.array(list(found.values()), np.float32)  # (setting, seed, new or trained, kind)
    return {"noise": np.moveaxis(ordered, 1, -1)}


STUDY = Study(
    NAME,
    {
        "setting": Control("networks and data", tuple(SETTINGS), "8×8 digits, d = 8"),
        "kind": Control("probes", tuple(KINDS), "sphere"),
        "fraction": Control("share of the batch", FRACTIONS, 1.0),
    },
    tuple(range(8)), Numbers, make_model, make_data, make_config, measure, METRICS, extra=extra,
    apart=("setting", "kind", "fraction"),
    notes={
        "settings": {
            name: {"data": one.data, "latent": one.latent, "epochs": one.epochs}
            for name, one in SETTINGS.items()
        },
        "training": {"beta": BETA, "batch_size": BATCH} | TRAINING,
    },
)  # fmt: skip
