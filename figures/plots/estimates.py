"""Estimates of one number: their histogram, their variance, their distance from the truth."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE, PURPLE
from figures.plots.curves import band

COLORS = (ORANGE, PURPLE, BLUE, GREEN)


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
