"""A headless Chromium and a JupyterLab on loopback."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SMALL = """\
from companion.explorables.sinusoid import EXPLORABLE
from companion.widgets import explore

explore(EXPLORABLE, noise=(0.1,))"""


@pytest.fixture(scope="session")
def browser():
    """Chromium, or a skip that says why; with COMPANION_REQUIRE_BROWSER a failure."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = "no Chromium on this machine's PATH"
        (pytest.fail if os.environ.get("COMPANION_REQUIRE_BROWSER") else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a running JupyterLab with a small notebook and notebook 02, as a function."""
    folder = tmp_path_factory.mktemp("lab")
    spec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    cells = [nbformat.v4.new_code_cell(SMALL)]
    small = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    nbformat.write(small, folder / "small.ipynb")
    (real,) = (ROOT / "notebooks").glob("02_*.ipynb")
    shutil.copy(real, folder / "real.ipynb")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    token, log = secrets.token_hex(8), (folder / "log").open("w")
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None",
    ]  # fmt: skip
    config = tmp_path_factory.mktemp("config")
    tracker = config / "lab" / "user-settings" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)  # all cells in the page, not only those on the screen
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(config), "OMP_WAIT_POLICY": "PASSIVE"}
    server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    base = f"http://127.0.0.1:{port}/lab"
    try:
        _wait(f"{base}?token={token}", server, folder / "log")
        yield lambda name: f"{base}/workspaces/{name}/tree/{name}.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(20)


def _wait(address, server, log, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()}")


@pytest.fixture
def screenshot():
    """Save a picture of a page where COMPANION_SCREENSHOTS says, to be looked at."""

    def save(page, name):
        folder = os.environ.get("COMPANION_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return save
