"""A trace from random probes: estimates, their spread, and the formula for it (MLAE App. D.3)."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from companion import probes
from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Bars, Line, Points, Rule, Span
from companion.lab.picture import Axis, Panel, Picture
from companion.theory.variance import trace_variance
from figures import draw

NAME = "traces"
KINDS = ("gaussian", "rademacher", "sphere", "orthogonal")
SPECTRA = ("all equal", "spread 0 to 2", "one large", "spread, along the axes")
SIZES = (2, 8, 32)
COUNTS = (1, 2, 4, 8)
NUM_ESTIMATES = 4000
COLOURS = ("orange", "purple", "blue", "green")  # of KINDS
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


def histogram(n: Numbers, std: float, reach: float, title: str) -> Panel:
    """Estimates with the trace and the formula's ±1 standard deviation, as far as ``reach``."""
    ends = n.trace - std, n.trace + std
    predicted = Span(ends, colour="orange", alpha=0.25, label="formula, ±1 sd")
    panel = estimated(n, reach, title)
    return replace(panel, marks=(predicted, *panel.marks))


def estimated(n: Numbers, reach: float, title: str) -> Panel:
    """Estimates with the trace that they are of, as far as ``reach``."""
    low, high = n.trace - reach, n.trace + reach
    edges = np.linspace(low, high, 82)
    counts, _ = np.histogram(np.clip(n.estimates, low, high), edges)
    marks = (
        Bars(edges, 100 / NUM_ESTIMATES * counts, alpha=0.8),
        Rule(n.trace, colour="orange", width=1.5, dash="solid", label=f"trace = {n.trace:g}"),
    )
    y = Axis("share of the estimates (%)", limits=(0, 105 / NUM_ESTIMATES * counts.max()))
    return Panel(marks, Axis("estimate", limits=(low, high)), y, title=title)


def against_count(n: Numbers, chosen: str, title: str) -> Panel:
    """Variance against K for each kind of probe: lines are formulas, crosses simulations."""
    top, marks = max(max(v) for v in n.formula.values()), []
    for colour, (kind, values) in zip(COLOURS, n.formula.items(), strict=True):
        x = COUNTS[: len(values)]  # orthogonal probes are at most as many as dimensions
        dash = "dashed" if kind == "orthogonal" else "solid"  # it lies on "sphere" for small K
        marks += [Line(x, values, colour, dash=dash, label=kind)]
        marks += [Points(x, n.simulated[kind], colour, marker="x", size=6)]
        if kind == chosen:
            marks += [draw.chosen(n.num_probes, values[COUNTS.index(n.num_probes)], colour)]
    counts = Axis("K, number of probes", "log", (0.9, 9), ticks=COUNTS, names=tuple("1248"))
    nearly_none = 10.0 ** np.floor(np.log10(top / 50))
    y = Axis("variance", "symlog", (-0.6 * nearly_none, 2 * top), threshold=nearly_none)
    return Panel(marks, counts, y, title=title, note="lines: formula;  crosses: simulated")


def picture(n: Numbers, kind: int, num_probes: int, size: int, spectrum: int) -> Picture:
    """Left: estimates as a histogram, and the formula's ±1 sd. Right: variance against K."""
    widest = n.formula["gaussian"][0] ** 0.5  # of all: so pictures can be compared
    at = COUNTS.index(n.num_probes)
    expected, found = (of[KINDS[kind]][at] ** 0.5 for of in (n.formula, n.simulated))
    title = f"{KINDS[kind]}, K = {n.num_probes}: sd {found:.2f}, formula {expected:.2f}"
    left = histogram(n, expected, 4.2 * widest, title)
    right = against_count(n, KINDS[kind], f"d = {size}, eigenvalues: {SPECTRA[spectrum]}")
    asked = "" if n.num_probes == num_probes else f" ({num_probes} asked, there are no more)"
    says = (
        f"{n.num_probes} {KINDS[kind]} probes{asked} for a matrix of size {size}, eigenvalues "
        f"{SPECTRA[spectrum]}, trace {n.trace:g}: the estimates spread by {found:.2f}, the formula "
        f"says {expected:.2f}. With one Gaussian probe it would be {widest:.2f}."
    )
    return Picture([left, right], says, (9.8, 3.6))


def distances(counts, curves: dict[str, np.ndarray], title: str) -> Panel:
    """Distance from the exact gradient against K, median and range over draws (MLAE Fig. 5).

    Args:
        counts: the numbers K of probes.
        curves: ``(m, draws)`` by name; names with "independent" are dashed.
        title: of the panel.
    """
    marks = []
    colours = "blue", "green", "purple", "grey"
    for colour, (name, values) in zip(colours, curves.items(), strict=False):
        band, line = draw.spread(counts, values, colour, name)
        marks += [band, replace(line, dash="dashed" if "independent" in name else "solid")]
    axes = Axis("K, number of probes"), Axis("relative gradient distance")
    return Panel(marks, *axes, title=title)


def check() -> list[str]:
    """Compare the spread of estimates with the formulas, in standard errors."""
    lines = []
    for spectrum, name in enumerate(SPECTRA):
        n = numbers(0, 0, 1, 8, spectrum)
        ratio = float(n.simulated["gaussian"][0] / n.formula["gaussian"][0])
        verdict = "ok" if abs(ratio - 1) < 0.2 else "OUTSIDE"
        lines.append(f"traces, {name}: Gaussian variance over its formula {ratio:.3f}: {verdict}")
    return lines


def exact() -> tuple[int, str]:
    """Which kinds give the trace with one probe where all eigenvalues are equal."""
    A = matrix(8, SPECTRA.index("all equal"))
    sds = {kind: float(estimates(A, kind, 1, NUM_ESTIMATES).std()) for kind in KINDS}
    never_off = [kind for kind, sd in sds.items() if sd < 1e-9]
    right = {(): 0, ("gaussian",): 1, KINDS[1:]: 2, KINDS: 3}[tuple(never_off)]
    off = ", ".join(
        f"{kind} by {sds[kind]:.1f} in the standard deviation"
        for kind in KINDS
        if kind not in never_off
    )
    return right, (
        f"In {NUM_ESTIMATES:,} estimates of a trace of {len(A)} with each kind, "
        f"{', '.join(never_off)} are never off; {off}: here vᵀAv is the squared length of v."
    )


EXPLORABLE = Explorable(
    title="A trace from random probes",
    study=Computed(NAME, CONTROLS, (0,), numbers, check),
    draw=picture,
    presets={
        "one Gaussian probe": {"kind": 0, "num_probes": 1},
        "its length fixed": {"kind": 2, "num_probes": 1},
        "a full orthogonal set": {"kind": 3, "num_probes": 8, "size": 8},
        "made for Rademacher": {"kind": 1, "spectrum": 3},
    },
    prompts=(
        "Which eigenvalues and axes are made for Rademacher probes, and why?",
        "Eight orthogonal probes at d = 8: what is left of the spread? And at d = 32?",
    ),
    question=Question(
        "All eigenvalues of A are equal. Which kinds of probe give its trace exactly with a single "
        "vector?",
        ("none", "Gaussian ones", "all but Gaussian ones", "all"),
        exact,
    ),
)
