"""`tools/pictures.py`: every picture that changed is seen, and all words."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from companion.lab.explorable import Computed, Control, Explorable
from companion.lab.marks import Rule
from companion.lab.picture import Panel, Picture

FILE = Path(__file__).resolve().parents[1] / "tools" / "pictures.py"
SPEC = importlib.util.spec_from_file_location("pictures", FILE)
pictures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pictures)


def titled(point, *marks):
    title = "{beta:g} {gamma:g}".format(**point)
    words = str({"beta": point["beta"], "gamma": point["gamma"]})
    return Picture([Panel(marks, title=title)], words)


CONTROLS = {name: Control(name, tuple(range(8)), 1.0) for name in ("beta", "gamma")}
POINTS = Computed("toy", CONTROLS, (0, 1), lambda seed, beta, gamma: locals(), list)
TOY = Explorable("A toy", POINTS, titled)


@pytest.fixture
def compared(monkeypatch, tmp_path, capsys):
    """Writes the sums of one registry, compares another: the status and the lines."""

    def run(before, now, *options):
        file = tmp_path / "sums.json"
        monkeypatch.setattr(pictures, "BY_NAME", before)
        assert pictures.main([str(file)]) == 0
        assert sum(map(len, json.loads(file.read_text("utf-8")).values())) == 28 * len(before)
        monkeypatch.setattr(pictures, "BY_NAME", now)
        capsys.readouterr()
        return pictures.main([str(file), "--compare", *options]), capsys.readouterr().out

    return run


def test_all_corners_are_drawn_and_twenty_other_points():
    points = [(seed, *values.values()) for seed, values in pictures.points(TOY)]
    assert {(s, b, g) for s in (0, 1) for b in (0, 7) for g in (0, 7)} < set(points)
    assert len(set(points)) == len(points) == 8 + 20


def test_the_same_explorables_are_the_same(compared):
    code, said = compared(dict(toy=TOY), dict(toy=TOY))
    assert code == 0
    assert said.endswith("1 explorables, 28 points: pictures and words are the same\n")


def test_one_other_mark_and_one_other_word_are_seen(compared):
    def draw(point):
        if tuple(point.values()) == (1, 7, 0):
            return titled(point, Rule(x=0))
        other = "!" * (point["beta"] == 0 and point["gamma"] == 7)
        return replace(titled(point), says=titled(point).says + other)

    now = dict(toy=replace(TOY, draw=draw))
    code, said = compared(dict(toy=TOY), now)
    assert code == 1 and said.splitlines()[1:] == [
        "toy at seed = 0, beta = 0, gamma = 7: "
        "was \"{'beta': 0, 'gamma': 7}\", is \"{'beta': 0, 'gamma': 7}!\"",
        "toy at seed = 1, beta = 0, gamma = 7: "
        "was \"{'beta': 0, 'gamma': 7}\", is \"{'beta': 0, 'gamma': 7}!\"",
        "toy at seed = 1, beta = 7, gamma = 0: another picture",
        "1 explorables, 28 points: 3 differences",
    ]


def test_what_is_gone_or_new_differs_unless_others_are_asked_for(compared):
    code, said = compared(dict(old=TOY, toy=TOY), dict(toy=TOY, own=TOY))
    assert code == 1 and said.endswith("2 explorables, 56 points: 56 differences\n")
    assert said.count(": gone") == said.count(": new") == 28
    assert compared(dict(old=TOY, toy=TOY), dict(toy=TOY, own=TOY), "--only", "toy")[0] == 0
