"""MLAE Table 6 on real digits of 8×8 pixels: what becomes of the samples when one thing changes."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.experiments.presets import BY_EPOCH
from companion.lab.explorable import Computed, Control, Explorable
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
from figures import plots
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


def paired_strip(ax: Axes, here: int) -> None:
    """Both Fréchet distances of each run, a row for each model, bars at the medians (Table 6)."""
    styles = ("N", "normal", plots.BLUE, -0.18), ("GMM(10)", "mixture", plots.ORANGE, 0.18)
    for name, metric, color, shift in styles:
        for row, runs in enumerate(RUNS.arrays[metric]):
            where = np.full(len(runs), row + shift)
            ax.plot(runs, where, "o", color=color, alpha=0.45, markersize=4)
            ax.plot(np.median(runs), row + shift, "|", color=color, markersize=11, mew=2.2)
        ax.plot([], [], "o", color=color, label=name)
    chance = float(RUNS.arrays["chance"])
    ax.axvline(chance, color=plots.GREY, linestyle="--", linewidth=1, label="real digits")
    ax.axhspan(here - 0.5, here + 0.5, color=plots.GREY, alpha=0.18, linewidth=0)
    ax.set(yticks=range(len(NAMES)), yticklabels=NAMES, xlabel="Fréchet distance", xscale="log")
    ax.set_ylim(len(NAMES) - 0.5, -0.5)
    high = max(RUNS.arrays[metric].max() for metric in ("normal", "mixture"))
    ticks = [t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if chance < t < high]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False)


def draw(figure: Figure, n: Numbers, change: int) -> str:
    """Fréchet distances of all rows and samples of the chosen one."""
    paired_strip(figure.add_axes((0.29, 0.12, 0.385, 0.79)), change)
    right = figure.add_axes((0.7, 0.03, 0.29, 0.88))
    plots.image_grid(right, n.samples, 6, f"samples, {NAMES[change]}")
    right.title.set_fontsize(9)
    return (
        f"Real digits, MLAE at β = {BETA:g}. {NAMES[change]}: Fréchet distance of samples "
        f"{n.normal:.2f} with normal codes, {n.mixture:.2f} with GMM(10), reconstruction error "
        f"{n.error:.2f}; means of {len(RUNS.seeds)} trainings."
    )


STUDY = Computed(
    NAME, CONTROLS, (0,), lambda change: RUNS.typical(np.mean, change=change),
    RUNS.check, RUNS.compute,
)  # fmt: skip
EXPLORABLE = Explorable(
    title="One change at a time",
    study=STUDY,
    draw=draw,
    size=(9.6, 4.4),
    presets={
        "the paper's best": {"change": 0},
        "ConvNet+": {"change": NAMES.index("ConvNet+")},
        "ConvNet": {"change": NAMES.index("ConvNet")},
    },
    prompts=(
        "Which change will move the samples most: networks, BatchNorm, weight decay, β or K?",
        "For which networks will a mixture over the codes help most?",
    ),
)
