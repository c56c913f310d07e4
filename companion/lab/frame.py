"""The frame of every picture: a figure without pyplot, its bytes, its alt text, its colours."""

import io
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

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


SHARP = 2  # pixels of a PNG for one of the page
HEAVY = 60_000  # bytes of a PNG beyond which it is kept in 256 colours


def png(picture: Figure) -> bytes:
    """A figure as PNG bytes, twice as sharp as its size says; equal figures give equal bytes.

    Where many colours make it heavy it is kept in 256, in a third of the size.

    >>> png(figure())[1:4]
    b'PNG'
    """
    buffer, dpi = io.BytesIO(), SHARP * picture.dpi
    picture.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    if buffer.tell() > HEAVY:
        full, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
        full.quantize(256, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def output(picture: Any, alt: str = "", extra: dict | None = None) -> tuple[dict, dict]:
    """A picture as a notebook's output: its data by MIME type, and what is said about them.

    Args:
        picture: a :class:`companion.lab.picture.Picture`, or a figure of matplotlib.
        alt: what a figure shows, made from the same numbers; a picture says it itself.
        extra: further MIME types of the same output.

    >>> output(figure(), "an empty figure")[1]
    {'image/png': {'alt': 'an empty figure', 'width': 412}}
    """
    if not isinstance(picture, Figure):
        from companion.lab.paper import on_paper  # it needs the colours above

        picture, alt = on_paper(picture), picture.says
    data = {"image/png": png(picture), "text/plain": alt} | (extra or {})
    width = int(picture.get_size_inches()[0] * picture.dpi)
    return data, {"image/png": {"alt": alt, "width": width}}


def show(picture: Any, alt: str = "", extra: dict | None = None) -> None:
    """Display a picture with its alt text, which is also its plain text; see :func:`output`."""
    from IPython.display import display

    data, metadata = output(picture, alt, extra)
    display(data, raw=True, metadata=metadata)
