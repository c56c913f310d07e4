"""The steps of a run: which samples, in which order, with which chance."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion.contracts import as_float
from companion.models.base import Model
from companion.training.config import TrainConfig


class Step(NamedTuple):
    """What one optimiser step sees."""

    x: Tensor  # (batch, *data)
    condition: Tensor | None  # (batch, …)
    draws: dict[str, Tensor]  # the chance that the model's loss needs


class Stream:
    """The steps of a run: shuffled batches with fresh noise and the chance that the loss needs.

    All chance comes from two generators seeded by ``config.seed``, so that a model sees the same
    steps whether it trains alone, in a sweep, on several devices or after an interruption.

    Args:
        model: draws the chance of its own loss.
        x: ``(n, *data)``; it stays where it is, each batch goes to the model's device.
        condition: ``(n, …)`` or nothing.
        config: batch size, noise and seed.
        rank: which of ``world`` equal shares of every batch, and of its chance, comes out.
        world: number of shares.

    Raises:
        ValueError: when a batch, or its chance, cannot be cut into ``world`` equal shares.
    """

    def __init__(
        self,
        model: Model,
        x: Tensor,
        condition: Tensor | None,
        config: TrainConfig,
        rank: int = 0,
        world: int = 1,
    ):
        self.model, self.x, self.condition, self.config = model, x, condition, config
        self.order = Generator().manual_seed(config.seed)
        like = next(model.parameters())
        self.dtype, self.device = like.dtype, like.device
        self.chance = Generator(self.device).manual_seed(config.seed + 2**32)  # another stream
        self.batch = min(config.batch_size, len(x))
        self.per_epoch = len(x) // self.batch
        self.num_steps = self.per_epoch * config.epochs
        self.done, self.position = 0, 0  # steps of the run, and of the running epoch
        self.before_epoch = self.order.get_state()
        if self.batch % world:
            raise ValueError(
                f"fit: batch_size must be a multiple of the {world} processes, got {self.batch}"
            )
        share = self.batch // world
        self.rows = slice(rank * share, (rank + 1) * share)
        self.axes = self._batch_axes() if world > 1 else {}
        model.prepare(as_float(x[: self.batch].to(self.device), self.dtype))

    @property
    def progress(self) -> float:
        """The share of all steps that came before the current one."""
        return (self.done - 1) / self.num_steps

    def epoch(self) -> Iterator[Step]:
        """One pass over the data, or the rest of it; an incomplete last batch is left out."""
        if self.position:
            self.order.set_state(self.before_epoch)
        self.before_epoch = self.order.get_state()
        order = torch.randperm(len(self.x), generator=self.order).to(self.x.device)
        batches = order[: self.per_epoch * self.batch].split(self.batch)
        for index in batches[self.position :]:
            self.done, self.position = self.done + 1, self.position + 1
            yield self._step(index)
        self.position = 0

    def state_dict(self) -> dict:
        """Where the stream stands, for a checkpoint."""
        between = self.position == 0
        return {
            "order": self.order.get_state() if between else self.before_epoch,
            "chance": self.chance.get_state(),
            "device": self.device.type,
            "done": self.done,
            "position": self.position,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go to where another stream stood."""
        self.order.set_state(state["order"])
        self.before_epoch = state["order"]
        self.chance.set_state(state["chance"])
        self.done, self.position = state["done"], state["position"]

    def _step(self, index: Tensor) -> Step:
        x = as_float(self.x[index[self.rows]].to(self.device), self.dtype)
        whole = x[:1].expand(len(index), *x.shape[1:])  # no memory: chance needs the shape only
        if self.config.flip:
            mirrored = torch.rand(len(index), generator=self.chance, device=self.device) < 0.5
            mirrored = mirrored[self.rows].view(-1, *[1] * (x.dim() - 1))
            x = torch.where(mirrored, x.flip(-1), x)
        if self.config.noise > 0:
            random = {"generator": self.chance, "device": self.device, "dtype": x.dtype}
            x = x + self.config.noise * torch.randn(whole.shape, **random)[self.rows]
        condition = (
            None if self.condition is None else self.condition[index[self.rows]].to(self.device)
        )
        draws = self.model.draw(whole, self.chance)
        for name, axis in self.axes.items():
            draws[name] = draws[name].movedim(axis, 0)[self.rows].movedim(0, axis)
        return Step(x, condition, draws)

    def _batch_axes(self) -> dict[str, int]:
        """Which axis of each drawn tensor counts samples: the one that grows with the batch."""
        like = torch.empty(1, *self.x.shape[1:], device=self.device, dtype=self.dtype)
        spare = Generator(self.device)
        one, two = (
            self.model.draw(like.expand(n, *like.shape[1:]), spare)
            for n in (self.batch, 2 * self.batch)
        )
        axes = {}
        for name, shape in ((name, tensor.shape) for name, tensor in one.items()):
            grown = [a for a, n in enumerate(shape) if n != two[name].shape[a]]
            if len(grown) != 1 or shape[grown[0]] != self.batch:
                raise ValueError(
                    f"fit: this model's chance '{name}' {tuple(shape)} does not come sample by "
                    "sample and cannot be shared between processes; use fraction=1 or one device"
                )
            axes[name] = grown[0]
        return axes


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
        if what is not None:
            check_finite(call, "data", what)
    if not x.is_floating_point() and x.dtype != torch.uint8:
        raise ValueError(f"{call}: training data must be floating point or uint8, got {x.dtype}")
    if condition is not None and len(condition) != len(x):
        raise ValueError(
            f"{call}: expected a condition for each of {len(x)} samples, got {len(condition)}"
        )


def check_finite(call: str, what: str, x: Tensor) -> None:
    """Refuse rows with NaN or infinity, before a decomposition does in its own words.

    Raises:
        ValueError: naming the call, what is meant and how many rows.

    >>> check_finite("gaussian_w2", "features", torch.tensor([[0.0], [torch.nan]]))
    Traceback (most recent call last):
    ValueError: gaussian_w2: features must be finite, got 1 rows with NaN or infinity
    """
    if x.is_floating_point() and not x.isfinite().all():
        bad = int((~x.flatten(1).isfinite().all(1)).sum())
        raise ValueError(f"{call}: {what} must be finite, got {bad} rows with NaN or infinity")
