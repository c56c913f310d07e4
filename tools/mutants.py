"""Change one sign or factor of the mathematics at a time, in a copy: a fast test must notice each.

`python tools/mutants.py` tries all of tests/mutants.toml, and those of some files where they are
named. The last lines are the changes that no fast test notices.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from check import EVERY, FAST, PARALLEL, PYTEST, ROOT

TABLE = ROOT / "tests" / "mutants.toml"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "_build", "build", "dist")


class Mutant(NamedTuple):
    file: str
    before: str
    after: str
    tests: tuple[str, ...]  # those that are likely to notice

    def __str__(self) -> str:
        return f"{self.file}: {self.before}  →  {self.after}"


def mutants() -> list[Mutant]:
    """All changes of the table, in its order."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        Mutant(file, *change, (file, *(f"tests/{name}" for name in entry["tests"])))
        for file, entry in table.items()
        for change in entry["changes"]
    ]


def failure(folder: Path, command: list[str]) -> str | None:
    """The first test that fails there, or nothing."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment = {**os.environ, **threads, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    named = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return None if done.returncode == 0 else named[1] if named else done.stdout[-500:]


def noticed(mutant: Mutant, folder: Path) -> str | None:
    """Which test notices a change in the copy of the repository in ``folder``, if any does."""
    path = folder / mutant.file
    text = path.read_text("utf-8")
    path.write_text(text.replace(mutant.before, mutant.after), "utf-8")
    few = [*PYTEST, "-p", "no:nbval", "-m", FAST, "--doctest-modules", "-x", *mutant.tests]
    try:
        return failure(folder, few) or failure(folder, [*PARALLEL, "-m", FAST, "-x", *EVERY])
    finally:
        path.write_text(text, "utf-8")


def main(argv: list[str] | None = None) -> int:
    """Try all changes; 1 if one was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="*", help="only changes of these files; all by default")
    files = parser.parse_args(argv).file
    missed = []
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp) / "copy"
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        (folder / "tests" / "test_tiers.py").unlink()  # which would find the change itself
        for mutant in mutants():
            if not files or mutant.file in files:
                test = noticed(mutant, folder)
                print(f"{mutant}\n    {test or 'NOT NOTICED'}", flush=True)
                missed += [] if test else [mutant]
    print(f"\n{len(missed)} not noticed", *missed, sep="\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
