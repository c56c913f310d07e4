"""Run a tier of checks: all its parts, whatever came of the others; the last lines say what came.

`python tools/check.py test` is what `make test` calls; after a tier some of its parts can be named.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PYTHON = [sys.executable, "-m"]
PYTEST = [*PYTHON, "pytest"]
PARALLEL = [*PYTEST, "-n", os.environ.get("JOBS", "2"), "--dist", "loadfile"]
PARALLEL += ["--no-loadscope-reorder"]  # tests/conftest.py puts the longest files first
EVERY = ["-p", "no:nbval", "--ignore=companion/course/grading.py"]  # they import for seconds
EVERY += ["--doctest-modules", "companion", "figures", "tests"]
NUMBERS = "not browser and not book and not kills and not nightly"  # what computes as it runs
FAST = f"not slow and not gpu and {NUMBERS}"

LINT = [[*PYTHON, "ruff", "format", "--check", "."], [*PYTHON, "ruff", "check", "."]]
LINT += [[str(BIN / "lint-imports")]]
NOTEBOOKS = [sys.executable, "tools/passed.py", *PARALLEL]
NOTEBOOKS += ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600"]


def second_seed() -> list[list[str]]:
    """Each notebook as a reader runs it, with another seed than the committed one's."""
    names = [path.name[:2] for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))]
    run = [*PYTHON, "companion", "run"]
    return [[*run, name, "-p", "seed", "1", "-o", f"{{tmp}}/{name}"] for name in names]


def numbers_under(threads: int = 1, **environment: str) -> tuple[list[list[str]], dict[str, str]]:
    """The tests that compare numbers, with other kernels or another number of threads."""
    start = PARALLEL if threads == 1 else PYTEST  # alone a test has two threads
    tests = [[*start, "-m", NUMBERS, *EVERY]]
    return tests, environment | {"OMP_NUM_THREADS": str(threads)}


PORTABLE = {
    "plain-kernels": numbers_under(ATEN_CPU_CAPABILITY="default"),
    "compatible-mkl": numbers_under(MKL_CBWR="COMPATIBLE"),
    "one-thread": numbers_under(),
    "two-threads": numbers_under(2),
    "plain-notebooks": (
        [NOTEBOOKS],
        {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"},
    ),
}
TIERS = {  # each part: its commands, and what it adds to the environment
    "check": {
        "lint": (LINT, {}),
        "fast": ([[*PARALLEL, "-m", FAST, *EVERY]], {}),
    },
    "test": {
        "lint": (LINT, {}),
        "tests": ([[*PARALLEL, *EVERY]], {}),
        "notebooks": ([NOTEBOOKS], {}),
    },
    "portable": PORTABLE,
    "nightly": {
        "retrained": ([[*PYTHON, "companion", "rebuild", "--check"]], {}),
        "kills": ([[*PARALLEL, "-p", "no:nbval", "-m", "kills or nightly", "tests"]], {}),
        "mutants": ([[sys.executable, "tools/mutants.py"]], {}),
        "remeasured": ([[sys.executable, "tools/remeasure.py", "12"]], {}),
        "processes": ([[*PYTEST, "tests/test_processes.py"]], {}),
        "second-seed": (second_seed(), {}),
        **PORTABLE,
    },
}


def run(commands: list[list[str]], environment: dict[str, str]) -> bool:
    """Run all commands, also after one that failed; whether all went well."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    compiled = {"PYTHONDONTWRITEBYTECODE": ""}  # pytest keeps its rewritten tests: seconds a run
    environment = threads | os.environ | compiled | environment
    with tempfile.TemporaryDirectory() as tmp:
        ready = [[word.replace("{tmp}", tmp) for word in command] for command in commands]
        codes = [subprocess.run(one, cwd=ROOT, env=environment).returncode for one in ready]
    return not any(codes)


def main(argv: list[str] | None = None) -> int:
    """Run a tier and report on each part; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tier", choices=TIERS)
    parser.add_argument("part", nargs="*", help="only these; all by default")
    arguments = parser.parse_args(argv)
    parts = TIERS[arguments.tier]
    if unknown := set(arguments.part) - set(parts):
        parser.error(f"{arguments.tier} has {', '.join(parts)}; not {', '.join(sorted(unknown))}")
    report = []
    for name in arguments.part or parts:
        print(f"\n{name}", flush=True)
        start = time.monotonic()
        word = "passed" if run(*parts[name]) else "FAILED"
        report.append(f"{name}: {word} in {time.monotonic() - start:.0f} s")
    print("", *report, sep="\n", flush=True)
    return int(any("FAILED" in line for line in report))


if __name__ == "__main__":
    sys.exit(main())
