"""`make check`, `test`, `portable`, `nightly`: every part runs, each is reported, one fails all."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "tools" / "check.py"
MUTANTS = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text("utf-8"))
SPEC = importlib.util.spec_from_file_location("check", FILE)
check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check)


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def parts(monkeypatch):
    """A tier whose first part fails in the first of two commands."""
    own = {
        "bad": ([python("raise SystemExit(3)"), python("print('after it')")], {}),
        "good": ([python("import os; print(os.environ['A'], os.path.isdir('{tmp}'))")], {"A": "b"}),
    }
    monkeypatch.setitem(check.TIERS, "test", own)
    return own


def test_all_parts_run_and_the_last_lines_say_how_they_went(parts, capfd):
    assert check.main(["test"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert "after it" in lines and "b True" in lines
    assert [line.rpartition(" in ")[0] for line in lines[-2:]] == ["bad: FAILED", "good: passed"]


def test_a_part_can_be_chosen(parts, capfd):
    assert check.main(["test", "good"]) == 0
    assert "bad" not in capfd.readouterr().out
    with pytest.raises(SystemExit):
        check.main(["test", "other"])
    assert "test has bad, good; not other" in capfd.readouterr().err


def test_every_tier_is_a_target():
    text = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"tools/check.py {tier} $(PARTS)" in text for tier in check.TIERS)


@pytest.mark.parametrize("file", MUTANTS)
def test_every_mutant_can_be_made(file):
    text = (ROOT / file).read_text("utf-8")
    for before, after in MUTANTS[file]["changes"]:
        assert text.count(before) == 1 and before != after, before
    assert all((ROOT / "tests" / name).exists() for name in MUTANTS[file]["tests"])
