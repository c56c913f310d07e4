"""A picture as data: panels of a few marks on two axes, and the sentence that says what they show.

Whatever draws, in print or in a browser, draws this; so all of them show the same numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from companion.lab.marks import COLOURS, Images, Mark, one_of

SCALES = ("linear", "log", "symlog")


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Args:
        label: what is on it, with its unit.
        scale: ``linear``, ``log``, or ``symlog``: logarithmic beyond ±``threshold``.
        limits: its ends, the second smaller where it runs backwards; else those of the marks.
        ticks: where its ticks are; else where they are round.
        names: of the ticks, where they are not numbers.
        colour: of the label, where two axes must be told apart.
        grid: whether lines go through the ticks.

    >>> Axis("β", "log", (0.01, 100)).round_ticks()
    ((0.01, 0.1, 1.0, 10.0, 100.0), ('0.01', '0.1', '1', '10', '100'))
    >>> Axis("residual", "log", (1e-13, 5)).round_ticks()[0][0]
    1e-12
    """

    label: str = ""
    scale: str = "linear"
    limits: tuple[float, float] | None = None
    ticks: tuple[float, ...] | None = None
    names: tuple[str, ...] = ()
    colour: str = "ink"
    grid: bool = False
    threshold: float = 1.0

    def __post_init__(self):
        one_of("Axis", "scale", self.scale, SCALES)
        one_of("Axis", "colour", self.colour, COLOURS)
        if self.names and len(self.names) != len(self.ticks or ()):
            raise ValueError(
                f"Axis: {len(self.names)} names for {len(self.ticks or ())} ticks of {self.label!r}"
            )
        if self.scale == "log" and self.limits and min(self.limits) <= 0:
            raise ValueError(f"Axis: limits {self.limits} of the logarithmic {self.label!r}")

    def straight(self, values: Any) -> np.ndarray:
        """Values as they lie on the paper: where this axis is logarithmic, their logarithms."""
        values = np.asarray(values, dtype=float)
        if self.scale == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log10(values)
        if self.scale == "symlog":
            beyond = np.log10(np.maximum(np.abs(values) / self.threshold, 1))
            return np.sign(values) * (np.minimum(np.abs(values) / self.threshold, 1) + beyond)
        return values

    def curved(self, values: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`straight`."""
        if self.scale == "log":
            return 10**values
        if self.scale == "symlog":
            far = np.abs(values) > 1
            size = np.where(far, 10 ** (np.abs(values) - 1), np.abs(values))
            return np.sign(values) * size * self.threshold
        return values

    def reach(self, values: Iterable[np.ndarray]) -> "Axis":
        """This axis with limits: those it has, else around the values, 4 % of them free."""
        if self.limits is not None:
            return self
        at = [self.straight(np.asarray(v, dtype=float).ravel()) for v in values]
        at = np.concatenate(at) if at else np.zeros(0)
        at = at[np.isfinite(at)]
        low, high = (at.min(), at.max()) if len(at) else (0.0, 1.0)
        free = 0.04 * (high - low) or 0.5
        low, high = self.curved(np.array([low - free, high + free]))
        return replace(self, limits=(float(low), float(high)))

    def round_ticks(self) -> tuple[tuple[float, ...], tuple[str, ...]]:
        """Where the ticks within the limits are, and what they say."""
        low, high = sorted(self.limits)
        if self.ticks is not None:
            ticks = self.ticks
        elif self.scale == "log":
            decades = np.log10(high / low)
            subs = (1.0,) if decades > 1.7 else (1.0, 2.0, 5.0)
            ticks = LogLocator(subs=subs, numticks=9).tick_values(low, high)
        elif self.scale == "symlog":
            powers = np.arange(
                np.floor(np.log10(max(-low, high, self.threshold) / self.threshold)) + 1
            )
            size = self.threshold * 10**powers
            ticks = np.concatenate([-size[::-1], [0], size])
        else:
            ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        low, high = self.straight((low, high))
        slack = 1e-9 * (high - low)
        names = self.names or [f"{tick:.6g}" for tick in np.asarray(ticks)]
        kept = [
            (float(t), n)
            for t, n, at in zip(ticks, names, self.straight(ticks), strict=True)
            if low - slack <= at <= high + slack
        ]
        return tuple(t for t, _ in kept), tuple(n for _, n in kept)


@dataclass(frozen=True)
class Panel:
    """Marks on two axes, or three.

    Args:
        marks: drawn in order.
        x: the horizontal axis.
        y: the vertical axis.
        right: a second vertical axis, for marks that say ``right``.
        title: above it.
        note: small, below it.
        legend: ``inside`` or ``above``; empty for none. It has the marks with a label.
        equal: whether a unit is as long on both axes.
    """

    marks: tuple[Mark, ...]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    right: Axis | None = None
    title: str = ""
    note: str = ""
    legend: str = "inside"
    equal: bool = False

    def __post_init__(self):
        one_of("Panel", "legend", self.legend, ("inside", "above", ""))
        object.__setattr__(self, "marks", tuple(self.marks))
        for mark in self.marks:
            if getattr(mark, "right", False) and self.right is None:
                raise ValueError(f"Panel {self.title!r}: a {mark.kind} asks for a right axis")

    @classmethod
    def of_images(cls, *marks: Mark, title: str = "", names: Sequence[str] = (), at=()) -> "Panel":
        """A panel of images without axes, whose rows may have names.

        Args:
            marks: images, and what lies on them.
            title: above.
            names: of rows.
            at: the middle of each row that has a name, by default of the first ones.
        """
        images = [mark for mark in marks if isinstance(mark, Images)]
        down = max(mark.row + mark.rows for mark in images)
        at = tuple(at) or tuple(i + 0.5 for i in range(len(names)))
        y = Axis(limits=(down, 0), ticks=at, names=tuple(names))
        x = Axis(limits=(0, max(mark.columns for mark in images)), ticks=())
        return cls(marks, x, y, title=title, legend="", equal=True)

    def resolved(self) -> "Panel":
        """With limits for all axes, from the marks where none are given."""
        left = [m for m in self.marks if not getattr(m, "right", False)]
        others = [m for m in self.marks if getattr(m, "right", False)]
        x = self.x.reach([v for m in self.marks for v in m.extent("x")])
        y = self.y.reach([v for m in left for v in m.extent("y")])
        right = self.right and self.right.reach([v for m in others for v in m.extent("y")])
        return replace(self, x=x, y=y, right=right)

    def data(self) -> dict:
        """As plain numbers and words, with the limits and ticks that all faces show."""
        whole = self.resolved()
        words = {
            n: getattr(self, n) for n in ("title", "note", "legend", "equal") if getattr(self, n)
        }
        axes = {n: _axis_data(a) for n in ("x", "y", "right") if (a := getattr(whole, n))}
        across, up, right = (_length(axis) for axis in (whole.x, whole.y, whole.right))
        on_right = [getattr(mark, "right", False) for mark in self.marks]
        marks = [
            mark.data(across, right if is_right else up)
            for mark, is_right in zip(self.marks, on_right, strict=True)
        ]
        return words | axes | {"marks": marks}


def _length(axis: Axis | None) -> float | None:
    """Of a linear axis, in its own numbers; None for any other."""
    if axis is None or axis.scale != "linear":
        return None
    return abs(axis.limits[1] - axis.limits[0])


def _axis_data(axis: Axis) -> dict:
    ticks, names = axis.round_ticks()
    kept = {"limits": list(axis.limits), "ticks": list(ticks)}
    kept["names"] = list(names)
    for one in fields(Axis):
        value = getattr(axis, one.name)
        if one.name not in (*kept, "threshold") and value != one.default:
            kept[one.name] = value
    return kept | ({"threshold": axis.threshold} if axis.scale == "symlog" else {})


@dataclass(frozen=True)
class Picture:
    """Panels side by side, or some of them one below the other, and what they show in words.

    Args:
        panels: of each column, a panel or several, one below the other.
        says: the alt text, the caption, what a screen reader reads: made from the same numbers.
        size: of the whole in inches, in print.
        widths: of the columns, relative.

    >>> from companion.lab.marks import Points
    >>> Picture([Panel([Points([1, 2], [3, 4])])], "Two points.").says
    'Two points.'
    """

    panels: Sequence[Panel | Sequence[Panel]]
    says: str
    size: tuple[float, float] = (8.6, 3.5)
    widths: tuple[float, ...] = ()

    def __post_init__(self):
        columns = tuple((p,) if isinstance(p, Panel) else tuple(p) for p in self.panels)
        object.__setattr__(self, "panels", columns)
        object.__setattr__(self, "widths", tuple(self.widths) or (1,) * len(columns))
        if len(self.widths) != len(columns):
            raise ValueError(f"Picture: {len(self.widths)} widths for {len(columns)} columns")

    def data(self) -> dict:
        """As plain numbers and words, for a browser."""
        columns = [[panel.data() for panel in column] for column in self.panels]
        return {"says": self.says, "size": self.size, "widths": self.widths, "columns": columns}
