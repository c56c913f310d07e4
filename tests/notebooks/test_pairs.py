"""Each notebook is made from its source, has run, and is shaped as all of them are."""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path
from statistics import median

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
ASSIGNMENTS = sorted(FOLDER.glob("assignments/[!_]*.py"))

every = pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
with_assignments = pytest.mark.parametrize(
    "source", NOTEBOOKS + ASSIGNMENTS, ids=lambda path: path.stem
)


@cache
def pair(source):
    """The source and the notebook that was made from it."""
    made = source.with_suffix(".ipynb")
    assert made.exists(), f"{made.name} is missing: make notebooks"
    return jupytext.read(source), nbformat.read(made, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def test_there_are_notebooks():
    if not FOLDER.is_dir():
        pytest.skip("no notebooks yet")
    assert NOTEBOOKS
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in NOTEBOOKS}


@with_assignments
def test_cells_equal_the_sources(source):
    ours, made = pair(source)
    assert len(ours.cells) == len(made.cells)
    for number, (a, b) in enumerate(zip(ours.cells, made.cells, strict=True)):
        assert (a.cell_type, a.source) == (b.cell_type, b.source), f"cell {number}: make notebooks"
        assert a.metadata == b.metadata, f"cell {number}: make notebooks"


@with_assignments
def test_it_was_made_from_this_source(source):
    ours, made = pair(source)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    assert ours.metadata["kernelspec"] == made.metadata["kernelspec"] == kernel
    digest = hashlib.sha256(source.read_text("utf-8").encode()).hexdigest()
    assert made.metadata["companion"]["source_sha256"] == digest, "make notebooks"


@with_assignments
def test_it_ran_from_top_to_bottom(source):
    _, made = pair(source)
    assert [c.execution_count for c in code(made)] == list(range(1, len(code(made)) + 1))
    assert made.metadata["companion"]["seconds"] > 0
    outputs = [output for cell in code(made) for output in cell.outputs]
    assert outputs and not [o for o in outputs if o.output_type == "error"]


@every
def test_parameters_are_literals_and_guarded(source):
    ours = jupytext.read(source)
    where = [number for number, cell in enumerate(ours.cells) if "parameters" in tags(cell)]
    assert len(where) == 1
    for statement in ast.parse(ours.cells[where[0]].source).body:
        ast.literal_eval(statement.value)
    guard = ours.cells[where[0] + 1]
    assert guard.cell_type == "code" and "guard(" in guard.source


@every
def test_predictions_are_left_to_the_reader(source):
    for cell in code(jupytext.read(source)):
        for found in re.findall(r"^prediction = .*", cell.source, re.MULTILINE):
            assert found.startswith("prediction = None  # "), found


@every
def test_cells_are_short(source):
    ours = jupytext.read(source)
    lines = [len(cell.source.splitlines()) for cell in ours.cells]
    assert max(lines) <= 25, f"cell {lines.index(max(lines))} has {max(lines)} lines"
    assert median(len(cell.source.splitlines()) for cell in code(ours)) <= 4


@with_assignments
def test_pictures_have_alt_text(source):
    _, made = pair(source)
    for cell in made.cells:
        for words in alt_texts(cell):
            assert words and len(words.strip()) > 10, f"no alt text: {cell.source}"


def alt_texts(cell):
    """The words for each picture of a cell: its own, or those of the cell."""
    told = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    for output in cell.get("outputs", ()):
        for kind, data in output.get("data", {}).items():
            if kind.startswith("image/"):
                yield output.metadata.get(kind, {}).get("alt", told)
            if kind == "text/html":
                yield from map(alt_of_tag, re.findall(r"<img\b[^>]*", data))
    if cell.cell_type == "markdown":
        yield from re.findall(r"!\[(.*?)\]\(", cell.source, re.DOTALL)
        yield from map(alt_of_tag, re.findall(r"<img\b[^>]*", cell.source))


def alt_of_tag(tag):
    found = re.search(r"""\balt=(["'])(.*?)\1""", tag, re.DOTALL)
    return found and found[2]


@with_assignments
def test_no_widget_state_is_stored(source):
    _, made = pair(source)
    text = source.with_suffix(".ipynb").read_text("utf-8")
    assert "application/vnd.jupyter.widget-" not in text
    assert not {"widgets", "papermill", "jupytext"} & set(made.metadata)
    assert not [cell for cell in made.cells if "execution" in cell.metadata]
