"""Run the notebooks under nbval, but for those that passed here as they are now.

Called as `tools/passed.py PYTEST-COMMAND...`, to which the notebooks are added. What a notebook
depends on is itself, the package, the gallery, the data, the pins and a few settings: where none of
it has changed since it passed, it is not run again. With `CI=1` all are, as CI does.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from companion import atomic
from companion.data.fetch import data_directory

ROOT = Path(__file__).resolve().parents[1]
MEMORY = ROOT / ".pytest_cache" / "notebooks.json"
SETTINGS = "ATEN_CPU_CAPABILITY", "MKL_CBWR", "OMP_NUM_THREADS"
CODE = {".py", ".toml", ".npz", ".json", ".js"}


def main(command: list[str]) -> int:
    """The status of pytest on the notebooks that are to run; 0 where there are none."""
    notebooks = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    sums = dict(zip((path.name for path in notebooks), states(notebooks), strict=True))
    remembers = MEMORY.exists() and not os.environ.get("CI")
    known = json.loads(MEMORY.read_text("utf-8")) if remembers else {}
    todo = [path for path in notebooks if known.get(path.name) != sums[path.name]]
    if same := len(notebooks) - len(todo):
        print(f"{same} of {len(notebooks)} notebooks passed here as they are; CI=1 runs them")
    if not todo:
        return 0
    code = subprocess.call([*command, *map(str, todo)], cwd=ROOT)
    if code == 0:
        MEMORY.parent.mkdir(exist_ok=True)
        atomic.write_json(MEMORY, known | sums)
    return code


def states(notebooks: list[Path]) -> Iterator[str]:
    """For each notebook the sum of all that it depends on."""
    common = hashlib.sha256(platform.python_version().encode())
    for name in SETTINGS:
        common.update(f"{name}={os.environ.get(name)}".encode())
    for path in (ROOT / "constraints.txt", *code()):
        common.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    for path in sorted(data_directory().rglob("*")):
        common.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    for path in notebooks:
        own = common.copy()
        own.update(path.read_bytes())
        yield own.hexdigest()


def code() -> list[Path]:
    """The files of the package and of the gallery, but for the printed figures."""
    folders = [ROOT / "companion", ROOT / "figures" / "explorables"]
    own = [ROOT / "figures" / "draw.py", ROOT / "figures" / "surfaces.py"]
    return sorted([*own, *(p for each in folders for p in each.rglob("*") if p.suffix in CODE)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
