"""Many small models trained at once: the same steps as one by one, stacked under vmap.

A toy network is far too small for a modern processor; fifteen of them side by side take little
longer than one. Parameters and buffers of models with the same networks are stacked along a new
first axis, and `torch.func.vmap` runs the loss of all of them in one call.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import isfinite

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from tqdm.auto import tqdm

from companion.models.base import Model
from companion.training import (
    History,
    NonFiniteLossError,
    Step,
    Stream,
    TrainConfig,
    check_data,
    make_optimizer,
    make_scheduler,
)


def grid(**axes: Sequence) -> list[dict]:
    """All combinations of named values, the last axis fastest.

    >>> grid(beta=[0.1, 10.0], seed=[0, 1])[:2]
    [{'beta': 0.1, 'seed': 0}, {'beta': 0.1, 'seed': 1}]
    """
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def sweep(
    models: Sequence[Model],
    train: Sequence[Tensor],
    configs: Sequence[TrainConfig],
    *,
    conditions: Sequence[Tensor] | None = None,
    progress: bool = True,
    callback: Callable[[dict], bool | None] | None = None,
) -> list[History]:
    """Train models that differ in weights and buffers only, all at once and in place.

    Each run takes exactly the steps that :func:`companion.training.fit` would take with its model,
    data and config; numbers agree to rounding. The configs may differ in ``seed`` and ``noise``.

    Args:
        models: same networks and options; hyper-parameters that are buffers (β, say) may differ.
        train: one ``(n, *data)`` tensor for each model, all of one shape.
        configs: one for each model.
        conditions: one ``(n, …)`` for each model, or nothing.
        progress: show a progress bar.
        callback: called after each epoch with ``{"epoch": …, "loss": mean over runs}``; returning
            true stops all runs.

    Returns:
        One :class:`companion.training.History` for each run.

    Raises:
        ValueError: when the numbers of models, data sets and configs differ, when shapes or configs
            do not match, or when a configuration cannot be stacked.
        NonFiniteLossError: naming the runs whose loss is not finite, with all histories.

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
    config = _check(models, train, configs, conditions)
    device = Fabric(accelerator=config.device, devices=1).device
    conditions = [None] * len(models) if conditions is None else [c.to(device) for c in conditions]
    streams = [
        Stream(m.to(device).train(), x.to(device), c, run)
        for m, x, c, run in zip(models, train, conditions, configs, strict=True)
    ]
    parameters, buffers = stack_module_state(list(models))
    optimizer = make_optimizer(parameters.values(), config)
    scheduler = make_scheduler(optimizer, config, streams[0].num_steps)
    template = models[0]

    def loss_of(parameters: dict, buffers: dict, x: Tensor, condition, draws: dict) -> dict:
        state = _named(parameters), _named(buffers)
        terms = functional_call(_Loss(template), state, (x, condition), draws)
        return {name: value.mean() for name, value in terms._asdict().items()}

    histories, start = [History() for _ in models], time.perf_counter()
    bar = tqdm(
        total=streams[0].num_steps,
        disable=not progress,
        desc=f"sweep of {len(models)}",
        leave=False,
    )
    for epoch in range(config.epochs):
        sums: dict[str, Tensor] = {}
        for steps in zip(*(stream.epoch() for stream in streams), strict=True):
            changed = [m.advance(s.progress, epoch) for m, s in zip(models, streams, strict=True)]
            buffers |= {name: torch.stack([c[name] for c in changed]) for name in changed[0]}
            stacked = _stack(steps)
            terms = vmap(loss_of)(parameters, buffers, *stacked)  # {name: (run,)}
            optimizer.zero_grad()
            terms[
                "loss"
            ].sum().backward()  # runs share no parameter: the sum's gradient is each one's
            if config.clip is not None:
                _clip(parameters.values(), config.clip)
            optimizer.step()
            scheduler.step()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach()
            bar.update()
        rows = _rows(sums, streams[0].per_epoch, epoch, time.perf_counter() - start)
        for history, row in zip(histories, rows, strict=True):
            history.rows.append(row)
        if callback is not None and callback(
            {"epoch": epoch + 1, "loss": float(sums["loss"].mean())}
        ):
            for history in histories:
                history.stopped = True
            break
    bar.close()
    _unstack(models, parameters, buffers)
    _refuse_non_finite(histories)
    return histories


class _Loss(torch.nn.Module):
    """A model whose call is its loss, as functional_call wants it."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, condition: dict, **draws):
        return self.model.loss(x, condition.get("condition"), **draws)


def _named(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.{name}": tensor for name, tensor in tensors.items()}


def _stack(steps: Sequence[Step]) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """What vmap maps over: data, the condition if there is one, and the chance of the losses."""
    given = [s.condition for s in steps if s.condition is not None]
    condition = {"condition": torch.stack(given)} if given else {}
    draws = {name: torch.stack([s.draws[name] for s in steps]) for name in steps[0].draws}
    return torch.stack([s.x for s in steps]), condition, draws


def _clip(parameters, max_norm: float) -> None:
    """Gradient clipping by norm, for each run on its own."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)  # (run,)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))


def _rows(sums: dict[str, Tensor], steps: int, epoch: int, seconds: float) -> list[dict]:
    columns = {name: (total / steps).tolist() for name, total in sums.items()}
    runs = len(next(iter(columns.values())))
    common = {"epoch": epoch + 1, "seconds": seconds}
    return [common | {name: column[r] for name, column in columns.items()} for r in range(runs)]


def _unstack(models: Sequence[Model], parameters: dict, buffers: dict) -> None:
    with torch.no_grad():
        for run, model in enumerate(models):
            for name, tensor in (*model.named_parameters(), *model.named_buffers()):
                stacked = parameters.get(name, buffers.get(name))
                tensor.copy_(stacked[run])


def _refuse_non_finite(histories: Sequence[History]) -> None:
    bad = [r for r, h in enumerate(histories) if h.rows and not isfinite(h.rows[-1]["loss"])]
    if bad:
        message = f"sweep: the loss of runs {bad} is not finite; lower learning_rate"
        raise NonFiniteLossError(message, list(histories))


def _kind(model: Model) -> tuple:
    """What must be the same for two models to be stacked: networks and options, not numbers."""
    switches = ("options", "noise_levels", "beta_range")
    return repr(model), *(getattr(model, name, None) for name in switches)


def _check(models, train, configs, conditions) -> TrainConfig:
    counts = (len(models), len(train), len(configs))
    if not len(models) or len(set(counts)) > 1:
        raise ValueError(
            "sweep: needs as many data sets and configs as models (at least one), got "
            f"{counts[0]} models, {counts[1]} data sets, {counts[2]} configs"
        )
    shapes = {tuple(x.shape) for x in train}
    if len(shapes) > 1:
        raise ValueError(f"sweep: all data sets must have one shape, got {sorted(shapes)}")
    first = configs[0]
    for run, (model, x, config) in enumerate(zip(models, train, configs, strict=True)):
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
        raise ValueError("sweep: schedule plateau differs between runs; use one-cycle or constant")
    return first
