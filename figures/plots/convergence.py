"""Pictures of iterations: residuals, what a stopped iteration misses, costs against a size."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE, PURPLE


def shares(ax: Axes, sizes, share) -> None:
    """How much of the gradient an unfinished iteration finds in each direction; 1 is all of it.

    Args:
        ax: axes to draw into.
        sizes: ``(size,)`` singular values.
        share: ``(size,)``.
    """
    ax.axhline(1.0, color=GREEN, linewidth=1.4, label="exact")
    ax.plot(sizes, share, "o", color=ORANGE, markersize=4.5, label="found")
    low, high = min(-0.1, np.min(share) - 0.6), max(1.2, np.max(share)) + 0.1
    ax.set(xscale="log", ylim=(low, high), xlabel="singular value of J", ylabel="share")
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="lower left")


def against_size(ax: Axes, sizes, curves: dict, label: str, bound=None, here=None) -> None:
    """Costs against a size, both logarithmic, each ticked where it was measured.

    Args:
        ax: axes to draw into.
        sizes: ``(m,)``.
        curves: ``(m,)`` values by name.
        label: of the costs.
        bound: ``(m,)`` of a dotted bound, or nothing.
        here: a size to mark, or nothing.
    """
    if bound is not None:
        ax.plot(sizes, bound, color=GREY, linestyle=":", linewidth=1.4, label="bound: d")
    styles = zip((BLUE, ORANGE, GREEN, PURPLE), "osv^", strict=True)
    for (name, values), (color, marker) in zip(curves.items(), styles, strict=False):
        ax.plot(sizes, values, color=color, marker=marker, markersize=4.5, label=name)
    if here is not None:
        ax.axvline(here, color="black", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="latent size d", ylabel=label)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ticks = [
        t for t in (1, 2, 5, 10, 20, 50, 100, 200, 1000) if ax.get_ylim()[0] < t < ax.get_ylim()[1]
    ]
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    ax.legend(fontsize=8)
