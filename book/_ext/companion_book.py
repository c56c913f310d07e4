"""Notebooks as chapters, without running any of them.

Each ``notebooks/NN_*.py`` is a chapter; its outputs come from the executed ``.ipynb`` beside it,
through MyST-NB's cache. Where a notebook shows an explorable, the chapter gets a panel instead.
"""

import hashlib
import json
import re
import shutil
from base64 import b64decode
from pathlib import Path

import jupytext
import nbformat
import plotly
from docutils import nodes
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbformat import NotebookNode
from panels import draw_lattices, panel
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

from companion.lab.claims import CLAIM_MIME
from companion.lab.claims import MIME as RESULTS
from companion.lab.widgets import MIME as EXPLORABLE
from figures.surfaces import PLOTLY

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"


class StaleNotebookError(SphinxError):
    """A notebook's outputs are missing or belong to other code."""

    category = "Stale notebook"


def setup(app: Sphinx) -> dict:
    app.add_config_value("companion_notebooks", str(NOTEBOOKS), "env", str)
    app.connect("builder-inited", prepare)
    app.connect("source-read", adapt)
    app.connect("doctree-read", describe_pictures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def prepare(app: Sphinx) -> None:
    """Everything that must exist before the first page is read."""
    folder = Path(app.config.companion_notebooks)
    sources = sorted(folder.glob("[0-9][0-9]_*.py"))
    copy_chapters(sources, Path(app.srcdir) / "notebooks")
    cache, app.companion_told, shown = get_cache(app.config.nb_execution_cache_path), {}, set()
    static = Path(app.srcdir) / "_static"
    for source in sources:
        notebook = executed(source)
        app.companion_told |= told(notebook)
        shown |= for_the_web(notebook, static)
        cache.cache_notebook_bundle(CacheBundleIn(notebook, str(source)), overwrite=True)
    draw_lattices(sorted(shown), static / "explorables")


def copy_chapters(sources: list[Path], target: Path) -> None:
    """Make ``target`` hold these files and no other; what has not changed is left alone."""
    target.mkdir(exist_ok=True)
    for old in target.glob("*.py"):
        if old.name not in {source.name for source in sources}:
            old.unlink()
    for source in sources:
        copy = target / source.name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            shutil.copyfile(source, copy)


def executed(source: Path) -> NotebookNode:
    """The source as a notebook, with the outputs of the executed file beside it.

    Raises:
        StaleNotebookError: when that file is missing or its code is not the source's.
    """
    made = source.with_suffix(".ipynb")
    cure = f"run: make notebooks NB={source.stem[:2]}"
    if not made.exists():
        raise StaleNotebookError(f"book: {made.name} is missing; {cure}")
    notebook, outputs = jupytext.read(source), nbformat.read(made, as_version=4)
    ours, theirs = code_cells(notebook), code_cells(outputs)
    if [cell.source for cell in ours] != [cell.source for cell in theirs]:
        raise StaleNotebookError(
            f"book: {made.name} was not made from {source.name} as it is; {cure}"
        )
    for number, (cell, ran) in enumerate(zip(ours, theirs, strict=True), 1):
        if ran.execution_count != number:
            raise StaleNotebookError(f"book: {made.name} did not run from top to bottom; {cure}")
        cell.execution_count, cell.outputs = number, ran.outputs
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_with_data(notebook: NotebookNode) -> list[NotebookNode]:
    return [out for cell in code_cells(notebook) for out in cell.outputs if "data" in out]


def told(notebook: NotebookNode) -> dict[str, dict]:
    """What is said about each picture, alt text and width, by the SHA-256 sum of the picture."""
    pictures = [out for out in outputs_with_data(notebook) if "image/png" in out.data]
    return {
        hashlib.sha256(b64decode(out.data["image/png"])).hexdigest(): about
        for out in pictures
        if "alt" in (about := out.metadata.get("image/png", {}))
    }


def for_the_web(notebook: NotebookNode, static: Path) -> set[str]:
    """Replace explorables by panels, drop what a page cannot show; which explorables there are."""
    shown = set()
    for cell in code_cells(notebook):
        kept = [out for out in cell.outputs if WIDGET not in out.get("data", ())]
        cell.outputs = [each for out in kept for each in (out, *to_turn(out, static / "turnables"))]
    for output in outputs_with_data(notebook):
        output.data.pop(RESULTS, None)
        output.data.pop(CLAIM_MIME, None)
        if mark := output.data.get(EXPLORABLE):
            shown.add(mark["name"])
            alt = output.metadata["image/png"]["alt"]
            made = panel(mark, output.data["image/png"], alt, static / "explorables")
            output.data, output.metadata = {"text/html": made}, {}
    return shown


def to_turn(output: NotebookNode, folder: Path) -> list[NotebookNode]:
    """A Plotly figure as a further output below its picture; its numbers go into a script."""
    figure = output.get("data", {}).pop(PLOTLY, None)
    if figure is None:
        return []
    call = (
        f"{json.dumps(figure['data'])}, {json.dumps(figure['layout'])}, {{displayModeBar: false}}"
    )
    name = f"turn-{hashlib.sha256(call.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", folder)
    (folder / f"{name}.js").write_text(f'Plotly.newPlot("{name}", {call});\n', "utf-8")
    scripts = [f'<script src="../_static/turnables/{n}.js"></script>' for n in ("plotly.min", name)]
    html = "\n".join([f'<div id="{name}"></div>', *scripts])
    return [nbformat.v4.new_output("display_data", {"text/html": html})]


def adapt(app: Sphinx, docname: str, text: list[str]) -> None:
    """Point links between notebooks at chapters."""
    if docname.startswith("notebooks/"):
        made = Path(app.config.companion_notebooks) / Path(docname).with_suffix(".ipynb").name
        app.env.note_dependency(str(made))  # new outputs make a new page
        text[0] = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](\1.py)", text[0])


def describe_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Give each picture that a notebook made the alt text and the width that came with it."""
    for image in doctree.findall(nodes.image):
        if about := app.companion_told.get(Path(image["uri"]).stem):  # MyST-NB names it by its sum
            image["alt"] = about["alt"]
            if "width" in about:
                image["width"] = f"{about['width']}px"
