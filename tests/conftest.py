"""Every test starts from one seed, on two threads alone, on one beside others; long files first."""

import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import settings

SLOW = Path(__file__).with_name("slow.txt")
LONG = 1.0  # seconds that a function's cases may take together before it is slow

settings.register_profile("companion", deadline=None)
settings.load_profile("companion")
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def function(nodeid):
    """A test without its case."""
    return nodeid.partition("[")[0]


def pytest_addoption(parser):
    parser.addoption("--record-slow", action="store_true", help=f"write {SLOW.name}")


def pytest_collection_modifyitems(items):
    names = set(SLOW.read_text("utf-8").split())
    for item in items:
        if function(item.nodeid) in names:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("browser", "book"))))


def pytest_terminal_summary(terminalreporter, config):
    """What took long in this run, of all tests on a quiet machine, is slow from now on."""
    if config.getoption("record_slow"):
        seconds = Counter()
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports(""):
            seconds[function(report.nodeid)] += report.duration
        names = sorted(name for name, taken in seconds.items() if taken > LONG)
        SLOW.write_text("".join(f"{name}\n" for name in names), "utf-8")
