"""A notebook that passed is not run again while nothing it depends on has changed; CI runs all."""

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[1] / "tools" / "passed.py"
SPEC = importlib.util.spec_from_file_location("passed", FILE)
passed = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(passed)
NAMES = "import sys; from pathlib import Path; print('ran', *(Path(a).name for a in sys.argv[1:]))"


@pytest.fixture
def ran(tmp_path, monkeypatch, capfd):
    """What runs, given how it ends; the root is a small one."""
    for name in ("notebooks/01_a.ipynb", "notebooks/02_b.ipynb", "companion/x.py", "data/y.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    for name in ("constraints.txt", "figures/draw.py", "figures/surfaces.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(passed, "ROOT", tmp_path)
    monkeypatch.setattr(passed, "MEMORY", tmp_path / ".pytest_cache" / "notebooks.json")
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("CI", raising=False)

    def run(code=0):
        command = [sys.executable, "-c", f"{NAMES}; sys.exit({code})"]
        assert passed.main(command) == code
        found = [line.split()[1:] for line in capfd.readouterr().out.splitlines()]
        return next((words for words in found if words[:1] != ["of"]), [])

    return run


BOTH = ["01_a.ipynb", "02_b.ipynb"]


def test_what_passed_is_left_and_what_failed_is_run_again(ran):
    assert ran(1) == BOTH
    assert ran() == BOTH
    assert ran() == []


def test_its_own_change_runs_one_and_a_change_of_the_package_all(ran, tmp_path, monkeypatch):
    ran()
    (tmp_path / "notebooks" / "02_b.ipynb").write_text("another")
    assert ran() == ["02_b.ipynb"]
    for change in ("companion/x.py", "data/y.bin", "constraints.txt"):
        (tmp_path / change).write_text("another text")
        assert ran() == BOTH and ran() == []
    monkeypatch.setenv("MKL_CBWR", "another than it was")
    assert ran() == BOTH


def test_ci_runs_all(ran, monkeypatch):
    ran()
    monkeypatch.setenv("CI", "true")
    assert ran() == BOTH
