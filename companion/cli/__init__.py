"""The command ``companion``: each subcommand is a thin layer over the library that does the work.

What a subcommand needs is imported when it runs, so that ``companion --help`` answers at once.
"""

import argparse
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from companion import __version__
from companion.choices import DEVICES, PROFILES
from companion.cli.border import guarded
from companion.cli.places import WORKING_COPY, Problem, find, notebooks_folder, user_path


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    return guarded(_main, sys.argv[1:] if argv is None else list(argv))


def _main(argv: list[str]) -> int:
    parser = _parser()
    arguments, rest = parser.parse_known_args(joined(argv) if argv[:1] == ["run"] else argv)
    if rest and arguments.command not in ("lab", "bench"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    # idle threads sleep: on busy cores, spinning makes a small network many times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return arguments.function(arguments) or 0


def joined(argv: Sequence[str]) -> list[str]:
    """``-p NAME VALUE`` as ``-p NAME=VALUE``: argparse takes a value such as -1e-3 for an option.

    >>> joined(["run", "03", "-p", "beta", "-1e-3", "-p", "radius=2", "-p", "seed", "--device"])
    ['run', '03', '-p', 'beta=-1e-3', '-p', 'radius=2', '-p', 'seed', '--device']
    """
    words, rest = [], list(argv)
    while rest:
        words.append(rest.pop(0))
        if words[-2:-1] == ["-p"] and "=" not in words[-1] and rest and _is_value(rest[0]):
            words[-1] += f"={rest.pop(0)}"
    return words


def _is_value(word: str) -> bool:
    """Whether a word is no option: it has no dash in front, or is a negative number."""
    try:
        return not word.startswith("-") or float(word) <= 0
    except ValueError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="companion", description="Maximum-likelihood autoencoders, to run, move and check."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, function, help):
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(function=function)
        return added

    help = "open JupyterLab on your copy of the notebooks; further arguments go to JupyterLab"
    one = command("lab", lab, help).add_mutually_exclusive_group()
    help = "where your copy lies; default: %(default)s"
    one.add_argument("--folder", type=user_path, default=WORKING_COPY, metavar="DIR", help=help)
    one.add_argument("--here", action="store_true", help="no copy: the folder that you are in")
    one = command("run", run, "run a notebook without a screen and keep what it found")
    one.add_argument("notebook", metavar="NN", help="its number, such as 02")
    help = "a parameter of the notebook; -p NAME VALUE does the same"
    one.add_argument("-p", action="append", default=[], metavar="NAME=VALUE", help=help)
    one.add_argument("--profile", choices=PROFILES)
    one.add_argument("--seed", type=int)
    one.add_argument("--device", choices=DEVICES)
    help = "default: runs/NN_name-PROFILE"
    one.add_argument("-o", "--output", type=user_path, metavar="DIR", help=help)
    _train_options(command("train", train, "train an experiment of the papers; --list shows them"))
    one = command("figure", figure, "draw the figures and tables of the papers: all, or some")
    one.add_argument("names", nargs="*", metavar="NAME", help="such as fig03_sinusoid")
    command("bench", bench, "measure speed; further arguments go to pytest")
    one = command("rebuild", rebuild, "retrain the explorables' lattices, or check them")
    one.add_argument("name", nargs="?", help="one explorable; default: all")
    one.add_argument("--check", action="store_true", help="retrain a point and compare")
    one = command("claims", claims, "what the papers claim, and what was measured here")
    one.add_argument(
        "runs", nargs="*", type=user_path, help="folders of `companion run` to read too"
    )
    one = command("course", course, "hand out, grade and return a problem set")
    steps = one.add_subparsers(dest="step", required=True, metavar="STEP")
    for step, help in (
        ("release", "make the notebook for students, without solutions and hidden checks"),
        ("grade", "run what came back; students' code runs with your rights"),
        ("feedback", "write each student's page and the table of points"),
    ):
        one = steps.add_parser(step, help=help, description=help)
        one.add_argument("set", help="the problem set, such as ps1")
        if step == "grade":
            one.add_argument(
                "submissions", type=user_path, help="folder with STUDENT.ipynb or STUDENT/"
            )
        one.add_argument("--course", type=user_path, default=Path("course"), metavar="DIR")
    one = command("data", data, "list the data sets' files, their sums and what is here")
    one.add_argument("--check", action="store_true", help="compare the sums of what is here")
    steps = one.add_subparsers(dest="step", metavar="STEP")
    help = "download, check and decode one set; a stopped run goes on"
    one = steps.add_parser("prepare", help=help, description=help)
    one.add_argument("name", help="such as celeba")
    one.add_argument("--size", type=int, help="pixels, where a set comes in several sizes")
    one.add_argument("--crop", type=int, help="of celeba: 140 or 128")
    one.add_argument("--offline", action="store_true", help="use only what is here")
    command("doctor", doctor, "look for what is missing here and say how to mend it")
    return parser


def _train_options(one: argparse.ArgumentParser) -> None:
    help = "mnist, cifar10, celeba, power, digits, …, a .csv file, or a folder of images"
    one.add_argument("data", nargs="?", help=help)
    help = "crop and scale images of your own to so many pixels"
    one.add_argument("--size", type=int, metavar="N", help=help)
    one.add_argument("--list", action="store_true", help="print all presets with their source")
    one.add_argument(
        "--model",
        help="mlae, rectangular, relaxed, aef, vae-flows, two-stage, taylor, vae, beta-tc-vae, "
        "info-vae, vamp or autoencoder; default: the preset's",
    )
    one.add_argument("--preset", metavar="NAME", help="default: the first of data and model")
    one.add_argument(
        "--config", type=user_path, metavar="FILE", help="settings: TOML, or a run's JSON"
    )
    one.add_argument("--profile", choices=PROFILES, help="default: quick, with small networks")
    one.add_argument("--seed", type=int)
    one.add_argument("--device", choices=DEVICES)
    one.add_argument("--devices", type=int, metavar="N", help="processes on this machine")
    one.add_argument("--nodes", type=int, metavar="M", help="machines, under torchrun")
    one.add_argument("--precision", choices=("32", "bf16"))
    one.add_argument("--features", choices=("classifier", "inception"), default="classifier")
    one.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    help = "train all settings that the paper searches, choose by validation, judge the best"
    one.add_argument("--select", action="store_true", help=help)
    one.add_argument("--offline", action="store_true", help="use only what is here")
    one.add_argument(
        "--test-files-only", action="store_true", help="only MNIST's 10,000 test files"
    )
    one.add_argument("--dry-run", action="store_true", help="print settings, sizes and memory only")
    help = "default: runs/PRESET-PROFILE"
    one.add_argument("-o", "--output", type=user_path, metavar="DIR", help=help)


def lab(arguments: argparse.Namespace) -> int:
    """Become JupyterLab."""
    from companion.cli import jupyterlab

    return jupyterlab.run(arguments)


def run(arguments: argparse.Namespace) -> int:
    """Execute a notebook and keep what it found."""
    from companion.cli import execute

    return execute.run(arguments)


def train(arguments: argparse.Namespace) -> int:
    """Train an experiment and judge its samples."""
    from companion.cli import training

    return training.run(arguments)


def figure(arguments: argparse.Namespace) -> int:
    """Run the scripts of figures/, each as if called itself."""
    folder = notebooks_folder().parent / "figures"
    pattern = "*[0-9]_*.py"  # a paper's figNN_, tabNN_, eqNN_, secNN_; nbNN_: our own
    names = arguments.names or [path.stem for path in sorted(folder.glob(pattern))]
    for script in [find(folder, name, pattern) for name in names]:
        print(script.stem)
        _run_script(script)
    return 0


def _run_script(script: Path, *arguments: str) -> None:
    """Run a script as ``python SCRIPT ARGUMENTS`` does, in this process."""
    path, argv = sys.path[:], sys.argv
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.path[:], sys.argv = path, argv


def bench(arguments: argparse.Namespace) -> int:
    """Run the benchmarks with pytest-benchmark."""
    folder = notebooks_folder().parent / "tests" / "benchmarks"
    command = [sys.executable, "-m", "pytest", str(folder), "--benchmark-only", *arguments.rest]
    return subprocess.call(command, cwd=folder.parents[1])


def rebuild(arguments: argparse.Namespace) -> int:
    """Run figures/rebuild.py, which makes the lattices again or checks them."""
    asked = [arguments.name] * bool(arguments.name) + ["--check"] * arguments.check
    try:
        _run_script(notebooks_folder().parent / "figures" / "rebuild.py", *asked)
    except SystemExit as stop:
        return stop.code
    return 0


def claims(arguments: argparse.Namespace) -> int:
    """Print every claim with what the committed notebooks, and some runs, measured for it."""
    from companion.lab import claims

    paths = sorted(notebooks_folder().glob("[0-9][0-9]_*.ipynb"))
    for folder in arguments.runs:
        if not (folder / "results.json").is_file():
            raise Problem(f"{folder} holds no results.json of `companion run`", 2)
        paths.append(folder / "results.json")
    rows = claims.table(claims.measured(paths))
    for row in rows:
        one = row.claim
        kind = f"; {row.evidence}" if row.evidence else ""
        print(f"{row.verdict:17} {one.id} ({one.paper}, {one.place}{kind})\n    {one.says}")
        print(f"    {row.expected}; {one.why}")
        print(f"    measured {row.value} in {row.by}\n" * bool(row.by), end="")
    print("\n" + claims.counted(rows))
    return 0


def course(arguments: argparse.Namespace) -> int:
    """Release, grade or return a problem set with nbgrader."""
    from companion.cli import lecturer

    return lecturer.run(arguments)


def data(arguments: argparse.Namespace) -> int:
    """List the data sets, or get one ready."""
    from companion.cli import datasets

    return datasets.run(arguments)


def doctor(arguments: argparse.Namespace) -> int:
    """Print what is here, what is missing, and one line that mends it."""
    from companion.cli import health

    findings = health.findings()
    for state, what, cure in findings:
        print(f"{state:8}{what}" + (f"\n        -> {cure}" if cure else ""))
    return int(any(state == "MISSING" for state, _, _ in findings))
