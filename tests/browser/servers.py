"""A JupyterLab server of a test's own, and a notebook that is run in a browser."""

import os
import re
import secrets
import socket
import time
import urllib.request
from contextlib import contextmanager

import psutil


@contextmanager
def serving(command, log, config, cwd=None, **environment):
    """The address of a server and its token, while it runs; all cells are then in the page."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    token = secrets.token_hex(8)
    options = (
        f"--no-browser --port={port} --ServerApp.port_retries=0 "
        f"--IdentityProvider.token={token} --LabApp.expose_app_in_browser=True"
    )
    tracker = config / "lab" / "user-settings" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"} | environment
    environment["JUPYTER_CONFIG_DIR"] = str(config)
    with log.open("w") as file:
        server = psutil.Popen(
            [*command, *options.split()], stdout=file, stderr=file, env=environment, cwd=cwd
        )
    try:
        _wait(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
        yield f"http://127.0.0.1:{port}", token
    finally:
        ours = [*server.children(recursive=True), server]  # on Windows the server is a child
        for process in ours:
            process.terminate()
        psutil.wait_procs(ours, 20)


def _wait(address, server, log, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()}")


CURRENT = "window.jupyterapp?.shell.currentWidget?.sessionContext"  # else Run has nothing to run
READY = f"""async () => {{
  await {CURRENT}.ready;
  await {CURRENT}.session.kernel.info;
}}"""


def open_and_run(browser, address, seconds):
    """Open a notebook, run all of it, and wait until nothing is left to run."""
    from playwright.sync_api import expect  # here: most tests need no browser

    page = browser.new_page(viewport={"width": 1300, "height": 1100})
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_selector('[data-status="idle"]', timeout=60_000, state="attached")
    assert not page.locator("text=Select Kernel").is_visible()
    # a folded cell has a placeholder without a number
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)")
    page.locator(".jp-CodeCell .jp-InputPrompt:visible").first.click()
    page.wait_for_function(CURRENT, timeout=60_000)
    page.evaluate(READY)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('[data-command="runmenu:run-all"]').click()
    waiting = prompts.filter(has_not_text=re.compile(r"\[\d+\]"))
    expect(waiting).to_have_count(0, timeout=seconds * 1000)
    page.wait_for_function(f"{CURRENT}.session.kernel.status === 'idle'", timeout=seconds * 1000)
    return page
