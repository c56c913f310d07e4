"""One experiment of a paper from its data to its table, in a folder: ``companion train``."""

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from importlib import metadata
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from companion import __version__, evaluation
from companion.atomic import write_json
from companion.evaluation import Features
from companion.experiments.assemble import parameters
from companion.experiments.experiment import Data, Experiment
from companion.experiments.plan import fit_experiment, plans
from companion.experiments.selection import features_for, score_bits, score_experiment, select
from companion.models import Model
from companion.training import History
from companion.training.checkpoint import CHECKPOINT
from companion.training.memory import memory_budget

SETTINGS, RESULTS = "settings.json", "results.json"
# of an experiment, besides its preset's name and model
FIELDS = "profile seed latent_dim temperature size train options".split()


def train(
    experiment: Experiment,
    target: Path,
    *,
    search: bool = False,
    resume: bool = False,
    features: str = "classifier",
    first: bool = True,
    progress: bool = True,
    **reading,
) -> None:
    """Train an experiment, judge its samples, print both and keep them in a folder.

    Args:
        experiment: what :func:`companion.experiments.experiment.choose` found.
        target: the folder; nothing stays of a run that fails before its first weights.
        search: train all settings that the paper searches, and judge the best.
        resume: go on with what is there.
        features: what samples are compared by, see
            :func:`companion.experiments.selection.features_for`.
        first: whether this process, of several, writes and speaks.
        progress: show progress bars.
        reading: how the data are read, see
            :meth:`companion.experiments.experiment.Experiment.load`.

    Raises:
        ImportError: before anything is trained, when the features need what is not installed.
    """
    if first and features == "inception":
        evaluation.inception(download=reading.get("download", True))
    data = experiment.load(**reading)
    how = {"search": search, "resume": resume, "progress": progress}
    seen = cache(lambda: features_for(experiment, data, features))
    if not first:
        _trained(experiment, data, target, seen, scores=False, **how)
        return
    print(*describe(experiment, data), f"data: {data.note}", sep="\n", flush=True)
    with _begun(target, settings(experiment) | {"about": about(experiment, data.note)}):
        began = perf_counter()
        chosen, model, history, found = _trained(experiment, data, target, seen, **how)
        seconds = {"training": round(perf_counter() - began, 1)}
        table = score_experiment(chosen, data, model, seen())
        print(table)
        if bits := score_bits(chosen, data, model):
            print(bits)
            found["bits"] = bits._asdict()
        seconds["all"] = round(perf_counter() - began, 1)
        found["generation"] = table._asdict() | {"scores": [s._asdict() for s in table.scores]}
        found |= {"last_epoch": history.rows[-1], "judged_epoch": chosen.judged(history)}
        found["seconds_of_this_call"] = seconds
        found |= _gpu(next(model.parameters()).device)
        write_json(target / RESULTS, _run_of(chosen, data, model) | found)
        print(target)


def _trained(
    experiment: Experiment, data: Data, target: Path, seen: Callable[[], Features], *,
    search: bool, resume: bool, progress: bool, scores: bool = True,
) -> tuple[Experiment, Model, History, dict] | None:  # fmt: skip
    """The experiment, or the best of its search; its model, its log, and what the search found."""
    if not search:
        kept = {"resume": resume, "progress": progress}
        return experiment, *fit_experiment(experiment, data, target, **kept), {}
    found = select(experiment, data, target, seen, progress=progress, scores=scores)
    if found is None:
        return None
    selection, *best = found
    print(selection, flush=True)
    return *best, {"selection": selection.plain()}


@contextmanager
def _begun(target: Path, settings: dict) -> Iterator[None]:
    """Say in a folder what its run is; leave nothing of one that fails before its first weights."""
    missing = [place for place in (target, *target.parents) if not place.exists()]
    try:
        write_json(target / SETTINGS, settings)
        yield
    except BaseException:
        if not holds_run(target):
            (target / SETTINGS).unlink(missing_ok=True)
            if missing:
                shutil.rmtree(missing[-1], ignore_errors=True)
        raise


def holds_run(target: Path) -> bool:
    """Whether there is something that training has made."""
    return any(target.rglob(CHECKPOINT))


def describe(experiment: Experiment, data: Data) -> list[str]:
    """What will be done and what it takes, in lines.

    >>> from companion.experiments.experiment import choose
    >>> wine = choose("wine", "autoencoder")
    >>> print(describe(wine, wine.load())[1])
    note: the printed epochs are garbled
    """
    preset, ahead = experiment.preset, plans(experiment, data)
    model, _, config = next(ahead)
    budget = memory_budget(model, data.train, data.valid)  # before a second stage freezes the first
    second = list(ahead)
    steps = max(1, len(data.train) // config.batch_size) * config.epochs
    size = "scaled down, NOT the paper's" if experiment.is_small else "the paper's"
    counts = ", ".join(f"{name} {n:,}" for name, n in parameters(model).items())
    for two in second:
        counts += f"; second stage {parameters(two.model.second)['all']:,}"
    if preset.search:
        axes = [f"{n} {', '.join(f'{v:g}' for v in vs)}" for n, vs in preset.search.items()]
        how = f" by {preset.select}" if preset.select else ""
        counts += f"\n--select chooses from {len(experiment.candidates())}{how}: {'; '.join(axes)}"
    shown = [json.dumps(asdict(one)) for one in (config, *(two.config for two in second))]
    return [
        f"{experiment.name} at {experiment.profile} on {experiment.data}: {preset.source}",
        *([f"note: {preset.note}"] if preset.note else []),
        f"networks: {size}; parameters: {counts}; codes of {model.latent_dim}",
        f"model: {type(model).__name__} {json.dumps(_plain(preset.options, experiment.options))}",
        *(f"training: {line}" for line in shown),
        f"weights that are judged: {kept(experiment)}",
        f"{len(data.train):,} samples of {prod(model.data_shape):,} numbers, {steps:,} steps",
        f"memory without activations, {budget}",
    ]


def kept(experiment: Experiment) -> str:
    """Which weights are judged, in words.

    >>> from companion.experiments.experiment import choose
    >>> kept(choose("mnist")), kept(choose("wine"))
    ('with the smallest valid_loss', 'last')
    """
    return f"with the smallest {experiment.monitor}" if experiment.takes_best else "last"


def settings(experiment: Experiment) -> dict[str, Any]:
    """A run's settings as ``companion train --config`` reads them.

    >>> from companion.experiments.experiment import choose
    >>> settings(choose("wine"))["preset"]
    'mlae-hepmass'
    """
    given = {name: getattr(experiment, name) for name in FIELDS}
    given |= {"train": dict(experiment.train), "options": dict(experiment.options)}
    return {"preset": experiment.name, "model": experiment.preset.family} | given


def about(experiment: Experiment, note: str) -> dict[str, Any]:
    """What a run says about itself beside its settings."""
    preset = experiment.preset
    return {
        "source": preset.source,
        "data": note,
        "options": _plain(preset.options, experiment.options),
        "note": preset.note,
        "companion": __version__,
    }


def _run_of(experiment: Experiment, data: Data, model: Model) -> dict[str, Any]:
    """What the numbers of a run depend on."""
    versions = {"companion": __version__, "python": platform.python_version()}
    return {
        "preset": experiment.name,
        "source": experiment.preset.source,
        "profile": experiment.profile,
        "device": str(next(model.parameters()).device),
        "data": data.note,
        "parameters": parameters(model),
        "weights": kept(experiment),
        "versions": versions | {name: metadata.version(name) for name in ("torch", "numpy")},
        "notebook": f"train {experiment.name}",  # as `companion claims` reads every run
        "claims": {},
    }


def _gpu(device: torch.device) -> dict[str, Any]:
    """Which GPU it was, and the bytes that tensors took there at most; nothing elsewhere."""
    if device.type != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated(device)
    return {"gpu": {"name": torch.cuda.get_device_name(device), "peak_bytes": peak}}


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
