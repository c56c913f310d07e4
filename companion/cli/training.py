"""``companion train``: one experiment of a paper, from its data to its table; it can be resumed."""

import argparse
import json
import platform
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from companion import __version__
from companion.atomic import write_json
from companion.cli.places import Problem, installed
from companion.parameters import unknown

SETTINGS, RESULTS = "settings.json", "results.json"
FILE_KEYS = "preset model profile seed latent_dim temperature size train options".split()
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


def run(arguments: argparse.Namespace) -> int:
    """List the presets, or train one and print what its samples are worth."""
    from companion.training import TrainConfig, presets
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
    from companion.training.experiment import choose

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
    try:
        text = path.read_text("utf-8-sig")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise Problem(f"cannot read the settings in {path}: {error}", 2) from error
    if not isinstance(found, dict):
        raise Problem(f"{path} must be a table of names and values", 2)
    found.pop("about", None)  # what a run says about itself
    for name in found:
        if name not in FILE_KEYS:
            raise Problem(f"{path}: {unknown(name, FILE_KEYS, 'this file')}", 2)
    return found


def _run(experiment, arguments: argparse.Namespace) -> int:
    from companion import evaluation
    from companion.training import TrainConfig
    from companion.training.processes import rank

    if arguments.dry_run:
        print(*_describe(experiment, _shapes(experiment)), sep="\n")
        return 0
    first = rank(TrainConfig(**experiment.train)) == 0  # of several one writes and speaks
    target = arguments.output or _folder(experiment)
    asked = settings(experiment)
    if arguments.select and not experiment.preset.search:
        raise Problem(f"--select: {experiment.name} has nothing to choose from", 2)
    if first:
        _check_place(target, arguments.resume, asked)
        if arguments.features == "inception":  # better now than after the training
            evaluation.inception()
    data = experiment.load(not arguments.offline, arguments.test_files_only)
    if not first:
        return _train(experiment, data, target, arguments, first)
    lines = _describe(experiment, data)
    print(*lines, f"data: {data.note}", sep="\n", flush=True)
    with _begun(target, asked | {"about": about(experiment, data.note)}):
        return _train(experiment, data, target, arguments, first)


def _train(experiment, data, target: Path, arguments: argparse.Namespace, first: bool) -> int:
    """Train, and in the first process judge and keep what was found."""
    from companion import evaluation
    from companion.training.stages import fit_experiment

    began, progress, found = time.perf_counter(), sys.stderr.isatty(), {}
    seen = cache(lambda: evaluation.features_for(experiment, data, arguments.features))
    chosen, where = experiment, target
    if arguments.select:
        options = {"progress": progress, "judges": first}
        search = evaluation.select(experiment, data, target, seen, **options)
        if not first:
            return 0
        print(search, flush=True)
        chosen, where = search.of(experiment), target / search.best.name
        found["selection"] = search.plain()
    resume = arguments.resume or arguments.select
    model, history = fit_experiment(chosen, data, where, resume=resume, progress=progress)
    if not first:
        return 0
    seconds = {"training": round(time.perf_counter() - began, 1)}
    table = evaluation.judge(chosen, data, model, seen())
    print(table)
    seconds["all"] = round(time.perf_counter() - began, 1)
    found["generation"] = table._asdict() | {"scores": [s._asdict() for s in table.scores]}
    found |= {"last_epoch": history.rows[-1], "seconds_of_this_call": seconds}
    found |= _gpu(next(model.parameters()).device)
    write_json(target / RESULTS, _run_of(chosen, data, model) | found)
    print(target)
    return 0


def _run_of(experiment, data, model) -> dict[str, Any]:
    """What the numbers of a run depend on."""
    from companion.training.assemble import parameters

    versions = {"companion": __version__, "python": platform.python_version()}
    return {
        "preset": experiment.name,
        "source": experiment.preset.source,
        "profile": experiment.profile,
        "device": str(next(model.parameters()).device),
        "data": data.note,
        "parameters": parameters(model),
        "weights": "best on validation" if experiment.takes_best else "last",
        "versions": versions | {name: installed(name) for name in ("torch", "numpy")},
        "notebook": f"train {experiment.name}",  # as `companion claims` reads every run
        "claims": {},
    }


def _gpu(device) -> dict[str, Any]:
    """Which GPU it was, and the bytes that tensors took there at most; nothing elsewhere."""
    import torch

    if device.type != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated(device)
    return {"gpu": {"name": torch.cuda.get_device_name(device), "peak_bytes": peak}}


def _folder(experiment) -> Path:
    """Where a run goes that is given no place."""
    own = Path(experiment.data).resolve().stem + "-" if experiment.is_own else ""
    return Path("runs") / f"{own}{experiment.name}-{experiment.profile}"


def _holds_run(target: Path) -> bool:
    """Whether there is something that training has made."""
    from companion.training.checkpoint import CHECKPOINT

    return any(target.rglob(CHECKPOINT))


def _check_place(target: Path, resume: bool, asked: dict) -> None:
    """Refuse a place that holds another run, or something else."""
    if target.exists() and not target.is_dir():
        raise Problem(f"-o must name a folder, but {target} is a file", 2)
    if (target / SETTINGS).exists() and _holds_run(target):
        if not resume:
            raise Problem(
                f"{target} holds a run; --resume goes on with it, -o names another folder"
            )
        theirs = _read(target / SETTINGS)
        odd = [name for name in asked if _decisive(asked[name]) != _decisive(theirs.get(name))]
        if odd:
            was = ", ".join(f"{name} is {theirs.get(name)}, here {asked[name]}" for name in odd)
            raise Problem(f"{target} holds another run: {was}")


@contextmanager
def _begun(target: Path, settings: dict) -> Iterator[None]:
    """Say in a folder what its run is; leave nothing of one that fails before its first weights."""
    missing = [place for place in (target, *target.parents) if not place.exists()]
    try:
        write_json(target / SETTINGS, settings)
        yield
    except BaseException:
        if not _holds_run(target):
            (target / SETTINGS).unlink(missing_ok=True)
            if missing:
                shutil.rmtree(missing[-1], ignore_errors=True)
        raise


def _describe(experiment, data) -> list[str]:
    """What will be done and what it takes, in lines."""
    from companion.training.assemble import parameters
    from companion.training.memory import memory_budget

    model = experiment.build(tuple(data.train.shape[1:]))
    config, preset = experiment.config(len(data.train)), experiment.preset
    steps = max(1, len(data.train) // config.batch_size) * config.epochs
    size = "scaled down, NOT the paper's" if experiment.is_small else "the paper's"
    counts = ", ".join(f"{name} {n:,}" for name, n in parameters(model).items())
    budget = memory_budget(model, data.train, data.valid)
    stages = {"first": config}
    if second := experiment.second(model):
        counts += f"; second stage {parameters(second[0].second)['all']:,}"
        stages["second"] = second[1]
    if preset.search:
        axes = [f"{n} {', '.join(f'{v:g}' for v in vs)}" for n, vs in preset.search.items()]
        how = f" by {preset.select}" if preset.select else ""
        counts += f"\n--select chooses from {len(experiment.candidates())}{how}: {'; '.join(axes)}"
    shown = [json.dumps(asdict(one)) for one in stages.values()]
    return [
        f"{experiment.name} at {experiment.profile} on {experiment.data}: {preset.source}",
        *([f"note: {preset.note}"] if preset.note else []),
        f"networks: {size}; parameters: {counts}; codes of {model.latent_dim}",
        f"model: {type(model).__name__} {json.dumps(_plain(preset.options, experiment.options))}",
        *(f"training: {line}" for line in shown),
        f"{len(data.train):,} samples of {prod(model.data_shape):,} numbers, {steps:,} steps",
        f"memory without activations, {budget}",
    ]


def _shapes(experiment):
    """Data of the right size that are not there, for a plan before any download."""
    import torch

    from companion.training.costs import SIZES
    from companion.training.experiment import Data

    if experiment.data not in SIZES:  # those are always there
        return experiment.load()
    table, limits = experiment.preset.table, (experiment.limit, *2 * (experiment.scale.limit,))
    kind = torch.uint8 if len(table.data_shape) == 3 else torch.float32
    sizes = [min(n, m or n) for n, m in zip(SIZES[experiment.data], limits, strict=True)]
    parts = (torch.empty(n, *table.data_shape, dtype=kind, device="meta") for n in sizes)
    return Data(*parts, (None,) * 3, "not read")


def settings(experiment) -> dict:
    """A run's settings as ``--config`` reads them."""
    given = {n: getattr(experiment, n) for n in FILE_KEYS if n not in ("preset", "model")}
    given |= {"train": dict(experiment.train), "options": dict(experiment.options)}
    return {"preset": experiment.name, "model": experiment.preset.family} | given


def about(experiment, note: str) -> dict:
    """What a run says about itself beside its settings."""
    preset = experiment.preset
    return {
        "source": preset.source,
        "data": note,
        "options": _plain(preset.options, experiment.options),
        "note": preset.note,
        "companion": __version__,
    }


def _decisive(value):
    """Settings without those that say only where and how fast a run is computed."""
    from companion.training.config import PRACTICAL

    if not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if name not in PRACTICAL}


def _plain(*options) -> dict[str, Any]:
    """Options for a reader; a schedule as its values at the beginning and the end.

    >>> _plain({"beta": lambda progress, epoch: 1 + 9 * progress}, {"num_probes": 2})
    {'beta': 'from 1 to 10', 'num_probes': 2}
    """
    together = {name: value for some in options for name, value in some.items()}
    return {
        name: f"from {value(0.0, 0):g} to {value(1.0, 10**9):g}" if callable(value) else value
        for name, value in together.items()
    }
