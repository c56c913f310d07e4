"""One training step counted without computing it: its products and the bytes that it needs.

The step runs on torch's ``meta`` device, where tensors have shapes and no numbers.
"""

import copy
import weakref
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from companion.models.base import Model
from companion.training.config import TrainConfig
from companion.training.memory import free, memory_budget
from companion.training.stream import Step

SHARE = 0.5  # of the free memory that the models of a sweep may take


class StepCost(NamedTuple):
    """One step of training at the preset's batch size."""

    flop: int  # of products of matrices and convolutions, a multiplication and an addition each
    peak: int  # bytes of gradients and of all that lives between forward and backward


class Counter(TorchDispatchMode):
    """Counts products and bytes of everything that is computed inside it.

    torch's own ``FlopCounterMode`` gives the same counts but follows modules with hooks that
    ``torch.func.vjp`` refuses.

    >>> with Counter() as counter:
    ...     _ = torch.zeros(2, 3) @ torch.zeros(3, 5)
    >>> counter.flop
    60
    """

    def __init__(self):
        super().__init__()
        self.flop, self.peak, self.live, self.sizes = 0, 0, 0, {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=out)
        old = {_place(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and _place(tensor) not in old | self.sizes.keys():
                self._born(tensor)
        return out

    def _born(self, tensor: Tensor) -> None:
        storage, place = tensor.untyped_storage(), _place(tensor)
        self.sizes[place] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._died, place)

    def _died(self, place: int) -> None:
        self.live -= self.sizes.pop(place)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def step_cost(model: Model, batch: int, condition_dim: int = 0) -> StepCost:
    """Count one training step; the model ends up on the ``meta`` device.

    >>> from companion.models import Autoencoder
    >>> model = Autoencoder(torch.nn.Linear(5, 2), torch.nn.Linear(2, 5), (5,), 2)
    >>> step_cost(model, 10).flop  # forward; then for weights, and for what is not data
    1000
    """
    model.to("meta").train()
    step = any_step(model, batch, condition_dim, "meta")
    with Counter() as counter:
        terms = model.loss(step.x, step.condition, **step.draws)
        terms.loss.mean().backward()
    model.zero_grad()
    return StepCost(counter.flop, counter.peak)


def any_step(model: Model, batch: int, condition_dim: int, device: str) -> Step:
    """A step of the right shapes whose data are all one half."""
    x = torch.full((batch, *model.data_shape), 0.5, device=device)
    condition = torch.zeros(batch, condition_dim, device=device) if condition_dim else None
    return Step(x, condition, model.draw(x))


def runs_at_once(
    model: Model, x: Tensor, config: TrainConfig, device: torch.device, condition_dim: int = 0
) -> int:
    """How many models of a kind half of a device's free memory takes, at least one.

    Counted are weights, gradients, Adam's moments and data, and all that lives between forward and
    backward of a step (:func:`companion.training.counter.step_cost`).

    >>> from companion.models import Autoencoder
    >>> model = Autoencoder(torch.nn.Linear(5, 2), torch.nn.Linear(2, 5), (5,), 2)
    >>> runs_at_once(model, torch.zeros(8, 5), TrainConfig(), torch.device("cpu")) > 1000
    True
    """
    batch = min(config.batch_size, len(x))
    try:
        activations = step_cost(copy.deepcopy(model), batch, condition_dim).peak
    except (NotImplementedError, RuntimeError, TypeError, ValueError):  # it needs real numbers
        activations = 8 * memory_budget(model).total + 64 * x[:batch].numel() * x.element_size()
    each = memory_budget(model, x).total + activations
    return max(1, int(SHARE * free(device) / each))
