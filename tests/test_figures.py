"""Every figure script runs and its committed record is what it writes."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FIGURES = Path(__file__).parents[1] / "figures"
SCRIPTS = sorted(p for p in FIGURES.glob("*.py") if p.name != "common.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_the_committed_numbers_are_the_scripts(script, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FIGURES), *sys.path])
    saved = {}
    import common

    monkeypatch.setattr(common, "_replace", lambda path, content: saved.update({path: content}))
    runpy.run_path(str(script), run_name="__main__")
    picture, data = FIGURES / "out" / f"{script.stem}.png", FIGURES / "data" / f"{script.stem}.json"
    assert set(saved) == {picture, data} and saved[picture][1:4] == b"PNG" and picture.exists()
    ours, committed = json.loads(saved[data]), json.loads(data.read_text(encoding="utf-8"))
    assert ours["parameters"] == committed["parameters"]
    assert close(ours["numbers"], committed["numbers"], committed.get("tolerance", 0.0))
    assert ours.keys() == committed.keys()  # times are there, but differ from run to run


def close(ours, committed, tolerance):
    """Whether two records hold the same names and numbers, these within a relative tolerance."""
    if isinstance(ours, dict):
        same = ours.keys() == committed.keys()
        return same and all(close(ours[k], committed[k], tolerance) for k in ours)
    if isinstance(ours, list):
        pairs = zip(ours, committed, strict=True)
        return all(close(a, b, tolerance) for a, b in pairs)
    if isinstance(ours, float) and tolerance:
        return ours == pytest.approx(committed, rel=tolerance, abs=1e-9)
    return ours == committed


def test_records_are_compared_within_their_tolerance():
    assert close({"a": [1.0, "x"]}, {"a": [1.05, "x"]}, 0.1)
    assert not close({"a": [1.0]}, {"a": [1.05]}, 0.0)
    assert not close({"a": 1.0}, {"b": 1.0}, 0.1)


def test_there_are_scripts():
    assert SCRIPTS
