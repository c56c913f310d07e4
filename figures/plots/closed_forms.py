"""Pictures of the theory: costs of directions, hysteresis, maps of how descents end."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE, PURPLE


def direction_costs(ax: Axes, eigenvalues, variance: float, chosen) -> None:
    """log λ − λ/σ² with the eigenvalues of the data on it, the chosen ones filled (MLAE Fig. 4).

    Args:
        ax: axes to draw into.
        eigenvalues: ``(dim,)`` ascending.
        variance: σ² = 1/(2β), where the curve has its top.
        chosen: indices of the eigenvalues that the global minimum keeps.
    """
    values = np.asarray(eigenvalues)
    grid = np.geomspace(min(values.min(), variance) / 3, max(values.max(), variance) * 3, 300)
    top = np.log(variance) - 1
    ax.plot(grid, np.log(grid) - grid / variance, color=GREY, linewidth=1.4)
    ax.axvline(variance, color=GREY, linestyle=":", linewidth=1.2)
    for i, value in enumerate(values):
        height = np.log(value) - value / variance
        face = BLUE if i in chosen else "white"
        ax.plot(value, height, "o", markersize=9, markeredgecolor=BLUE, markerfacecolor=face)
    ax.set(xscale="log", ylim=(top - 6, top + 0.7), xlabel="eigenvalue λ", ylabel="log λ − λ/σ²")
    ax.minorticks_off()
    ax.text(0.03, 0.03, "filled: kept;  dotted: λ = σ²", transform=ax.transAxes, fontsize=8)


def hysteresis(ax: Axes, beta, up, down, marks, here: float | None = None) -> None:
    """Which direction is kept when β is swept up and down: 0 the smallest variance, 1 the largest.

    Args:
        ax: axes to draw into.
        beta: ``(m,)``.
        up: ``(m,)`` share of the top direction on the way up.
        down: ``(m,)`` on the way down.
        marks: thresholds by name, drawn as lines.
        here: a β to mark, or nothing.
    """
    ax.plot(beta, up, color=BLUE, linewidth=3.5, alpha=0.6, label="β going up")
    ax.plot(beta, down, color=ORANGE, linewidth=1.8, label="β going down")
    for name, value in marks.items():
        ax.axvline(value, color=GREY, linestyle=":", linewidth=1.2)
        ax.text(value, 1.08, name, ha="center", fontsize=8)
    if here is not None:
        ax.axvline(here, color="black", linewidth=1)
    ax.set(xscale="log", ylim=(-0.08, 1.18), xlabel="β", yticks=[0, 1])
    ax.set_yticklabels(["smallest", "largest"])
    ax.minorticks_off()
    ax.legend(loc="center", bbox_to_anchor=(0.56, 0.5), fontsize=8)


def phases(ax: Axes, x, y, endings, edge=None, edge_label: str = "") -> None:
    """A map of how descents ended, over two settings, with the predicted edge as a line.

    Args:
        ax: axes to draw into, logarithmic on the first axis.
        x: ``(m,)``, evenly spaced in the logarithm.
        y: ``(n,)``.
        endings: ``(m, n)`` of "collapsed", "closed circle" and "flat arc".
        edge: pair of arrays of the line, or nothing.
        edge_label: what predicts it.
    """
    styles = {
        "collapsed": (ORANGE, "v"), "closed circle": (PURPLE, "o"), "flat arc": (GREEN, "s")
    }  # fmt: skip
    across, up = np.meshgrid(x, y)
    for word, (color, marker) in styles.items():
        at = word == np.transpose(endings)  # (n, m), as meshgrid lays it out
        if at.any():
            style = {"color": color, "marker": marker, "linewidths": 0, "label": word}
            ax.scatter(across[at], up[at], s=34, **style)
    if edge is not None:
        ax.plot(*edge, color="black", linewidth=1.6, label=edge_label)
    ax.set(xscale="log", xlim=(x[0] / 1.3, x[-1] * 1.3), xlabel="β")
    ax.minorticks_off()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=8, frameon=False)
