"""One quantity against another: trade-offs, spectra, histograms, learning curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from companion.lab.frame import BLUE, GREY, ORANGE


def band(ax: Axes, x, values, color: str, label: str) -> None:
    """The median over runs as a line and their full spread as a band.

    Args:
        ax: axes to draw into.
        x: ``(m,)``.
        values: ``(m, runs)``.
        color: of both.
        label: for the legend.
    """
    values = np.asarray(values)
    ax.fill_between(x, values.min(1), values.max(1), color=color, alpha=0.22, linewidth=0)
    ax.plot(
        x, np.median(values, 1), color=color, marker="o", markersize=3, linewidth=1.4, label=label
    )


def trade_off(ax: Axes, beta, reconstruction, nll, here=None, **_) -> Axes:
    """Reconstruction error and NLL against β, medians and bands over seeds (MLAE Fig. 3, middle).

    Args:
        ax: axes to draw into.
        beta: ``(m,)``.
        reconstruction: ``(m, runs)`` mean ‖x̂ − x‖².
        nll: ``(m, runs)`` in nats.
        here: ``(beta, reconstruction, nll)`` of one run to mark, or nothing.

    Returns:
        The axes of the NLL, on the right.
    """
    band(ax, beta, reconstruction, BLUE, "reconstruction error")
    ax.set(xscale="log", yscale="log", xlabel="β")
    ax.set_ylabel("mean ‖x̂ − x‖²", color=BLUE)
    ax.minorticks_off()
    twin = ax.twinx()
    band(twin, beta, nll, ORANGE, "NLL")
    twin.set_ylabel("exact NLL (nats)", color=ORANGE)
    if here is not None:
        ax.axvline(here[0], color=GREY, linewidth=1, linestyle=":")
        ax.plot(here[0], here[1], "o", color=BLUE, markeredgecolor="black", markersize=8)
        twin.plot(here[0], here[2], "s", color=ORANGE, markeredgecolor="black", markersize=8)
    ax.set_title("trade-off: median and range over seeds", fontsize=9)
    return twin


def learning_curve(ax: Axes, curve, label: str, color: str = BLUE) -> None:
    """One logged quantity over the epochs of a run: ``curve`` is ``(epochs, values)``."""
    ax.plot(*curve, color=color, linewidth=1.5, label=label)
    ax.set(xlabel="epoch", ylabel=label)


def objective_gap(ax: Axes, weight, objective, elbo, here=None) -> None:
    """What a sampling-free VAE maximised beside the true bound, by weight (SFVAE Fig. C.2).

    Args:
        ax: axes to draw into.
        weight: ``(m,)`` of the Woodbury correction.
        objective: ``(m, runs)`` in nats.
        elbo: ``(m, runs)`` of the same models by sampling, in nats.
        here: ``(weight, objective, elbo)`` of one run to mark, or nothing.
    """
    band(ax, weight, objective, ORANGE, "Taylor objective")
    band(ax, weight, elbo, BLUE, "ELBO by sampling")
    if here is not None:
        ax.axvline(here[0], color=GREY, linewidth=1, linestyle=":")
        for value, color, marker in zip(here[1:], (ORANGE, BLUE), "so", strict=True):
            ax.plot(here[0], value, marker, color=color, markeredgecolor="black", markersize=8)
    ax.set(xlabel="γ, weight of the correction", ylabel="nats per sample")
    ax.set_title("median and range over seeds", fontsize=9)
    ax.legend(frameon=False, fontsize=8)


def linearisation(ax: Axes, z, values, mean, scale, value, slope) -> None:
    """A decoder of one number and its Taylor line, over the posterior's reach (SFVAE Fig. A.1).

    Args:
        ax: axes to draw into.
        z: ``(m,)`` codes.
        values: ``(m,)`` the decoder's output.
        mean: of the posterior, where the line touches.
        scale: standard deviation of the posterior.
        value: the decoder's output at the mean.
        slope: its derivative there.
    """
    z = np.asarray(z)
    ax.axvspan(mean - 2 * scale, mean + 2 * scale, color=BLUE, alpha=0.12, linewidth=0)
    ax.plot(z, values, color=GREY, linewidth=3, label="decoder")
    ax.plot(z, value + slope * (z - mean), color=ORANGE, linewidth=1.6, label="its Taylor line")
    ax.plot(mean, value, "o", color=ORANGE, markeredgecolor="black")
    low, high = np.min(values), np.max(values)
    ax.set_ylim(low - 0.3 * (high - low), high + 0.3 * (high - low))
    ax.set(xlim=(z[0], z[-1]), xlabel="z;  shaded: posterior ± 2 std", ylabel="x̂")
    ax.legend(frameon=False, fontsize=8)


def spectra(ax: Axes, means: dict, colours: Sequence[str], truth) -> None:
    """Singular values of several decoders on a logarithmic axis, beside those of the true map.

    Args:
        ax: axes to draw into.
        means: ``(latent,)`` largest first, by caption.
        colours: of the captions, in order.
        truth: ``(dim,)`` of the map that made the data, or nothing ``(0,)`` where it is not known.
    """
    truth = np.asarray(truth)
    for (caption, mean), colour in zip(means.items(), colours, strict=True):
        index = np.arange(1, len(mean) + 1)
        ax.semilogy(index, mean, "o-", color=colour, markersize=4, linewidth=1.4, label=caption)
    if len(truth):
        index, label = np.arange(1, len(truth) + 1), f"the faces' own map, {len(truth)}"
        ax.semilogy(index, truth, "k--", linewidth=1.2, label=label)
        ax.axvline(len(truth) + 0.5, color=GREY, linewidth=1, linestyle=":")
    ax.set(xlabel="index of the singular value", ylabel="mean singular value of g'(z)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=8)
