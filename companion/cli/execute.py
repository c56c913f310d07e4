"""``companion run``: a notebook, its parameters, and what comes out, whole or not at all."""

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from companion import __version__
from companion.choices import PROFILES, unknown
from companion.cli.places import Problem, find, installed, notebooks_folder, user_path
from companion.cli.saving import dead
from companion.lab.parameters import of_notebook

FOLDERS = ("directory", "runs")  # the parameters that name folders

# nbconvert's page without its four links to other machines; its lab template loses alt texts
PAGE = """{% extends "lab/index.html.j2" %}
{% block html_head_js_requirejs %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{{ resources.mathjax }}{% endblock %}
{% block extra_css %}<style>
body.jp-Notebook { margin: 0 auto; max-width: 62rem; }
.jp-MarkdownOutput { max-width: 48rem; }
</style>{% endblock %}
{% block body_header %}{{ super() }}
<p class="jp-MarkdownOutput">{{ resources.settings | escape_html }}</p>{% endblock %}
{% block data_png scoped %}<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
 alt="{{ (output | get_metadata('alt', 'image/png') or '') | escape_html }}"
 width="{{ output | get_metadata('width', 'image/png') or '' }}"></div>{% endblock %}"""

MATHJAX = """<script>
MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], tags: "ams"},
  options: {enableMenu: false},
};
</script>"""


def run(arguments: argparse.Namespace) -> int:
    """Execute a notebook with parameters; keep notebook, page and numbers, or nothing at all."""
    notebook = find(notebooks_folder(), arguments.notebook, "[0-9][0-9]_*.ipynb")
    given = dict(map(_given, arguments.p))
    short = {name: getattr(arguments, name) for name in ("profile", "seed", "device")}
    given |= {name: value for name, value in short.items() if value is not None}
    content, parameters = _read(notebook, given)
    profile = parameters.get("profile", PROFILES[0])
    if profile not in PROFILES:
        raise Problem(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}", 2)
    target = (arguments.output or Path("runs") / f"{notebook.stem}-{profile}").absolute()
    names = [f"{notebook.stem}.ipynb", f"{notebook.stem}.html", "results.json"]
    with _place(target, names) as scratch:
        _execute(notebook, content, scratch, given, parameters)
    print(target)
    return 0


@contextmanager
def _place(target: Path, names: list[str]) -> Iterator[Path]:
    """A folder to write in, whose files go into ``target`` at the end, all of them or none.

    It lies in the target, on its file system, and is made first: what cannot be written is found
    before the work, not after it.
    """
    if odd := [target / name for name in names if os.path.isdir(target / name)]:
        raise Problem(f"{odd[0]} is a folder; -o names another place", 2)
    with ExitStack() as undo:
        for place in reversed([p for p in (target, *target.parents) if not os.path.lexists(p)]):
            undo.callback(_remove_empty, place)  # the innermost first, unless a run has filled it
        with _writing(target):
            target.mkdir(parents=True, exist_ok=True)
            temporary = tempfile.TemporaryDirectory(prefix=".companion-run-", dir=target)
            scratch = Path(undo.enter_context(temporary))
            made, kept = scratch / "made", scratch / "before"
            made.mkdir()
            kept.mkdir()
        yield made
        with _writing(target):
            _exchange(made, target, kept, names)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Say of an error that it came from writing there."""
    try:
        yield
    except OSError as error:
        raise Problem(f"cannot write to {target}: {error.strerror or error}", 2) from error


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _exchange(made: Path, target: Path, kept: Path, names: list[str]) -> None:
    """Put new files in place of old ones; when one cannot be moved, the old ones come back."""
    moved: list[tuple[Path, Path]] = []
    try:
        for name in names:
            for old, new in ((target / name, kept / name), (made / name, target / name)):
                if old.exists():
                    os.replace(old, new)
                    moved.append((new, old))
    except BaseException:
        for new, old in reversed(moved):
            os.replace(new, old)
        raise


def _given(word: str) -> tuple[str, Any]:
    """One ``NAME=VALUE``; a folder is meant from where the command was called.

    >>> _given("beta=-1e-3"), _given("dataset=a=b")
    (('beta', -0.001), ('dataset', 'a=b'))
    """
    name, equals, text = word.partition("=")
    if not (name and equals):
        raise Problem(f"-p {word}: {'a value' if name else 'a name'} is missing: -p NAME=VALUE", 2)
    if name in FOLDERS:
        return name, text and str(user_path(text).absolute())
    return name, _value(text)


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


def _read(notebook: Path, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A notebook and all its parameters, the defaults overwritten; unknown names are refused."""
    import nbformat

    try:
        content = nbformat.reads(notebook.read_text("utf-8-sig"), as_version=4)
        known = of_notebook(content)
    except SyntaxError as error:
        raise Problem(f"{notebook.name}: the parameters are no Python: {error}", 2) from error
    except (OSError, ValueError) as error:
        raise Problem(f"cannot read {notebook}: {error}", 2) from error
    for name in given:
        if name not in known:
            raise Problem(f"{notebook.stem}: {unknown(name, known)}", 2)
    return content, known | given


def _execute(notebook: Path, content: Any, scratch: Path, given: dict, parameters: dict) -> None:
    """Write the executed notebook, its page and its numbers into a scratch folder."""
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    from companion.lab import claims

    logging.getLogger("papermill").setLevel(logging.ERROR)  # it misreads names; ours are checked
    began = time.perf_counter()
    try:
        read = papermill.execute_notebook(
            content,  # no path: papermill takes its braces for parameters
            None,
            parameters=given,
            cwd=str(notebook.parent),
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            extra_arguments=["--log-level=CRITICAL"],  # of the kernel; errors in cells come back
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":  # Ctrl-C reaches the kernel as well
            raise KeyboardInterrupt from error
        first = error.source.strip().partition("\n")[0]
        where = f"{notebook.stem} stopped at In [{error.exec_count}] ({first})"
        raise Problem(f"{where}: {error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        raise Problem(f"{notebook.stem}: the kernel died; is the memory full?") from error
    seconds = round(time.perf_counter() - began, 1)
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
    for cell in read.cells:  # no kernel will answer its sliders
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not dead(output)]
    nbformat.write(read, scratch / notebook.name)
    settings = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    page = _page(read, notebook.stem, f"companion run {notebook.stem[:2]}: {settings}")
    (scratch / f"{notebook.stem}.html").write_text(page, "utf-8")
    (scratch / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _page(notebook: Any, title: str, settings: str) -> str:
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
    resources = {"metadata": {"name": title}, "mathjax": _mathjax(), "settings": settings}
    return exporter.from_notebook_node(notebook, resources)[0]


def _mathjax() -> str:
    """MathJax and its settings as scripts to embed, or nothing where it is not installed."""
    if not installed("sphinx-mathjax-offline"):
        return ""
    files = metadata.files("sphinx-mathjax-offline")
    program = next(file for file in files if file.name == "tex-svg.js")
    return f"{MATHJAX}<script>{program.read_text('utf-8')}</script>"
