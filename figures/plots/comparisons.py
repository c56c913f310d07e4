"""Many models side by side: their scores with the spread of trainings, and what they cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE, PURPLE

STYLES = ((BLUE, "o"), (PURPLE, "D"), (ORANGE, "s"), (GREEN, "^"))


def spreads(
    ax: Axes,
    rows: Mapping[str, Sequence],
    columns: Sequence[str],
    level: float | None = None,
    level_name: str = "",
) -> None:
    """A row for each model: means of each column, with a bar over the range of its trainings.

    Args:
        ax: axes to draw into; the horizontal one is logarithmic.
        rows: model -> for each column the values ``(runs,)``.
        columns: what the values are; fewer than four take the last styles, so that a mixture has
            the same colour whether or not the own prior stands before it.
        level: a value to mark for all rows, or nothing.
        level_name: what it is.
    """
    styles = STYLES[-len(columns) :]
    shifts = np.linspace(-0.27, 0.27, len(columns))
    for i, (name, (colour, marker)) in enumerate(zip(columns, styles, strict=True)):
        values = np.stack([row[i] for row in rows.values()])  # (model, run)
        at, mean = np.arange(len(values)) + shifts[i], values.mean(1)
        reach = np.abs(np.stack([values.min(1), values.max(1)]) - mean)
        style = {"color": colour, "markersize": 5, "elinewidth": 1.6, "label": name}
        ax.errorbar(mean, at, xerr=reach, fmt=marker, **style)
    if level is not None:
        ax.axvline(level, color=GREY, linestyle="--", linewidth=1.2, label=level_name)
    for row in np.arange(len(rows) - 1) + 0.5:
        ax.axhline(row, color=GREY, linewidth=0.5, alpha=0.5)
    ax.set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)), yticklabels=list(rows))
    ax.tick_params(axis="y", length=0)
    plain_logarithm(ax, "x")
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "frameon": False}
    ax.legend(fontsize=8, ncols=3, columnspacing=1.0, handletextpad=0.3, **place)


def plain_logarithm(ax: Axes, which: str) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5, written as plain numbers.

    Args:
        ax: axes to change.
        which: ``x`` or ``y``.
    """
    getattr(ax, f"set_{which}scale")("log")
    axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
