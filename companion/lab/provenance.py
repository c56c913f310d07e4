"""What made a number: data and their size, networks, steps, seeds, device and versions."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from companion.training import TrainConfig


def made(
    what: str,
    model: nn.Module | None = None,
    x: Tensor | None = None,
    config: TrainConfig | None = None,
    *,
    seeds: Sequence[int] = (),
    **more: Any,
) -> dict[str, Any]:
    """What a measurement says about itself; :func:`companion.lab.claims.claim` takes it as ``by``.

    Args:
        what: the data, in words.
        model: one that was trained, for the numbers in it and its device.
        x: what it was trained on, ``(n, *data)``.
        config: how.
        seeds: one for each training.
        more: what else there is to say; ``evidence="paper"`` where data, networks and epochs are
            a paper's own.

    >>> import torch
    >>> config = TrainConfig(epochs=3, batch_size=4)
    >>> found = made("zeros", nn.Linear(2, 1), torch.zeros(8, 2), config, seeds=(0, 1))
    >>> described(found | {"versions": {}})
    'zeros; 8 samples; 3 parameters; 6 steps; 2 trainings; cpu'
    """
    torch_version = importlib.metadata.version("torch").split("+")[0]
    found: dict[str, Any] = {"data": what, "versions": {"torch": torch_version}}
    if model is not None:
        found["parameters"] = sum(p.numel() for p in model.parameters())
        found["device"] = str(next(iter(model.parameters())).device)
    if x is not None:
        found |= {"samples": len(x), "shape": list(x.shape[1:])}
        if config is not None:
            found["steps"] = config.epochs * max(1, len(x) // config.batch_size)
    if seeds:
        found["trainings"] = len(seeds)
    return found | more


def described(by: Mapping[str, Any]) -> str:
    """The same in a line, for a table.

    >>> described({"data": "toy digits", "samples": 1297, "parameters": 71505, "steps": 2000,
    ...     "trainings": 3, "device": "cpu", "versions": {"torch": "2.13.0"}})
    'toy digits; 1,297 samples; 71,505 parameters; 2,000 steps; 3 trainings; cpu; torch 2.13.0'
    """
    counts = ("samples", "parameters", "steps", "trainings")
    words = [str(by["data"])] if by.get("data") else []
    words += [_count(by[name], name) for name in counts if name in by]
    words += [str(by[name]) for name in ("device", "profile") if by.get(name)]
    words += [f"torch {by['versions']['torch']}"] if "torch" in by.get("versions", {}) else []
    return "; ".join(words)


def _count(value: int | Sequence[int], name: str) -> str:
    """A number of things, or from the least to the most of several."""
    low, high = (value, value) if isinstance(value, int) else (min(value), max(value))
    number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{number} {name.removesuffix('s') if high == 1 else name}"
