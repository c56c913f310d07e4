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

ROOT = Path(__file__).parents[2]
EDIT = "my_answer = 42"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
PANEL = """\
from companion.explorables.sinusoid import EXPLORABLE
from companion.widgets import panel

panel(EXPLORABLE, 0, {"beta": 10.0, "noise": 0.1}, {"noise"})"""


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
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "all")
    return folder


def git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module", params=["a copy", "the clone itself"])
def server(request, clone, tmp_path_factory):
    """What `companion lab` serves: the address, the token, and the folder of its notebooks."""
    copy, config = tmp_path_factory.mktemp("user") / "my notebooks", tmp_path_factory.mktemp("c")
    own = request.param == "a copy"
    command = [
        sys.executable,
        "-m",
        "companion",
        "lab",
        *(["--folder", copy] if own else ["--here"]),
    ]
    places = {"COMPANION_NOTEBOOKS": str(clone / "notebooks"), "PYTHONPATH": str(ROOT)}
    with serving(command, config / "log", config, cwd=clone, **places) as (base, token):
        yield base, token, copy if own else clone / "notebooks"


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


def test_an_edit_made_elsewhere_opens_and_is_saved(server, clone):
    """As VS Code does: the .ipynb alone, which is then newer than the .py, and much newer."""
    (file,) = server[2].glob("02_*.ipynb")
    notebook = nbformat.read(file, 4)
    notebook.cells.insert(1, nbformat.v4.new_code_cell(EDIT))
    nbformat.write(notebook, file)
    os.utime(file, (file.stat().st_atime, file.stat().st_mtime + 3600))
    model = contents(server, file.name)
    assert [c["source"] for c in model["content"]["cells"]] == [c.source for c in notebook.cells]
    contents(server, file.name, {k: model[k] for k in ("type", "format", "content")})
    saved = nbformat.read(file, 4)
    assert [(c.id, c.source) for c in saved.cells] == [(c.id, c.source) for c in notebook.cells]
    assert not [name for name in git(clone, "status", "--porcelain").split() if ".py" in name]


@pytest.mark.browser
def test_sliders_are_there_when_a_saved_notebook_is_opened_again(server, browser, screenshot):
    base, token, folder = server
    if folder.name == "notebooks":
        pytest.skip("as in a copy")
    address = f"{base}/lab/workspaces/w/tree/00_sliders.ipynb?token={token}"
    page = open_and_run(browser, address, 60)
    page.wait_for_selector(".companion-sinusoid img")
    page.evaluate("window.jupyterapp.shell.currentWidget.context.save()")
    page.evaluate(f"{CURRENT}.shutdown()")
    page.close()
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_selector(".companion-sinusoid img")
    screenshot(page, "student-reopened")
    assert "model not found" not in page.inner_text(".jp-Notebook")
    page.close()


def test_the_clone_is_as_it_was(server, clone):
    assert server[2].name == "notebooks" or git(clone, "status", "--porcelain") == ""
