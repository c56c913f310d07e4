"""Count what every preset costs at `full`, measure steps here, and write book/costs.json.

The counts take seconds and no memory to speak of; the rates are those of one thread of this
machine. On a machine with a GPU, `--gpu` times every preset's own steps there and keeps the rest.
"""

import argparse
import json
import platform
import warnings
from pathlib import Path

import torch

from companion.atomic import write
from companion.training.costs import measured_sampling, measured_step, run_cost, stages
from companion.training.counter import step_cost
from companion.training.presets import PRESETS

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
        found["runs"] = {name: run_cost(name, preset)._asdict() for name, preset in PRESETS.items()}
    write(asked.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
