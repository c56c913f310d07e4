"""`companion lab`: the user's copy of the notebooks, and how JupyterLab is started on it."""

import json
import os
from pathlib import Path

import nbformat
import pytest

from companion import cli
from companion.cli import health, jupyterlab, saving
from companion.cli.jupyterlab import edited, lab_command


@pytest.fixture
def originals(tmp_path, monkeypatch):
    """Two notebooks and what lies beside them; JupyterLab's command instead of JupyterLab."""
    folder = tmp_path / "clone" / "notebooks"
    (folder / "assignments").mkdir(parents=True)
    for name in ("00_start", "01_more", "assignments/ps1"):
        write(folder / f"{name}.ipynb", "1 + 1")
        (folder / f"{name}.py").write_text("1 + 1")
    monkeypatch.setenv("COMPANION_NOTEBOOKS", str(folder))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")  # put back afterwards, like the folder
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(jupyterlab, "become", lambda command: commands.append(command))
    return folder


commands = []


def write(path, source, outputs=()):
    cell = nbformat.v4.new_code_cell(source, outputs=list(outputs))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def source(path):
    return nbformat.read(path, 4).cells[0].source


def start(copy, capsys):
    """Start on a copy; what was said about it."""
    assert cli.main(["lab", "--folder", str(copy), "--no-browser"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"your notebooks are in {copy}"
    return rest


@pytest.fixture
def copy(originals, tmp_path, capsys):
    """A copy that has been started once, with notebook 00 edited."""
    folder = tmp_path / "deep" / "my notebooks"
    assert start(folder, capsys) == []
    write(folder / "00_start.ipynb", "my work")
    return folder


def test_the_copy_holds_notebooks_only(copy, originals):
    names = sorted(path.name for path in copy.iterdir())
    assert names == [".companion.json", "00_start.ipynb", "01_more.ipynb"]
    assert (copy / "01_more.ipynb").read_bytes() == (originals / "01_more.ipynb").read_bytes()


def test_new_and_changed_notebooks_come_and_edited_ones_stay(copy, originals, capsys):
    printed = nbformat.v4.new_output("stream", name="stdout", text="2")
    write(copy / "01_more.ipynb", "1 + 1", [printed])  # run, not edited
    for name in ("00_start", "01_more", "02_new"):
        write(originals / f"{name}.ipynb", "2 + 2")
    (said,) = start(copy, capsys)
    assert said.startswith("00_start.ipynb: yours is edited") and "rename yours" in said
    assert [source(path) for path in sorted(copy.glob("*.ipynb"))] == ["my work", "2 + 2", "2 + 2"]
    (copy / "00_start.ipynb").rename(copy / "mine.ipynb")
    assert start(copy, capsys) == []
    assert source(copy / "00_start.ipynb") == "2 + 2" and source(copy / "mine.ipynb") == "my work"


def test_an_edited_notebook_is_not_spoken_of_while_there_is_no_newer(copy, capsys):
    assert start(copy, capsys) == []
    assert source(copy / "00_start.ipynb") == "my work" and edited(copy) == ["00_start.ipynb"]


def test_nothing_is_deleted_where_an_original_is_gone(copy, originals, capsys):
    (originals / "01_more.ipynb").unlink()
    assert start(copy, capsys) == [] and (copy / "01_more.ipynb").exists()


@pytest.mark.parametrize("state", [None, b"", b"[]", b'{"00_start.ipynb": 3}', b"\xff\xfe\xff"])
def test_without_its_state_all_that_differs_counts_as_edited(copy, originals, capsys, state):
    (copy / ".companion.json").unlink()
    if state is not None:
        (copy / ".companion.json").write_bytes(state)
    write(originals / "01_more.ipynb", "2 + 2")
    assert len(start(copy, capsys)) == 2
    assert [source(path) for path in sorted(copy.glob("*.ipynb"))] == ["my work", "1 + 1"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 3}', b'{"cells": [{}]}'])
def test_what_is_no_notebook_is_left_alone_too(copy, originals, capsys, content):
    (copy / "01_more.ipynb").write_bytes(content)
    write(originals / "01_more.ipynb", "2 + 2")
    assert start(copy, capsys)[0].startswith("01_more.ipynb: yours is edited")
    assert (copy / "01_more.ipynb").read_bytes() == content


@pytest.mark.parametrize("place", [".", "notebooks", "notebooks/copy"])
def test_the_originals_are_no_place_for_a_copy(originals, capsys, place):
    before = sorted(originals.parent.rglob("*"))
    assert cli.main(["lab", "--folder", place]) == 2
    assert "to edit those: companion lab --here" in capsys.readouterr().err
    assert sorted(originals.parent.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_named(originals, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["lab", "--folder", str(tmp_path / "file")]) == 1
    message = capsys.readouterr().err
    assert str(tmp_path / "file") in message and "--folder DIR" in message


def test_no_notebooks_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_NOTEBOOKS", str(tmp_path / "nowhere"))
    assert cli.main(["lab"]) == 1
    assert "no notebooks in" in capsys.readouterr().err


def test_lab_stays_on_this_machine_and_keeps_its_token(originals):
    command = lab_command(originals, ["--no-browser"])
    assert "--ServerApp.ip=127.0.0.1" in command and command[-1] == "--no-browser"
    assert f"--ServerApp.root_dir={originals}" in command
    assert "--LabApp.default_url=/lab/tree/00_start.ipynb" in command
    assert not any("token" in option or "password" in option for option in command)


def test_here_opens_the_originals_and_passes_on_what_lab_does_not_know(originals):
    before = sorted(originals.parent.rglob("*"))
    assert cli.main(["lab", "--here", "--no-browser", "--port=9999"]) == 0
    assert commands[-1][-2:] == ["--no-browser", "--port=9999"]
    assert f"--ServerApp.root_dir={originals.parent}" in commands[-1]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start.ipynb" in commands[-1]
    assert sorted(originals.parent.rglob("*")) == before
    config = Path(os.environ["JUPYTER_CONFIG_PATH"]) / "labconfig"
    assert json.loads((config / "page_config.json").read_text())["disabledExtensions"]


def test_doctor_names_a_copy_that_is_there(copy, monkeypatch):
    monkeypatch.setattr(health, "WORKING_COPY", copy)
    assert health.working_copy() == [("ok", f"notebooks in {copy}, 1 edited", "")]
    monkeypatch.setattr(health, "WORKING_COPY", copy / "none")
    assert health.working_copy() == []


def test_saving_keeps_only_sliders_that_are_stored():
    view = lambda id, **more: {"data": {saving.WIDGET: {"model_id": id}, **more}}  # noqa: E731
    picture, text = {"image/png": "iVBORw0"}, {"text/plain": "VBox()"}
    outputs = [
        view("here", **text),
        view("gone", **text),
        view("gone", **picture),
        {"data": picture},
    ]
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": outputs}]
    metadata = {"widgets": {saving.STATE: {"state": {"here": {}}}}}
    saving.before_saving({"type": "notebook", "content": {"cells": cells, "metadata": metadata}})
    assert cells[1]["outputs"] == [view("here", **text), {"data": picture}, {"data": picture}]
    for model in ({"type": "file", "content": "x"}, {"type": "notebook", "content": None}):
        saving.before_saving(model)
