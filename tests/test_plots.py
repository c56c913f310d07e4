"""Pictures: what is drawn is what was given."""

import numpy as np
import pytest

from companion.lab.frame import figure, show
from companion.lab.marks import Line
from companion.lab.picture import Panel, Picture
from figures import draw
from figures.explorables import interval


def test_the_band_spans_all_runs():
    values = np.array([[1.0, 3.0, 2.0], [4.0, 6.0, 9.0]])
    band, line = draw.spread([0.1, 10.0], values, "blue", "error")
    assert band.low.tolist() == [1.0, 4.0] and band.high.tolist() == [3.0, 9.0]
    assert line.y.tolist() == [2.0, 6.0]


@pytest.mark.parametrize("kind", ["figure", "picture"])
def test_a_shown_picture_carries_its_alt_text(monkeypatch, kind):
    shown, words = {}, "one line"
    monkeypatch.setattr(
        "IPython.display.display", lambda data, **more: shown.update(more, data=data)
    )
    extra = {"application/x-test": 1}
    if kind == "figure":
        show(figure(), words, extra=extra)
    else:
        show(Picture([Panel([Line([0, 1], [0, 1])])], words), extra=extra)
    assert shown["data"]["text/plain"] == words
    assert shown["data"]["application/x-test"] == 1 and shown["data"]["image/png"][1:4] == b"PNG"
    assert shown["metadata"]["image/png"]["alt"] == words


def test_the_manifold_is_drawn_through_its_points():
    curve = np.array([[0.0, 1.0], [1.0, 2.0]])
    panel = draw.manifold(np.zeros((4, 2)), np.zeros(4), curve, [-1.0, 1.0])
    for line in panel.marks[1:]:
        assert line.x.tolist() == [0.0, 1.0] and line.y.tolist() == [1.0, 2.0]
    assert panel.marks[-1].shade == pytest.approx([0.3, 0.7])


def test_a_ribbon_is_as_thick_as_its_curve_is_dense():
    """A straight line of density 0 to 1: its sides lie width/2 times the density apart from it."""
    x = np.linspace(0, 1, 11)
    chosen = (x > 0.25) & (x < 0.55)
    strip, outline, _, ticks = interval.ribbon(
        np.stack([x, 0 * x], 1), x, chosen, [0, 10], top=1.0, width=0.5
    )
    assert np.abs(strip.y) == pytest.approx(0.25 * x) and (strip.y == -strip.y2).all()
    assert strip.shade == pytest.approx(x)
    assert outline.x.min() == pytest.approx(0.3) and outline.x.max() == pytest.approx(0.5)
    assert ticks.x.tolist() == [0, 1]


def test_a_marked_density_covers_its_area():
    x, density = np.linspace(0, 2, 21), np.linspace(0, 1, 21)
    marks = interval.marked_density(x, density, x > 1, slice(None, None, 10), top=1.0)
    strip, outline, ticks = marks
    assert np.trapezoid(strip.y2 - strip.y, strip.x) == pytest.approx(1.0)
    assert outline.x.min() == pytest.approx(1.1) and ticks.x.tolist() == [0, 1, 2]
