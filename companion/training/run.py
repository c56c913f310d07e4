"""What changes during a run, and how it goes into a checkpoint and comes back."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from companion.contracts import Terms
from companion.training import checkpoint
from companion.training.config import TrainConfig
from companion.training.history import History
from companion.training.identity import check_identity, settings_of
from companion.training.stream import Stream


@dataclass
class Run:
    """A run as it stands: everything that the next step depends on, and the log so far."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    stream: Stream
    config: TrainConfig
    identity: dict = field(default_factory=dict)  # what its numbers depend on, before any step
    validates: bool = False  # whether there are validation data
    history: History = field(default_factory=History)
    epoch: int = 0  # the running one, from 0
    sums: dict[str, Tensor] = field(default_factory=dict)  # of the running epoch's terms
    best: float = inf
    best_epoch: int = 0  # from 1
    start: float = field(default_factory=perf_counter)

    def __post_init__(self):
        self.good = copy.deepcopy(self.model.state_dict())

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.history.stopped or self.epoch >= self.config.epochs

    def add(self, terms: Terms) -> None:
        """Add the means of one batch's terms to the epoch's sums."""
        for name, value in terms._asdict().items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().float().mean()

    def row(self) -> dict[str, float]:
        """The running epoch's line of the log."""
        row = {"epoch": self.epoch + 1, "seconds": perf_counter() - self.start}
        row |= {name: float(total) / self.stream.per_epoch for name, total in self.sums.items()}
        return row | {"learning_rate": self.optimizer.param_groups[0]["lr"]}

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

    def finish_epoch(self, row: dict[str, float]) -> bool:
        """Log the epoch and go to the next; says whether it was the best so far."""
        self.history.rows.append(row)
        self.epoch, self.sums = self.epoch + 1, {}
        self.good = copy.deepcopy(self.model.state_dict())
        value = self.monitored(row)
        better = value is not None and isfinite(value) and value < self.best
        if better:
            self.best, self.best_epoch = value, self.epoch
        patience = self.config.early_stop
        if patience is not None and self.epoch - self.best_epoch >= patience:
            self.history.stopped = True
        return better

    def plain_rows(self) -> list[dict]:
        """The log without numbers of other kinds that a callback may have added."""
        return [{name: _plain(value) for name, value in r.items()} for r in self.history.rows]

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
            "stream": self.stream.state_dict(),
            "sums": self.sums,
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "rows": self.plain_rows(),
            "stopped": self.history.stopped,
            "seconds": perf_counter() - self.start,
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: when it cannot be read or is of another run; then nothing has changed.
        """
        state = checkpoint.read(path)
        self._check(state, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.stream.load_state_dict(state["stream"])
        self.sums = {name: t.to(self.stream.device) for name, t in state["sums"].items()}
        self.epoch, self.best = state["epoch"], state["best"]
        self.best_epoch = state["best_epoch"]
        self.history.rows[:] = state["rows"]
        self.history.stopped = state["stopped"]
        self.start = perf_counter() - state["seconds"]
        self.good = copy.deepcopy(self.model.state_dict())
        torch.set_rng_state(state["random"]["cpu"])
        if state["random"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.stream.device)

    def _check(self, state: dict, path: Path) -> None:
        """Refuse another run's state, or one that is not whole, before any of it is used."""
        settings_of(state, path)
        checkpoint.check_architecture(self.model, state.get("model"), path)
        check_identity(self.settings(), state, path)
        check_whole(self.state_dict(), state, self.optimizer, path)
        check_rows(state["rows"], path)
        check_place(self.stream, state["stream"], state["epoch"], len(state["rows"]), path)
        checkpoint.check_random(state["random"]["cpu"], torch.device("cpu"), path)
        if state["random"]["cuda"] is not None:
            checkpoint.check_random(state["random"]["cuda"], self.stream.device, path)


def check_whole(ours: dict, state: dict, optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Refuse a state that is not made like that of the run at hand, whatever its log says.

    Raises:
        CheckpointError: naming the part.
    """
    free = {name: state.get(name) for name in ("settings", "rows")}
    ours = ours | free | {"version": checkpoint.VERSION}
    ours["optimizer"] = moments(optimizer, state.get("optimizer"))
    if "sums" in ours:
        sums = state.get("sums")
        ours["sums"] = dict.fromkeys(sums if isinstance(sums, dict) else (), torch.zeros(()))
    checkpoint.check_like(ours, state, path)


def check_stack(streams: Sequence[Stream], state: dict, path: Path) -> None:
    """Refuse logs and places that the runs of a sweep cannot have.

    Raises:
        CheckpointError: naming the file.
    """
    rows = state["rows"] if isinstance(state["rows"], list) else []
    checkpoint.check_like([None] * len(streams), [None] * len(rows), path, "rows")
    for log, place, stream in zip(rows, state["streams"], streams, strict=True):
        check_rows(log, path)
        check_place(stream, place, state["epoch"], len(log), path)


def moments(optimizer: torch.optim.Optimizer, theirs: Any) -> dict:
    """An optimiser's state as it must be where it has moments for the same parameters as theirs."""
    ours, known = optimizer.state_dict(), theirs.get("state") if isinstance(theirs, dict) else None
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {}
    for place in known if isinstance(known, dict) else ():
        if isinstance(place, int) and 0 <= place < len(parameters):
            like = torch.empty_like(parameters[place], device="meta")
            step = torch.zeros((), dtype=torch.get_default_dtype())
            state[place] = {"step": step, "exp_avg": like, "exp_avg_sq": like}
    return ours | {"state": state}


def check_rows(rows: Any, path: Path) -> None:
    """Refuse what is no log: one dict of plain values for each epoch.

    Raises:
        CheckpointError: naming the file.
    """
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {*map(type, row)} <= {str}
        and {*map(type, row.values())} <= {int, float, str} and "epoch" in row and "loss" in row
        for row in rows
    ):  # fmt: skip
        raise checkpoint.CheckpointError(f"training: {path} holds no log of a run in its rows")


def check_place(stream: Stream, state: dict, epoch: int, rows: int, path: Path) -> None:
    """Refuse a place that no run of these steps has.

    Raises:
        CheckpointError: naming the file.
    """
    done, position = state["done"], state["position"]
    whole = 0 <= position < stream.per_epoch and done == epoch * stream.per_epoch + position
    if not (whole and 0 <= done <= stream.num_steps and rows == epoch):
        raise checkpoint.CheckpointError(
            f"training: {path} is nowhere in this run: step {done}, {position} of its epoch, "
            f"epoch {epoch}, {rows} rows in its log"
        )
    checkpoint.check_random(state["order"], torch.device("cpu"), path)
    checkpoint.check_random(state["chance"], stream.device, path)


def _plain(value: float | int | str) -> float | int | str:
    """A value that a safe file can hold."""
    return value if type(value) in (int, str) else float(value)
