"""`make notebooks`: what it writes, what it leaves alone, and what a failure leaves behind."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

FILE = Path(__file__).resolve().parents[2] / "tools" / "notebooks.py"
SPEC = importlib.util.spec_from_file_location("make_notebooks", FILE)
make_notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_notebooks)

SOURCE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# Text

# %%
import ipywidgets
ipywidgets.IntSlider()

# %%
6 * 7
"""


@pytest.fixture
def source(tmp_path):
    """The source of a notebook that has been made."""
    path = tmp_path / "00_toy.py"
    path.write_text(SOURCE)
    assert make_notebooks.make(path)
    return path


def made(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def test_outputs_are_stored_without_widgets(source):
    cells = made(source).cells
    assert cells[1].outputs == [] and cells[2].outputs[0].data == {"text/plain": "42"}
    assert made(source).metadata.companion.seconds > 0
    assert [path.name for path in sorted(source.parent.iterdir())] == ["00_toy.ipynb", "00_toy.py"]


def test_a_change_is_made_and_keeps_the_ids_of_the_others(source, capsys):
    before = made(source).cells
    capsys.readouterr()
    assert make_notebooks.make(source) and capsys.readouterr().out == ""  # nothing to do
    source.write_text(SOURCE.replace("# %%\n6 * 7", '# %% tags=["new"]\n"new"\n\n# %%\n6 * 7'))
    assert make_notebooks.make(source)
    after = made(source).cells
    assert [after[i].id for i in (0, 1, 3)] == [cell.id for cell in before]
    assert after[2].outputs[0].data == {"text/plain": "'new'"}


@pytest.fixture
def written_into(source):
    """The source of a notebook whose .ipynb was edited itself, with what that holds."""
    notebook = made(source)
    notebook.cells[2].source = "6 * 8"
    nbformat.write(notebook, source.with_suffix(".ipynb"))
    return source, source.with_suffix(".ipynb").read_bytes()


def test_edits_of_the_notebook_itself_are_not_lost(written_into, capsys):
    source, before = written_into
    for text in (SOURCE, SOURCE.replace("# Text", "# Other")):
        source.write_text(text)
        assert not make_notebooks.make(source)
        assert "00_toy.ipynb was edited itself" in capsys.readouterr().err
    assert not make_notebooks.take_back(source)  # both were edited
    assert "00_toy.py was edited too" in capsys.readouterr().err
    assert source.with_suffix(".ipynb").read_bytes() == before and "Other" in source.read_text()
    assert make_notebooks.make(source, force=True) and made(source).cells[2].source == "6 * 7"


def test_edits_of_the_notebook_itself_can_be_taken_back(written_into):
    source, _ = written_into
    assert make_notebooks.take_back(source)
    assert source.read_text() == SOURCE.replace("6 * 7", "6 * 8")
    assert make_notebooks.make(source) and made(source).cells[2].outputs[0].data == {
        "text/plain": "48"
    }
    assert make_notebooks.take_back(source)  # nothing to do


def test_a_failure_names_the_cell_and_keeps_the_old_notebook(source, capsys):
    before = source.with_suffix(".ipynb").read_bytes()
    source.write_text(SOURCE.replace("6 * 7", "6 / 0"))
    assert not make_notebooks.make(source)
    assert source.with_suffix(".ipynb").read_bytes() == before
    assert len(list(source.parent.iterdir())) == 2
    message = capsys.readouterr().err
    assert "00_toy.py, code cell 2 (6 / 0)" in message and "ZeroDivisionError" in message


def test_names_choose_among_the_sources(tmp_path):
    (tmp_path / "assignments").mkdir()
    for name in ("00_toy", "01_other", "helper", "assignments/ps1", "assignments/_shared"):
        (tmp_path / f"{name}.py").touch()
    stems = lambda names: [p.stem for p in make_notebooks.sources(tmp_path, names)]  # noqa: E731
    assert stems([]) == ["00_toy", "01_other", "ps1"]
    assert stems(["01", "assignments/ps1"]) == ["01_other", "ps1"]
    with pytest.raises(SystemExit, match="begins with 77"):
        stems(["77"])
