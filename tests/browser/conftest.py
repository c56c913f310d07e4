"""Chromium, and pictures of its pages."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def browser():
    """Chromium, or a skip that says why; with COMPANION_REQUIRE_BROWSER a failure."""
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
