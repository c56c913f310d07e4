"""Every test starts from one seed, on two threads alone, on one beside others; long files first."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

SLOW = Path(__file__).with_name("slow.txt")
LONG = 1.0  # seconds that a function's cases may take together before it is slow
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema builds its grammars, for seconds


def pytest_collection():
    """Set up what tests are imported into, but not the process that only hands them out."""
    import torch
    from hypothesis import settings

    settings.register_profile("companion", deadline=None)
    settings.load_profile("companion")
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(autouse=True)
def seed():
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser():
    """Chromium, or a skip that says why; with COMPANION_REQUIRE_BROWSER a failure."""
    from playwright.sync_api import sync_playwright  # only here: most tests need no browser

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = "no Chromium on this machine's PATH"
        (pytest.fail if os.environ.get("COMPANION_REQUIRE_BROWSER") else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def screenshot():
    """Save a picture of a page where COMPANION_SCREENSHOTS says, to be looked at."""

    def save(page, name):
        folder = os.environ.get("COMPANION_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return save


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
