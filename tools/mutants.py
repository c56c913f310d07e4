"""Change one sign or factor of the mathematics at a time, in a copy: a fast test must notice each.

`python tools/mutants.py` tries all of tests/mutants.toml, or those of the files that are named.
The last lines are the changes that no fast test notices.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import tomllib
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from check import EVERY, FAST, PARALLEL, PYTEST, ROOT

TABLE = ROOT / "tests" / "mutants.toml"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "_build", "build", "dist")
SHARED = "hypothesis torch._dynamo lightning_fabric sklearn.mixture zuko".split()
FORK = multiprocessing.get_context("fork")  # tests then find SHARED imported: seconds a change


class Mutant(NamedTuple):
    file: str
    before: str
    after: str
    tests: list[str]  # those that are likely to notice

    def __str__(self) -> str:
        return f"{self.file}: {self.before}  →  {self.after}"


def mutants() -> list[Mutant]:
    """All changes of the table, in its order."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [
        Mutant(file, *change, [file, *(f"tests/{name}" for name in entry["tests"])])
        for file, entry in table.items()
        for change in entry["changes"]
    ]


class First:
    """The first test, or file of tests, that fails."""

    name = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def run(folder: Path, arguments: list[str], answer) -> None:
    """Run pytest in this process, and send the first failure."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = sys.path[0] = str(folder)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        code = pytest.main(
            ["-p", "no:cacheprovider", "-x", "-m", FAST, *arguments], [first := First()]
        )
    answer.send(first.name or (str(code) if code else None))


def failure(folder: Path, arguments: list[str]) -> str | None:
    """The first fast test that fails in ``folder``, or nothing."""
    answer, end = FORK.Pipe(duplex=False)
    process = FORK.Process(target=run, args=(folder, arguments, end))
    process.start()
    end.close()
    try:
        return answer.recv()
    except EOFError:
        return "the process died"
    finally:
        process.join()


def noticed(mutant: Mutant, folder: Path) -> str | None:
    """Which test notices a change in the copy of the repository in ``folder``, if any does."""
    path = folder / mutant.file
    text = path.read_text("utf-8")
    path.write_text(text.replace(mutant.before, mutant.after), "utf-8")
    few = ["-p", "no:nbval", "--doctest-modules", *mutant.tests]
    try:
        return failure(folder, few) or failure(folder, [*PARALLEL[len(PYTEST) :], *EVERY])
    finally:
        path.write_text(text, "utf-8")


def main(argv: list[str] | None = None) -> int:
    """Try all changes; 1 if one was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="*", help="only changes of these files; all by default")
    files = parser.parse_args(argv).file
    missed = []
    for name in SHARED:
        import_module(name)
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
