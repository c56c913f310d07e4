"""What an experiment costs: products and memory of one step, counted without computing it.

The step runs on torch's ``meta`` device, where tensors have shapes and no numbers.
"""

import weakref
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from companion.models.base import Model
from companion.training.config import TrainConfig
from companion.training.experiment import Experiment
from companion.training.loop import make_optimizer
from companion.training.memory import memory_budget
from companion.training.presets import Preset
from companion.training.stream import Step

# training, validation and test samples, as the loaders cut them; of chairs, whose split is by
# chair, and of gas, whose rows are a quarter, within a thousandth
SIZES = {
    "mnist": (50_000, 10_000, 10_000),
    "fashion-mnist": (50_000, 10_000, 10_000),
    "kmnist": (50_000, 10_000, 10_000),
    "omniglot": (17_352, 1_928, 13_180),
    "cifar10": (40_000, 10_000, 10_000),
    "imagenet32": (1_271_167, 10_000, 50_000),
    "chairs": (69_068, 8_618, 8_680),
    "celeba": (162_770, 19_867, 19_962),
    "celeba-hq": (24_183, 2_993, 2_824),
    "celeba-hq-32": (24_183, 2_993, 2_824),
    "power": (1_659_917, 184_435, 204_928),
    "gas": (852_174, 94_685, 105_206),
    "hepmass": (315_123, 35_013, 174_987),
    "miniboone": (29_556, 3_284, 3_648),
}


class StepCost(NamedTuple):
    """One step of training at the preset's batch size."""

    flop: int  # of products of matrices and convolutions, a multiplication and an addition each
    peak: int  # bytes of gradients and of all that lives between forward and backward


class Cost(NamedTuple):
    """A whole run: training alone, without validation and without search."""

    steps: int  # of all stages
    flop: float
    resident: int  # bytes of weights, Adam's moments, the last good state and the data
    peak: int  # bytes on top, at the largest step


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
    step = _step(model, batch, condition_dim, "meta")
    with Counter() as counter:
        terms = model.loss(step.x, step.condition, **step.draws)
        terms.loss.mean().backward()
    model.zero_grad()
    return StepCost(counter.flop, counter.peak)


def _step(model: Model, batch: int, condition_dim: int, device: str) -> Step:
    x = torch.zeros(batch, *model.data_shape, device=device)
    condition = torch.zeros(batch, condition_dim, device=device) if condition_dim else None
    return Step(x, condition, model.draw(x))


def run_cost(name: str, preset: Preset) -> Cost:
    """Count a preset's whole run at the paper's settings, from one step of each stage.

    Raises:
        ValueError: for data whose size is not known.

    >>> from companion.training.presets import PRESETS
    >>> cost = run_cost("taylor-mnist", PRESETS["taylor-mnist"])
    >>> cost.steps >= 50_000, cost.flop / cost.steps > 1e8
    (True, True)
    """
    if preset.data not in SIZES:
        raise ValueError(f"run_cost: data must be one of {', '.join(SIZES)}, got {preset.data!r}")
    experiment, shape = Experiment(name, preset, preset.data, "full"), preset.table.data_shape
    samples = min(SIZES[preset.data][0], preset.limit or SIZES[preset.data][0])
    kind = torch.uint8 if len(shape) == 3 else torch.float32
    sizes = samples, SIZES[preset.data][1]
    data = [torch.empty(n, *shape, dtype=kind, device="meta") for n in sizes]
    model, config = experiment.build(shape), experiment.config(samples)
    budget = memory_budget(model, *data)
    steps = num_steps(config, samples)
    cost = step_cost(model, config.batch_size, 10 * preset.conditional)
    flop, peak = float(steps * cost.flop), cost.peak
    if second := experiment.second(model):
        more = num_steps(second[1], samples)
        cost = step_cost(second[0], second[1].batch_size)
        steps, flop, peak = steps + more, flop + more * cost.flop, max(peak, cost.peak)
    return Cost(steps, flop, budget.total - budget.gradients, peak)


def num_steps(config: TrainConfig, samples: int) -> int:
    """Steps of a whole run.

    >>> num_steps(TrainConfig(epochs=2, batch_size=30), 100)
    6
    """
    return config.epochs * (samples // min(config.batch_size, samples))


def measured_rate(model: Model, batch: int, steps: int = 5, device: str = "cpu") -> float:
    """Floating point operations of counted products per second, in the fastest of some steps."""
    model.to(device).train()
    optimizer = make_optimizer((p for p in model.parameters() if p.requires_grad), TrainConfig())
    seconds = []
    for _ in range(steps):
        step = _step(model, batch, 0, device)
        began = perf_counter()
        model.loss(step.x + 0.5, step.condition, **step.draws).loss.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - began)
    return step_cost(model, batch).flop / min(seconds)
