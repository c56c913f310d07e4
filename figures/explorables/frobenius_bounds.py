"""RIF's bounds on the log-volume as the singular values spread: how tight, and how noisy."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion import probes
from companion.lab.explorable import Computed, Control, Explorable
from companion.theory import frobenius
from companion.volume import bounds
from figures import plots

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
COLOURS = (plots.GREEN, plots.BLUE, plots.ORANGE)  # of NAMES
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


def gaps(ax: Axes, curves: np.ndarray, here: float) -> None:
    """How far the bounds lie above the log-volume over the spread, with one spread marked."""
    at = FINE.index(here)
    for name, values, color in zip(NAMES, curves, COLOURS, strict=True):
        ax.plot(FINE, values, color=color, linewidth=1.8, label=name)
        ax.plot(here, values[at], "o", color=color, markeredgecolor="black", markersize=7)
    ax.axvline(here, color=plots.GREY, linewidth=1, linestyle=":")
    ax.set(xscale="log", ylim=(-0.05, 3.05), xlabel="largest over smallest singular value")
    ax.set_ylabel("bound − log-volume, nats per latent")
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, loc="upper left")


def probed(ax: Axes, n: Numbers) -> None:
    """A histogram of single estimates, with the bounds and the exact value as levels."""
    low, high = np.quantile(n.probed, (0.002, 0.998))
    edges = np.linspace(-0.5, 0.5, 41) * max(high - low, 0.02) + (low + high) / 2  # may be alike
    values, style = np.clip(n.probed, *edges[[0, -1]]), {"color": plots.GREY, "alpha": 0.45}
    ax.hist(values, edges, label="one probe each", **style)
    for name, value, color in zip(NAMES, n.gaps, COLOURS, strict=True):
        ax.axvline(value, label=name, color=color, linewidth=1.8)
    ax.axvline(0.0, linestyle="--", label="exact", color="black", linewidth=1.8)
    near = [m for m in (*n.gaps, 0.0) if m < high + 1]  # what is far off stays out of the picture
    left, right = min(low, *near), max(high, *near)
    margin = 0.05 * max(right - left, 0.1)
    ax.set_xlim(left - margin, right + margin)
    ax.set_ylim(0, 1.7 * ax.get_ylim()[1])  # room for the legend
    ax.set(xlabel="log-volume and what stands for it, nats per latent", yticks=[])
    ax.legend(fontsize=8, loc="upper center", ncols=2)


def draw(figure: Figure, n: Numbers, ratio: float, scale: float, latent: int) -> str:
    """The bounds' gaps over the spread, and single estimates of eq. 7 beside all levels."""
    figure.subplots_adjust(0.075, 0.15, 0.985, 0.91, wspace=0.16)
    left, right = figure.subplots(1, 2)
    gaps(left, n.curves, ratio)
    left.set_title(f"d = {latent}, λ = {scale:g}, product of all sᵢ = 1", fontsize=9)
    probed(right, n)
    right.set_title(f"s₁/s_d = {ratio:g}", fontsize=9)
    return (
        f"Bounds on the log-volume for {latent} singular values spread by a factor {ratio:g}: "
        f"above it by {n.gaps[0]:.3f} (eq. 7), {n.gaps[1]:.3f} (eq. 5) and {n.gaps[2]:.3f} (eq. 4 "
        f"at λ = {scale:g}) nats per latent dimension; single probes of eq. 7 fall below the "
        f"log-volume in {(n.probed < 0).mean():.0%} of cases."
    )


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


EXPLORABLE = Explorable(
    title="Bounds on the log-volume",
    study=Computed(NAME, CONTROLS, (0,), numbers, check),
    draw=draw,
    columns=2,
    presets={
        "all equal: tight": {"ratio": 1.0, "scale": 1.0},
        "a wrong λ": {"ratio": 1.0, "scale": 0.3},
        "two scales apart": {"ratio": 100.0},
    },
    prompts=(
        "All singular values equal: which bound can still be loose, and why?",
        "More latent dimensions at the same spread: does a single probe of eq. 7 get noisier?",
    ),
)
