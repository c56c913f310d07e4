"""What a VAE does with γ and its codes: blur, posterior variances, loss, noise, samples."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREY, ORANGE
from figures.plots.points import image_grid


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


def strip(ax: Axes, names, values, label: str) -> None:
    """One dot for each run and a bar at the median, one row for each model: ``(models, runs)``."""
    for row, runs in enumerate(np.asarray(values)):
        ax.plot(runs, np.full(len(runs), row), "o", color=BLUE, alpha=0.6, markersize=5)
        ax.plot(np.median(runs), row, "|", color=ORANGE, markersize=18, markeredgewidth=2.5)
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel=label, xscale="log")
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.3)


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
