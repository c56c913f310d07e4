"""RIF's bounds on the log-volume as the singular values spread: how tight, and how noisy."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from companion import probes
from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Bars, Line, Rule
from companion.lab.picture import Axis, Panel, Picture
from companion.theory import frobenius
from companion.volume import bounds
from figures import draw

NAME = "bounds"
RATIOS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
LATENTS = (2, 8, 32)
SCALES = (0.3, 0.5, 1.0, 2.0, 5.0)
CONTROLS = {
    "ratio": Control("largest over smallest singular value", RATIOS, 5.0),
    "scale": Control("λ of eq. 4", SCALES, 1.0),
    "latent": Control("latent dimensions d", LATENTS, 8),
}
NAMES = ("eq. 7, mean over unit v", "eq. 5", "eq. 4")
COLOURS = ("green", "blue", "orange")  # of NAMES
NUM_PROBES = 2000
FINE = tuple(sorted({*np.geomspace(1, 100, 40).tolist(), *RATIOS}))  # where the curves are drawn


def in_closed_form(latent: int, ratio: float, scale: float) -> list[float]:
    """Eqs 7, 5 and 4 minus the log-volume, in nats per latent dimension.

    >>> [round(gap, 3) for gap in in_closed_form(2, 4.0, 1.0)]
    [0.223, 0.377, 0.562]
    """
    s = frobenius.spread(latent, ratio)
    return [*_without_scale(latent, ratio), float(frobenius.frobenius(s, scale)) / latent]


@cache
def _without_scale(latent: int, ratio: float) -> tuple[float, float]:
    s = frobenius.spread(latent, ratio)  # its log-volume is zero
    return tuple(float(f(s)) / latent for f in (frobenius.unit_probe, frobenius.log_frobenius))


@cache
def measured(latent: int, ratio: float, seed: int = 0) -> np.ndarray:
    """Eq. 7 from one random probe each, on a linear decoder into twice as many dimensions.

    Nats per latent dimension, ``(NUM_PROBES,)``; the log-volume is zero.
    """
    generator = torch.Generator().manual_seed(seed)
    s = frobenius.spread(latent, ratio)
    left, right = (
        torch.linalg.qr(torch.randn(n, latent, dtype=s.dtype, generator=generator)).Q
        for n in (2 * latent, latent)
    )
    J = left * s @ right.T  # (2·latent, latent)
    z = torch.zeros(NUM_PROBES, latent, dtype=s.dtype)
    v = probes.sample("sphere", 1, z, generator)
    # of a linear map the difference is exact, and no thread's forward mode meets another's
    stretch = bounds.stretch(lambda z: z @ J.T, z, v, how="difference").stretch
    gaps = bounds.log_stretch(stretch, latent) / latent
    return gaps.numpy().round(12)  # a bound that is met is met, whatever the last bit says


class Numbers(NamedTuple):
    """What the picture shows: nats per latent dimension above the log-volume."""

    curves: np.ndarray  # (3, fine) of the bounds over the spread
    gaps: list[float]  # of the bounds at the chosen spread
    probed: np.ndarray  # (NUM_PROBES,) of eq. 7 from one probe each


def numbers(seed: int, ratio: float, scale: float, latent: int) -> Numbers:
    """Closed forms, and seeded estimates beside them."""
    curves = np.transpose([in_closed_form(latent, r, scale) for r in FINE])
    return Numbers(curves, in_closed_form(latent, ratio, scale), measured(latent, ratio, seed))


def gaps(curves: np.ndarray, here: float, title: str) -> Panel:
    """How far the bounds lie above the log-volume over the spread, with one spread marked."""
    marks = [Rule(here)]
    for name, values, colour in zip(NAMES, curves, COLOURS, strict=True):
        marks += [Line(FINE, values, colour, width=1.8, label=name)]
        marks += [draw.chosen(here, values[FINE.index(here)], colour)]
    x = Axis("largest over smallest singular value", "log")
    y = Axis("bound − log-volume, nats per latent", limits=(-0.05, 3.05))
    return Panel(marks, x, y, title=title)


def probed(n: Numbers, title: str) -> Panel:
    """A histogram of single estimates, with the bounds and the exact value as levels."""
    low, high = np.quantile(n.probed, (0.002, 0.998))
    edges = np.linspace(-0.5, 0.5, 41) * max(high - low, 0.02) + (low + high) / 2  # may be alike
    counts, _ = np.histogram(np.clip(n.probed, *edges[[0, -1]]), edges)
    marks = [Bars(edges, counts, "grey", 0.45, label="one probe each")]
    marks += [
        Rule(value, colour=colour, width=1.8, dash="solid", label=name)
        for name, value, colour in zip(NAMES, n.gaps, COLOURS, strict=True)
    ]
    marks += [Rule(0.0, colour="ink", width=1.8, dash="dashed", label="exact")]
    near = [m for m in (*n.gaps, 0.0) if m < high + 1]  # what is far off stays out of the picture
    left, right = min(low, *near), max(high, *near)
    margin = 0.05 * max(right - left, 0.1)
    what = "log-volume and what stands for it, nats per latent"
    x = Axis(what, limits=(left - margin, right + margin))
    y = Axis(limits=(0, 1.05 * counts.max()), ticks=())
    return Panel(marks, x, y, title=title, legend="above")


def picture(n: Numbers, ratio: float, scale: float, latent: int) -> Picture:
    """The bounds' gaps over the spread, and single estimates of eq. 7 beside all levels."""
    left = gaps(n.curves, ratio, f"d = {latent}, λ = {scale:g}, product of all sᵢ = 1")
    right = probed(n, f"s₁/s_d = {ratio:g}")
    says = (
        f"Bounds on the log-volume for {latent} singular values spread by a factor {ratio:g}: "
        f"above it by {n.gaps[0]:.3f} (eq. 7), {n.gaps[1]:.3f} (eq. 5) and {n.gaps[2]:.3f} (eq. 4 "
        f"at λ = {scale:g}) nats per latent dimension; single probes of eq. 7 fall below the "
        f"log-volume in {(n.probed < 0).mean():.0%} of cases."
    )
    return Picture([left, right], says)


def check() -> list[str]:
    """The mean of single probes against the closed form of eq. 7, within 4 standard errors."""
    lines = []
    for latent, ratio in ((2, 5.0), (8, 10.0)):
        values, exact = measured(latent, ratio), in_closed_form(latent, ratio, 1.0)[0]
        error = values.std() / NUM_PROBES**0.5
        verdict = "ok" if abs(values.mean() - exact) < 4 * error else "OUTSIDE"
        lines.append(
            f"bounds, d = {latent}, ratio {ratio:g}: mean of probes {values.mean():.4f}, closed "
            f"form {exact:.4f}: {verdict}"
        )
    return lines


def loose() -> tuple[int, str]:
    """Which bounds lie above the log-volume at some λ though all singular values are equal."""
    latent, found = CONTROLS["latent"].start, {}
    for scale in SCALES:
        gaps = in_closed_form(latent, 1.0, scale)
        for name, gap in zip(("eq. 7", "eq. 5", "eq. 4"), gaps, strict=True):
            found[name] = max(found.get(name, (0.0, scale)), (round(gap, 9), scale))
    above = [name for name, (gap, _) in found.items() if gap > 0]
    right = {(): 0, ("eq. 7",): 1, ("eq. 5",): 2, ("eq. 4",): 3}[tuple(above)]
    gap, scale = found["eq. 4"]
    return right, (
        f"Eqs 7 and 5 lie {found['eq. 7'][0]:.2g} and {found['eq. 5'][0]:.2g} nats per latent "
        f"dimension above it, eq. 4 {gap:.2f} at λ = {scale:g}: there its tangent touches the "
        "logarithm at another place."
    )


EXPLORABLE = Explorable(
    title="Bounds on the log-volume",
    study=Computed(NAME, CONTROLS, (0,), numbers, check),
    draw=picture,
    presets={
        "all equal: tight": {"ratio": 1.0, "scale": 1.0},
        "a wrong λ": {"ratio": 1.0, "scale": 0.3},
        "two scales apart": {"ratio": 100.0},
    },
    prompts=(
        "As the singular values spread, which of the three bounds stays nearest?",
        "More latent dimensions at the same spread: does a single probe of eq. 7 get noisier?",
    ),
    question=Question(
        "All singular values are 1. Which bound can still lie above the log-volume?",
        (
            "none: then all are exact",
            "eq. 7: its probe is random",
            "eq. 5: it knows only their mean",
            "eq. 4: its λ may not fit",
        ),
        loose,
    ),
)
