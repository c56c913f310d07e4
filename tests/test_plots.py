"""Pictures: what is drawn is what was given."""

import numpy as np
import pytest

from figures import plots
from figures.explorables import interval


def axes():
    return plots.figure().subplots()


def test_the_band_spans_all_runs():
    ax, values = axes(), np.array([[1.0, 3.0, 2.0], [4.0, 6.0, 9.0]])
    plots.band(ax, [0.1, 10.0], values, plots.BLUE, "error")
    vertices = ax.collections[0].get_paths()[0].vertices
    assert vertices[:, 1].min() == 1.0 and vertices[:, 1].max() == 9.0
    assert ax.lines[0].get_ydata().tolist() == [2.0, 6.0]


@pytest.mark.parametrize(("channels", "paper"), [(1, 0.0), (3, 1.0)])
def test_images_keep_their_order_and_are_clipped(channels, paper):
    images = np.zeros((3, channels, 2, 2))
    images[1] = 0.5
    images[2] = 7.0
    ax = axes()
    plots.image_grid(ax, images, columns=2, separators=[1])
    sheet = np.asarray(ax.images[0].get_array()).reshape(6, 6, channels)
    assert sheet[0, 0].max() == 0 and sheet[0, 3].max() == 0.5 and sheet[3, 0].max() == 1.0
    assert (sheet[:, 2] == paper).all() and (sheet[3:, 3:] == paper).all()


def test_a_shown_picture_carries_its_alt_text(monkeypatch):
    shown = {}
    monkeypatch.setattr(
        "IPython.display.display", lambda data, **more: shown.update(more, data=data)
    )
    plots.show(plots.figure(), "an empty figure", extra={"application/x-test": 1})
    assert shown["data"]["text/plain"] == "an empty figure"
    assert shown["data"]["application/x-test"] == 1 and shown["data"]["image/png"][1:4] == b"PNG"
    assert shown["metadata"]["image/png"]["alt"] == "an empty figure"


def test_the_manifold_is_drawn_through_its_points():
    ax, curve = axes(), np.array([[0.0, 1.0], [1.0, 2.0]])
    plots.manifold(ax, np.zeros((4, 2)), np.zeros(4), curve, [-1.0, 1.0])
    assert np.allclose(np.transpose(ax.lines[0].get_data()), curve)
    (segments,) = [c.get_segments() for c in ax.collections if hasattr(c, "get_segments")]
    assert np.allclose(segments[0], curve)


def test_a_ribbon_is_as_thick_as_its_curve_is_dense():
    """A straight line of density 0 to 1: its quads reach width/2 times the density aside."""
    x = np.linspace(0, 1, 11)
    ax, chosen = axes(), (x > 0.25) & (x < 0.55)
    interval.ribbon(ax, np.stack([x, 0 * x], 1), x, chosen, [0, 10], top=1.0, width=0.5)
    quads = [path.vertices for path in ax.collections[0].get_paths()]
    assert [abs(q[:, 1]).max() for q in quads] == pytest.approx(list(0.25 * x[1:]))
    outline = ax.patches[0].get_path().vertices
    assert outline[:, 0].min() == pytest.approx(0.3) and outline[:, 0].max() == pytest.approx(0.5)
    assert ax.lines[-1].get_xdata().tolist() == [0, 1]


def test_a_marked_density_covers_its_area():
    x, density = np.linspace(0, 2, 21), np.linspace(0, 1, 21)
    ax = axes()
    interval.marked_density(ax, x, density, x > 1, slice(None, None, 10), top=1.0)
    quads = np.array([path.vertices[:4] for path in ax.collections[0].get_paths()])
    widths, heights = np.ptp(quads[..., 0], axis=1), quads[:, 2:, 1].mean(1)
    assert (widths * heights).sum() == pytest.approx(1.0)


def test_codes_are_named_by_class():
    ax, codes = axes(), np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    plots.codes_by_class(ax, codes, [3, 3, 7])
    assert np.allclose(ax.collections[0].get_offsets(), codes)
    assert {t.get_text(): t.get_position() for t in ax.texts} == {"3": (1.0, 0.0), "7": (5.0, 5.0)}
