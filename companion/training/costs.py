"""What an experiment costs: steps times the counts of one step, and a measured rate."""

from time import perf_counter
from typing import NamedTuple

import torch

from companion.models.base import Model
from companion.training.config import TrainConfig
from companion.training.counter import any_step, step_cost
from companion.training.experiment import Experiment
from companion.training.loop import make_optimizer
from companion.training.memory import memory_budget
from companion.training.presets import Preset

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
    "sinusoid": (10_000, 1_000, 1_000),
}


class Cost(NamedTuple):
    """A whole run: training alone, without validation and without search."""

    steps: int  # of all stages
    flop: float
    resident: int  # bytes of weights, Adam's moments, the last good state and the data
    peak: int  # bytes on top, at the largest step


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
        step = any_step(model, batch, 0, device)
        began = perf_counter()
        model.loss(step.x + 0.5, step.condition, **step.draws).loss.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - began)
    return step_cost(model, batch).flop / min(seconds)
