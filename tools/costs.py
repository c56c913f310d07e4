"""Count what every preset costs at `full`, measure a few steps here, and write book/costs.json.

The counts take seconds and no memory to speak of; the rates are those of this machine.
"""

import argparse
import json
import platform
import warnings
from pathlib import Path

import torch

from companion.training.costs import measured_rate, run_cost
from companion.training.experiment import Experiment
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


def rate(name: str, batch: int) -> float:
    preset = PRESETS[name]
    model = Experiment(name, preset, preset.data, "full").build(preset.table.data_shape)
    return measured_rate(model, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--keep-rates", action="store_true", help="only count; leave what was measured"
    )
    keep = parser.parse_args().keep_rates
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    before = json.loads(OUT.read_text("utf-8")) if keep else {"rates": {}}
    rates = before["rates"]
    for family, (name, batch) in () if keep else MEASURED.items():
        rates[family] = {"preset": name, "batch": batch, "flop_per_second": rate(name, batch)}
        print(family, f"{rates[family]['flop_per_second']:.3g} flop/s")
    runs = {name: run_cost(name, preset)._asdict() for name, preset in PRESETS.items()}
    now = {"torch": torch.__version__.partition("+")[0], "threads": 1}
    now |= {"device": "cpu", "machine": platform.machine()}
    about = before.get("about", now)
    OUT.write_text(json.dumps({"about": about, "rates": rates, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
