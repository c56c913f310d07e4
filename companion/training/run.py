"""A run, or a stack of them, as it stands: its log, its checkpoints, and its folder."""

import csv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from companion.atomic import writing
from companion.training import checkpoint
from companion.training.config import TrainConfig
from companion.training.identity import check_identity, settings_of
from companion.training.processes import mean_over_processes
from companion.training.stream import Stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class History:
    """The log of a run: one dict for each epoch, and whether somebody stopped it.

    >>> History([{"epoch": 1, "loss": 3.25}, {"epoch": 2, "loss": 1.5}])
    History(2 rows, loss 3.25 to 1.5)
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False

    def __repr__(self) -> str:
        losses, stopped = self.column("loss"), ", stopped" * self.stopped
        ends = f", loss {losses[0]:.4g} to {losses[-1]:.4g}" if losses else ""
        return f"History({len(self.rows)} rows{ends}{stopped})"

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs that have it."""
        return [row[name] for row in self.rows if name in row]

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """One quantity with the epochs that have it, to draw it."""
        rows = [row for row in self.rows if name in row]
        return [row["epoch"] for row in rows], [row[name] for row in rows]

    def save(self, path: Path) -> None:
        """Write all rows as CSV."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with writing(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)


class NonFiniteLossError(RuntimeError):
    """Training diverged; the model holds the last good state and ``history`` what happened."""

    def __init__(self, message: str, history: History | list[History]):
        super().__init__(message)
        self.history = history


@dataclass
class Run:
    """One run, or several stacked, as it stands: all that the next step depends on, and the logs.

    Args:
        model: what trains; of a stack, what gives and takes the stacked weights and buffers.
        optimizer: of its weights.
        scheduler: of the optimiser.
        streams: of each run, all at the same step.
        config: of the first run.
        identity: what the numbers depend on, before any step.
        once: what earlier versions kept instead, where their files did not keep an identity.
        validates: whether there are validation data.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    streams: Sequence[Stream]
    config: TrainConfig
    identity: dict = field(default_factory=dict)
    once: dict = field(default_factory=dict)
    validates: bool = False
    epoch: int = 0  # the running one, from 0
    sums: dict[str, Tensor] = field(default_factory=dict)  # of the running epoch, each (run,) or ()
    best: float = inf
    best_epoch: int = 0  # from 1
    start: float = field(default_factory=perf_counter)

    def __post_init__(self):
        self.stream = self.streams[0]
        self.histories = [History() for _ in self.streams]

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.histories[0].stopped or self.epoch >= self.config.epochs

    @property
    def validates_now(self) -> bool:
        """Whether the running epoch ends with a validation; the last one always does."""
        done = self.epoch + 1
        due = done % self.config.validate_every == 0 or done == self.config.epochs
        return self.validates and due

    def stop(self) -> None:
        """Let this epoch be the last."""
        for history in self.histories:
            history.stopped = True

    def add(self, means: Mapping[str, Tensor]) -> None:
        """Add the means of one step's terms, each ``(run,)`` or ``()``, to the epoch's sums."""
        for name, value in means.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()

    def rows(self) -> list[dict[str, float]]:
        """The running epoch's line of each run's log."""
        row = {"epoch": self.epoch + 1, "seconds": perf_counter() - self.start}
        rate = {"learning_rate": self.optimizer.param_groups[0]["lr"]}
        columns = {name: total.reshape(-1).tolist() for name, total in self.sums.items()}
        per_epoch, runs = self.stream.per_epoch, range(len(self.streams))
        return [row | {n: c[run] / per_epoch for n, c in columns.items()} | rate for run in runs]

    def is_finite(self) -> bool:
        """Whether all weights and the sums so far are."""
        return all(
            bool(t.isfinite().all()) for t in (*self.model.parameters(), *self.sums.values())
        )

    def monitored(self, row: dict[str, float]) -> float | None:
        """The number that ``plateau`` and the choice of the best weights look at.

        The loss if no validation data give it; nothing in an epoch that did not measure it, since
        two numbers do not compare.
        """
        known = self.validates or not self.config.monitor.startswith("valid_")
        return row.get(self.config.monitor, None if known else row["loss"])

    def finish_epoch(self, rows: Sequence[dict[str, float]]) -> None:
        """Log the epoch and go to the next."""
        for history, row in zip(self.histories, rows, strict=True):
            history.rows.append(row)
        self.epoch, self.sums = self.epoch + 1, {}

    def is_best(self, row: dict[str, float]) -> bool:
        """Whether the epoch that ended is the best so far; stops where it has been long ago."""
        value = self.monitored(row)
        better = value is not None and isfinite(value) and value < self.best
        if better:
            self.best, self.best_epoch = value, self.epoch
        patience = self.config.early_stop
        if patience is not None and self.epoch - self.best_epoch >= patience:
            self.stop()
        return better

    def plain_rows(self) -> list[list[dict]]:
        """The logs without numbers of other kinds that a callback may have added."""
        return [
            [{name: _plain(value) for name, value in row.items()} for row in history.rows]
            for history in self.histories
        ]

    def settings(self) -> dict:
        """What must be the same when a run goes on."""
        return self.identity | {"device": self.stream.device.type}

    def state_dict(self) -> dict:
        """Everything, as tensors and plain values."""
        device = self.stream.device
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return {
            "settings": self.settings(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "streams": [stream.state_dict() for stream in self.streams],
            "sums": self.sums,
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "rows": self.plain_rows(),
            "stopped": self.histories[0].stopped,
            "seconds": perf_counter() - self.start,
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointError: as :func:`companion.training.checkpoint.write`.
        """
        checkpoint.write(path, self.state_dict())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: when it cannot be read or is of another run; then nothing has changed.
        """
        state = of_today(checkpoint.read(path), self.state_dict())
        self._check(state, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        for stream, place in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(place)
        self.sums = {name: t.to(self.stream.device) for name, t in state["sums"].items()}
        self.epoch, self.best = state["epoch"], state["best"]
        self.best_epoch = state["best_epoch"]
        for history, rows in zip(self.histories, state["rows"], strict=True):
            history.rows[:], history.stopped = rows, state["stopped"]
        self.start = perf_counter() - state["seconds"]
        torch.set_rng_state(state["random"]["cpu"])
        if state["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.stream.device)

    def _check(self, state: dict, path: Path) -> None:
        """Refuse another run's state, or one that is not whole, before any of it is used."""
        once = {} if "identity" in settings_of(state, path) else self.once
        checkpoint.check_architecture(self.model, state.get("model"), path)
        check_identity(self.settings() | once, state, path)
        checkpoint.check_whole(self.state_dict(), state, self.optimizer, path)
        logs = state["rows"] if isinstance(state["rows"], list) else []
        checkpoint.check_like([None] * len(self.streams), [None] * len(logs), path, "rows")
        for log, place, stream in zip(logs, state["streams"], self.streams, strict=True):
            checkpoint.check_rows(log, path)
            checkpoint.check_place(stream, place, state["epoch"], len(log), path)
        checkpoint.check_random(state["random"]["cpu"], torch.device("cpu"), path)
        if state["random"]["cuda"] is not None:
            checkpoint.check_random(state["random"]["cuda"], self.stream.device, path)


class Folder:
    """What a run of one model leaves on disk; of several processes only the first writes.

    Checkpoints, the best weights, and logs for CSV and TensorBoard. Entering takes the folder, and
    goes on from the checkpoint that is there, or begins.

    Args:
        run: what is kept.
        directory: where, or nothing to keep nothing.
        fabric: the processes.
        resume: go on with what is there.

    Raises:
        CheckpointError: on entering, as :meth:`companion.training.run.Run.load`, and when another
            run writes to the folder.
        FileExistsError: on entering, when it has a checkpoint and ``resume`` is not set.
    """

    def __init__(self, run: Run, directory: str | Path | None, fabric: "Fabric", resume: bool):
        self.run, self.fabric, self.resume = run, fabric, resume
        self.directory = None if directory is None else Path(directory)
        self.every = run.config.checkpoint_every or run.stream.per_epoch
        self.board = None

    def __enter__(self) -> "Folder":
        with ExitStack() as held:
            if self.directory is not None:
                self._take(held)
                self._begin(held)
            self.held = held.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.held.close()

    def _take(self, held: ExitStack) -> None:
        """The first process holds the folder; all fail together when another run has it."""
        error = None
        if self.fabric.is_global_zero:
            try:
                held.enter_context(checkpoint.alone(self.directory))
            except checkpoint.CheckpointError as failed:
                error = failed
        if error := self.fabric.broadcast(error):
            raise error

    def _begin(self, held: ExitStack) -> None:
        path = self.directory / checkpoint.CHECKPOINT
        if path.exists():
            checkpoint.check_resumed("fit", path, self.resume)
            self.run.load(path)
        if not self.fabric.is_global_zero:
            return
        if self.run.histories[0].rows:
            self.run.histories[0].save(self.directory / "log.csv")
        self.board = _tensorboard(self.directory / "tensorboard", self.run.epoch)
        if self.board is not None:
            held.callback(self.board.close)

    def after_step(self) -> None:
        """A checkpoint within an epoch, when it is time and the state is sound."""
        run, stream = self.run, self.run.stream
        if (
            self.directory is None
            or stream.done % self.every
            or stream.position == stream.per_epoch
        ):
            return
        own, run.sums = run.sums, mean_over_processes(self.fabric, run.sums)
        self._save()
        run.sums = own

    def after_epoch(self, row: dict[str, float]) -> None:
        """Keep the weights if they are the best so far, a checkpoint, and the log."""
        better = self.run.is_best(row)
        if self.directory is None or not self.fabric.is_global_zero:
            return
        if better:  # before the checkpoint that says so
            best = {"model": self.run.model.state_dict(), "row": self.run.plain_rows()[0][-1]}
            checkpoint.write(self.directory / checkpoint.BEST, best)
        if self.run.stream.done % self.every == 0 or self.run.ended:
            self._save()
        self.run.histories[0].save(self.directory / "log.csv")
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, row["epoch"])

    def _save(self) -> None:
        if self.fabric.is_global_zero and self.run.is_finite():
            self.run.save(self.directory / checkpoint.CHECKPOINT)


def _tensorboard(directory: Path, epoch: int):
    """TensorBoard's writer where it is installed; a run that goes on forgets the later epochs."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(directory, purge_step=epoch + 1)


def of_today(state: dict, ours: dict) -> dict:
    """A checkpoint's state in today's form; version 1 had one for a run and one for a stack.

    What it did not keep of a stack is taken from ours.
    """
    if "stream" in state:
        lists = {"streams": [state["stream"]], "rows": [state.get("rows")]}
        return {name: value for name, value in state.items() if name != "stream"} | lists
    parts = [state.get(name) for name in ("parameters", "buffers", "settings")]
    if not all(isinstance(part, dict) for part in parts):
        return state
    weights, buffers, settings = parts
    kept = {n: v for n, v in state.items() if n not in ("parameters", "buffers")}
    added = {name: ours[name] for name in ("sums", "best", "best_epoch", "random")}
    device = {"device": ours["settings"]["device"]}
    return kept | added | {"model": weights | buffers, "settings": device | settings}


def _plain(value: float | int | str) -> float | int | str:
    """A value that a safe file can hold."""
    return value if type(value) in (int, str) else float(value)
