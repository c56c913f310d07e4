"""A picture as data drawn with matplotlib: for print, for reports, for readers without a kernel."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from companion.lab import marks as m
from companion.lab.frame import BLUE, CODE_MAP, GREEN, GREY, ORANGE, PURPLE
from companion.lab.picture import Axis, Panel, Picture

PALETTE = {
    "blue": BLUE, "orange": ORANGE, "green": GREEN, "purple": PURPLE, "grey": GREY,
    "ink": "black", "paper": "white",
}  # fmt: skip
STYLES = {"solid": "-", "dashed": "--", "dotted": ":"}
SMALL = 8  # points of the smaller letters


def on_paper(picture: Picture) -> Figure:
    """A picture as a matplotlib figure.

    >>> square = Panel([m.Line([0, 1], [0, 1])])
    >>> len(on_paper(Picture([square, [square, square]], "Three lines.")).axes)
    3
    """
    figure = Figure(figsize=picture.size, dpi=96, layout="constrained")
    columns = figure.add_gridspec(1, len(picture.panels), width_ratios=picture.widths)
    for at, column in zip(columns, picture.panels, strict=True):
        rows = at.subgridspec(len(column), 1)
        for place, panel in zip(rows, column, strict=True):
            draw_panel(figure.add_subplot(place), panel.resolved())
    if any(panel.equal for column in picture.panels for panel in column):
        figure.draw_without_rendering()  # such panels change the room that the layout found
    return figure


def draw_panel(ax: Axes, panel: Panel) -> None:
    """A panel whose axes have limits, into axes of its own."""
    twin = ax.twinx() if panel.right else None
    for which, axis in (("x", panel.x), ("y", panel.y)):
        lay(ax, which, axis)
    if panel.right:
        lay(twin, "y", panel.right)
    for mark in panel.marks:
        DRAWN[mark.kind](twin if getattr(mark, "right", False) else ax, mark)
    if panel.equal:
        ax.set_aspect("equal")
    ax.set_title(panel.title, fontsize=9)
    if panel.note:
        ax.text(0.02, 0.02, panel.note, transform=ax.transAxes, fontsize=SMALL)
    if any(mark.kind == "images" for mark in panel.marks):
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    legend(ax, twin, panel)


def legend(ax: Axes, twin: Axes | None, panel: Panel) -> None:
    """The marks with a label, of both y axes."""
    both = [one.get_legend_handles_labels() for one in (ax, twin) if one]
    handles, labels = (sum(parts, []) for parts in zip(*both, strict=True))
    if not labels or not panel.legend:
        return
    style = {"fontsize": SMALL, "frameon": False}
    if panel.legend == "above":
        style |= {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3}
        style |= {"columnspacing": 1.2, "handletextpad": 0.4, "title_fontsize": 9}
        ax.set_title("")
        style["title"] = panel.title or None
    (twin or ax).legend(handles, labels, **style)


def lay(ax: Axes, which: str, axis: Axis) -> None:
    """Scale, limits, ticks and label of one axis."""
    options = {"linthresh": axis.threshold} if axis.scale == "symlog" else {}
    getattr(ax, f"set_{which}scale")(axis.scale, **options)
    getattr(ax, f"set_{which}lim")(axis.limits)
    ticks, names = axis.round_ticks()
    getattr(ax, f"set_{which}ticks")(ticks, names, fontsize=SMALL)
    getattr(ax, f"set_{which}label")(axis.label, color=PALETTE[axis.colour])
    ax.minorticks_off()
    if axis.grid:
        ax.grid(axis=which, alpha=0.3)


def colours_of(mark: m.Mark) -> dict:
    """How matplotlib colours a mark with a shade for each of its points."""
    if mark.colour == "classes":
        return {"c": mark.shade, "cmap": "tab10", "vmin": 0, "vmax": 9}
    return {"c": mark.shade, "cmap": CODE_MAP, "vmin": 0, "vmax": 1}


def points(ax: Axes, mark: m.Points) -> None:
    """Points, one colour or many."""
    if mark.shade is not None:
        style = {
            "s": mark.size**2,
            "alpha": mark.alpha,
            "linewidths": 0,
            "label": mark.label or None,
        }
        ax.scatter(mark.x, mark.y, marker=mark.marker, **style, **colours_of(mark))
        return
    colour = PALETTE[mark.colour]
    style = {"color": colour, "markersize": mark.size, "alpha": mark.alpha, "linewidth": 0}
    if mark.marker in "+x|":
        style["markeredgewidth"] = 2.2 if mark.marker == "|" else 1.2
    elif mark.hollow:
        style |= {"markerfacecolor": "white" if mark.alpha == 1 else "none"}
    elif mark.edge:
        style["markeredgecolor"] = "black"
    elif mark.marker in "osv^D":
        style["markeredgewidth"] = 0
    ax.plot(mark.x, mark.y, mark.marker, label=mark.label or None, **style)


def line(ax: Axes, mark: m.Line) -> None:
    """A line, one colour or many."""
    if mark.shade is not None:
        ends = np.stack([mark.x, mark.y], axis=-1)
        shades = colormaps[CODE_MAP](mark.shade[:-1])
        pieces = np.stack([ends[:-1], ends[1:]], axis=1)
        style = {"linewidths": mark.width, "alpha": mark.alpha, "label": mark.label or None}
        ax.add_collection(LineCollection(pieces, colors=shades, zorder=3, **style))
        return
    style = {"color": PALETTE[mark.colour], "linewidth": mark.width, "alpha": mark.alpha}
    style |= {"linestyle": STYLES[mark.dash], "marker": mark.marker or None, "markersize": 4}
    ax.plot(mark.x, mark.y, label=mark.label or None, **style)


def band(ax: Axes, mark: m.Band) -> None:
    """The stretch between two curves."""
    style = {"color": PALETTE[mark.colour], "alpha": mark.alpha, "linewidth": 0}
    ax.fill_between(mark.x, mark.low, mark.high, label=mark.label or None, **style)


def strip(ax: Axes, mark: m.Strip) -> None:
    """Pieces between two lines, each in its shade."""
    one, other = (np.stack(ends, axis=-1) for ends in ((mark.x, mark.y), (mark.x2, mark.y2)))
    quads = np.stack([one[:-1], one[1:], other[1:], other[:-1]], axis=1)  # (m - 1, 4 corners, 2)
    shades = colormaps[CODE_MAP]((mark.shade[:-1] + mark.shade[1:]) / 2)
    ax.add_collection(PolyCollection(quads, color=shades, linewidth=0.4))


def bars(ax: Axes, mark: m.Bars) -> None:
    """A histogram."""
    style = {"color": PALETTE[mark.colour], "alpha": 1 if mark.outline else mark.alpha}
    ax.stairs(mark.heights, mark.edges, fill=not mark.outline, label=mark.label or None, **style)


def rule(ax: Axes, mark: m.Rule) -> None:
    """A line across the panel."""
    draw, at = (ax.axhline, mark.y) if mark.x is None else (ax.axvline, mark.x)
    style = {"linewidth": mark.width, "linestyle": STYLES[mark.dash]}
    draw(at, color=PALETTE[mark.colour], label=mark.label or None, **style)


def span(ax: Axes, mark: m.Span) -> None:
    """A shaded stretch across the panel."""
    draw, ends = (ax.axhspan, mark.y) if mark.x is None else (ax.axvspan, mark.x)
    style = {"alpha": mark.alpha, "linewidth": 0, "label": mark.label or None}
    draw(*ends, color=PALETTE[mark.colour], **style)


def text(ax: Axes, mark: m.Text) -> None:
    """Words at a point."""
    across = {"start": "left", "middle": "center", "end": "right"}[mark.anchor]
    style = {"fontsize": mark.size, "color": PALETTE[mark.colour], "ha": across, "va": "center"}
    if mark.boxed:
        box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "alpha": 0.75, "lw": 0}
        style |= {"bbox": box, "weight": "bold"}
    ax.text(mark.x, mark.y, mark.text, clip_on=False, **style)


def images(ax: Axes, mark: m.Images) -> None:
    """Images in rows, as they lie in one sheet."""
    place = {"extent": (0, mark.columns, mark.row + mark.rows, mark.row), "aspect": "auto"}
    grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if mark.images.shape[1] == 1 else {}
    ax.imshow(mark.sheet(), **grey, interpolation="nearest", **place)
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())


DRAWN = {
    "points": points, "line": line, "band": band, "strip": strip, "bars": bars, "rule": rule,
    "span": span, "text": text, "images": images,
}  # fmt: skip
