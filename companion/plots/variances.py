"""What a VAE's decoder variance γ does: data against samples, posterior variances, the loss."""

import numpy as np
from matplotlib.axes import Axes

from companion.plots.curves import band
from companion.plots.frame import BLUE, GREEN, GREY, ORANGE


def blur(ax: Axes, points, reconstructions, samples) -> None:
    """Data, their reconstructions and samples of a model, each ``(n, 2)``."""
    ax.plot(*np.transpose(points), ".", color=GREY, alpha=0.45, markersize=4, label="data")
    looks = {"samples": (samples, "+", GREEN), "reconstructions": (reconstructions, ".", ORANGE)}
    for label, (values, marker, color) in looks.items():
        ax.plot(*np.transpose(values), marker, color=color, markersize=4.5, label=label)
    ax.set(xlim=(-2.6, 2.6), ylim=(-1.1, 1.1), xlabel="along the manifold, u₁", ylabel="its bend")
    ax.legend(fontsize=7, loc="upper right", ncols=3, columnspacing=0.8, handletextpad=0.1)


def posterior_variances(ax: Axes, values, true: int | None = None) -> None:
    """Posterior variances λ_j, smallest first, on a logarithmic axis (2SVAE Fig. 11).

    Args:
        ax: axes to draw into.
        values: ``(latent,)``; below ½ a direction is drawn as active.
        true: the manifold's dimension, to mark, or nothing.
    """
    values = np.asarray(values)
    index = np.arange(1, len(values) + 1)
    for active, color, label in ((True, BLUE, "active"), (False, ORANGE, "superfluous")):
        chosen = (values < 0.5) == active
        ax.vlines(index[chosen], values[chosen], 1.0, color=color, alpha=0.35, linewidth=3)
        ax.plot(index[chosen], values[chosen], "o", color=color, markersize=6, label=label)
    if true is not None:
        ax.axvline(true + 0.5, color=GREY, linestyle="--", linewidth=1, label="true dimension")
    ax.set(yscale="log", ylim=(3e-4, 2), xlabel="latent direction", ylabel="posterior variance λ")
    ax.legend(fontsize=7, loc="lower right")


def loss_against_variance(ax: Axes, gammas, losses: dict, slope: float, here=None) -> None:
    """Twice the loss against γ, median and range over seeds, beside a line of a given slope.

    Args:
        ax: axes to draw into.
        gammas: ``(m,)`` ascending.
        losses: ``(m, runs)`` of twice the loss by name; the line goes through the last one's
            smallest γ.
        slope: in log γ.
        here: ``(gamma, twice the loss)`` of one run to mark, or nothing.
    """
    gammas = np.asarray(gammas)
    for (name, values), color in zip(losses.items(), (ORANGE, BLUE), strict=False):
        band(ax, gammas, values, color, name)
    start = np.median(np.asarray(values)[0])
    line = start + slope * np.log(gammas / gammas[0])
    ax.plot(gammas, line, "--", color=GREY, linewidth=1.2, label=f"slope D − r = {slope:g}")
    if here is not None:
        ax.plot(*here, "o", color="black", markersize=8, fillstyle="none", markeredgewidth=1.6)
    ax.set(xscale="log", xlabel="decoder variance γ", ylabel="2 · loss (nats)")
    ax.minorticks_off()
    ax.legend(fontsize=7)
