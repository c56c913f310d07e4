"""How far a decoder stretches: bounds on its log-volume, single probes, stretch along a code."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, ORANGE, PURPLE

COLORS = (GREEN, BLUE, ORANGE, PURPLE)


def magnified(ax: Axes, curve, centre, reach: float = 0.12) -> None:
    """An inset in the upper left corner that shows a curve around one of its points.

    Args:
        ax: axes with the curve.
        curve: ``(m, 2)``.
        centre: ``(2,)``.
        reach: half the width of what is shown.
    """
    inset = ax.inset_axes((0.03, 0.68, 0.3, 0.29))
    inset.plot(*np.transpose(curve), color="black", linewidth=1.4)
    (x, y) = centre
    inset.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), xticks=[], yticks=[])
    ax.indicate_inset_zoom(inset, edgecolor="black", alpha=0.8)


def scores(ax: Axes, rows: dict, columns: tuple[str, ...]) -> None:
    """One row of dots for each model, on a logarithmic axis; the smallest of a column is filled.

    Args:
        ax: axes to draw into.
        rows: model -> values ``(columns,)``.
        columns: what the values are.
    """
    values = np.array([list(row) for row in rows.values()])  # (model, column)
    for i, (name, color, marker) in enumerate(zip(columns, COLORS, "os^D", strict=False)):
        ax.plot(values[:, i], range(len(rows)), marker, color=color, mfc="white", label=name)
        ax.plot(values[:, i].min(), values[:, i].argmin(), marker, color=color)
    ax.set(xscale="log", xlabel="Fréchet distance (filled: smallest)", ylim=(len(rows) + 1, -0.7))
    ticks = [
        t for t in (0.5, 1, 2, 5, 10, 20, 50, 100) if t / values.min() > 0.7 and t < values.max()
    ]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_yticks(range(len(rows)), list(rows))
    ax.grid(axis="y", alpha=0.3)
    ax.legend(fontsize=8, loc="lower right", ncols=2)
