"""``companion train``: one experiment of a paper, from its data to its table; it can be resumed."""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from companion.choices import unknown
from companion.cli.places import Problem

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


def run(arguments: argparse.Namespace) -> int:
    """List the presets, or train one and print what its samples are worth."""
    from companion.experiments import presets
    from companion.training import TrainConfig
    from companion.training.processes import check_processes

    if arguments.list:
        print(presets.listing())
        return 0
    if arguments.data is None:
        raise Problem("which data set? `companion train --list` shows the presets of each", 2)
    try:
        experiment = _experiment(arguments)
        if not arguments.dry_run:
            check_processes(TrainConfig(**experiment.train))
    except (ValueError, TypeError) as error:
        raise Problem(str(error), 2) from error
    try:
        return _run(experiment, arguments)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        raise Problem(str(error).replace("pass resume=True", "pass --resume")) from error


def _experiment(arguments: argparse.Namespace):
    """The command line over the file over the preset."""
    from companion.experiments.experiment import choose

    given = _read(arguments.config) if arguments.config else {}
    short = {n: getattr(arguments, n) for n in ("preset", "model", "profile", "seed", "size")}
    given |= {name: value for name, value in short.items() if value is not None}
    practical = {name: getattr(arguments, name) for name in ("device", "devices", "nodes")}
    practical["precision"] = PRECISIONS[arguments.precision] if arguments.precision else None
    chosen = {name: value for name, value in practical.items() if value is not None}
    if isinstance(train := given.setdefault("train", {}), dict):  # else it is refused below
        given["train"] = train | chosen
    names = given.pop("model", None), given.pop("preset", None)
    return choose(arguments.data, *names, **given)


def _read(path: Path) -> dict[str, Any]:
    """A file of settings: TOML, or JSON such as the ``settings.json`` of another run."""
    from companion.experiments.train import FIELDS

    try:
        text = path.read_text("utf-8-sig")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise Problem(f"cannot read the settings in {path}: {error}", 2) from error
    if not isinstance(found, dict):
        raise Problem(f"{path} must be a table of names and values", 2)
    found.pop("about", None)  # what a run says about itself
    known = ["preset", "model", *FIELDS]
    for name in found:
        if name not in known:
            raise Problem(f"{path}: {unknown(name, known, 'this file')}", 2)
    return found


def _run(experiment, arguments: argparse.Namespace) -> int:
    from companion.experiments.sizes import unread
    from companion.experiments.train import describe, train
    from companion.training import TrainConfig
    from companion.training.processes import rank

    if arguments.dry_run:
        print(*describe(experiment, unread(experiment)), sep="\n")
        return 0
    first = rank(TrainConfig(**experiment.train)) == 0  # of several one writes and speaks
    target = arguments.output or _folder(experiment)
    if arguments.select and not experiment.preset.search:
        raise Problem(f"--select: {experiment.name} has nothing to choose from", 2)
    if first:
        _check_place(target, arguments.resume, experiment)
    train(
        experiment, target, search=arguments.select, resume=arguments.resume,
        features=arguments.features, first=first, progress=sys.stderr.isatty(),
        download=not arguments.offline, test_files_only=arguments.test_files_only,
    )  # fmt: skip
    return 0


def _folder(experiment) -> Path:
    """Where a run goes that is given no place."""
    own = Path(experiment.data).resolve().stem + "-" if experiment.is_own else ""
    return Path("runs") / f"{own}{experiment.name}-{experiment.profile}"


def _check_place(target: Path, resume: bool, experiment) -> None:
    """Refuse a place that holds another run, or something else."""
    from companion.experiments.train import SETTINGS, holds_run, settings

    if target.exists() and not target.is_dir():
        raise Problem(f"-o must name a folder, but {target} is a file", 2)
    if (target / SETTINGS).exists() and holds_run(target):
        if not resume:
            raise Problem(
                f"{target} holds a run; --resume goes on with it, -o names another folder"
            )
        asked, theirs = settings(experiment), _read(target / SETTINGS)
        odd = [name for name in asked if _decisive(asked[name]) != _decisive(theirs.get(name))]
        if odd:
            was = ", ".join(f"{name} is {theirs.get(name)}, here {asked[name]}" for name in odd)
            raise Problem(f"{target} holds another run: {was}")


def _decisive(value):
    """Settings without those that say only where and how fast a run is computed."""
    from companion.training.config import PRACTICAL

    if not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if name not in PRACTICAL}
