"""The frame of every picture: a figure without pyplot, its bytes, its alt text, its colours."""

import io

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


HEAVY = 150_000  # bytes of a PNG beyond which it holds photographs


def png(picture: Figure) -> bytes:
    """A figure as PNG bytes; equal figures give equal bytes.

    Where photographs make it heavy it is kept in 256 colours, in a third of the size.

    >>> png(figure())[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", metadata={"Software": None})
    if buffer.tell() > HEAVY:
        full, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
        full.quantize(256, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
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
