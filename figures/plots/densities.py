"""Densities on a line and along a curve, as areas and ribbons."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize

from companion.lab.frame import CODE_MAP, ORANGE


def marked_density(ax: Axes, x, density, chosen, ticks, top: float) -> None:
    """The area under a density, coloured by its height, with one piece of it outlined.

    Args:
        ax: axes to draw into.
        x: ``(m,)`` ascending.
        density: ``(m,)``.
        chosen: ``(m,)`` bool, the piece.
        ticks: indices, or a slice, of points to mark on the axis.
        top: the density that is brightest, and the height of the axes.
    """
    x, density, floor = np.asarray(x), np.asarray(density), np.zeros(len(x))
    _strip(ax, np.stack([x, floor], 1), np.stack([x, density], 1), density, chosen, top)
    ax.plot(x[ticks], floor[ticks], "o", color="black", markersize=4, clip_on=False, zorder=4)
    ax.set(ylim=(0, top), ylabel="density")


def ribbon(ax: Axes, curve, density, chosen, ticks, top: float, width: float = 1.1) -> None:
    """A curve in the plane, thick and bright where the density on it is high.

    Args:
        ax: axes to draw into.
        curve: ``(m, 2)``.
        density: ``(m,)`` per unit of arc length.
        chosen: ``(m,)`` bool, a piece to outline.
        ticks: indices, or a slice, of points to mark.
        top: the density that is brightest.
        width: the ribbon's for density 1.
    """
    curve, density = np.asarray(curve), np.asarray(density)
    along = np.gradient(curve, axis=0)
    normal = along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True)
    aside = width / 2 * density[:, None] * normal
    _strip(ax, curve - aside, curve + aside, density, chosen, top)
    ax.plot(*curve.T, color="black", linewidth=0.7)
    ax.plot(*curve[ticks].T, "o", color="black", markersize=4, zorder=4)
    ax.set(aspect="equal", xlabel="x₁", ylabel="x₂")


def _strip(ax: Axes, one, other, values, chosen, top: float) -> None:
    """The strip between two lines ``(m, 2)``, coloured by values, with one piece outlined."""
    quads = np.stack([one[:-1], one[1:], other[1:], other[:-1]], 1)  # (m - 1, 4 corners, 2)
    body = PolyCollection(quads, cmap=CODE_MAP, norm=Normalize(0, top))
    body.set(linewidth=0.4, edgecolor="face")
    body.set_array((values[:-1] + values[1:]) / 2)
    ax.add_collection(body)
    outline = np.concatenate([one[chosen], other[chosen][::-1]])
    ax.fill(*outline.T, facecolor="none", edgecolor=ORANGE, linewidth=2.5, zorder=3)
