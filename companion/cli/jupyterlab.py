"""``companion lab``: JupyterLab on the user's own copy of the notebooks; originals stay clean."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from companion import atomic
from companion.cli.places import Problem, notebooks_folder

STATE = ".companion.json"  # what each notebook said when it was copied
NOTEBOOKS = "[0-9][0-9]_*.ipynb"  # problem sets are handed out, and lie here with their solutions


def run(arguments: argparse.Namespace) -> int:
    """Become JupyterLab, on notebook 00 of the copy, or here."""
    folder = Path.cwd() if arguments.here else working_copy(arguments.folder)
    # no question about news on the first picture; sliders that can be shown again are saved
    paths = [str(Path(__file__).parent / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    return become(lab_command(folder, arguments.rest))


def become(command: list[str]) -> int:
    """Go on as this command."""
    if os.name == "nt":  # where exec would return to the prompt at once
        return subprocess.call(command)
    os.execv(command[0], command)


def lab_command(folder: Path, rest: Sequence[str] = ()) -> list[str]:
    """JupyterLab on this machine only, behind its token, asking the network for nothing."""
    first = [*folder.glob("00*.ipynb"), *folder.glob("notebooks/00*.ipynb")][:1]
    page = [f"/tree/{path.relative_to(folder).as_posix()}" for path in first]
    options = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab{''.join(page)}",
        "--LabApp.extension_manager=readonly",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # in a container; elsewhere Jupyter would refuse to start
    return [sys.executable, "-m", "jupyterlab", *options, *rest]


def working_copy(folder: Path) -> Path:
    """The user's copy of the notebooks, brought up to date; says what was not.

    Raises:
        Problem: where it would lie among the originals, or cannot be written.
    """
    source, folder = notebooks_folder().resolve(), folder.expanduser().resolve()
    if folder == source.parent or source in (folder, *folder.parents):
        raise Problem(f"{folder} holds the originals; to edit those: companion lab --here", 2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = refresh(source, folder)
    except OSError as error:
        raise Problem(f"no copy in {folder}: {error}; elsewhere: --folder DIR") from error
    waiting = "yours is edited, so the new version waits; rename yours to get it too"
    lines = [f"your notebooks are in {folder}", *(f"{name}: {waiting}" for name in kept)]
    print(*lines, sep="\n", flush=True)  # what becomes JupyterLab flushes nothing
    return folder


def refresh(source: Path, folder: Path) -> list[str]:
    """Copy new and changed notebooks; those that the user edited stay, with these names.

    Edited are cells; outputs come back by running. Nothing is deleted, and a copy that was deleted
    or renamed comes anew.
    """
    known, kept = copied(folder), []
    for original in sorted(source.glob(NOTEBOOKS)):
        copy, was = folder / original.name, known.get(original.name)
        new, mine = cells_sum(original), cells_sum(copy) if copy.exists() else None
        if mine not in (None, was, new):
            kept += [copy.name] * (new != was)
            continue
        if mine != new:
            atomic.write(copy, original.read_bytes())
        known[copy.name] = new
    atomic.write(folder / STATE, json.dumps(known, indent=1))
    return kept


def copied(folder: Path) -> dict[str, str]:
    """By notebook, the sum of its cells when it was copied; empty when that is not known."""
    try:
        known = json.loads((folder / STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def edited(folder: Path) -> list[str]:
    """The notebooks of a copy whose cells the user has changed."""
    there = [(folder / name, was) for name, was in copied(folder).items()]
    return [path.name for path, was in there if path.exists() and cells_sum(path) != was]


def cells_sum(notebook: Path) -> str:
    """SHA-256 of what a notebook's cells say, without outputs; of all bytes where it is none."""
    content = notebook.read_bytes()
    try:
        cells = [
            (cell["cell_type"], "".join(cell["source"])) for cell in json.loads(content)["cells"]
        ]
        content = json.dumps(cells).encode()
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return hashlib.sha256(content).hexdigest()
