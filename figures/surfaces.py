"""A surface in space, coloured by the density on it: still, or to turn by mouse."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from companion.lab.frame import CODE_MAP

PLOTLY = "application/vnd.plotly.v1+json"


def still(ax: Axes, grid, values) -> None:
    """A surface in space, coloured by the density at each of its points.

    Args:
        ax: axes with ``projection="3d"``.
        grid: ``(n, m, 3)``.
        values: ``(n, m)``.
    """
    values = np.asarray(values)
    scale = ScalarMappable(Normalize(0, values.max()), CODE_MAP)
    style = {"rstride": 1, "cstride": 1, "shade": False, "antialiased": False}
    ax.plot_surface(
        *np.moveaxis(np.asarray(grid), -1, 0), facecolors=scale.to_rgba(values), **style
    )
    ax.figure.colorbar(scale, ax=ax, label="density", shrink=0.7)
    ax.set(xlabel="x₁", ylabel="x₂", zlabel="x₃", aspect="equal")
    ax.locator_params(nbins=4)


def turnable(grid, values) -> dict[str, dict]:
    """The same surface to turn by mouse: what :func:`companion.lab.frame.show` takes as ``extra``.

    JupyterLab draws it without a network; readers that cannot keep the static picture.

    Args:
        grid: ``(n, m, 3)``.
        values: ``(n, m)``.

    Returns:
        Plotly's figure by its MIME type.

    >>> [mime] = turnable(np.zeros((2, 2, 3)), np.ones((2, 2)))
    >>> mime
    'application/vnd.plotly.v1+json'
    """
    import plotly.graph_objects as go  # only here: it takes longer to import than all the rest

    x, y, z = np.moveaxis(np.asarray(grid, dtype=np.float32), -1, 0)
    shades = {"surfacecolor": np.asarray(values, dtype=np.float32), "colorscale": CODE_MAP}
    body = go.Surface(x=x, y=y, z=z, colorbar={"title": "density"}, **shades)
    layout = {"scene": {"aspectmode": "data"}, "margin": dict.fromkeys("lrtb", 0), "height": 420}
    picture = go.Figure(body, layout)
    picture.layout.template = None  # it would be longer than the data
    return {PLOTLY: picture.to_plotly_json()}
