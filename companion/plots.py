"""Pictures of numbers: every function draws into given axes and knows no model.

Figures are made without pyplot, so that they can be drawn in any thread and leave no global state.
The colours keep apart in all common kinds of colour-blindness.
"""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7f7f7f"
CODE_MAP = "viridis"


def figure(
    columns: int = 1,
    rows: int = 1,
    size: tuple[float, float] = (4.3, 3.5),
    layout: str | None = "constrained",
) -> Figure:
    """An empty figure with room for a grid of panels.

    >>> figure(2).get_size_inches().tolist()
    [8.6, 3.5]
    """
    return Figure(figsize=(size[0] * columns, size[1] * rows), dpi=96, layout=layout)


def png(picture: Figure) -> bytes:
    """A figure as PNG bytes; equal figures give equal bytes.

    >>> png(figure())[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def show(picture: Figure, alt: str, extra: dict | None = None) -> None:
    """Display a figure in a notebook with its alt text, which is also its plain text.

    Args:
        picture: the figure.
        alt: what it shows, made from the same numbers.
        extra: further MIME types of the same output.
    """
    from IPython.display import display

    bundle = {"image/png": png(picture), "text/plain": alt} | (extra or {})
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


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


def band(ax: Axes, x, values, color: str, label: str) -> None:
    """The median over runs as a line and their full spread as a band.

    Args:
        ax: axes to draw into.
        x: ``(m,)``.
        values: ``(m, runs)``.
        color: of both.
        label: for the legend.
    """
    values = np.asarray(values)
    ax.fill_between(x, values.min(1), values.max(1), color=color, alpha=0.22, linewidth=0)
    ax.plot(
        x, np.median(values, 1), color=color, marker="o", markersize=3, linewidth=1.4, label=label
    )


def trade_off(ax: Axes, beta, reconstruction, nll, here=None, **_) -> Axes:
    """Reconstruction error and NLL against β, medians and bands over seeds (MLAE Fig. 3, middle).

    Args:
        ax: axes to draw into.
        beta: ``(m,)``.
        reconstruction: ``(m, runs)`` mean ‖x̂ − x‖².
        nll: ``(m, runs)`` in nats.
        here: ``(beta, reconstruction, nll)`` of one run to mark, or nothing.

    Returns:
        The axes of the NLL, on the right.
    """
    band(ax, beta, reconstruction, BLUE, "reconstruction error")
    ax.set(xscale="log", yscale="log", xlabel="β")
    ax.set_ylabel("mean ‖x̂ − x‖²", color=BLUE)
    ax.minorticks_off()
    twin = ax.twinx()
    band(twin, beta, nll, ORANGE, "NLL")
    twin.set_ylabel("exact NLL (nats)", color=ORANGE)
    if here is not None:
        ax.axvline(here[0], color=GREY, linewidth=1, linestyle=":")
        ax.plot(here[0], here[1], "o", color=BLUE, markeredgecolor="black", markersize=8)
        twin.plot(here[0], here[2], "s", color=ORANGE, markeredgecolor="black", markersize=8)
    ax.set_title("trade-off: median and range over seeds", fontsize=9)
    return twin


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


def spectrum(ax: Axes, mean, std, label: str = "", color: str = BLUE) -> None:
    """Singular values of the decoder, mean and standard deviation over codes (MLAE Fig. 7, left).

    Args:
        ax: axes to draw into.
        mean: ``(latent,)`` largest first.
        std: ``(latent,)``.
        label: for the legend.
        color: of the line.
    """
    mean, std = np.asarray(mean), np.asarray(std)
    index = np.arange(1, len(mean) + 1)
    ax.fill_between(index, mean - std, mean + std, color=color, alpha=0.2, linewidth=0)
    ax.plot(index, mean, "o-", color=color, markersize=3.5, linewidth=1.3, label=label)
    ax.set(xlabel="index of the singular value", ylabel="singular value of g'(z)")
    ax.set_ylim(0, 1.1 * float((mean + std).max()))
    if label:
        ax.legend(frameon=False, fontsize=8)


def codes_against_normal(ax: Axes, codes) -> None:
    """A histogram of all entries of the codes beside the standard normal density.

    Args:
        ax: axes to draw into.
        codes: ``(n, latent)``.
    """
    grid = np.linspace(-4, 4, 200)
    ax.hist(
        np.asarray(codes).ravel(),
        bins=60,
        range=(-4, 4),
        density=True,
        color=BLUE,
        alpha=0.5,
        label="codes",
    )
    ax.plot(
        grid,
        np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi),
        color=ORANGE,
        linewidth=1.6,
        label="N(0, 1)",
    )
    ax.set(xlabel="entry of z", ylabel="density")
    ax.legend(frameon=False, fontsize=8)


def learning_curve(ax: Axes, curve, label: str, color: str = BLUE) -> None:
    """One logged quantity over the epochs of a run: ``curve`` is ``(epochs, values)``."""
    ax.plot(*curve, color=color, linewidth=1.5, label=label)
    ax.set(xlabel="epoch", ylabel=label)


def direction_costs(ax: Axes, eigenvalues, variance: float, chosen) -> None:
    """log λ − λ/σ² with the eigenvalues of the data on it, the chosen ones filled (MLAE Fig. 4).

    Args:
        ax: axes to draw into.
        eigenvalues: ``(dim,)`` ascending.
        variance: σ² = 1/(2β), where the curve has its top.
        chosen: indices of the eigenvalues that the global minimum keeps.
    """
    values = np.asarray(eigenvalues)
    grid = np.geomspace(min(values.min(), variance) / 3, max(values.max(), variance) * 3, 300)
    top = np.log(variance) - 1
    ax.plot(grid, np.log(grid) - grid / variance, color=GREY, linewidth=1.4)
    ax.axvline(variance, color=GREY, linestyle=":", linewidth=1.2)
    for i, value in enumerate(values):
        height = np.log(value) - value / variance
        face = BLUE if i in chosen else "white"
        ax.plot(value, height, "o", markersize=9, markeredgecolor=BLUE, markerfacecolor=face)
    ax.set(xscale="log", ylim=(top - 6, top + 0.7), xlabel="eigenvalue λ", ylabel="log λ − λ/σ²")
    ax.minorticks_off()
    ax.text(0.03, 0.03, "filled: kept;  dotted: λ = σ²", transform=ax.transAxes, fontsize=8)


def ellipse(ax: Axes, points, direction, label: str) -> None:
    """Two-dimensional data with the line that a linear autoencoder projects onto.

    Args:
        ax: axes to draw into.
        points: ``(n, 2)``.
        direction: ``(2,)`` of the line.
        label: what the line is.
    """
    ax.scatter(*np.transpose(points), s=7, color=GREY, alpha=0.5, linewidths=0)
    ax.axline((0, 0), tuple(direction), color=ORANGE, linewidth=2.5, label=label)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="x₁", ylabel="x₂")
    ax.legend(loc="upper right", fontsize=8)


def hysteresis(ax: Axes, beta, up, down, marks, here: float | None = None) -> None:
    """Which direction is kept when β is swept up and down: 0 the smallest variance, 1 the largest.

    Args:
        ax: axes to draw into.
        beta: ``(m,)``.
        up: ``(m,)`` share of the top direction on the way up.
        down: ``(m,)`` on the way down.
        marks: thresholds by name, drawn as lines.
        here: a β to mark, or nothing.
    """
    ax.plot(beta, up, color=BLUE, linewidth=3.5, alpha=0.6, label="β going up")
    ax.plot(beta, down, color=ORANGE, linewidth=1.8, label="β going down")
    for name, value in marks.items():
        ax.axvline(value, color=GREY, linestyle=":", linewidth=1.2)
        ax.text(value, 1.08, name, ha="center", fontsize=8)
    if here is not None:
        ax.axvline(here, color="black", linewidth=1)
    ax.set(xscale="log", ylim=(-0.08, 1.18), xlabel="β", yticks=[0, 1])
    ax.set_yticklabels(["smallest", "largest"])
    ax.minorticks_off()
    ax.legend(loc="center", bbox_to_anchor=(0.56, 0.5), fontsize=8)


def circles(ax: Axes, points, centres, radii, color: str) -> None:
    """A circle's way through its frames, the first black, with the data projected (MLAE Fig. 2).

    The half that faces the data is solid, the other dotted. Light lines, drawn for the last frame
    but one, hold the points that share a code.

    Args:
        ax: axes to draw into.
        points: ``(n, 2)`` data.
        centres: ``(frames,)`` positions on the first axis.
        radii: ``(frames,)``.
        color: of all frames but the first.
    """
    ax.scatter(*np.transpose(points), s=7, color=GREY, alpha=0.6, linewidths=0)
    centre, radius = centres[-2], radii[-2]
    angle = np.linspace(-np.pi, np.pi, 24, endpoint=False)
    rays = np.zeros((len(angle), 2, 2)) + (centre, 0)  # (ray, its two ends, 2)
    rays[:, 1] += 60 * np.stack([-np.cos(angle), np.sin(angle)], axis=-1)
    ax.add_collection(LineCollection(rays, colors=color, alpha=0.22, linewidths=0.7))
    across, up = centre - points[:, 0], points[:, 1]
    share = radius / np.hypot(across, up)
    projected = np.stack([centre - share * across, share * up])
    ax.scatter(*projected, s=9, color=color, alpha=0.7, linewidths=0, zorder=3)
    for i, (m, r) in enumerate(zip(centres, radii, strict=True)):
        look = {"color": color if i else "black", "linewidth": 1.2 + 0.5 * i}
        half = min(np.pi / 2, 6 / r)  # of a large circle only what is in view, finely
        for low, high, style in ((-half, half, "-"), (np.pi / 2, 3 * np.pi / 2, ":")):
            angle = np.linspace(low, high, 200)
            ax.plot(m - r * np.cos(angle), r * np.sin(angle), style, **look)
    ax.set(xlim=(-2.2, 3.3), ylim=(-2.75, 2.75), aspect="equal", xlabel="x₁", ylabel="x₂")


def evolution(ax: Axes, steps, curves: dict[str, tuple], label: str) -> None:
    """One quantity of several runs over the steps, both axes stretched: name -> (values, colour).

    Args:
        ax: axes to draw into.
        steps: ``(times,)``.
        curves: values ``(times,)`` and a colour by the run's name.
        label: of the quantity.
    """
    for name, (values, color) in curves.items():
        ax.plot(steps, values, color=color, linewidth=1.6, label=name)
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlim=(0, steps[-1]), ylabel=label)
    ax.minorticks_off()


def phases(ax: Axes, x, y, endings, edge=None, edge_label: str = "") -> None:
    """A map of how descents ended, over two settings, with the predicted edge as a line.

    Args:
        ax: axes to draw into, logarithmic on the first axis.
        x: ``(m,)``, evenly spaced in the logarithm.
        y: ``(n,)``.
        endings: ``(m, n)`` of "collapsed", "closed circle" and "flat arc".
        edge: pair of arrays of the line, or nothing.
        edge_label: what predicts it.
    """
    looks = {
        "collapsed": (ORANGE, "v"), "closed circle": (PURPLE, "o"), "flat arc": (GREEN, "s")
    }  # fmt: skip
    across, up = np.meshgrid(x, y)
    for word, (color, marker) in looks.items():
        at = word == np.transpose(endings)  # (n, m), as meshgrid lays it out
        if at.any():
            look = {"color": color, "marker": marker, "linewidths": 0, "label": word}
            ax.scatter(across[at], up[at], s=34, **look)
    if edge is not None:
        ax.plot(*edge, color="black", linewidth=1.6, label=edge_label)
    ax.set(xscale="log", xlim=(x[0] / 1.3, x[-1] * 1.3), xlabel="β")
    ax.minorticks_off()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=8, frameon=False)
