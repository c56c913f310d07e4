"""Panels that more than one picture has: of a manifold, a trade-off, a spectrum, rows of models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from companion.lab.marks import Band, Images, Line, Mark, Points, Rule
from companion.lab.picture import Axis, Panel

SPREAD = "median and range over seeds"
REACH = 2.5  # codes at the two ends of the map of colours


def spread(x, values, colour: str, label: str = "", right: bool = False) -> tuple[Mark, ...]:
    """The median over runs as a line and their full range as a band.

    Args:
        x: ``(m,)``.
        values: ``(m, runs)``.
        colour: of both.
        label: for the legend.
        right: along the second axis.

    >>> [mark.kind for mark in spread([1, 2], [[3, 4], [5, 6]], "blue")]
    ['band', 'line']
    """
    values = np.asarray(values)
    middle = Line(x, np.median(values, 1), colour, marker="o", label=label, right=right)
    return Band(x, values.min(1), values.max(1), colour, right=right), middle


def pieces(low, high) -> np.ndarray:
    """Ends of many lines as one that is broken between them: low, high, nothing, low, …: ``(3n,)``.

    >>> pieces([1, 2], [3, 4])
    array([ 1.,  3., nan,  2.,  4., nan])
    """
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    return np.stack([low, high, np.full(low.shape, np.nan)], axis=-1).ravel()


def chosen(x: float, y: float, colour: str, marker: str = "o", right: bool = False) -> Points:
    """The point at which the sliders stand."""
    return Points([x], [y], colour, marker=marker, size=8, edge=True, right=right)


def common(values: Iterable[np.ndarray]) -> list[tuple[float, float]]:
    """For each array the ends of an axis on which all of it is in view, 5 % of them free.

    Positive numbers of more than one decade get as much on both sides of a logarithmic axis.

    >>> common([np.array([0.0, 1.0])])
    [(-0.05, 1.05)]
    """
    found = []
    for one in values:
        low, high = float(np.min(one)), float(np.max(one))
        if low > 0 and high > 10 * low:
            found.append((low * (low / high) ** 0.05, high * (high / low) ** 0.05))
        else:
            found.append((low - 0.05 * (high - low), high + 0.05 * (high - low)))
    return found


def shades(codes) -> np.ndarray:
    """Codes as places in the map of colours, 0…1."""
    return np.clip((np.asarray(codes, dtype=float) + REACH) / (2 * REACH), 0, 1)


def manifold(points, codes, curve, curve_codes, title: str = "") -> Panel:
    """Data coloured by their one-dimensional code, and the decoder's curve in the same colours.

    Args:
        points: ``(n, 2)`` data.
        codes: ``(n,)`` their codes.
        curve: ``(m, 2)`` the decoder's output at ``curve_codes``.
        curve_codes: ``(m,)``.
        title: above.
    """
    x, y = np.transpose(curve)
    marks = (
        Points(*np.transpose(points), shade=shades(codes), size=3, alpha=0.55),
        Line(x, y, "paper", width=6.5),
        Line(x, y, "ink", width=4.5),
        Line(x, y, shade=shades(curve_codes), width=2.6),
    )
    axes = Axis("x₁", limits=(-3.3, 3.3)), Axis("x₂", limits=(-2.2, 2.2))
    return Panel(marks, *axes, title=title, note="colour: code z;  line: decoder")


def trade_off(beta, reconstruction, nll, here=None, title: str = SPREAD, **_) -> Panel:
    """Reconstruction error and NLL against β, medians and ranges over seeds (MLAE Fig. 3, middle).

    Args:
        beta: ``(m,)``.
        reconstruction: ``(m, runs)`` mean ‖x̂ − x‖².
        nll: ``(m, runs)`` in nats.
        here: ``(beta, reconstruction, nll)`` of one run to mark, or nothing.
        title: above.
    """
    marks = spread(beta, reconstruction, "blue", "reconstruction error")
    marks += spread(beta, nll, "orange", "NLL", right=True)
    if here is not None:
        marks += Rule(here[0]), chosen(here[0], here[1], "blue")
        marks += (chosen(here[0], here[2], "orange", "s", right=True),)
    error = Axis("mean ‖x̂ − x‖²", "log", colour="blue")
    nats = Axis("exact NLL (nats)", colour="orange")
    return Panel(marks, Axis("β", "log"), error, nats, title=title, legend="")


def spectra(means: Mapping[str, Sequence], colours: Sequence[str], truth=(), marks=()) -> Panel:
    """Singular values of several decoders on a logarithmic axis, beside those of the true map.

    Args:
        means: ``(latent,)`` largest first, by caption.
        colours: of the captions, in order.
        truth: ``(dim,)`` of the map that made the data, or nothing where it is not known.
        marks: further ones.
    """
    found = [
        Line(np.arange(1, len(mean) + 1), mean, colour, marker="o", label=caption)
        for (caption, mean), colour in zip(means.items(), colours, strict=True)
    ]
    if len(truth):
        index, label = np.arange(1, len(truth) + 1), f"the faces' own map, {len(truth)}"
        found += [Line(index, truth, "ink", dash="dashed", label=label), Rule(len(truth) + 0.5)]
    index = Axis("index of the singular value")
    return Panel((*found, *marks), index, Axis("mean singular value of g'(z)", "log"))


def posterior_variances(values, true: int | None = None, marks=(), **rest) -> Panel:
    """Posterior variances λ_j, smallest first, on a logarithmic axis (2SVAE Fig. 11).

    Args:
        values: ``(latent,)``; below ½ a direction is drawn as active.
        true: the manifold's dimension, to mark, or nothing.
        marks: further ones.
        rest: of the panel.
    """
    values, found = np.asarray(values), []
    index = np.arange(1, len(values) + 1)
    for active, colour, label in ((True, "blue", "active"), (False, "orange", "superfluous")):
        of = (values < 0.5) == active
        stems = pieces(values[of], np.ones(of.sum()))
        found += [Line(np.repeat(index[of], 3), stems, colour, width=3, alpha=0.35)]
        found += [Points(index[of], values[of], colour, size=6, label=label)]
    if true is not None:
        found += [Rule(true + 0.5, dash="dashed", label="true dimension")]
    axes = Axis("latent direction"), Axis("posterior variance λ", "log", (3e-4, 2))
    return Panel((*found, *marks), *axes, **rest)


STYLES = (("blue", "o"), ("purple", "D"), ("orange", "s"), ("green", "^"))


def rows(
    models: Mapping[str, Sequence],
    columns: Sequence[str],
    x: Axis,
    level: float | None = None,
    level_name: str = "",
) -> Panel:
    """A row for each model: means of each column, with a bar over the range of its trainings.

    Args:
        models: name -> for each column the values ``(runs,)``.
        columns: what the values are; fewer than four take the last styles, so that a mixture has
            the same colour whether or not the own prior stands before it.
        x: the axis of the values.
        level: a value to mark for all rows, or nothing.
        level_name: what it is.
    """
    marks: list[Mark] = []
    shifts = np.linspace(-0.27, 0.27, len(columns))
    for i, (name, (colour, marker)) in enumerate(
        zip(columns, STYLES[-len(columns) :], strict=True)
    ):
        values = np.stack([row[i] for row in models.values()])  # (model, run)
        at = np.arange(len(values)) + shifts[i]
        ends = pieces(values.min(1), values.max(1))
        marks += [Line(ends, np.repeat(at, 3), colour, width=1.6)]
        marks += [Points(values.mean(1), at, colour, marker=marker, label=name)]
    if level is not None:
        marks += [Rule(level, dash="dashed", label=level_name)]
    marks += [Rule(y=row + 0.5, width=0.5, dash="solid") for row in range(len(models) - 1)]
    places = tuple(range(len(models)))
    y = Axis(limits=(len(models) - 0.5, -0.5), ticks=places, names=tuple(models))
    return Panel(marks, x, y, legend="above")


def strip(names: Sequence[str], values: Sequence, x: Axis, title: str = "") -> Panel:
    """One dot for each run and a bar at the median, one row for each model.

    Args:
        names: of the models, the first on top.
        values: ``(models, runs)``.
        x: the axis of the values.
        title: above.

    >>> strip(("one", "other"), [[1, 2, 3], [2, 3, 9]], Axis("error")).marks[-1].x.tolist()
    [2.0, 3.0]
    """
    values, at = np.asarray(values, dtype=float), np.arange(len(names))
    dots = Points(values.ravel(), np.repeat(at, values.shape[1]), alpha=0.6)
    bars = Points(np.median(values, 1), at, "orange", marker="|", size=16)
    y = Axis(limits=(len(names) - 0.5, -0.5), ticks=tuple(range(len(names))), names=tuple(names))
    return Panel((dots, bars), replace(x, grid=True), y, title=title)


def image_rows(images, columns: int, lines: Sequence[int] = (), **rest) -> Panel:
    """Images in rows, with a line before some of the rows.

    Args:
        images: ``(n, channels, height, width)`` in [0, 1].
        columns: images in a row.
        lines: the rows before which a line is drawn.
        rest: of :meth:`companion.lab.picture.Panel.of_images`: names of rows, where, a title.

    >>> [mark.kind for mark in image_rows(np.zeros((6, 1, 8, 8)), 3, [1]).marks]
    ['images', 'rule']
    """
    marks = (Rule(y=row, colour="orange", dash="solid") for row in lines)
    return Panel.of_images(Images(images, columns), *marks, **rest)


# of a logarithmic axis on which powers of ten alone would be too few
TICKS = tuple(float(f"{one}e{power}") for power in range(-2, 4) for one in (1, 2, 5))


def error_bars(x, mean, half, colour: str, **rest) -> tuple[Mark, ...]:
    """Points with a bar of ``half`` above and below each.

    Args:
        x: ``(m,)``.
        mean: ``(m,)``.
        half: ``(m,)`` lengths.
        colour: of both.
        rest: of the points.

    >>> [mark.kind for mark in error_bars([1, 2], [3, 4], [0.5, 0.5], "blue")]
    ['line', 'points']
    """
    mean, half = np.asarray(mean, dtype=float), np.asarray(half, dtype=float)
    bars = Line(np.repeat(x, 3), pieces(mean - half, mean + half), colour, width=1.6)
    return bars, Points(x, mean, colour, **rest)
