"""``companion run``: a notebook, its parameters, and what comes out, whole or not at all."""

import argparse
import ast
import json
import os
import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from companion import __version__
from companion.cli.places import Problem, find, installed, notebooks_folder
from companion.parameters import unknown

# nbconvert's page without its four links to other machines
PAGE = """{% extends "lab/index.html.j2" %}
{% block html_head_js_requirejs %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{{ resources.mathjax }}{% endblock %}"""

MATHJAX = """<script>
MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], tags: "ams"},
  options: {enableMenu: false},
};
</script>"""


def run(arguments: argparse.Namespace) -> int:
    """Execute a notebook with parameters; keep notebook, page and numbers, or nothing at all."""
    notebook = find(notebooks_folder(), arguments.notebook, "[0-9][0-9]_*.ipynb")
    given = {name: _value(text) for name, text in arguments.p}
    short = {name: getattr(arguments, name) for name in ("profile", "seed", "device")}
    given |= {name: value for name, value in short.items() if value is not None}
    parameters = _parameters(notebook, given)
    profile = parameters.get("profile", "quick")
    target = arguments.output or Path("runs") / f"{notebook.stem}-{profile}"
    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise Problem(f"-o must name a folder, but {target} is a file", 2)
    beside = next(parent for parent in target.parents if parent.is_dir())  # the same file system
    with tempfile.TemporaryDirectory(prefix=".companion-run-", dir=beside) as scratch:
        _execute(notebook, Path(scratch), given, parameters)
        target.mkdir(parents=True, exist_ok=True)
        for name in (f"{notebook.stem}.ipynb", f"{notebook.stem}.html", "results.json"):
            os.replace(Path(scratch) / name, target / name)
    print(target)
    return 0


def _value(text: str) -> Any:
    """A value as papermill's ``-p`` reads it.

    >>> [_value(text) for text in ("5", "0.1", "True", "None", "quick")]
    [5, 0.1, True, None, 'quick']
    """
    for read in ({"True": True, "False": False, "None": None}.__getitem__, int, float):
        try:
            return read(text)
        except (KeyError, ValueError):
            continue
    return text


def _parameters(notebook: Path, given: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a notebook, the defaults overwritten; unknown names are refused."""
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    for name in given:
        if name not in known:
            raise Problem(f"{notebook.stem}: {unknown(name, known)}", 2)
    return {name: ast.literal_eval(p["default"]) for name, p in known.items()} | given


def _execute(notebook: Path, scratch: Path, given: dict, parameters: dict) -> None:
    """Write the executed notebook, its page and its numbers into a scratch folder."""
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    from companion import claims

    executed = scratch / notebook.name
    began = time.perf_counter()
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters=given,
            cwd=str(notebook.parent),
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            extra_arguments=["--log-level=ERROR"],  # of the kernel; errors in cells come back
        )
    except papermill.PapermillExecutionError as error:
        first = error.source.strip().partition("\n")[0]
        where = f"{notebook.stem} stopped at In [{error.exec_count}] ({first})"
        raise Problem(f"{where}: {error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        raise Problem(f"{notebook.stem}: the kernel died; is the memory full?") from error
    seconds = round(time.perf_counter() - began, 1)
    read = nbformat.read(executed, as_version=4)
    results = {
        "notebook": notebook.stem,
        "profile": parameters.get("profile"),
        "device": parameters.get("device"),
        "parameters": parameters,
        "numbers": claims.collect(read),
        "claims": claims.collect(read, claims.CLAIM_MIME),
        "versions": {"companion": __version__, "python": platform.python_version()}
        | {name: installed(name) for name in ("torch", "numpy")},
        "seconds": seconds,
    }
    (scratch / f"{notebook.stem}.html").write_text(_page(read, notebook.stem), "utf-8")
    (scratch / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _page(notebook: Any, title: str) -> str:
    """The notebook as one HTML file that asks the network for nothing.

    Formulas are typeset where the ``book`` extra has put MathJax; elsewhere they stay TeX.
    """
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"page.html.j2": PAGE})],
        template_file="page.html.j2",
        embed_images=True,
    )
    resources = {"metadata": {"name": title}, "mathjax": _mathjax()}
    return exporter.from_notebook_node(notebook, resources)[0]


def _mathjax() -> str:
    """MathJax and its settings as scripts to embed, or nothing where it is not installed."""
    if not installed("sphinx-mathjax-offline"):
        return ""
    files = metadata.files("sphinx-mathjax-offline")
    program = next(file for file in files if file.name == "tex-svg.js")
    return f"{MATHJAX}<script>{program.read_text('utf-8')}</script>"
