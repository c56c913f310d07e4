"""What several tests share: networks in float64, the surrogate's oracle, two machines' results."""

import os
import re

import pytest
import torch
from torch import nn
from torch.func import jacrev

from companion.networks import MLP

DIM, LATENT, BATCH = 5, 3, 6
NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def pair(data_shape=(DIM,), latent=LATENT, condition_dim=0, seed=0):
    """An encoder and a decoder with tanh units, in float64, that are no pseudo-inverse pair."""
    torch.manual_seed(seed)
    options = {"hidden": [7], "condition_dim": condition_dim, "activation": "tanh"}
    return (
        MLP(data_shape, latent, **options).double(),
        MLP(latent, data_shape, **options).double(),
    )


def data(shape=(DIM,), batch=BATCH, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, *shape, dtype=torch.float64, generator=generator)


def exact_trace(x, encode, decode, side="encoder", at="data"):
    """tr(f'(p) g'(z)) with the other side's Jacobian stopped, sample by sample, dense: (batch,)."""
    traces = []
    for one in x:
        z = encode(one[None])[0]
        x_hat = decode(z[None])[0]
        point = one if at == "data" else x_hat
        f = jacrev(lambda p: encode(p[None])[0])(point).reshape(z.numel(), -1)
        g = jacrev(lambda c: decode(c[None])[0])(z).reshape(-1, z.numel())
        f, g = (f, g.detach()) if side == "encoder" else (f.detach(), g)
        traces.append(torch.trace(f @ g))
    return torch.stack(traces)


def gradients(value, *modules: nn.Module, keep=False):
    """The gradient of a sum in what some modules train, zeros where it has none."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return torch.autograd.grad(
        value.sum(), parameters, allow_unused=True, materialize_grads=True, retain_graph=keep
    )


def largest_difference(a, b):
    return max((p - q).abs().max().item() for p, q in zip(a, b, strict=True))


def alike(ours, theirs, rel=1e-3):
    """Whether texts or records of two machines say the same: names, words and counts are equal.

    Numbers agree within ``rel``, in a text also within one unit of the last digit after its point.
    """
    if isinstance(ours, dict):
        same = ours.keys() == theirs.keys()
        return same and all(alike(ours[name], theirs[name], rel) for name in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(lambda a, b: alike(a, b, rel), ours, theirs))
    if isinstance(ours, float):
        return ours == pytest.approx(theirs, rel=rel, abs=1e-9, nan_ok=True)
    if isinstance(ours, str):
        pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=False)
        return NUMBER.sub("#", ours) == NUMBER.sub("#", theirs) and all(
            float(a.replace("−", "-")) == pytest.approx(float(b.replace("−", "-")), rel, unit(b))
            for a, b in pairs
        )
    return ours == theirs


def unit(number):
    """One of the last digit after a number's point; nothing where it has none."""
    digits, _, power = number.partition("e")
    places = len(digits.partition(".")[2])
    return 1.01 * 10.0 ** (int(power or 0) - places) if places else 1e-9


def judge(milliseconds, must):
    """Hold a time where `make bench` asks for it: in the tests others use the machine too."""
    if os.environ.get("COMPANION_BENCH") == "1":
        assert milliseconds <= must
