"""Estimates of one number: their histogram, their variance, their distance from the truth."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE, PURPLE
from figures.plots.curves import band

COLORS = (ORANGE, PURPLE, BLUE, GREEN)


def estimates(ax: Axes, values, truth: float, std: float, reach: float) -> None:
    """A histogram of estimates with the truth and the predicted ±1 standard deviation.

    Args:
        ax: axes to draw into.
        values: ``(n,)``.
        truth: what they estimate.
        std: the predicted standard deviation.
        reach: half the width of the axis.
    """
    values = np.asarray(values)
    low, high = truth - reach, truth + reach
    edges = np.linspace(low, high, 82)
    weights = np.full(len(values), 100 / len(values))
    ax.axvspan(
        truth - std, truth + std, color=ORANGE, alpha=0.25, linewidth=0, label="formula, ±1 sd"
    )
    ax.hist(np.clip(values, low, high), edges, weights=weights, color=BLUE, alpha=0.8)
    ax.axvline(truth, color=ORANGE, linewidth=1.5, label=f"trace = {truth:g}")
    ax.set(xlim=(low, high), xlabel="estimate", ylabel="share of the estimates (%)")
    ax.legend(frameon=False, fontsize=8, loc="upper right")


def variances(ax: Axes, counts, formula: dict, simulated: dict, here: tuple[str, int]) -> None:
    """Variance against K for several kinds of probe: lines are formulas, crosses simulations.

    Args:
        ax: axes to draw into.
        counts: the numbers K of probes.
        formula: ``(m,)`` by kind; m ≤ the number of counts, where a kind allows no more.
        simulated: the same from estimates.
        here: kind and K to mark.
    """
    top = max(max(v) for v in formula.values())
    for color, (kind, values) in zip(COLORS, formula.items(), strict=False):
        x = counts[: len(values)]
        style = "--" if kind == "orthogonal" else "-"  # it lies on "sphere" for small K
        ax.plot(x, values, style, color=color, linewidth=1.6, label=kind)
        ax.plot(x, simulated[kind], "x", color=color, markersize=6)
        if kind == here[0]:
            chosen = values[list(counts).index(here[1])]
            ax.plot(here[1], chosen, "o", color=color, markeredgecolor="black", markersize=9)
    ax.set_xscale("log", base=2)
    ax.set_yscale("symlog", linthresh=top / 100)
    ax.set_xticks(counts, [str(k) for k in counts])
    ax.set(xlabel="K, number of probes", ylabel="variance", ylim=(-top / 400, 2 * top))
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8)


def distances(ax: Axes, counts, curves: dict[str, np.ndarray], title: str) -> None:
    """Distance from the exact gradient against K, median and range over draws (MLAE Fig. 5).

    Args:
        ax: axes to draw into.
        counts: the numbers K of probes.
        curves: ``(m, draws)`` by name; names with "independent" are dashed.
        title: of the panel.
    """
    for color, (name, values) in zip((BLUE, GREEN, PURPLE, GREY), curves.items(), strict=False):
        band(ax, counts, values, color, name)
        if "independent" in name:
            ax.lines[-1].set_linestyle("--")
    ax.set(xlabel="K, number of probes", ylabel="relative gradient distance", title=title)
    ax.legend(frameon=False, fontsize=8)
