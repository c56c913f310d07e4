"""One visible training loop, blind to which model it trains."""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, ReduceLROnPlateau, StepLR
from tqdm.auto import tqdm

from companion import jacobians, volume
from companion.choices import near
from companion.contracts import Terms, as_float
from companion.models.base import Model, batch_norms, evaluating, refuse_uninitialised
from companion.passes import named
from companion.training import memory
from companion.training.config import TrainConfig
from companion.training.identity import identity
from companion.training.inputs import Samples, as_data
from companion.training.processes import agree, check_processes, launch, mean_over_processes
from companion.training.replay import Pass, Replay
from companion.training.run import Folder, History, NonFiniteLossError, Run
from companion.training.stream import Step, Stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VALIDATED_AT_ONCE = 256  # samples whose loss is computed together
# what `validate` logs
VALIDATED = "valid_loss valid_nll valid_reconstruction".split()
VALIDATED += "defect_log_volume defect_identity gradient_cosine".split()
Callback = Callable[[dict[str, float]], bool | None]


def fit(
    model: Model,
    train: Samples,
    valid: Samples | None = None,
    config: TrainConfig | None = None,
    *,
    condition: Tensor | None = None,
    valid_condition: Tensor | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    callback: Callback | None = None,
) -> History:
    """Train a model in place with Adam and return its log.

    With a directory the run can be killed at any moment: the same call with ``resume=True`` goes on
    from the last checkpoint and, on a CPU, ends in bitwise the same weights. In a program started
    by torchrun, or with ``config.devices`` above 1, each process takes its share of every batch.

    Args:
        model: any model of the contract.
        train: ``(n, *data)``, floating point, or uint8 images, which are divided by 255: a tensor,
            a NumPy array, either in memory or mapped from disk, or a map-style torch ``Dataset``
            (:func:`companion.training.as_tensor`).
        valid: the same for validation by the loss, the exact NLL and the reconstruction error.
        config: see :class:`companion.training.TrainConfig`.
        condition: ``(n, …)`` for the training samples, say one-hot labels.
        valid_condition: the same for the validation samples.
        directory: where ``log.csv``, ``checkpoint.pt``, ``best.pt`` (the weights with the smallest
            ``config.monitor``) and TensorBoard's log, if it is installed, go.
        resume: go on from the directory's checkpoint if there is one. A run that had ended comes
            back as it ended. It must be the same run: config, data, and the model with its options
            and first weights, or with the checkpoint's.
        progress: show a progress bar.
        callback: called with each epoch's row, to which it may add; returning true stops the run.

    Returns:
        The run's :class:`History`.

    Raises:
        NonFiniteLossError: when the loss is not finite; the model is back at its last good epoch,
            and the last good checkpoint stays.
        CheckpointError: when a checkpoint cannot be written, read, or belongs to another run, with
            what differs; and when another process writes to the directory.
        FileExistsError: when the directory has a checkpoint and ``resume`` is not set.
        ValueError: when data contain non-finite numbers or do not fit the model.

    >>> from companion.data.toy import Sinusoid
    >>> from companion.models import MLAE
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> model = MLAE(MLP(2, 1, [16]), MLP(1, 2, [16]), (2,), 1, beta=10.0)
    >>> x = Sinusoid().sample(512, torch.Generator().manual_seed(0))
    >>> log = fit(model, x, x, TrainConfig(epochs=3, device="cpu"), progress=False)
    >>> log.rows[-1]["loss"] < log.rows[0]["loss"]
    True
    """
    config = config or TrainConfig()
    refuse_uninitialised("fit", model)
    train, condition = as_data("fit", model, train, condition)
    if valid is not None:
        valid, valid_condition = as_data("fit, validation", model, valid, valid_condition)
    data = {"data": train, "condition": condition}
    data |= {"validation": valid, "valid_condition": valid_condition}
    started = {} if directory is None else identity(model, config, data)
    fabric = _fabric(config, model)
    optimizer = make_optimizer(model.train().parameters(), config)
    wrapped, optimizer = fabric.setup(model, optimizer)
    wrapped.mark_forward_method("loss")
    train, condition, valid, valid_condition = (
        t if t is None or not memory.fits(t, fabric.device) else fabric.to_device(t)
        for t in (train, condition, valid, valid_condition)
    )
    stream = Stream(model, train, condition, config, fabric.global_rank, fabric.world_size)
    scheduler = make_scheduler(optimizer, config, stream)
    if valid is not None:
        with _untouched(model):  # what only validation needs fails now, not after an epoch
            validate(model, valid[:2], config, _first(valid_condition, 2))
    gradients = _gradients(fabric, wrapped, optimizer, config, stream)

    who = {"identity": started, "validates": valid is not None}
    run = Run(model, optimizer.optimizer, scheduler, [stream], config, **who)
    shown = {"disable": not progress or not fabric.is_global_zero, "leave": False}
    shown |= {"total": stream.num_steps, "desc": "training"}
    with (
        Folder(run, directory, fabric, resume) as folder,
        tqdm(initial=stream.done, **shown) as bar,
    ):
        while not run.ended:
            good = copy.deepcopy(model.state_dict())
            for step in stream.epoch():
                model.advance(stream.progress, run.epoch)
                terms = gradients(step)
                if config.clip is not None:
                    fabric.clip_gradients(
                        wrapped, optimizer, max_norm=config.clip, error_if_nonfinite=False
                    )
                optimizer.step()
                if config.schedule != "plateau":
                    scheduler.step()
                if not run.sums and callback is None:
                    check_monitor(config, terms._asdict())
                run.add({n: t.detach().float().mean() for n, t in terms._asdict().items()})
                bar.update()
                folder.after_step()

            run.sums = mean_over_processes(fabric, run.sums)
            (row,), (history,) = run.rows(), run.histories
            if not run.is_finite():
                model.load_state_dict(good)
                raise NonFiniteLossError(_diverged(row), history)
            if run.validates_now:
                row |= validate(model, valid, config, valid_condition)
            row, history.stopped = agree(fabric, row, callback)
            monitored = run.monitored(row)
            if config.schedule == "plateau" and monitored is not None:
                scheduler.step(monitored)
            run.finish_epoch([row])
            folder.after_epoch(row)
    return run.histories[0]


def _gradients(
    fabric: "Fabric", wrapped: nn.Module, optimizer: Optimizer, config: TrainConfig, stream: Stream
) -> Pass:
    """Forward and backward pass of a step; on one GPU recorded and replayed."""

    def of(loss: Callable) -> Pass:
        def gradients(step: Step) -> Terms:
            optimizer.zero_grad()
            with named("fit, the model's loss"):
                with fabric.autocast():
                    terms = loss(step.x, step.condition, **step.draws)
                fabric.backward(terms.loss.mean())
            return terms

        return gradients

    gradients = of(wrapped.loss)
    if config.compile:
        gradients = _compiled(gradients, of, wrapped, config, stream)
    alone = fabric.world_size == 1 and fabric.device.type == "cuda"
    if not (config.replay and alone):
        return gradients
    return Replay(gradients, wrapped.parameters(), wrapped.buffers())


def _compiled(
    eager: Pass, of: Callable, wrapped: nn.Module, config: TrainConfig, stream: Stream
) -> Pass:
    """The pass with a compiled loss, or as it is with one warning where compiling fails or lies.

    One batch tells: no term and no gradient may differ by more than the tolerance, relatively.
    """
    tolerance = 2e-3 if config.precision in ("32-true", "64-true") else 0.1

    def numbers(gradients: Pass) -> dict[str, Tensor]:
        with _untouched(wrapped):
            terms = gradients(stream.rehearsal())._asdict()
            slopes = [
                (torch.zeros_like(p) if p.grad is None else p.grad).flatten()
                for p in wrapped.parameters()
            ]
            found = {name: t.detach().float() for name, t in terms.items()}
            return found | {"the gradient": torch.cat(slopes).float()}

    try:
        compiled = of(torch.compile(wrapped.loss))
        expected, got = numbers(eager), numbers(compiled)
        for name, value in expected.items():
            if not (got[name] - value).norm() <= tolerance * value.norm() + 1e-6:
                raise ArithmeticError(f"{name} differs from its eager value")
    except Exception as error:
        words = [line for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {words[0][:120]}" if words else type(error).__name__
        warnings.warn(
            f"fit: torch.compile does not work here ({reason}); training eagerly", stacklevel=4
        )
        return eager
    return compiled


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Try something: buffers, gradients and torch's chance are afterwards what they were."""
    buffers = [(b, b.clone()) for b in model.buffers()]
    slopes = [(p, p.grad) for p in model.parameters()]
    devices = {p.device for p, _ in slopes if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for parameter, gradient in slopes:
            parameter.grad = gradient


def _first(t: Tensor | None, n: int) -> Tensor | None:
    return None if t is None else t[:n]


def make_optimizer(parameters: Iterable[Tensor], config: TrainConfig) -> Adam:
    """Adam as the papers use it, with its weight decay as an L2 penalty."""
    return Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def make_scheduler(optimizer: Adam, config: TrainConfig, stream: Stream) -> LRScheduler:
    """All schedules move with every step, but plateau with every epoch."""
    if config.schedule == "one-cycle":
        return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=stream.num_steps + 1)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=config.patience)
    if config.schedule == "steps":
        return StepLR(optimizer, config.halve_every * stream.per_epoch, gamma=0.5)
    return ConstantLR(optimizer, factor=1.0)


def check_monitor(config: TrainConfig, terms: Iterable[str]) -> None:
    """Refuse to watch a number that no row of the log will have.

    Raises:
        ValueError: naming what is logged.

    >>> check_monitor(TrainConfig(monitor="nll"), ["loss", "nll"])
    """
    logged = (*terms, *VALIDATED)
    if config.monitor not in logged:
        hint = near(config.monitor, logged)
        raise ValueError(
            f"fit: monitor must be one of {', '.join(logged)}, got {config.monitor!r}{hint}"
        )


def validate(
    model: Model, x: Tensor, config: TrainConfig, condition: Tensor | None = None
) -> dict[str, float]:
    """The loss of all, the exact NLL and the reconstruction error of some, in eval mode.

    The loss sees the same chance at every call, so that epochs can be compared, from a generator of
    its own: validating moves nothing that training draws from. With ``log_defect`` also the
    pseudo-inverse defect and the gradients' cosine.
    """
    like = next(model.parameters())
    cuda = [like.device] if like.device.type == "cuda" else []
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(config.seed)  # of layers that draw for themselves
        row = {"valid_loss": _mean_loss(model, x, condition, config.seed)}
        x, condition = (_first(t, config.validate_on) for t in (x, condition))
        x, condition = (None if t is None else t.to(like.device) for t in (x, condition))
        x = as_float(x, like.dtype)
        x_hat = model.decode(model.encode(x, condition), condition)
        log_prob = model.log_prob(x, condition)
        if config.monitor == "valid_nll" and "manifold" in log_prob.kind:
            warnings.warn(
                f"fit: monitor valid_nll of {type(model).__name__} is {log_prob.kind}: it is "
                "smallest where the map has collapsed, and would keep untrained weights, stop and "
                "lower the learning rate too early; monitor valid_loss or valid_reconstruction",
                stacklevel=3,
            )
        row["valid_nll"] = -float(log_prob.value.mean())
        row["valid_reconstruction"] = float((x_hat - x).square().flatten(1).sum(-1).mean())
    if config.log_defect:
        x, condition = (_first(t, config.defect_on) for t in (x, condition))
        maps, parameters = (model.encode, model.decode), list(model.parameters())
        with evaluating(model):
            defect = jacobians.defect(x, *maps, condition)
            options = _surrogate_options(model)
            cosine = volume.gradient_cosine(x, *maps, parameters, condition, **options)
        row["defect_log_volume"] = float(defect.log_volume.mean())
        row["defect_identity"] = float(defect.identity.mean())
        row["gradient_cosine"] = float(cosine)
    return row


def _mean_loss(model: Model, x: Tensor, condition: Tensor | None, seed: int) -> float:
    """The loss of all samples, some at a time, by chance of this seed."""
    like = next(model.parameters())
    chance, total = torch.Generator(like.device).manual_seed(seed), 0.0
    count = -(-len(x) // VALIDATED_AT_ONCE)
    parts = x.tensor_split(count)
    told = [None] * count if condition is None else condition.tensor_split(count)
    for part, c in zip(parts, told, strict=True):
        part = as_float(part.to(like.device), like.dtype)
        c = None if c is None else c.to(like.device)
        loss = model.loss(part, c, **model.draw(part, chance)).loss
        total += float(loss.sum())
    return total / len(x)


def _surrogate_options(model: Model) -> dict:
    return {k: v for k, v in getattr(model, "options", {}).items() if k in ("side", "space", "at")}


def _fabric(config: TrainConfig, model: Model) -> "Fabric":
    """Fabric with its processes running; many of them see a batch in shares."""
    from lightning_fabric import Fabric  # only here: its import takes seconds

    check_processes(config)
    fabric = Fabric(
        accelerator=config.device,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy=config.strategy,
        precision=config.precision,
    )
    if config.devices * config.nodes > 1:
        launch(fabric)
        warn_of_shares(model)
    return fabric


def warn_of_shares(model: Model) -> None:
    """Say so where samples of one process see each other: the result depends on their number."""
    coupled = [f"layer '{name}' normalises" for name, _ in batch_norms(model)]
    coupled += [f"the loss of {type(model).__name__} compares samples"] * model.compares_samples
    if coupled:
        warnings.warn(
            f"fit: {coupled[0]} within each process's share of a batch; the result depends on the "
            "number of processes",
            stacklevel=4,
        )


def _diverged(row: dict[str, float]) -> str:
    terms = ", ".join(f"{k} = {v:.3g}" for k, v in row.items() if k not in ("epoch", "seconds"))
    return (
        f"fit: the loss is not finite in epoch {row['epoch']} ({terms}); the model is back at its "
        "state after the last good epoch. A smaller learning_rate or clip=1.0 usually helps."
    )
