"""A trace from random probes: estimates, their spread, and the formula for it (MLAE App. D.3)."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Generator, Tensor

from companion import probes
from companion.lab.explorable import Computed, Control, Explorable
from companion.theory.variance import trace_variance
from figures import plots

NAME = "traces"
KINDS = ("gaussian", "rademacher", "sphere", "orthogonal")
SPECTRA = ("all equal", "spread 0 to 2", "one large", "spread, along the axes")
SIZES = (2, 8, 32)
COUNTS = (1, 2, 4, 8)
NUM_ESTIMATES = 4000
COLORS = (plots.ORANGE, plots.PURPLE, plots.BLUE, plots.GREEN)  # of KINDS
CONTROLS = {
    "kind": Control("probes", (0, 1, 2, 3), 2, names=KINDS),
    "num_probes": Control("K, probes per estimate", COUNTS, 1),
    "size": Control("d, size of A", SIZES, 8),
    "spectrum": Control("eigenvalues of A", (0, 1, 2, 3), 1, names=SPECTRA),
}


def matrix(size: int, spectrum: int, seed: int = 0) -> Tensor:
    """A symmetric matrix with trace ``size`` and a named spectrum: ``(size, size)``, float64.

    All but the last of ``SPECTRA`` have random orthogonal eigenvectors.

    >>> matrix(2, 3)
    tensor([[0., 0.],
            [0., 2.]], dtype=torch.float64)
    """
    eigenvalues = torch.linspace(0, 2, size, dtype=torch.float64)
    if SPECTRA[spectrum] == "all equal":
        eigenvalues = torch.ones(size, dtype=torch.float64)
    elif SPECTRA[spectrum] == "one large":
        eigenvalues = size * (torch.arange(size) == 0).double()
    if SPECTRA[spectrum] == "spread, along the axes":
        return torch.diag(eigenvalues)
    like = torch.zeros(1, size, dtype=torch.float64)
    generator = Generator().manual_seed(seed)
    axes = probes.sample("orthogonal", size, like, generator)[:, 0] / size**0.5  # (size, size)
    return axes.T @ (eigenvalues[:, None] * axes)


def allowed(kind: str, num_probes: int, size: int) -> int:
    """K, or the most that the kind allows: orthogonal probes are at most ``size``."""
    return min(num_probes, size) if kind == "orthogonal" else num_probes


def estimates(A: Tensor, kind: str, num_probes: int, n: int, seed: int = 0) -> Tensor:
    """n estimates (1/K) Σ vₖᵀ A vₖ of the trace: ``(n,)``.

    >>> estimates(torch.eye(2).double(), "sphere", 1, 2)
    tensor([2.0000, 2.0000], dtype=torch.float64)
    """
    v = probes.sample(kind, num_probes, A.new_zeros(n, len(A)), Generator().manual_seed(seed))
    return ((v @ A) * v).sum(-1).mean(0)  # (probe, n, size) -> (n,)


class Numbers(NamedTuple):
    """Everything that the picture shows."""

    num_probes: int  # the K asked for, or what the kind allows
    estimates: np.ndarray  # (n,) of the chosen kind and K
    trace: float
    formula: dict[str, np.ndarray]  # variance by kind: (counts,)
    simulated: dict[str, np.ndarray]  # the same from estimates


@cache
def _simulate(seed: int, size: int, spectrum: int) -> dict[tuple[str, int], Tensor]:
    A = matrix(size, spectrum, seed)
    pairs = [(kind, k) for kind in KINDS for k in COUNTS if allowed(kind, k, size) == k]
    return {(kind, k): estimates(A, kind, k, NUM_ESTIMATES, seed + 1) for kind, k in pairs}


def numbers(seed: int, kind: int, num_probes: int, size: int, spectrum: int) -> Numbers:
    """Simulate all kinds of probe at every K, beside their formulas.

    >>> n = numbers(0, kind=3, num_probes=8, size=8, spectrum=1)  # a full orthogonal set
    >>> bool(abs(n.estimates - n.trace).max() < 1e-12), float(n.formula["orthogonal"][-1])
    (True, 0.0)
    """
    A, found = matrix(size, spectrum, seed), _simulate(seed, size, spectrum)
    held = allowed(KINDS[kind], num_probes, size)
    counts = {name: [k for k in COUNTS if (name, k) in found] for name in KINDS}
    formula = {
        name: np.array([float(trace_variance(A, name, k)) for k in ks])
        for name, ks in counts.items()
    }
    simulated = {
        name: np.array([float(found[name, k].var()) for k in ks]) for name, ks in counts.items()
    }
    chosen = found[KINDS[kind], held].numpy()
    return Numbers(held, chosen, float(A.trace()), formula, simulated)


def histogram(ax: Axes, n: Numbers, std: float, reach: float) -> None:
    """Estimates with the trace and the formula's ±1 standard deviation, as far as ``reach``."""
    low, high = n.trace - reach, n.trace + reach
    edges, weights = np.linspace(low, high, 82), np.full(NUM_ESTIMATES, 100 / NUM_ESTIMATES)
    span = {"color": plots.ORANGE, "alpha": 0.25, "linewidth": 0, "label": "formula, ±1 sd"}
    ax.axvspan(n.trace - std, n.trace + std, **span)
    bars = {"weights": weights, "color": plots.BLUE, "alpha": 0.8}
    ax.hist(np.clip(n.estimates, low, high), edges, **bars)
    ax.axvline(n.trace, color=plots.ORANGE, linewidth=1.5, label=f"trace = {n.trace:g}")
    ax.set(xlim=(low, high), xlabel="estimate", ylabel="share of the estimates (%)")
    ax.legend(frameon=False, fontsize=8, loc="upper right")


def against_count(ax: Axes, n: Numbers, chosen: str) -> None:
    """Variance against K for each kind of probe: lines are formulas, crosses simulations."""
    top = max(max(v) for v in n.formula.values())
    for color, (kind, values) in zip(COLORS, n.formula.items(), strict=True):
        x = COUNTS[: len(values)]  # orthogonal probes are at most as many as dimensions
        style = "--" if kind == "orthogonal" else "-"  # it lies on "sphere" for small K
        ax.plot(x, values, style, color=color, linewidth=1.6, label=kind)
        ax.plot(x, n.simulated[kind], "x", color=color, markersize=6)
        if kind == chosen:
            here = n.num_probes, values[COUNTS.index(n.num_probes)]
            ax.plot(*here, "o", color=color, markeredgecolor="black", markersize=9)
    ax.set_xscale("log", base=2)
    ax.set_yscale("symlog", linthresh=top / 100)
    ax.set_xticks(COUNTS, [str(k) for k in COUNTS])
    ax.set(xlabel="K, number of probes", ylabel="variance", ylim=(-top / 400, 2 * top))
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8)


def draw(figure: Figure, n: Numbers, kind: int, num_probes: int, size: int, spectrum: int) -> str:
    """Left: estimates as a histogram, and the formula's ±1 sd. Right: variance against K."""
    figure.subplots_adjust(0.06, 0.14, 0.985, 0.9, wspace=0.22)
    left, right = figure.subplots(1, 2)
    widest = n.formula["gaussian"][0] ** 0.5  # of all: so pictures can be compared
    at = COUNTS.index(n.num_probes)
    expected, found = (of[KINDS[kind]][at] ** 0.5 for of in (n.formula, n.simulated))
    histogram(left, n, expected, 4.2 * widest)
    left.set_title(
        f"{KINDS[kind]}, K = {n.num_probes}: sd {found:.2f}, formula {expected:.2f}", fontsize=9
    )
    against_count(right, n, KINDS[kind])
    right.set_title(f"d = {size}, eigenvalues: {SPECTRA[spectrum]}", fontsize=9)
    asked = "" if n.num_probes == num_probes else f" ({num_probes} asked, there are no more)"
    return (
        f"{n.num_probes} {KINDS[kind]} probes{asked} for a matrix of size {size}, eigenvalues "
        f"{SPECTRA[spectrum]}, trace {n.trace:g}: the estimates spread by {found:.2f}, the formula "
        f"says {expected:.2f}. With one Gaussian probe it would be {widest:.2f}."
    )


def check() -> list[str]:
    """Compare the spread of estimates with the formulas, in standard errors."""
    lines = []
    for spectrum, name in enumerate(SPECTRA):
        n = numbers(0, 0, 1, 8, spectrum)
        ratio = float(n.simulated["gaussian"][0] / n.formula["gaussian"][0])
        verdict = "ok" if abs(ratio - 1) < 0.2 else "OUTSIDE"
        lines.append(f"traces, {name}: Gaussian variance over its formula {ratio:.3f}: {verdict}")
    return lines


EXPLORABLE = Explorable(
    title="A trace from random probes",
    study=Computed(NAME, CONTROLS, (0,), numbers, check),
    draw=draw,
    columns=2,
    size=(4.9, 3.6),
    presets={
        "one Gaussian probe": {"kind": 0, "num_probes": 1},
        "its length fixed": {"kind": 2, "num_probes": 1},
        "a full orthogonal set": {"kind": 3, "num_probes": 8, "size": 8},
        "made for Rademacher": {"kind": 1, "spectrum": 3},
    },
    prompts=(
        "All eigenvalues equal: which kinds of probe are exact with K = 1?",
        "Eight orthogonal probes at d = 8: what is left of the spread? And at d = 32?",
    ),
)
