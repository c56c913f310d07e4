"""Make each notebook's .ipynb from its .py: cells from the source, outputs from one run at quick.

Called as ``tools/notebooks.py [--force] [NAME ...]`` with names such as 02 or assignments/ps1. A
notebook whose source has not changed since it was made is left alone; one that fails, or that was
edited itself, keeps its old .ipynb: ``--from-ipynb`` takes such edits into the source. Assignments
run with their reference solutions.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import map_outputs_to_inputs
from jupytext.config import load_jupytext_config
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from companion import atomic
from companion.cli.saving import dead

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
QUICK = 60  # seconds that a notebook may take, on two quiet cores
VOLATILE = ("widgets", "papermill", "jupytext")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 02; default: all")
    parser.add_argument(
        "--force", action="store_true", help="make it although its source is as before"
    )
    help = "make the .py from an .ipynb that was edited itself"
    parser.add_argument("--from-ipynb", action="store_true", help=help)
    arguments = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "2")  # the quick profile's two cores
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    every = sources(NOTEBOOKS, arguments.names)
    step = take_back if arguments.from_ipynb else partial(make, force=arguments.force)
    return int(not all([step(source) for source in every]))


def sources(folder: Path, names: list[str] = ()) -> list[Path]:
    """The sources of notebooks and assignments; of those that begin with one of some names."""
    every = [*sorted(folder.glob("[0-9][0-9]_*.py")), *sorted(folder.glob("assignments/[!_]*.py"))]
    wanted = lambda path: path.relative_to(folder).as_posix().startswith(tuple(names))  # noqa: E731
    found = [path for path in every if not names or wanted(path)]
    if names and not found:
        raise SystemExit(f"notebooks: no source in {folder} begins with {' or '.join(names)}")
    return found


def make(source: Path, force: bool = False) -> bool:
    """Make one notebook; False, with the reason printed and nothing written, when it fails."""
    target = source.with_suffix(".ipynb")
    old = nbformat.read(target, as_version=4) if target.exists() else None
    stamp = fingerprint(source)
    notebook = paired(source, old)
    if not force and fresh(notebook, old, stamp):
        return True
    if not force and edited(old, notebook):
        cure = "--from-ipynb takes the edits into the source, --force drops them"
        print(f"notebooks: {target.name} was edited itself: {cure}", file=sys.stderr)
        return False
    print(f"{source.stem} ...", end=" ", flush=True)
    began = time.perf_counter()
    try:
        execute(notebook, source.parent)
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        print(f"failed\nnotebooks: {where(notebook, source)}: {error}", file=sys.stderr)
        return False
    seconds = round(time.perf_counter() - began, 1)
    clean(notebook)
    stamps = {"source_sha256": stamp, "cells_sha256": cells_sum(notebook)}
    notebook.metadata["companion"] = {**stamps, "seconds": seconds}
    write(notebook, target)
    print(f"{seconds} s" + f", over the {QUICK} s of quick on this machine" * (seconds > QUICK))
    return True


def take_back(source: Path) -> bool:
    """Make a source from its edited notebook; False, with the reason, where both were edited."""
    target = source.with_suffix(".ipynb")
    notebook = nbformat.read(target, as_version=4) if target.exists() else None
    if not edited(notebook, jupytext.read(source)):
        return True
    if stamped(notebook) != fingerprint(source):
        print(f"notebooks: {source.name} was edited too, so {target.name} waits", file=sys.stderr)
        return False
    config = load_jupytext_config(str(NOTEBOOKS))  # which metadata a source has
    atomic.write(source, jupytext.writes(notebook, "py:percent", config=config))
    print(f"{source.name} is made from {target.name}; now: make notebooks")
    return True


def fingerprint(source: Path) -> str:
    """SHA-256 of the text, whatever the platform's line ends."""
    return hashlib.sha256(source.read_text("utf-8").encode()).hexdigest()


def paired(source: Path, old: NotebookNode | None) -> NotebookNode:
    """The source as a notebook without outputs; cells that the old one has keep their ids."""
    notebook = jupytext.read(source)
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first with cell ids
    twins = map_outputs_to_inputs(notebook.cells, old.cells) if old else ()
    for cell, twin in zip(notebook.cells, twins, strict=bool(old)):
        if twin is not None:
            cell.id = old.cells[twin].id
    return notebook


def fresh(notebook: NotebookNode, old: NotebookNode | None, stamp: str) -> bool:
    """Whether the old notebook was made from this source and not edited since."""
    return bool(old) and cells_sum(notebook) == cells_sum(old) and stamped(old) == stamp


def edited(old: NotebookNode | None, notebook: NotebookNode) -> bool:
    """Whether the old notebook says neither what it did when made nor what the source does."""
    was = stamped(old, "cells_sha256") if old else None
    return was is not None and cells_sum(old) not in (was, cells_sum(notebook))


def cells_sum(notebook: NotebookNode) -> str:
    """SHA-256 of what the cells say, whatever their outputs."""
    texts = json.dumps([(cell.cell_type, cell.source) for cell in notebook.cells])
    return hashlib.sha256(texts.encode()).hexdigest()


def stamped(notebook: NotebookNode, name: str = "source_sha256") -> str | None:
    """What a notebook says of its making: by default the fingerprint of its source."""
    return notebook.metadata.get("companion", {}).get(name)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in the notebook's folder."""
    NotebookClient(
        notebook,
        timeout=900,  # of a cell, for slow machines
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    ).execute()


def where(notebook: NotebookNode, source: Path) -> str:
    """The notebook and the cell that ran last."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    ran = [cell for cell in code if cell.execution_count or cell.outputs] or code[:1]
    first = ran[-1].source.strip().partition("\n")[0] if ran else "no cell"
    return f"{source.name}, code cell {len(ran)} ({first})"


def clean(notebook: NotebookNode) -> None:
    """Drop what differs from run to run though the notebook is the same."""
    for key in VOLATILE:
        notebook.metadata.pop(key, None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not dead(output)]


def write(notebook: NotebookNode, target: Path) -> None:
    """Put the notebook in place, if it is sound."""
    nbformat.validate(notebook)
    atomic.write(target, nbformat.writes(notebook).removesuffix("\n") + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
