"""What an experiment costs: steps times the counts of one step, and what was measured."""

import gc
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch

from companion.contracts import Terms
from companion.models.base import Model, evaluating
from companion.training.config import TrainConfig
from companion.training.counter import any_step, step_cost
from companion.training.experiment import Experiment
from companion.training.loop import make_optimizer
from companion.training.memory import memory_budget
from companion.training.presets import Preset
from companion.training.replay import WARM_UP, Replay
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
    "sinusoid": (10_000, 1_000, 1_000),
}


class Cost(NamedTuple):
    """A whole run: training alone, without validation and without search."""

    steps: int  # of all stages
    flop: float
    resident: int  # bytes of weights, Adam's moments, the last good state and the data
    peak: int  # bytes on top, at the largest step


class Measured(NamedTuple):
    """Some steps of training on one device."""

    seconds: float  # of a step: forward, backward and Adam's, the median
    peak: int  # bytes on a GPU at the largest step, weights and moments too; 0 elsewhere


class Stage(NamedTuple):
    """A model that is trained, and how often on what."""

    model: Model
    batch: int
    condition_dim: int
    steps: int


def stages(name: str, preset: Preset) -> Iterator[Stage]:
    """What a preset trains at the paper's settings, one model after the other.

    Raises:
        ValueError: for data whose size is not known.

    >>> from companion.training.presets import PRESETS
    >>> [stage.steps for stage in stages("taylor-mnist-collapse", PRESETS["taylor-mnist-collapse"])]
    [1000]
    """
    samples, experiment = _samples(preset), Experiment(name, preset, preset.data, "full")
    model, config = experiment.build(preset.table.data_shape), experiment.config(samples)
    steps = num_steps(config, samples)
    yield Stage(model, config.batch_size, 10 * preset.conditional, steps)
    if second := experiment.second(model):
        model, config = second
        yield Stage(model, config.batch_size, 0, num_steps(config, samples))


def run_cost(name: str, preset: Preset) -> Cost:
    """Count a preset's whole run at the paper's settings, from one step of each stage.

    Raises:
        ValueError: for data whose size is not known.

    >>> from companion.training.presets import PRESETS
    >>> cost = run_cost("taylor-mnist", PRESETS["taylor-mnist"])
    >>> cost.steps >= 50_000, cost.flop / cost.steps > 1e8
    (True, True)
    """
    shape = preset.table.data_shape
    kind = torch.uint8 if len(shape) == 3 else torch.float32
    sizes = _samples(preset), SIZES[preset.data][1]
    data = [torch.empty(n, *shape, dtype=kind, device="meta") for n in sizes]
    steps = flop = resident = peak = 0
    for stage in stages(name, preset):
        budget = memory_budget(stage.model, *data)
        resident = resident or budget.total - budget.gradients
        cost = step_cost(stage.model, stage.batch, stage.condition_dim)
        steps, flop = steps + stage.steps, flop + stage.steps * cost.flop
        peak = max(peak, cost.peak)
    return Cost(steps, float(flop), resident, peak)


def _samples(preset: Preset) -> int:
    """How many samples a preset trains on."""
    if preset.data not in SIZES:
        raise ValueError(f"stages: data must be one of {', '.join(SIZES)}, got {preset.data!r}")
    return min(SIZES[preset.data][0], preset.limit or SIZES[preset.data][0])


def num_steps(config: TrainConfig, samples: int) -> int:
    """Steps of a whole run.

    >>> num_steps(TrainConfig(epochs=2, batch_size=30), 100)
    6
    """
    return config.epochs * (samples // min(config.batch_size, samples))


def measured_step(
    model: Model,
    batch: int,
    condition_dim: int = 0,
    device: str = "cpu",
    steps: int = 5,
    limit: float = 5.0,
) -> Measured:
    """Time some steps of training, replayed on a GPU as ``fit`` does it, after some that warm up.

    A step is forward and backward pass and Adam's update, with the chance that the loss needs; no
    data are read, and nothing is clipped, logged or validated.

    Args:
        model: it is moved to the device and trained.
        batch: samples of one step.
        condition_dim: of the model's condition, or 0.
        device: where; of several GPUs the current one.
        steps: so many after those that warm up,
        limit: or fewer, but at least one, once all have taken so many seconds.

    Returns:
        The median step, and on a GPU the bytes that it needed at most.

    >>> from companion.models import Autoencoder
    >>> model = Autoencoder(torch.nn.Linear(5, 2), torch.nn.Linear(2, 5), (5,), 2)
    >>> measured_step(model, 10).seconds > 0
    True
    """
    on_gpu = torch.device(device).type == "cuda"
    before = _cleared() if on_gpu else 0
    model.to(device).train()
    optimizer = make_optimizer((p for p in model.parameters() if p.requires_grad), TrainConfig())

    def run(step: Step) -> Terms:
        optimizer.zero_grad()
        terms = model.loss(step.x, step.condition, **step.draws)
        terms.loss.mean().backward()
        return terms

    gradients, warm, seconds, began = run, 2, [], perf_counter()
    if on_gpu:
        gradients, warm = Replay(run, model.parameters(), model.buffers()), WARM_UP + 2
    while len(seconds) <= warm or len(seconds) < steps + warm and perf_counter() - began < limit:
        start = perf_counter()
        gradients(any_step(model, batch, condition_dim, device))
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() - before if on_gpu else 0
    return Measured(median(seconds[warm:]), peak)


def _cleared() -> int:
    """Bytes that are taken on the GPU, once what nobody needs is gone; from here a peak counts."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def measured_sampling(model: Model, n: int, condition_dim: int = 0, device: str = "cpu") -> float:
    """Samples per second, the better of two draws of ``n``; the model is moved to the device.

    >>> from companion.models import Autoencoder
    >>> model = Autoencoder(torch.nn.Linear(5, 2), torch.nn.Linear(2, 5), (5,), 2)
    >>> measured_sampling(model, 100) > 100
    True
    """
    condition = torch.zeros(n, condition_dim, device=device) if condition_dim else None
    seconds = []
    with evaluating(model.to(device)), torch.no_grad():
        for _ in range(2):
            start = perf_counter()
            model.sample(n, condition)[0].cpu()  # waits for it
            seconds.append(perf_counter() - start)
    return n / min(seconds)
