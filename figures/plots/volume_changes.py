"""How far a decoder stretches: bounds on its log-volume, single probes, stretch along a code."""

import numpy as np
from matplotlib.axes import Axes

from companion.lab.frame import BLUE, GREEN, GREY, ORANGE, PURPLE

COLORS = (GREEN, BLUE, ORANGE, PURPLE)


def gaps(ax: Axes, x, curves: dict, here: float) -> None:
    """How far bounds lie above what they bound, name -> values, with one setting marked.

    Args:
        ax: axes to draw into.
        x: ``(m,)``.
        curves: values ``(m,)`` by the bound's name, the tightest first.
        here: the marked x, one of them.
    """
    at = int(np.abs(np.asarray(x) - here).argmin())
    for (name, values), color in zip(curves.items(), COLORS, strict=False):
        ax.plot(x, values, color=color, linewidth=1.8, label=name)
        ax.plot(x[at], values[at], "o", color=color, markeredgecolor="black", markersize=7)
    ax.axvline(here, color=GREY, linewidth=1, linestyle=":")
    ax.set(xscale="log", ylim=(-0.05, 3.05), xlabel="largest over smallest singular value")
    ax.set_ylabel("bound − log-volume, nats per latent")
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, loc="upper left")


def probed(ax: Axes, values, marks: dict) -> None:
    """A histogram of single estimates, with levels marked: name -> value.

    Args:
        ax: axes to draw into.
        values: ``(n,)``.
        marks: levels by name, the tightest first and the exact one called "exact".
    """
    colors = {n: c for n, c in zip([n for n in marks if n != "exact"], COLORS, strict=False)}
    low, high = np.quantile(values, (0.002, 0.998))
    edges = np.linspace(-0.5, 0.5, 41) * max(high - low, 0.02) + (low + high) / 2  # may be alike
    ax.hist(np.clip(values, *edges[[0, -1]]), edges, color=GREY, alpha=0.45, label="one probe each")
    for name, value in marks.items():
        look = {"color": colors.get(name, "black"), "linewidth": 1.8}
        ax.axvline(value, linestyle="-" if name != "exact" else "--", label=name, **look)
    near = [m for m in marks.values() if m < high + 1]  # what is far off stays out of the picture
    left, right = min(low, *near), max(high, *near)
    margin = 0.05 * max(right - left, 0.1)
    ax.set_xlim(left - margin, right + margin)
    ax.set_ylim(0, 1.7 * ax.get_ylim()[1])  # room for the legend
    ax.set(xlabel="log-volume and what stands for it, nats per latent", yticks=[])
    ax.legend(fontsize=8, loc="upper center", ncols=2)


def stretch_along(ax: Axes, codes, stretch, eta: float, used) -> None:
    """‖g'(z)‖ over a one-dimensional code, with the threshold η and the codes that data use.

    Args:
        ax: axes to draw into.
        codes: ``(m,)``.
        stretch: ``(m,)``.
        eta: η.
        used: ``(n,)`` codes of data, drawn as ticks.
    """
    ax.plot(codes, stretch, color=BLUE, linewidth=1.8)
    ax.axhline(eta, color=ORANGE, linewidth=1.4, linestyle="--", label=f"η = {eta:g}")
    ax.plot(used, np.full(len(used), 0.0025), "|", color=GREY, alpha=0.5, markersize=7)
    ax.set(yscale="log", ylim=(2e-3, 20), xlabel="code z  (ticks: data)", ylabel="stretch ‖g'(z)‖")
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, loc="upper right")


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
