"""What a VAE does with γ and its codes: blur, posterior variances, loss, noise, samples."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE
from figures.plots.curves import band
from figures.plots.points import image_grid


def blur(ax: Axes, points, reconstructions, samples) -> None:
    """Data, their reconstructions and samples of a model, each ``(n, 2)``."""
    ax.plot(*np.transpose(points), ".", color=GREY, alpha=0.45, markersize=4, label="data")
    looks = {"samples": (samples, "+", GREEN), "reconstructions": (reconstructions, ".", ORANGE)}
    for label, (values, marker, color) in looks.items():
        ax.plot(*np.transpose(values), marker, color=color, markersize=4.5, label=label)
    ax.set(xlim=(-2.6, 2.6), ylim=(-0.75, 0.95), xlabel="along the manifold, u₁", ylabel="its bend")
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


def codes_apart(ax: Axes, codes, drawn) -> None:
    """Codes of data beside codes that samples are decoded from, each ``(n, 2)``."""
    ax.plot(*np.transpose(codes), ".", color=GREY, markersize=4, alpha=0.7, label="codes of data")
    ax.plot(*np.transpose(drawn), "+", color=GREEN, markersize=5, label="codes of samples")
    ax.set(xlabel="first principal code", ylabel="second")
    ax.legend(fontsize=7)


def histograms(ax: Axes, edges, heights: dict) -> None:
    """Histograms of a coordinate, by name, between common edges: the first filled."""
    for (name, values), color in zip(heights.items(), (GREY, GREEN, ORANGE), strict=False):
        fill = color == GREY
        ax.stairs(values, edges, color=color, fill=fill, alpha=0.5 if fill else 1, label=name)
    ax.set(xlabel="coordinate u along the curve", ylabel="density")
    ax.legend(fontsize=7)


def strip(ax: Axes, names, values, label: str) -> None:
    """One dot for each run and a bar at the median, one row for each model: ``(models, runs)``."""
    for row, runs in enumerate(np.asarray(values)):
        ax.plot(runs, np.full(len(runs), row), "o", color=BLUE, alpha=0.6, markersize=5)
        ax.plot(np.median(runs), row, "|", color=ORANGE, markersize=18, markeredgewidth=2.5)
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel=label, xscale="log")
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.3)


def paired_strip(ax: Axes, names, values: dict, label: str, chance: float, here: int) -> None:
    """Two numbers of each run, one row for each model, bars at the medians (MLAE Table 6).

    Args:
        ax: axes to draw into.
        names: of the models.
        values: ``(models, runs)`` by the name of the number, two of them.
        label: of both.
        chance: what data themselves would get, as a line.
        here: the row to shade.
    """
    for (name, table), color, shift in zip(
        values.items(), (BLUE, ORANGE), (-0.18, 0.18), strict=True
    ):
        for row, runs in enumerate(np.asarray(table)):
            where = np.full(len(runs), row + shift)
            ax.plot(runs, where, "o", color=color, alpha=0.45, markersize=4)
            ax.plot(np.median(runs), row + shift, "|", color=color, markersize=11, mew=2.2)
        ax.plot([], [], "o", color=color, label=name)
    ax.axvline(chance, color=GREY, linestyle="--", linewidth=1, label="real digits")
    ax.axhspan(here - 0.5, here + 0.5, color=GREY, alpha=0.18, linewidth=0)
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel=label, xscale="log")
    ax.set_ylim(len(names) - 0.5, -0.5)
    low, high = chance, max(np.max(table) for table in values.values())
    ticks = [t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if low < t < high]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False)


def noise_rows(ax: Axes, images, effects, variances) -> None:
    """Decoded noise along each latent direction, one row each (2SVAE Figs 1 and 10).

    Args:
        ax: axes to draw into.
        images: ``(directions, n, channels, height, width)`` in [0, 1].
        effects: ``(directions,)`` pixel variance under the noise.
        variances: ``(directions,)`` posterior variances λ.
    """
    images = np.asarray(images)
    height = images.shape[-2] + 1
    image_grid(ax, images.reshape(-1, *images.shape[2:]), images.shape[1])
    middles = np.arange(len(images)) * height + height / 2 - 1
    ax.set_yticks(middles, [f"λ = {v:.2g}" for v in variances], fontsize=7)
    ax.tick_params(length=0)
    right = ax.get_xlim()[1]
    for middle, effect in zip(middles, effects, strict=True):
        ax.text(right, middle, f" {effect:.1e}", fontsize=7, va="center", clip_on=False)
