"""Surfaces: the colours and numbers that are drawn are those that were given."""

import base64
import json

import numpy as np

from companion.lab.frame import figure
from figures import surfaces


def test_a_surface_has_the_colours_of_its_values():
    ax = figure().add_subplot(projection="3d")
    side = np.linspace(0, 1, 4)
    grid = np.stack([*np.meshgrid(side, side), np.zeros((4, 4))], -1)
    surfaces.still(ax, grid, np.add.outer(side, side))
    faces = ax.collections[0].get_facecolor()
    assert len(faces) == 9 and len(np.unique(faces, axis=0)) == 5


def test_a_turnable_surface_is_small_and_holds_its_numbers():
    """What JupyterLab draws is plain JSON of float32, and no template or program goes with it."""
    grid, values = (
        np.random.default_rng(0).normal(size=(37, 37, 3)),
        np.arange(1369).reshape(37, 37),
    )
    text = json.dumps(surfaces.turnable(grid, values))
    (body,) = json.loads(text)[surfaces.PLOTLY]["data"]
    assert len(text) < 40_000 and body["type"] == "surface"
    held = np.frombuffer(base64.b64decode(body["z"]["bdata"]), np.float32)
    assert np.allclose(held, grid[..., 2].ravel())
    held = np.frombuffer(base64.b64decode(body["surfacecolor"]["bdata"]), np.float32)
    assert held.tolist() == list(range(1369))
