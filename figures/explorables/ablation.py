"""MLAE Table 6 on real digits of 8×8 pixels: what becomes of the samples when one thing changes."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch

from companion.experiments.presets import BY_EPOCH
from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Mark, Points, Rule, Span
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import Study
from companion.models import MLAE
from companion.models import linear as rising
from companion.networks import build
from companion.networks.table import (
    BN,
    CODE,
    RELU,
    SIGMOID,
    Table,
    block,
    conv,
    conv_t,
    fc_block,
)
from companion.networks.table import linear as fully
from companion.training import TrainConfig
from figures import draw
from figures.explorables import digits

NAME = "ablation"
LATENT, BETA, EPOCHS = digits.LATENT, 10.0, 200
NUM_SHOWN = 60
METRICS = ("normal", "mixture", "error")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        name: as the paper writes it, or what we change.
        network: of :func:`small_table`.
        width: channels of the first convolution, the second has twice as many.
        norm: what stands where the paper's tables say BN.
        decay: weight decay.
        options: of the model that differ from one probe and β = 10.
        paper: MNIST's FID with codes from N(0, 1) and from a mixture, quoted from Table 6.
    """

    name: str
    network: str = "convnet+"
    width: int = 16
    norm: str = "none"
    decay: float = 0.0
    options: dict = field(default_factory=dict)
    paper: tuple[float, float] | None = None


# the paper prints a factor that grows from 1 to 10: read as β itself, or as a multiple of β
RISING, TIMES = {"beta": BY_EPOCH}, {"beta": rising(BETA, 10 * BETA)}
ROWS = (
    Row("ConvNet+, β (epoch), weight decay", decay=1e-4, options=RISING, paper=(11.5, 9.3)),
    Row("ConvNet+, weight decay", decay=1e-4, paper=(11.3, 9.1)),
    Row("ConvNet+, BN", norm="batch", paper=(16.8, 13.3)),
    Row("ConvNet+", paper=(14.3, 10.1)),
    Row("ConvNet", network="convnet", width=64, paper=(20.9, 10.0)),
    Row("ConvNet, BN", network="convnet", width=64, norm="batch", paper=(24.6, 13.8)),
    Row("ConvNet, β (epoch)", network="convnet", width=64, options=RISING, paper=(23.1, 9.9)),
    Row("ConvNet+, channels × 4", width=64),
    Row("ConvNet+, K = 2", options={"num_probes": 2}),
    Row("ConvNet+, K = 4", options={"num_probes": 4}),
    Row("ConvNet+, volume at x̂", options={"at": "manifold"}),
    Row("ConvNet+, 10 β (epoch), weight decay", decay=1e-4, options=TIMES),
)
NAMES = tuple(row.name for row in ROWS)
CONTROLS = {
    "change": Control(
        "networks and change", tuple(range(len(ROWS))), NAMES.index("ConvNet+"), names=NAMES
    )
}


class Numbers(NamedTuple):
    """What is measured of one trained model."""

    samples: np.ndarray  # (shown, 1, 8, 8) of standard normal codes
    normal: float  # Fréchet distance of samples from held-out digits, codes from N(0, 1)
    mixture: float  # the same, codes from GMM(10)
    error: float  # mean ‖x̂ − x‖² of held-out digits


RES = block("ResBlock", RELU, conv(8, 3, 1), RELU, conv(32, 1, 1))


def small_table(network: str, width: int) -> Table:
    """MLAE Tables 7 to 9 at 8×8 pixels: two convolutions in place of three or four, few channels.

    ConvNet+ has residual layers of 64 around the code, four blocks on each side. With a quarter of
    ConvNet's channels it has fewer parameters, as in the paper.

    Args:
        network: ``convnet``, ``resnet`` or ``convnet+``.
        width: channels of the first convolution; the second has twice as many, a ResNet's 32.

    >>> from companion.networks import build, count
    >>> sizes = {"convnet": 64, "convnet+": 16, "resnet": 16}
    >>> [count(*build(small_table(n, w), norm="none")[:2]) for n, w in sizes.items()]
    [281361, 71505, 31601]
    """
    w, out = width, (conv_t(1, 4, 2), SIGMOID)
    if network == "resnet":
        encoder = [(conv(w, 4, 2),), (conv(32, 4, 2),), (RES,), (RES,), (CODE,)]
        decoder = [(fully(32, 2, 2),), (RES,), (RES, RELU), (conv_t(w, 4, 2), RELU), out]
        return Table(digits.SHAPE, LATENT, encoder, decoder)
    blocks = 4 * [(fc_block(64),)] if network == "convnet+" else []
    encoder = [(conv(w, 4, 2), BN, RELU), (conv(2 * w, 4, 2), BN, RELU), (CODE,), *blocks]
    decoder = [*blocks, (fully(2 * w, 2, 2),), (conv_t(w, 4, 2), BN, RELU), out]
    return Table(digits.SHAPE, LATENT, encoder, decoder)


def make_model(change: int, seed: int) -> MLAE:
    """The model of one row with seeded weights; it is not told the classes.

    >>> make_model(3, seed=0).beta
    tensor(10.)
    """
    row = ROWS[change]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = build(small_table(row.network, row.width), norm=row.norm)
        return MLAE(*networks, **{"beta": BETA} | row.options)


def make_config(change: int, seed: int) -> TrainConfig:
    """2,000 one-cycle Adam steps of batch 128, as for the explorable of digits."""
    return replace(digits.make_config(seed), epochs=EPOCHS, weight_decay=ROWS[change].decay)


@torch.no_grad()
def measure(model: MLAE) -> Numbers:
    """Judge a trained model on held-out digits that are the same for all."""
    x = digits.make_data()[1].x
    samples = model.sample(NUM_SHOWN, generator=torch.Generator().manual_seed(4000))
    error = float((model.decode(model.encode(x)) - x).square().flatten(1).sum(1).mean())
    return Numbers(samples.numpy(), *digits.frechet(model, conditional=False), error)


RUNS = Study(
    NAME, CONTROLS, (0, 1, 2), Numbers, make_model, lambda: digits.make_data()[0].x, make_config,
    measure, METRICS, extra=lambda: {"chance": digits.RUNS.arrays["chance"]},
    shared={"samples": ("change",)}, levels={"samples": 255},
    notes={
        "data": digits.DATA,
        "training": digits.TRAINING | {"epochs": EPOCHS, "beta": BETA},
    },
)  # fmt: skip


def runs(name: str, metric: str) -> np.ndarray:
    """One metric of all trainings of a row: ``(run,)``; ``gap`` is normal − mixture.

    >>> runs("ConvNet+", "gap").shape
    (3,)
    """
    if metric == "gap":
        return runs(name, "normal") - runs(name, "mixture")
    return RUNS.at(metric, change=NAMES.index(name))


def ratio(name: str, other: str, metric: str = "normal") -> np.ndarray:
    """One metric of a row over the same of another, run by run: ``(run,)``.

    >>> ratio("ConvNet+", "ConvNet+").tolist()
    [1.0, 1.0, 1.0]
    """
    return runs(name, metric) / runs(other, metric)


def printed() -> str:
    """The table: means and standard deviations over the trainings, the paper's numbers quoted."""
    heads = "".join(f"{name:>13}" for name in ("N", "GMM(10)", "Δ", "error"))
    lines = [f"{'':38}{heads}   quoted N and GMM"]
    for row in ROWS:
        found = (runs(row.name, metric) for metric in ("normal", "mixture", "gap", "error"))
        text = "".join(f"{v.mean():>8.2f} ±{v.std():.2f}" for v in found)
        quoted = "" if row.paper is None else "   {:.1f}  {:.1f}".format(*row.paper)
        lines.append(f"{row.name:38}{text}{quoted}")
    return "\n".join(lines)


def paired_rows(here: int) -> Panel:
    """Both Fréchet distances of each run, a row for each model, bars at the medians (Table 6)."""
    marks: list[Mark] = [Span(y=(here - 0.5, here + 0.5), alpha=0.18)]
    styles = ("N", "normal", "blue", -0.18), ("GMM(10)", "mixture", "orange", 0.18)
    for label, metric, colour, shift in styles:
        values = RUNS.arrays[metric].astype(float)  # (change, run)
        at = np.arange(len(values)) + shift
        each = np.repeat(at, values.shape[1])
        marks += [Points(values.ravel(), each, colour, size=4, alpha=0.45, label=label)]
        marks += [Points(np.median(values, 1), at, colour, marker="|", size=11)]
    chance = float(RUNS.arrays["chance"])
    marks += [Rule(chance, dash="dashed", label="real digits")]
    y = Axis(limits=(len(NAMES) - 0.5, -0.5), ticks=tuple(range(len(NAMES))), names=NAMES)
    x = Axis("Fréchet distance", "log", ticks=(0.5, 1, 2, 5, 10, 20), grid=True)
    return Panel(marks, x, y, legend="above")


def picture(n: Numbers, change: int) -> Picture:
    """Fréchet distances of all rows and samples of the chosen one."""
    samples = draw.image_rows(n.samples, 6, title=f"samples, {NAMES[change]}")
    says = (
        f"Real digits, MLAE at β = {BETA:g}. {NAMES[change]}: Fréchet distance of samples "
        f"{n.normal:.2f} with normal codes, {n.mixture:.2f} with GMM(10), reconstruction error "
        f"{n.error:.2f}; means of {len(RUNS.seeds)} trainings."
    )
    return Picture([paired_rows(change), samples], says, (9.6, 4.4), (1.9, 1))


# what is changed: a row that has it, and the same without
CHANGES = {
    "BatchNorm": ("ConvNet+, BN", "ConvNet+"),
    "weight decay": ("ConvNet+, weight decay", "ConvNet+"),
    "a β that grows by the epoch": (ROWS[0].name, "ConvNet+, weight decay"),
    "two probes in place of one": ("ConvNet+, K = 2", "ConvNet+"),
}


def moved_most() -> tuple[int, str]:
    """Which of four changes moves the distance with normal codes by the largest factor."""
    factors = {name: float(np.median(ratio(*pair))) for name, pair in CHANGES.items()}
    right = int(np.argmax(np.abs(np.log(list(factors.values())))))
    found = ", ".join(f"{name} {factor:.2f}" for name, factor in factors.items())
    return right, (
        f"The Fréchet distance of samples with normal codes changes by these factors, medians of "
        f"{len(RUNS.seeds)} trainings: {found}."
    )


STUDY = Computed(
    NAME, CONTROLS, (0,), lambda change: RUNS.typical(np.mean, change=change),
    RUNS.check, RUNS.compute,
)  # fmt: skip
EXPLORABLE = Explorable(
    title="One change at a time",
    study=STUDY,
    draw=picture,
    presets={
        "the paper's best": {"change": 0},
        "ConvNet+": {"change": NAMES.index("ConvNet+")},
        "ConvNet": {"change": NAMES.index("ConvNet")},
    },
    prompts=(
        "Which rows lie further apart than the three trainings of one row?",
        "Which networks need a mixture over the codes, and which hardly gain by it?",
    ),
    question=Question(
        "One thing is changed in a ConvNet+. Which moves the distance of its samples most?",
        tuple(CHANGES),
        moved_most,
    ),
    opening=0,
)
