"""What several tests share: small networks in float64 and the slow oracle of the surrogate."""

import torch
from torch import nn
from torch.func import jacrev

from companion.networks import MLP

DIM, LATENT, BATCH = 5, 3, 6


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
    """The gradient of a sum in all parameters of some modules, zeros where it has none."""
    parameters = [p for module in modules for p in module.parameters()]
    return torch.autograd.grad(
        value.sum(), parameters, allow_unused=True, materialize_grads=True, retain_graph=keep
    )


def largest_difference(a, b):
    return max((p - q).abs().max().item() for p, q in zip(a, b, strict=True))
