"""A training run in as many processes as torchrun starts: where to, then which model."""

import json
import sys
from pathlib import Path

import torch

from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, fit

OPTIONS = {
    "plain": {"num_probes": 2},
    "soft": {"noise_levels": 0.3, "beta_range": (1.0, 100.0), "space": "data"},
}


def run(directory: str, name: str, devices: int, callback=None, **settings):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    extra = 2 if name == "soft" else 0
    networks = MLP(4, 2, [32], 1 + extra), MLP(2, 4, [32], 1 + extra)
    model = MLAE(*networks, (4,), 2, **OPTIONS[name])
    x = torch.randn(520, 4, generator=torch.Generator().manual_seed(0)) ** 2
    config = TrainConfig(
        **{"epochs": 5, "batch_size": 64, "device": "cpu", "noise": 0.1, "clip": 5.0} | settings,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
    )
    if name == "soft":
        callback = lambda row: row["epoch"] == 4  # noqa: E731
    options = {"condition": x[:, :1].sign(), "valid_condition": x[:64, :1].sign()}
    options |= {"directory": directory, "resume": True, "progress": False, "callback": callback}
    return model, fit(model, x, x[:64], config, **options)


if __name__ == "__main__":
    where, devices = Path(sys.argv[1]), int(sys.argv[2])
    for name in OPTIONS:
        run(str(where / name), name, devices, **json.loads(sys.argv[3]))
