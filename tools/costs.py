"""Count what every preset costs at `full`, measure steps here, and write book/costs.json.

The counts take seconds and no memory to speak of; the rates are those of one thread of this
machine. On a machine with a GPU, `--gpu` times every preset's own steps there and keeps the rest.
"""

import argparse
import gc
import json
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch

from companion.atomic import write
from companion.contracts import Terms
from companion.experiments.experiment import Data, Experiment
from companion.experiments.plan import plans
from companion.experiments.presets import PRESETS, Preset
from companion.experiments.sizes import SIZES, unread
from companion.models.base import Model, evaluating
from companion.training import TrainConfig, make_optimizer, memory_budget
from companion.training.counter import any_step, step_cost
from companion.training.replay import WARM_UP, Replay
from companion.training.stream import Step

OUT = Path(__file__).resolve().parents[1] / "book" / "costs.json"
# whose rate stands for a family's, and at what batch it is measured here
MEASURED = {
    "mlae": ("mlae-mnist-convnet", 32),
    "tables": ("mlae-miniboone", 512),
    "relaxed": ("relaxed-mnist-log", 8),
    "aef": ("aef-mnist", 128),
    "two-stage": ("two-stage-mnist-infogan", 100),
    "taylor": ("taylor-celeba", 64),
}
DRAWN = 500  # samples at once


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
    """What a preset trains at the paper's settings, one model after the other."""
    experiment = Experiment(name, preset, preset.data, "full")
    told = 10 * preset.conditional
    for model, data, config in plans(experiment, _unread(experiment)):
        yield Stage(model, config.batch_size, told, num_steps(config, len(data.train)))


def run_cost(name: str, preset: Preset) -> Cost:
    """Count a preset's whole run at the paper's settings, from one step of each stage."""
    data = _unread(Experiment(name, preset, preset.data, "full"))
    steps = flop = resident = peak = 0
    for stage in stages(name, preset):
        budget = memory_budget(stage.model, data.train, data.valid)
        resident = resident or budget.total - budget.gradients
        cost = step_cost(stage.model, stage.batch, stage.condition_dim)
        steps, flop = steps + stage.steps, flop + stage.steps * cost.flop
        peak = max(peak, cost.peak)
    return Cost(steps, float(flop), resident, peak)


def _unread(experiment: Experiment) -> Data:
    """Data of the preset's sizes without numbers."""
    if experiment.data not in SIZES:
        raise ValueError(f"stages: data must be one of {', '.join(SIZES)}, got {experiment.data!r}")
    return unread(experiment)


def num_steps(config: TrainConfig, samples: int) -> int:
    """Steps of a whole run."""
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
    """Samples per second, the better of two draws of ``n``; the model is moved to the device."""
    condition = torch.zeros(n, condition_dim, device=device) if condition_dim else None
    seconds = []
    with evaluating(model.to(device)), torch.no_grad():
        for _ in range(2):
            start = perf_counter()
            model.sample(n, condition)[0].cpu()  # waits for it
            seconds.append(perf_counter() - start)
    return n / min(seconds)


def rate(name: str, batch: int) -> float:
    """Counted operations per second of a preset's first stage."""
    model = next(stages(name, PRESETS[name])).model
    seconds = measured_step(model, batch).seconds
    return step_cost(model, batch).flop / seconds


def on_gpu(name: str) -> dict[str, float | list[float]]:
    """Every stage's steps at the paper's batch, and samples of the last one."""
    hours, steps, peak = 0.0, [], 0
    for stage in stages(name, PRESETS[name]):
        found = measured_step(stage.model, stage.batch, stage.condition_dim, "cuda", steps=20)
        hours += stage.steps * found.seconds / 3600
        steps.append(1000 * found.seconds)
        peak = max(peak, found.peak)
    drawn = measured_sampling(stage.model, DRAWN, stage.condition_dim, "cuda")
    print(name, [f"{ms:.2f} ms" for ms in steps], f"{hours:.2f} h, {peak / 1e9:.2f} GB", flush=True)
    return {"milliseconds": steps, "hours": hours, "peak": peak, "samples_per_second": drawn}


def still_valid(measured: dict, before: dict, now: dict) -> dict:
    """A GPU's measurements of presets that cost what they did; others' have to be made again."""
    return {
        name: measured[name]
        for name in now
        if name in measured and before[name]["flop"] == now[name]["flop"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep-rates", action="store_true", help="only count; keep all times")
    parser.add_argument("--gpu", action="store_true", help="only measure, on this machine's GPU")
    parser.add_argument("-o", "--out", type=Path, default=OUT)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    found = json.loads(OUT.read_text("utf-8"))
    version = {"torch": torch.__version__.partition("+")[0]}
    if asked.gpu:
        about = version | {"device": torch.cuda.get_device_name(), "samples_at_once": DRAWN}
        about["convolutions"] = "TF32" if torch.backends.cudnn.allow_tf32 else "float32"
        found["gpu"] = {"about": about, "runs": {name: on_gpu(name) for name in PRESETS}}
    elif not asked.keep_rates:
        torch.set_num_threads(1)
        found["about"] = version | {"threads": 1, "device": "cpu", "machine": platform.machine()}
        for family, (name, batch) in MEASURED.items():
            found["rates"][family] = {"preset": name, "batch": batch}
            found["rates"][family]["flop_per_second"] = rate(name, batch)
    if not asked.gpu:
        runs = {name: run_cost(name, preset)._asdict() for name, preset in PRESETS.items()}
        found["gpu"]["runs"] = still_valid(found["gpu"]["runs"], found["runs"], runs)
        found["runs"] = runs
    write(asked.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
