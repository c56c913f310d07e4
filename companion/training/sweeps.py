"""Many small models trained at once: the same steps as one by one, stacked under vmap.

A toy network is far too small for a modern processor; fifteen of them side by side take little
longer than one. Parameters and buffers of models with the same networks are stacked along a new
first axis, and `torch.func.vmap` runs the loss of all of them in one call. Where memory does not
take all, they are trained in stacks, one after the other.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from math import isfinite
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from tqdm.auto import tqdm

from companion.models.base import Model, refuse_uninitialised
from companion.passes import named
from companion.training.checkpoint import alone, check_resumed
from companion.training.config import TrainConfig
from companion.training.counter import runs_at_once
from companion.training.identity import as_once, identities
from companion.training.inputs import Samples, as_tensors, check_data
from companion.training.loop import make_optimizer, make_scheduler
from companion.training.processes import device_of
from companion.training.replay import Replay
from companion.training.run import History, NonFiniteLossError, Run
from companion.training.stream import Step, Stream

SECONDS = 10.0  # between checkpoints


def grid(**axes: Sequence) -> list[dict]:
    """All combinations of named values, the last axis fastest.

    >>> grid(beta=[0.1, 10.0], seed=[0, 1])[:2]
    [{'beta': 0.1, 'seed': 0}, {'beta': 0.1, 'seed': 1}]
    """
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def sweep(
    models: Sequence[Model],
    train: Sequence[Samples],
    configs: Sequence[TrainConfig],
    *,
    conditions: Sequence[Tensor] | None = None,
    at_once: int | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    callback: Callable[[dict], bool | None] | None = None,
) -> list[History]:
    """Train models that differ in weights and buffers only, many at once and in place.

    Each run takes exactly the steps that :func:`companion.training.fit` would take with its model,
    data and config; numbers agree to rounding. The configs may differ in ``seed`` and ``noise``.

    With a directory a sweep can be killed at any moment: the same call with ``resume=True`` goes on
    from the last checkpoint (one is written every ten seconds, at the end of an epoch) and, on a
    CPU, ends in bitwise the same weights.

    Args:
        models: same networks and options; hyper-parameters that are buffers (β, say) may differ.
        train: one ``(n, *data)`` for each model, as ``fit`` takes them, all of one shape.
        configs: one for each model.
        conditions: one ``(n, …)`` for each model, or nothing.
        at_once: at most so many models are stacked; by default as many as the sweep that is
            resumed, or as half of the device's free memory takes
            (:func:`companion.training.counter.runs_at_once`).
        directory: where the checkpoints of the stacks go.
        resume: go on from the directory's checkpoints if there are any.
        progress: show a progress bar.
        callback: called after each epoch of a stack with ``{"epoch": …, "loss": mean over its runs,
            "runs": (first, last)}``; returning true stops the sweep.

    Returns:
        One :class:`companion.training.History` for each run.

    Raises:
        ValueError: when the numbers of models, data sets and configs differ, when shapes or configs
            do not match, or when a configuration cannot be stacked.
        NonFiniteLossError: naming the runs whose loss is not finite, with all histories.
        CheckpointError: when a checkpoint cannot be written, read, or belongs to another sweep.
        FileExistsError: when the directory has checkpoints and ``resume`` is not set.
        torch.OutOfMemoryError: with the ``at_once`` that was too large.

    >>> from companion.data.toy import Sinusoid
    >>> from companion.models import MLAE
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> models = [MLAE(MLP(2, 1, [8]), MLP(1, 2, [8]), (2,), 1, beta=b) for b in (0.1, 10.0)]
    >>> x = Sinusoid().sample(512, torch.Generator().manual_seed(0))
    >>> logs = sweep(models, [x, x], [TrainConfig(epochs=2)] * 2, progress=False)
    >>> len(logs), logs[0].rows[-1]["epoch"]
    (2, 2)
    """
    train, conditions = as_tensors("sweep", train), as_tensors("sweep", conditions)
    config = _check(models, train, configs, conditions, at_once)
    device = device_of(config)
    folder, before = _open(directory, resume)
    width = conditions[0].shape[-1] if conditions is not None and conditions[0].dim() == 2 else 0
    size = at_once or before or runs_at_once(models[0], train[0], config, device, width)
    total, histories = len(models), []
    bar = tqdm(
        total=(len(train[0]) // min(config.batch_size, len(train[0]))) * config.epochs * total,
        disable=not progress,
        unit="step",
        desc=f"sweep of {total}" + (f", {size} at once" if size < total else ""),
        leave=False,
    )
    with bar, nullcontext() if folder is None else alone(folder):
        for first in range(0, total, size):
            runs = slice(first, min(first + size, total))
            given = None if conditions is None else conditions[runs]
            part = models[runs], train[runs], configs[runs], given
            stack, run = _begun(*part, device, folder is not None)
            path = folder and folder / f"runs-{runs.start:04}-{runs.stop - 1:04}.pt"
            try:
                _train(stack, run, path, bar, callback, (runs.start, runs.stop - 1))
            except torch.OutOfMemoryError as error:
                raise torch.OutOfMemoryError(
                    f"sweep: {len(stack.models)} models at once are too many for {device}; "
                    f"pass a smaller at_once ({str(error).splitlines()[0]})"
                ) from error
            histories += run.histories
            # its memory, and a recording's, goes before the next stack comes
            stack.gradients = None
            del stack, run
            if histories[-1].stopped:
                break
    histories += [History(stopped=True) for _ in range(total - len(histories))]
    _refuse_non_finite(histories)
    return histories


class _Stack:
    """Models of a sweep that train together, their steps, and their weights as one state."""

    def __init__(self, models, train, configs, conditions, device: torch.device):
        self.models, self.config = [m.to(device).train() for m in models], configs[0]
        given = [None] * len(models) if conditions is None else [c.to(device) for c in conditions]
        self.streams = [
            Stream(m, x.to(device), c, run)
            for m, x, c, run in zip(self.models, train, given, configs, strict=True)
        ]
        self.parameters, self.buffers = stack_module_state(self.models)
        self.loss = vmap(_Loss(self.models[0]).means, randomness="different")
        self.optimizer = make_optimizer(self.parameters.values(), self.config)
        self.scheduler = make_scheduler(self.optimizer, self.config, self.streams[0])
        self.gradients = self._pass
        if self.config.replay and device.type == "cuda":
            self.gradients = Replay(self._pass, self.parameters.values(), self.buffers.values())

    def step(self, steps: Sequence[Step], epoch: int) -> dict[str, Tensor]:
        """One step of all runs; returns the means of their terms, each ``(run,)``."""
        pairs = zip(self.models, self.streams, strict=True)
        changed = [m.advance(s.progress, epoch) for m, s in pairs]
        for name in changed[0]:
            self.buffers[name].copy_(torch.stack([c[name] for c in changed]))
        terms = self.gradients(_together(steps))
        if self.config.clip is not None:
            _clip(self.parameters.values(), self.config.clip)
        self.optimizer.step()
        self.scheduler.step()
        return terms

    def _pass(self, step: Step) -> dict[str, Tensor]:
        condition = {} if step.condition is None else {"condition": step.condition}
        self.optimizer.zero_grad()
        with named("sweep, the model's loss"):
            terms = self.loss(self.parameters, self.buffers, step.x, condition, step.draws)
            # runs share no parameter: the sum's gradient is each one's
            terms["loss"].sum().backward()
        return terms

    @torch.no_grad()
    def unstack(self) -> None:
        """Put what was learned into the models."""
        state = self.state_dict()
        for run, model in enumerate(self.models):
            for name, tensor in (*model.named_parameters(), *model.named_buffers()):
                tensor.copy_(state[name][run])

    def state_dict(self) -> dict[str, Tensor]:
        """All weights and buffers, stacked, by the names that they have in a model."""
        return {name: p.detach() for name, p in self.parameters.items()} | self.buffers

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take them from another stack."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])


def _begun(models, train, configs, conditions, device, is_kept: bool) -> tuple[_Stack, Run]:
    """A stack, and the run that it is."""
    identity = identities(models, train, configs, conditions) if is_kept else {}
    stack = _Stack(models, train, configs, conditions, device)
    once = as_once(models, train, configs) if is_kept else {}
    moving = stack.optimizer, stack.scheduler, stack.streams
    return stack, Run(stack, *moving, configs[0], identity, once)


def _train(stack: _Stack, run: Run, path: Path | None, bar: tqdm, callback, runs: tuple) -> None:
    """Train one stack to its end, or go on; the callback may want no more."""
    width, written = len(stack.models), perf_counter()
    if path is not None and path.exists():
        run.load(path)
        bar.update(run.epoch * run.stream.per_epoch * width)
    elif path is not None:
        run.save(path)  # so that a resumed sweep stacks as many
    while not run.ended:
        for steps in zip(*(stream.epoch() for stream in stack.streams), strict=True):
            run.add(stack.step(steps, run.epoch))
            bar.update(width)
        rows = run.rows()
        run.finish_epoch(rows)
        loss = sum(row["loss"] for row in rows) / width
        if callback is not None and callback({"epoch": run.epoch, "loss": loss, "runs": runs}):
            run.stop()
        if path is not None and (run.ended or perf_counter() - written > SECONDS):
            run.save(path)
            written = perf_counter()
    stack.unstack()


def _open(directory: str | Path | None, resume: bool) -> tuple[Path | None, int | None]:
    """The folder of a sweep, and how many runs each of its stacks has where it has any."""
    if directory is None:
        return None, None
    folder = Path(directory)
    there = sorted(folder.glob("runs-*-*.pt"))
    if there:
        check_resumed("sweep", there[0], resume)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [1 + int(last) - int(first) for _, first, last in (p.stem.split("-") for p in there)]
    return folder, max(sizes, default=None)


class _Loss(nn.Module):
    """A model whose call is its loss, as functional_call wants it."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, condition: dict, **draws):
        return self.model.loss(x, condition.get("condition"), **draws)

    def means(self, parameters: dict, buffers: dict, x: Tensor, condition, draws: dict) -> dict:
        """The mean of each term over one run's batch, with that run's weights."""
        state = tuple({f"model.{k}": v for k, v in part.items()} for part in (parameters, buffers))
        terms = functional_call(self, state, (x, condition), draws)
        return {name: value.mean() for name, value in terms._asdict().items()}


def _together(steps: Sequence[Step]) -> Step:
    """The steps of all runs as one, stacked along a new first axis."""
    given = [s.condition for s in steps if s.condition is not None]
    draws = {name: torch.stack([s.draws[name] for s in steps]) for name in steps[0].draws}
    return Step(torch.stack([s.x for s in steps]), torch.stack(given) if given else None, draws)


def _clip(parameters, max_norm: float) -> None:
    """Gradient clipping by norm, for each run on its own."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)  # (run,)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))


def _refuse_non_finite(histories: Sequence[History]) -> None:
    bad = [r for r, h in enumerate(histories) if h.rows and not isfinite(h.rows[-1]["loss"])]
    if bad:
        message = f"sweep: the loss of runs {bad} is not finite; lower learning_rate"
        raise NonFiniteLossError(message, list(histories))


def _kind(model: Model) -> tuple:
    """What must be the same for two models to be stacked: networks and options, not numbers."""
    switches = ("options", "noise_levels", "beta_range")
    return repr(model), *(getattr(model, name, None) for name in switches)


def _refuse_shared(model: Model) -> None:
    """Two places of one tensor cannot be exchanged for a stack's: such a model trains alone."""
    places: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if other := places.get(id(parameter)):
            raise ValueError(
                f"sweep: {type(model).__name__} shares '{other}' with '{name}', and shared "
                "parameters cannot be stacked; train it with fit"
            )
        places[id(parameter)] = name


def _check(models, train, configs, conditions, at_once) -> TrainConfig:
    if at_once is not None and at_once < 1:
        raise ValueError(f"sweep: at_once must be at least 1, got {at_once}")
    counts = (len(models), len(train), len(configs))
    if not len(models) or len(set(counts)) > 1:
        raise ValueError(
            "sweep: needs as many data sets and configs as models (at least one), got "
            f"{counts[0]} models, {counts[1]} data sets, {counts[2]} configs"
        )
    shapes = {tuple(x.shape) for x in train}
    if len(shapes) > 1:
        raise ValueError(f"sweep: all data sets must have one shape, got {sorted(shapes)}")
    _refuse_shared(models[0])
    first = configs[0]
    for run, (model, x, config) in enumerate(zip(models, train, configs, strict=True)):
        refuse_uninitialised("sweep", model)
        check_data(f"sweep, run {run}", model, x, None if conditions is None else conditions[run])
        if _kind(model) != _kind(models[0]):
            raise ValueError(f"sweep: run {run} has other networks or options than run 0")
        if replace(config, seed=first.seed, noise=first.noise) != first:
            raise ValueError(
                f"sweep: configs may differ in seed and noise only, run {run} has {config}"
            )
    if first.compile or first.precision != "32-true":
        raise ValueError("sweep: compile and precision are for fit only")
    if first.schedule == "plateau":
        raise ValueError(
            "sweep: schedule plateau differs between runs; use another, or train with fit"
        )
    if first.early_stop is not None:
        raise ValueError("sweep: early_stop differs between runs; use None, or train with fit")
    return first
