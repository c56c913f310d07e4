"""A training run in a process of its own, to be killed and run again: PATH, then its settings."""

import json
import sys

import torch

from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, fit


def make_model(seed: int = 0) -> MLAE:
    torch.manual_seed(seed)
    widths = {"hidden": [32]}
    model = MLAE(MLP(2, 1, **widths), MLP(1, 2, **widths), (2,), 1, num_probes=1, noise_levels=None)
    model.encoder.body.insert(1, torch.nn.Dropout(0.1))  # chance that only the global state knows
    return model


def make_data(n: int = 512) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    t = torch.randn(n, 1, generator=generator)
    return torch.cat([t, 0.5 * t], 1) + 0.05 * torch.randn(n, 2, generator=generator)


def run(directory: str, **settings):
    torch.set_num_threads(1)
    model, x = make_model(), make_data()
    config = TrainConfig(**({"batch_size": 32, "device": "cpu", "noise": 0.1} | settings))
    log = fit(model, x, x[:32], config, directory=directory, resume=True, progress=False)
    return model, log


if __name__ == "__main__":
    run(sys.argv[1], **json.loads(sys.argv[2]))
    print("done")
