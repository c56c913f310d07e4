"""One visible training loop, blind to which model it trains."""

import copy
import csv
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import ConstantLR, OneCycleLR, ReduceLROnPlateau
from tqdm.auto import tqdm

from companion import jacobians, volume
from companion.contracts import as_float
from companion.models.base import Model, evaluating


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training run depends on besides model and data.

    Args:
        epochs: passes over the training data; the last, incomplete batch of a pass is left out.
        batch_size: samples per step.
        learning_rate: the largest one.
        schedule: ``one-cycle`` (up and down once), ``plateau`` (halved when the monitored loss
            stalls, MLAE App. E.4) or ``constant``.
        patience: epochs that ``plateau`` waits.
        weight_decay: of Adam.
        clip: largest norm of the gradient, or none.
        noise: standard deviation of fresh Gaussian noise on every training batch.
        seed: of data order, noise and probes; the weights are the model's own.
        compile: compile the loss; without a working C++ compiler it falls back with a warning.
        precision: of Lightning Fabric: ``32-true``, ``64-true`` or ``bf16-mixed``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        validate_every: epochs between validations.
        validate_on: at most so many validation samples get an exact NLL.
        log_defect: also log the pseudo-inverse defect and the cosine between the surrogate's and
            the exact gradient, on ``defect_on`` validation samples.
        defect_on: see ``log_defect``.

    Raises:
        ValueError: for an unknown schedule or a number out of range.
    """

    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3
    schedule: Literal["one-cycle", "plateau", "constant"] = "one-cycle"
    patience: int = 10
    weight_decay: float = 0.0
    clip: float | None = None
    noise: float = 0.0
    seed: int = 0
    compile: bool = False
    precision: str = "32-true"
    device: str = "auto"
    validate_every: int = 1
    validate_on: int = 256
    log_defect: bool = False
    defect_on: int = 32

    def __post_init__(self):
        if self.schedule not in ("one-cycle", "plateau", "constant"):
            raise ValueError(
                "TrainConfig: schedule must be one-cycle, plateau or constant, got "
                f"{self.schedule!r}"
            )
        positive = "epochs batch_size learning_rate validate_every validate_on defect_on".split()
        for name in positive + ["clip"] * (self.clip is not None):
            if not getattr(self, name) > 0:
                raise ValueError(f"TrainConfig: {name} must be positive, got {getattr(self, name)}")
        for name in ("weight_decay", "noise", "patience"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"TrainConfig: {name} must not be negative, got {getattr(self, name)}"
                )


class NonFiniteLossError(RuntimeError):
    """Training diverged; the model holds the last good state and ``history`` what happened."""

    def __init__(self, message: str, history: "History | list[History]"):
        super().__init__(message)
        self.history = history


@dataclass
class History:
    """The log of a run: one dict for each epoch, and whether somebody stopped it."""

    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs that have it."""
        return [row[name] for row in self.rows if name in row]

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """One quantity with the epochs that have it, to draw it."""
        rows = [row for row in self.rows if name in row]
        return [row["epoch"] for row in rows], [row[name] for row in rows]

    def save(self, path: Path) -> None:
        """Write all rows as CSV, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(path)


Callback = Callable[[dict[str, float]], bool | None]


class Step(NamedTuple):
    """What one optimiser step sees."""

    x: Tensor  # (batch, *data)
    condition: Tensor | None  # (batch, …)
    draws: dict[str, Tensor]  # the chance that the model's loss needs


def fit(
    model: Model,
    train: Tensor,
    valid: Tensor | None = None,
    config: TrainConfig | None = None,
    *,
    condition: Tensor | None = None,
    valid_condition: Tensor | None = None,
    directory: str | Path | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> History:
    """Train a model in place with Adam and return its log.

    Args:
        model: any model of the contract.
        train: ``(n, *data)``, floating point, or uint8 images that are divided by 255.
        valid: the same for validation by the exact NLL and the reconstruction error.
        config: see :class:`TrainConfig`.
        condition: ``(n, …)`` for the training samples, say one-hot labels.
        valid_condition: the same for the validation samples.
        directory: where ``log.csv`` goes, rewritten atomically after each epoch.
        progress: show a progress bar.
        callback: called with each epoch's row; returning true stops the run.

    Returns:
        The run's :class:`History`.

    Raises:
        NonFiniteLossError: when the loss is not finite; the model is back at its last good epoch.
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
    check_data("fit", model, train, condition)
    if valid is not None:
        check_data("fit, validation", model, valid, valid_condition)
        valid = valid[: config.validate_on]
        valid_condition = None if valid_condition is None else valid_condition[: len(valid)]
    fabric = Fabric(accelerator=config.device, devices=1, precision=config.precision)
    optimizer = make_optimizer(model.train().parameters(), config)
    wrapped, optimizer = fabric.setup(model, optimizer)
    wrapped.mark_forward_method("loss")
    train, condition, valid, valid_condition = (
        None if t is None else fabric.to_device(t)
        for t in (train, condition, valid, valid_condition)
    )
    stream = Stream(model, train, condition, config)
    scheduler = make_scheduler(optimizer, config, stream.num_steps)
    loss_of = _compiled(wrapped.loss) if config.compile else wrapped.loss

    history, start, good = History(), time.perf_counter(), copy.deepcopy(model.state_dict())
    bar = tqdm(total=stream.num_steps, disable=not progress, desc="training", leave=False)
    for epoch in range(config.epochs):
        sums: dict[str, Tensor] = {}
        for step in stream.epoch():
            model.advance(stream.progress, epoch)
            terms = loss_of(step.x, step.condition, **step.draws)
            optimizer.zero_grad()
            fabric.backward(terms.loss.mean())
            if config.clip is not None:
                fabric.clip_gradients(
                    wrapped, optimizer, max_norm=config.clip, error_if_nonfinite=False
                )
            optimizer.step()
            if config.schedule != "plateau":
                scheduler.step()
            for name, value in terms._asdict().items():
                sums[name] = sums.get(name, 0) + value.detach().float().mean()
            bar.update()

        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - start}
        row |= {name: float(total) / stream.per_epoch for name, total in sums.items()}
        row["learning_rate"] = optimizer.param_groups[0]["lr"]
        if not isfinite(row["loss"]) or not all(p.isfinite().all() for p in model.parameters()):
            bar.close()
            model.load_state_dict(good)
            raise NonFiniteLossError(_diverged(row, config), history)
        good = copy.deepcopy(model.state_dict())
        if valid is not None and (epoch + 1) % config.validate_every == 0:
            row |= validate(model, valid, config, valid_condition)
        if config.schedule == "plateau":
            scheduler.step(row.get("valid_nll", row["loss"]))
        history.rows.append(row)
        if directory is not None:
            history.save(Path(directory) / "log.csv")
        if callback is not None and callback(row):
            history.stopped = True
            break
    bar.close()
    return history


class Stream:
    """The steps of a run: shuffled batches with fresh noise and the chance that the loss needs.

    All chance comes from two generators seeded by ``config.seed``, so that a model sees the same
    steps whether it trains alone or in a sweep.
    """

    def __init__(self, model: Model, x: Tensor, condition: Tensor | None, config: TrainConfig):
        self.model, self.x, self.condition, self.config = model, x, condition, config
        self.order = Generator().manual_seed(config.seed)
        self.chance = Generator(x.device).manual_seed(config.seed + 2**32)  # another stream
        self.dtype = next(model.parameters()).dtype
        self.batch = min(config.batch_size, len(x))
        model.prepare(as_float(x[: self.batch], self.dtype))
        self.per_epoch = len(x) // self.batch
        self.num_steps = self.per_epoch * config.epochs
        self.done = 0

    @property
    def progress(self) -> float:
        """The share of all steps that came before the current one."""
        return (self.done - 1) / self.num_steps

    def epoch(self) -> Iterator[Step]:
        """One pass over the data; the last, incomplete batch is left out."""
        order = torch.randperm(len(self.x), generator=self.order).to(self.x.device)
        for index in order[: self.per_epoch * self.batch].split(self.batch):
            self.done += 1
            x = as_float(self.x[index], self.dtype)
            if self.config.noise > 0:
                noise = torch.randn(x.shape, generator=self.chance, device=x.device, dtype=x.dtype)
                x = x + self.config.noise * noise
            condition = None if self.condition is None else self.condition[index]
            yield Step(x, condition, self.model.draw(x, self.chance))


def make_optimizer(parameters: Iterable[Tensor], config: TrainConfig) -> Adam:
    """Adam as the papers use it, with its weight decay as an L2 penalty."""
    return Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def make_scheduler(optimizer: Adam, config: TrainConfig, num_steps: int):
    """One-cycle and constant schedules move with every step, plateau with every epoch."""
    if config.schedule == "one-cycle":
        return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=num_steps + 1)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=config.patience)
    return ConstantLR(optimizer, factor=1.0)


def validate(
    model: Model, x: Tensor, config: TrainConfig, condition: Tensor | None = None
) -> dict[str, float]:
    """The exact NLL and the reconstruction error, in eval mode.

    With ``log_defect`` also the pseudo-inverse defect and the gradients' cosine.
    """
    x = as_float(x, next(model.parameters()).dtype)
    with evaluating(model), torch.no_grad():
        x_hat = model.decode(model.encode(x, condition), condition)
        row = {
            "valid_nll": -float(model.log_prob(x, condition).value.mean()),
            "valid_reconstruction": float((x_hat - x).square().flatten(1).sum(-1).mean()),
        }
    if config.log_defect:
        x, condition = (None if t is None else t[: config.defect_on] for t in (x, condition))
        maps, parameters = (model.encode, model.decode), list(model.parameters())
        with evaluating(model):
            defect = jacobians.defect(x, *maps, condition)
            options = _surrogate_options(model)
            cosine = volume.gradient_cosine(x, *maps, parameters, condition, **options)
        row["defect_log_volume"] = float(defect.log_volume.mean())
        row["defect_identity"] = float(defect.identity.mean())
        row["gradient_cosine"] = float(cosine)
    return row


def _surrogate_options(model: Model) -> dict:
    return {k: v for k, v in getattr(model, "options", {}).items() if k in ("side", "space", "at")}


def check_data(call: str, model: Model, x: Tensor, condition: Tensor | None = None) -> None:
    """Refuse data of the wrong shape, non-finite data, and a condition of another length.

    Raises:
        ValueError: naming the call, what came and what was expected.
    """
    if len(x) == 0 or tuple(x.shape[1:]) != model.data_shape:
        raise ValueError(
            f"{call}: training data must be (n, {', '.join(map(str, model.data_shape))}) "
            f"with n > 0, got {tuple(x.shape)}"
        )
    for what in (x, condition):
        if what is not None and what.is_floating_point() and not what.isfinite().all():
            bad = int((~what.flatten(1).isfinite().all(1)).sum())
            raise ValueError(f"{call}: data must be finite, got {bad} rows with NaN or infinity")
    if not x.is_floating_point() and x.dtype != torch.uint8:
        raise ValueError(f"{call}: training data must be floating point or uint8, got {x.dtype}")
    if condition is not None and len(condition) != len(x):
        raise ValueError(
            f"{call}: expected a condition for each of {len(x)} samples, got {len(condition)}"
        )


def _diverged(row: dict[str, float], config: TrainConfig) -> str:
    terms = ", ".join(f"{k} = {v:.3g}" for k, v in row.items() if k not in ("epoch", "seconds"))
    return (
        f"fit: the loss is not finite in epoch {row['epoch']} ({terms}); the model is back at its "
        "state after the last good epoch. A smaller learning_rate or clip=1.0 usually helps."
    )


def _compiled(loss: Callable) -> Callable:
    """The loss compiled, or as it is with one warning where no compiler works."""
    try:
        torch.compile(lambda t: t + 1, fullgraph=True)(torch.zeros(1))
    except Exception as error:
        reason = type(error).__name__
        warnings.warn(
            f"fit: torch.compile does not work here ({reason}); training eagerly", stacklevel=3
        )
        return loss
    return torch.compile(loss)
