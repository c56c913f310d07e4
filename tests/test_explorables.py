"""One render, four faces: widget, report, page and printed figure show the same numbers."""

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers import alike
from nbformat import read

from companion.lab import explorable as lab
from companion.lab import widgets
from companion.lab.panel import facts, key
from companion.lab.paper import on_paper
from companion.lab.picture import Panel, Picture
from figures import explorables
from figures.explorables import conjugate_gradients, frobenius_bounds, sinusoid

EXPLORABLES = explorables.EXPLORABLES
ROOT = Path(__file__).parents[1]


def corner(explorable, pick):
    """First (0) or last (−1) value of every control, at the first seed."""
    values = {name: control.values[pick] for name, control in explorable.controls.items()}
    return explorable.seeds[0], values


@cache
def drawn(name, pick):
    """The picture of a corner and its words, drawn once for all tests."""
    explorable = explorables.BY_NAME[name]
    seed, values = corner(explorable, pick)
    return explorable.render(seed, **values).data()


@pytest.mark.parametrize("explorable", EXPLORABLES, ids=lambda e: e.name)
def test_render_is_pure(explorable):
    for pick in (0, -1):
        assert drawn.__wrapped__(explorable.name, pick) == drawn(explorable.name, pick)


@pytest.mark.parametrize("explorable", EXPLORABLES, ids=lambda e: e.name)
def test_controls_change_the_picture_and_its_description(explorable):
    low, high = (drawn(explorable.name, pick) for pick in (0, -1))
    assert low["columns"] != high["columns"] and low["says"] != high["says"]


@pytest.mark.parametrize("explorable", EXPLORABLES, ids=lambda e: e.name)
def test_presets_and_starts_are_on_the_lattice(explorable):
    for control in explorable.controls.values():
        assert control.start in control.values and list(control.values) == sorted(control.values)
    for setting in explorable.presets.values():
        for name, value in setting.items():
            assert value in explorable.controls[name].values


@pytest.mark.parametrize("explorable", EXPLORABLES, ids=lambda e: e.name)
def test_a_question_stands_before_the_sliders(explorable):
    told = explorable.question.told
    assert 2 <= len(told["choices"]) <= 4 and told["text"].endswith("?")
    assert re.search(r"\d", told["reveals"]) and told["reveals"].endswith(".")


@pytest.fixture
def quiet(monkeypatch):
    """No pictures are sent ahead, of all other positions."""
    monkeypatch.setattr(widgets.LivePanel, "ahead", lambda *_: None)


@pytest.mark.parametrize("explorable", EXPLORABLES, ids=lambda e: e.name)
def test_the_widget_shows_what_render_draws(explorable, quiet):
    (seed, low), (_, high) = (corner(explorable, pick) for pick in (0, -1))
    panel, sent = widgets.LivePanel(explorable, seed, low), []
    panel.send = sent.append
    assert panel.shown == drawn(explorable.name, 0)
    ask = key(explorable, seed, high)
    panel._heard(panel, {"ask": ask}, [])
    assert sent == [{"pictures": {ask: drawn(explorable.name, -1)}}]


@pytest.mark.parametrize("explorable", EXPLORABLES, ids=lambda e: e.name)
def test_pictures_are_small_and_drawn_on_paper(explorable):
    """A move sends at most 60 kB; every mark has its way onto paper."""
    for pick in (0, -1):
        seed, values = corner(explorable, pick)
        picture = explorable.render(seed, **values)
        assert len(json.dumps(picture.data(), ensure_ascii=False)) < 60_000
        figure = on_paper(picture)
        assert len(figure.axes) >= sum(map(len, picture.panels))


def test_pictures_are_sent_ahead_nearest_first():
    panel = widgets.LivePanel(
        sinusoid.EXPLORABLE, 0, {"beta": 10.0, "noise": 0.1}, ["noise", "seed"]
    )
    assert len(panel.sent) == 1
    panel._heard(panel, {"seen": True}, [])
    wait_for(lambda: len(panel.sent) == len(sinusoid.BETAS))
    assert {one.split("-")[1:] == ["0", "0"] for one in panel.sent} == {True}


def test_a_start_between_the_lattices_points_is_said(capsys, quiet):
    widgets.explore(sinusoid.EXPLORABLE, seed=9, beta=5.0, noise=(0.1,))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("the nearest: β, weight of the reconstruction = 4.64, seed 4")
    widgets.explore(sinusoid.EXPLORABLE, seed=4, beta=10, noise=0.1)
    assert "nearest" not in capsys.readouterr().out


def test_a_panel_knows_where_presets_are():
    """Positions, not values: what the browser's sliders have."""
    told = facts(sinusoid.EXPLORABLE, ["noise"])
    assert told["presets"]["β → 0: likelihood alone"] == {"beta": 0}
    assert [control["name"] for control in told["controls"]] == ["beta", "noise", "seed"]


def test_the_committed_reports_show_the_same_numbers():
    """A picture stored in a notebook describes itself as render does now."""
    paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    cells = [cell for path in paths for cell in read(path, 4).cells]
    data = [o.get("data", {}) for cell in cells for o in cell.get("outputs", ())]
    marked = [(one[widgets.MIME], one["text/plain"]) for one in data if widgets.MIME in one]
    assert {mark["name"] for mark, _ in marked} == set(explorables.BY_NAME)  # each is taught
    for mark, words in marked:
        now = explorables.BY_NAME[mark["name"]].render(mark["seed"], **mark["start"])
        assert alike(now.says, words)


def test_results_of_two_machines_are_alike_in_words_and_in_numbers():
    assert alike("take 27.8, −0.00 of 1e-5", "take 27.7, 0.00 of 1e-5")
    assert alike({"a": [1.0, "x", 3]}, {"a": [1.0005, "x", 3]}) and alike(0.001, 0.0012, rel=0.2)
    for ours, theirs in [
        ("take 27.9", "take 27.7"),
        ("take 27.8", "have 27.8"),
        ("1, 2", "1"),
        ("8 of 10", "8 of 11"),
        ({"a": 1.0}, {"b": 1.0}),
        ([1.0], [1.0, 2.0]),
        (3, 4),
        (1.0, 1.01),
    ]:
        assert not alike(ours, theirs)


def test_what_is_computed_where_it_is_shown_does_not_rest_on_a_last_bit():
    """All singular values equal: every probe of eq. 7 meets the log-volume, none falls below it."""
    for latent in frobenius_bounds.LATENTS:
        assert not frobenius_bounds.measured(latent, 1.0).any()
        picture = frobenius_bounds.EXPLORABLE.render(0, ratio=1.0, latent=latent)
        assert "below the log-volume in 0% of cases" in picture.says
    for line in conjugate_gradients.check():
        assert line.endswith(": ok")


def test_the_printed_figures_hold_the_same_numbers():
    record = json.loads((ROOT / "figures" / "data" / "fig03_sinusoid.json").read_text("utf-8"))
    assert record["parameters"]["lattice"] == lab.lattice_sum(sinusoid.NAME)
    curves = sinusoid.trade_off(record["parameters"]["noise"])
    assert np.allclose(record["numbers"]["reconstruction"], curves["reconstruction"], atol=1e-4)


def test_a_lattice_whose_sum_is_wrong_is_refused(tmp_path, monkeypatch):
    (tmp_path / "lattices").mkdir()
    monkeypatch.setattr(lab, "LATTICES", tmp_path / "lattices")
    lab.save_lattice("toy", {"a": np.arange(3)}, {"made_by": "a test"})
    arrays, about = lab.load_lattice("toy")
    path = tmp_path / "lattices" / "toy.npz"
    assert arrays["a"].tolist() == [0, 1, 2]
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sorted(p.name for p in path.parent.iterdir()) == ["toy.json", "toy.npz"]
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(
        ValueError, match="lattice toy: toy.npz has SHA-256 .* companion rebuild toy"
    ):
        lab.load_lattice("toy")


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"seed": 9, "beta": 0.01}, r"seed must be one of \[0, 1, 2, 3, 4\], got 9"),
        ({"seed": 0, "beta": 0.012}, "beta = 0.012 is not on the lattice, but 0.01 is"),
        ({"seed": 0, "beta": 0.01, "noise": 0.5}, "noise = 0.5 is not on the lattice, but 0.3 is"),
    ],
)
def test_points_off_the_lattice_are_refused(point, message):
    with pytest.raises(ValueError, match=message):
        sinusoid.EXPLORABLE.render(**point)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no explorable 'sinus'; there are sinusoid, "):
        explorables.rebuild("sinus")
    with pytest.raises(ValueError, match="no control gamma; it has beta, noise"):
        widgets.starting_point(sinusoid.EXPLORABLE, {"gamma": 1.0})


def test_the_sinusoid_lattice_says_what_the_paper_says():
    """Small β: the code follows the noise, at a large reconstruction error; large β: the curve."""
    curves, at = sinusoid.trade_off(0.1), sinusoid.BETAS.index
    assert (curves["correlation"][at(10.0)] >= 0.95).all()
    assert (curves["alignment"][at(10.0)] <= 0.35).all()
    for beta in (0.01, 0.1):
        assert curves["alignment"][at(beta)].mean() >= 0.7
        error = curves["reconstruction"].mean(1)
        assert error[at(beta)] >= 30 * error[at(10.0)]


def test_python_exits_cleanly_while_pictures_are_drawn_ahead():
    code = (
        "from companion.lab import widgets; from figures.explorables import BY_NAME;"
        "e = BY_NAME['linear']; widgets.LivePanel(e, 0, widgets.starting_point(e, {})).ahead()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_train_here_runs_in_a_thread_and_can_be_stopped():
    seen = []

    class Trained(lab.Computed):
        def epochs(self, **_):
            return 999

        def live(self, callback, seed, knob):
            for epoch in range(1, 1000):
                time.sleep(0.01)
                seen.append(epoch)
                if callback({"epoch": epoch, "loss": 1.0 / epoch}):
                    break
            return knob + epoch

    knobs = {"knob": lab.Control("knob", (1.0, 2.0), 1.0)}
    study = Trained("toy", knobs, (0,), lambda knob: knob, list)
    words = lambda numbers, knob: Picture([Panel([])], f"{numbers} at knob {knob:g}")  # noqa: E731
    panel, sent = widgets.LivePanel(lab.Explorable("A toy", study, words), 0, {"knob": 2.0}), []
    panel.send = sent.append
    panel._heard(panel, {"train": True}, [])
    wait_for(lambda: len(seen) > 3)
    panel._heard(panel, {"stop": True}, [])
    wait_for(lambda: "trained" in sent[-1])
    assert sent[0]["progress"] == {"epoch": 1, "epochs": 999, "says": "epoch 1: loss 1.000"}
    trained = sent[-1]["trained"]
    assert seen[-1] < 999 and trained["says"].startswith("stopped early after epoch")
    assert trained["picture"]["says"] == f"{2.0 + seen[-1]} at knob 2"
    assert threading.active_count() < 20


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)
