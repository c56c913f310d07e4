"""A student's work, through a real server: edits stay, the clone stays clean, sliders come back."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from servers import CURRENT, open_and_run, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EDIT = "my_answer = 42"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
PANEL = """\
from figures.explorables.sinusoid import EXPLORABLE
from companion.lab.widgets import explore

explore(EXPLORABLE, noise=(0.1,))"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with a notebook and its source, and one that shows sliders; all committed."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "notebooks").mkdir()
    for path in ("jupytext.toml", ".gitignore", *map(str, ROOT.glob("notebooks/02_*"))):
        name = Path(path).name
        target = folder / "notebooks" / name if name[0] == "0" else folder / name
        target.write_bytes((ROOT / path).read_bytes())
    cells = [nbformat.v4.new_code_cell(PANEL)]
    sliders = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(sliders, folder / "notebooks" / "00_sliders.ipynb")
    git(folder, "init")
    git(folder, "add", "-A")
    git(
        folder,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.c",
        "-c",
        "commit.gpgsign=false",
        "commit",
        "-m",
        "all",
    )
    return folder


def git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def server(request, clone, tmp_path_factory):
    """What `companion lab` serves: the address, the token, and the folder of its notebooks."""
    copy, config = tmp_path_factory.mktemp("user") / "my notebooks", tmp_path_factory.mktemp("c")
    own = request.param == "a copy"
    command = [
        sys.executable,
        "-m",
        "companion",
        "lab",
        *(["--folder", str(copy)] if own else ["--here"]),
    ]
    places = {"COMPANION_NOTEBOOKS": str(clone / "notebooks"), "PYTHONPATH": str(ROOT)}
    with serving(command, config / "log", config, cwd=clone, **places) as (base, token):
        yield base, token, copy if own else clone / "notebooks"


def served(*what):
    return pytest.mark.parametrize("server", what, indirect=True, scope="module")


def contents(server, path, model=None):
    """What the server has, or, with a model, saving it."""
    base, token, folder = server
    name = path if folder.name != "notebooks" else f"notebooks/{path}"
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    data = json.dumps(model).encode() if model else None
    address = f"{base}/api/contents/{name}"
    request = urllib.request.Request(address, data, headers, method="PUT" if model else "GET")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@served("a copy", "the clone")
def test_an_edit_made_elsewhere_opens_and_is_saved(server, clone):
    """As VS Code does: the .ipynb alone; git then makes it older or newer than the .py."""
    (file,) = server[2].glob("02_*.ipynb")
    notebook = nbformat.read(file, 4)
    notebook.cells.insert(1, nbformat.v4.new_code_cell(EDIT))
    nbformat.write(notebook, file)
    for hours in (-1, 1):
        now = file.stat().st_mtime
        os.utime(file, (now, now + 3600 * hours))
        model = contents(server, file.name)
        cells = [cell["source"] for cell in model["content"]["cells"]]
        assert cells == [cell.source for cell in notebook.cells]
        contents(server, file.name, {k: model[k] for k in ("type", "format", "content")})
        saved = nbformat.read(file, 4)
        assert [(c.id, c.source) for c in saved.cells] == [(c.id, c.source) for c in notebook.cells]
    assert ".py" not in git(clone, "status", "--porcelain").replace(".ipynb", "")


@pytest.mark.browser
@served("a copy")
def test_sliders_are_there_when_a_saved_notebook_is_opened_again(server, browser, screenshot):
    base, token, folder = server
    address = f"{base}/lab/workspaces/w/tree/00_sliders.ipynb?token={token}"
    page = open_and_run(browser, address, 60)
    sliders, picture = ".companion-panel svg", ".jp-OutputArea-output > img"
    page.wait_for_selector(sliders)
    for shown in (sliders, picture):  # JupyterLab does not save sliders without a kernel again
        page.evaluate("window.jupyterapp.shell.currentWidget.context.save()")
        page.evaluate(f"{CURRENT}.shutdown()")
        page.close()
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(shown, timeout=60_000)
        page.wait_for_function(f"{CURRENT}?.session?.kernel", timeout=60_000)
        screenshot(page, f"student-reopened-{shown[1:5]}")
        assert "model not found" not in page.inner_text(".jp-Notebook")
    page.close()


@served("a copy")
def test_the_clone_is_as_it_was(server, clone):
    assert git(clone, "status", "--porcelain") == ""
