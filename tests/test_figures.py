"""Every figure script runs and its committed record is what it writes."""

import json
import runpy
from pathlib import Path

import pytest
from helpers import alike

from figures import common

FIGURES = Path(common.__file__).parent
SCRIPTS = [pytest.param(path, id=path.stem) for path in sorted(FIGURES.glob("*[0-9]_*.py"))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_committed_numbers_are_the_scripts(script, monkeypatch):
    saved = {}
    monkeypatch.setattr(common, "write", lambda path, content: saved.update({path: content}))
    runpy.run_path(str(script), run_name="__main__")
    picture, data = FIGURES / "out" / f"{script.stem}.png", FIGURES / "data" / f"{script.stem}.json"
    assert set(saved) == {picture, data} and saved[picture][1:4] == b"PNG" and picture.exists()
    ours, committed = json.loads(saved[data]), json.loads(data.read_text(encoding="utf-8"))
    assert ours["parameters"] == committed["parameters"]
    assert alike(ours["numbers"], committed["numbers"], committed.get("tolerance", 1e-3))
    assert ours.keys() == committed.keys()  # times are there, but differ from run to run


def test_there_are_scripts():
    assert SCRIPTS
