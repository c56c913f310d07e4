"""Pictures as data: what panels hold, how axes run, and that bad numbers are named."""

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from companion.lab.marks import Band, Bars, Images, Line, Points, Rule, Span, Strip, Text
from companion.lab.panel import pack, unpack
from companion.lab.paper import DRAWN, on_paper
from companion.lab.picture import Axis, Panel, Picture

ALL = (
    Points([1, 2], [3, 4], label="points"),
    Points([1, 2], [3, 4], shade=[0, 1]),
    Points([1, 2], [3, 4], "classes", shade=[0, 9]),
    Line([1, 2, 3], [3, np.nan, 4], "orange", dash="dashed", marker="o", label="line"),
    Line([1, 2, 3], [3, 5, 4], shade=[0, 0.5, 1]),
    Band([1, 2], [1, 2], [3, 4], "green", label="band"),
    Strip([1, 2], [1, 2], [1, 2], [3, 4], shade=[0, 1]),
    Bars([1, 2, 3], [4, 5], label="bars"),
    Bars([1, 2, 3], [4, 5], outline=True),
    Rule(x=1.5, label="rule"),
    Rule(y=2, colour="ink"),
    Span(x=(1, 2), label="span"),
    Span(y=(1, 2)),
    Text(1, 2, "two\nlines", boxed=True),
)


def test_every_mark_goes_onto_paper_and_into_json():
    panel = Panel(ALL, Axis("x"), Axis("y", "log"), Axis("right"), "title", "note", "above")
    picture = Picture([panel, [panel, panel]], "All marks.", widths=(2, 1))
    assert {mark.kind for mark in ALL} | {"images"} == set(DRAWN)
    assert len(on_paper(picture).axes) == 6  # with the right ones
    data = json.loads(json.dumps(picture.data(), allow_nan=False))
    assert [len(column) for column in data["columns"]] == [1, 2] and data["says"] == "All marks."
    line = data["columns"][0][0]["marks"][3]
    assert line == {"kind": "line", "x": [1, 2, 3], "y": [3, None, 4], "colour": "orange",
                    "dash": "dashed", "marker": "o", "label": "line"}  # fmt: skip


SCALES = st.sampled_from([("linear", 1.0), ("symlog", 0.5), ("symlog", 3.0)])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), SCALES)
def test_an_axis_reaches_around_its_values_and_runs_one_way(values, scale):
    axis = Axis("", scale[0], threshold=scale[1])
    values = np.array(values)
    assert np.allclose(axis.curved(axis.straight(values)), values, rtol=1e-9, atol=1e-9)
    low, high = axis.reach([values]).limits
    assert low < values.min() and high > values.max()
    ticks, names = axis.reach([values]).round_ticks()
    assert len(ticks) == len(names) and all(low <= tick <= high for tick in ticks)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1))
def test_a_logarithmic_axis_has_ticks_for_any_positive_numbers(values):
    axis = Axis("", "log").reach([np.array(values)])
    low, high = axis.limits
    assert 0 < low < min(values) and high > max(values)
    ticks, _ = axis.round_ticks()
    assert len(ticks) >= 1 or high / low < 5


def test_limits_come_from_the_marks_of_their_axis():
    marks = Points([0, 10], [1, 2]), Line([0, 10], [100, 200], right=True)
    panel = Panel(marks, right=Axis()).resolved()
    assert panel.y.limits[1] < 3 and panel.right.limits[0] > 90
    assert panel.x.limits == pytest.approx((-0.4, 10.4))


def test_images_are_exact_and_grey_ones_are_ink():
    images = np.arange(4 * 9, dtype=float).reshape(4, 1, 3, 3) / 35
    data = Images(images, columns=2, row=1).data()
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["png"]))))
    assert sheet.shape == (8, 8) and (data["rows"], data["row"], data["grey"]) == (2, 1, True)
    assert (sheet[:3, :3] == np.round(255 * (1 - images[0, 0]))).all()
    assert (sheet[4:7, 4:7] == np.round(255 * (1 - images[3, 0]))).all()
    panel = Panel.of_images(Images(images, 2), Images(images, 4, row=2), names=("a", "b"))
    assert panel.y.limits == (3, 0) and panel.x.limits == (0, 4) and panel.y.ticks == (0.5, 1.5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Points([1, 2], [3]), "Points: one length expected, got"),
        (lambda: Line([[1, 2]], [[3, 4]]), "Line: one length expected"),
        (lambda: Points([1], [2], "red"), "Points: colour must be one of blue, .* got 'red'"),
        (lambda: Line([1], [2], dash="-"), "Line: dash must be one of solid, dashed, dotted"),
        (lambda: Bars([1, 2], [3, 4]), "Bars: 2 heights between 2 edges"),
        (lambda: Images(np.zeros((2, 8, 8)), 2), r"Images: \(n, 1 or 3, height, width\) expected"),
        (lambda: Axis("β", "logarithmic"), "Axis: scale must be one of linear, log, symlog"),
        (lambda: Axis("β", "log", (0, 1)), "Axis: limits .* of the logarithmic 'β'"),
        (lambda: Axis(ticks=(1, 2), names=("a",)), "Axis: 1 names for 2 ticks"),
        (lambda: Panel([Line([1], [2], right=True)]), "a line asks for a right axis"),
        (lambda: Panel([], legend="left"), "Panel: legend must be one of inside, above"),
        (lambda: Picture([Panel([])], "", widths=(1, 2)), "Picture: 2 widths for 1 columns"),
    ],
)
def test_what_cannot_be_drawn_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab", max_size=4), inner),
    max_leaves=30,
)


@given(st.dictionaries(st.text("01-", min_size=1), JSON, max_size=4))
def test_packing_loses_nothing(pictures):
    assert unpack(json.loads(json.dumps(pack(pictures)))) == pictures
