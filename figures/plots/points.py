"""Data in the plane or as images, with the manifold that a model lays through them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from companion.lab.frame import CODE_MAP, ORANGE


def manifold(ax: Axes, points, codes, curve, curve_codes) -> None:
    """Data coloured by their one-dimensional code, and the decoder's curve in the same colours.

    Args:
        ax: axes to draw into.
        points: ``(n, 2)`` data.
        codes: ``(n,)`` their codes.
        curve: ``(m, 2)`` the decoder's output at ``curve_codes``.
        curve_codes: ``(m,)``.
    """
    colors = {"cmap": CODE_MAP, "norm": Normalize(-2.5, 2.5)}
    ax.scatter(*np.transpose(points), c=codes, s=9, alpha=0.55, linewidths=0, **colors)
    ax.plot(*np.transpose(curve), color="white", linewidth=6.5)
    ax.plot(*np.transpose(curve), color="black", linewidth=4.5)
    segments = np.stack([curve[:-1], curve[1:]], axis=1)  # (m - 1, 2 ends, 2)
    line = LineCollection(segments, linewidths=2.6, zorder=3, **colors)
    line.set_array(np.asarray(curve_codes)[:-1])
    ax.add_collection(line)
    ax.set(xlim=(-3.3, 3.3), ylim=(-2.2, 2.2), xlabel="x₁", ylabel="x₂")
    ax.text(0.02, 0.02, "colour: code z;  line: decoder", transform=ax.transAxes, fontsize=8)


def image_grid(
    ax: Axes, images, columns: int, title: str = "", separators: Sequence[int] = ()
) -> None:
    """Grey or colour images side by side, row by row.

    Args:
        ax: axes to draw into.
        images: ``(n, channels, height, width)`` in [0, 1]; values outside are clipped.
        columns: images per row.
        title: above the grid.
        separators: rows before which a line is drawn.
    """
    images = np.clip(np.asarray(images, dtype=float), 0, 1)
    n, channels, height, width = images.shape
    rows, grey = -(-n // columns), channels == 1
    paper = 0.0 if grey else 1.0  # grey images are drawn as ink, so that zero is white
    padded = np.full((rows * columns, channels, height + 1, width + 1), paper)
    padded[:n, :, :height, :width] = images
    sheet = padded.reshape(rows, columns, channels, height + 1, width + 1)
    sheet = sheet.transpose(0, 3, 1, 4, 2).reshape(
        rows * (height + 1), columns * (width + 1), channels
    )
    ax.imshow(sheet.squeeze(-1) if grey else sheet, cmap="gray_r" if grey else None, vmin=0, vmax=1)
    for row in separators:
        ax.axhline(row * (height + 1) - 0.5, color=ORANGE, linewidth=1.2)
    ax.set(xticks=[], yticks=[], title=title)
    for side in ax.spines.values():
        side.set_visible(False)


def codes_by_class(ax: Axes, codes, classes) -> None:
    """Two-dimensional codes, coloured and numbered by class (AEF Fig. 7, SFVAE Fig. 2).

    Args:
        ax: axes to draw into.
        codes: ``(n, 2)``.
        classes: ``(n,)`` whole numbers from 0 to 9.
    """
    codes, classes = np.asarray(codes), np.asarray(classes)
    ax.scatter(*codes.T, c=classes, cmap="tab10", vmin=0, vmax=9, s=10, alpha=0.6, linewidths=0)
    for label in np.unique(classes):
        middle = np.median(codes[classes == label], axis=0)
        text = ax.text(*middle, str(label), ha="center", va="center", weight="bold")
        text.set_bbox({"boxstyle": "circle,pad=0.15", "facecolor": "white", "alpha": 0.75, "lw": 0})
    ax.set(xlabel="z₁", ylabel="z₂")


def latent_map(ax: Axes, images, span: float, title: str = "") -> None:
    """Decoded images over a square of two-dimensional codes, as SFVAE Fig. 2 shows them.

    Args:
        ax: axes to draw into.
        images: ``(side², channels, height, width)`` in [0, 1], row by row, the first row on top.
        span: codes run from −span to span on both axes.
        title: above the map.
    """
    side = round(len(images) ** 0.5)
    image_grid(ax, images, side, title)
    height, width = np.shape(ax.images[0].get_array())[:2]
    ends = {"labels": [f"{-span:g}", "0", f"{span:g}"], "fontsize": 8}
    ax.set_xticks([0, width / 2 - 0.5, width - 1], **ends)
    ax.set_yticks([height - 1, height / 2 - 0.5, 0], **ends)
    ax.set(xlabel="z₁", ylabel="z₂")
    ax.tick_params(length=0)
