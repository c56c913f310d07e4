"""What is drawn in a panel: points, lines, bands, strips, bars, rules, spans, words, images.

All that draws, in print or in a browser, draws these; so all of them show the same numbers.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from PIL import Image

DIGITS = 4  # that are kept of a number on its way to a browser
COLOURS = ("blue", "orange", "green", "purple", "grey", "ink", "paper")
DASHES = ("solid", "dashed", "dotted")


def one_of(who: str, name: str, value: Any, known: Sequence) -> None:
    """Refuse a value that is not among those known."""
    if value not in known:
        raise ValueError(
            f"{who}: {name} must be one of {', '.join(map(str, known))}; got {value!r}"
        )


@dataclass(frozen=True)
class Mark:
    """Something drawn in a panel; ``label`` puts it into the legend."""

    kind: ClassVar[str] = ""
    arrays: ClassVar[tuple[str, ...]] = ()  # fields of one length, numbers along the axes or shades

    def __post_init__(self):
        who = type(self).__name__
        for name in self.arrays:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.atleast_1d(np.asarray(value, dtype=float)))
        shapes = {
            name: getattr(self, name).shape
            for name in self.arrays
            if getattr(self, name) is not None
        }
        if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
            raise ValueError(f"{who}: one length expected, got {shapes}")
        if (colour := getattr(self, "colour", None)) is not None:
            one_of(who, "colour", colour, (*COLOURS, "classes"))
        if (dash := getattr(self, "dash", None)) is not None:
            one_of(who, "dash", dash, DASHES)

    def extent(self, axis: str) -> list[np.ndarray]:
        """What must be in view along ``x`` or ``y``."""
        value = getattr(self, axis, None)
        return [] if value is None else [value]

    def data(self, across: float | None = None, up: float | None = None) -> dict:
        """As plain numbers and words; what is as it always is, is left out.

        Args:
            across: how long the x axis is in its own numbers, where it is linear.
            up: the same of the y axis.
        """
        kept = {"kind": self.kind}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, np.ndarray):
                along = across if one.name[0] in "xe" else 10.0 if one.name == "shade" else up
                kept[one.name] = few_digits(value, along)
            elif value is not None and value != one.default:
                kept[one.name] = value
        return kept


def few_digits(values: np.ndarray, span: float | None = None) -> list:
    """Numbers to ``DIGITS`` significant digits; None for what is not finite.

    Args:
        values: ``(n,)``.
        span: of the axis that shows them: then to 1/1,000 to 1/10,000 of it, which nobody can see.

    >>> few_digits(np.array([0.123456, 1e-9, 12]), span=5.0)
    [0.123, 0, 12]
    >>> few_digits(np.array([0.123456, 1e-9, 120000, np.nan, 3]))
    [0.1235, 1e-09, 120000, None, 3]
    """
    values = np.asarray(values, dtype=float)
    if span:
        values = np.round(values, 3 - int(np.floor(np.log10(span)))) + 0.0  # no −0
    return [_short(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in values.tolist()]


def _short(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


@dataclass(frozen=True)
class Points(Mark):
    """Points; coloured by ``shade`` in 0…1 along a map, or by whole numbers as ``classes``.

    >>> Points([0, 1], [2, 3], "orange", label="data").data()
    {'kind': 'points', 'x': [0, 1], 'y': [2, 3], 'colour': 'orange', 'label': 'data'}
    """

    x: np.ndarray
    y: np.ndarray
    colour: str = "blue"
    shade: np.ndarray | None = None
    marker: str = "o"  # or s, ^, v, D, +, x, | for a bar across
    size: float = 5  # in points
    alpha: float = 1
    hollow: bool = False
    edge: bool = False  # a line of ink around it: the chosen one
    label: str = ""
    right: bool = False  # along the second y axis
    kind = "points"
    arrays = ("x", "y", "shade")


@dataclass(frozen=True)
class Line(Mark):
    """A line through points, broken where a number is missing, coloured by ``shade`` if given.

    Its label is in the legend with the colour of its first point.

    >>> Line([0, 1], [2, 3], shade=[0.5, 0.5], label="β = 1").data()["label"]
    'β = 1'
    """

    x: np.ndarray
    y: np.ndarray
    colour: str = "blue"
    shade: np.ndarray | None = None
    width: float = 1.5
    dash: str = "solid"
    marker: str = ""
    alpha: float = 1
    label: str = ""
    right: bool = False
    kind = "line"
    arrays = ("x", "y", "shade")


@dataclass(frozen=True)
class Band(Mark):
    """What lies between two curves."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: str = "blue"
    alpha: float = 0.22
    label: str = ""
    right: bool = False
    kind = "band"
    arrays = ("x", "low", "high")

    def extent(self, axis):
        return [self.x] if axis == "x" else [self.low, self.high]


@dataclass(frozen=True)
class Strip(Mark):
    """What lies between two lines of the plane, each piece in the shade of its ends, 0…1.

    >>> Strip([0, 1], [0, 0], [0, 1], [1, 2], shade=[0, 0.5]).data()["shade"]
    [0, 0.5]
    """

    x: np.ndarray
    y: np.ndarray
    x2: np.ndarray
    y2: np.ndarray
    shade: np.ndarray
    kind = "strip"
    arrays = ("x", "y", "x2", "y2", "shade")

    def extent(self, axis):
        return [getattr(self, axis), getattr(self, f"{axis}2")]


@dataclass(frozen=True)
class Bars(Mark):
    """A histogram: heights between edges, one more of them; filled, or its outline."""

    edges: np.ndarray
    heights: np.ndarray
    colour: str = "blue"
    alpha: float = 0.5
    outline: bool = False
    label: str = ""
    kind = "bars"
    arrays = ()

    def __post_init__(self):
        for name in ("edges", "heights"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        if len(self.edges) != len(self.heights) + 1:
            raise ValueError(f"Bars: {len(self.heights)} heights between {len(self.edges)} edges")
        super().__post_init__()

    def extent(self, axis):
        return [self.edges] if axis == "x" else [self.heights, np.zeros(1)]


@dataclass(frozen=True)
class Rule(Mark):
    """A line across the whole panel, at an x or at a y."""

    x: float | None = None
    y: float | None = None
    colour: str = "grey"
    width: float = 1.2
    dash: str = "dotted"
    label: str = ""
    right: bool = False
    kind = "rule"

    def extent(self, axis):
        value = getattr(self, axis)
        return [] if value is None else [np.array([value])]


@dataclass(frozen=True)
class Span(Mark):
    """A shaded stretch of x, or of y, across the whole panel."""

    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None
    colour: str = "grey"
    alpha: float = 0.2
    label: str = ""
    kind = "span"

    def extent(self, axis):
        return []


@dataclass(frozen=True)
class Text(Mark):
    """Words at a point of the data."""

    x: float
    y: float
    text: str
    colour: str = "ink"
    anchor: str = "middle"  # or start, end
    size: float = 8
    boxed: bool = False
    kind = "text"

    def extent(self, axis):
        return []


@dataclass(frozen=True)
class Images(Mark):
    """Images in rows; one image is one unit wide and high, rows run downwards from ``row``.

    Args:
        images: ``(n, channels, height, width)`` in [0, 1], clipped; grey ones are drawn as ink.
        columns: images in a row.
        row: where the first row begins.

    >>> Images(np.zeros((6, 1, 8, 8)), columns=3, row=2).rows
    2
    """

    images: np.ndarray
    columns: int
    row: int = 0
    kind = "images"

    def __post_init__(self):
        images = np.clip(np.asarray(self.images, dtype=float), 0, 1)
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"Images: (n, 1 or 3, height, width) expected, got {images.shape}")
        object.__setattr__(self, "images", images)

    @property
    def rows(self) -> int:
        """How many."""
        return -(-len(self.images) // self.columns)

    def extent(self, axis):
        ends = (0, self.columns) if axis == "x" else (self.row, self.row + self.rows)
        return [np.array(ends)]

    def sheet(self) -> np.ndarray:
        """All of them with a line between, as bytes: ``(height, width)``, or ``(…, 3)``."""
        n, channels, height, width = self.images.shape
        padded = np.full((self.rows * self.columns, channels, height + 1, width + 1), 1.0)
        padded[:n, :, :height, :width] = 1 - self.images if channels == 1 else self.images
        sheet = padded.reshape(self.rows, self.columns, channels, height + 1, width + 1)
        sheet = sheet.transpose(0, 3, 1, 4, 2).reshape(
            self.rows * (height + 1), self.columns * (width + 1), channels
        )
        sheet = sheet.squeeze(-1) if channels == 1 else sheet
        return (255 * sheet).round().astype(np.uint8)

    def data(self, across=None, up=None):
        buffer = io.BytesIO()
        sheet = Image.fromarray(self.sheet())
        if sheet.mode == "RGB":  # photographs: as in frame.png, a third of the size
            sheet = sheet.quantize(256, dither=Image.Dither.NONE)
        sheet.save(buffer, format="png", optimize=True)
        png = base64.b64encode(buffer.getvalue()).decode()
        at = {"columns": self.columns, "row": self.row, "rows": self.rows}
        return {"kind": self.kind, "png": png, "grey": self.images.shape[1] == 1} | at
