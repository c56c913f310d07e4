"""Whether the model that a notebook writes out is the one that a study trains."""

import torch
from torch import nn

from companion.models import Model

PLAIN = (bool, int, float, str, tuple, dict, type(None))


def same(model: Model, other: Model) -> bool:
    """Whether two models have the same layers, settings and numbers.

    Args:
        model: the first.
        other: the second, whose weights were drawn from the same seed.

    >>> from companion.models import Autoencoder
    >>> from companion.networks import MLP
    >>> def make(seed, **settings):
    ...     torch.manual_seed(seed)
    ...     return Autoencoder(MLP(2, 1, [8]), MLP(1, 2, [8]), (2,), 1, **settings)
    >>> same(make(0), make(0)), same(make(0), make(1)), same(make(0), make(0, code=0.01))
    (True, False, False)
    """
    layers = [list(map(_described, one.modules())) for one in (model, other)]
    ours, theirs = model.state_dict(), other.state_dict()
    return (
        layers[0] == layers[1]
        and ours.keys() == theirs.keys()
        and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    )


def _described(layer: nn.Module) -> str:
    """The kind of a layer and what it holds besides numbers and other layers, as text."""
    public = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    plain = {name: value for name, value in public.items() if isinstance(value, PLAIN)}
    return f"{type(layer).__name__} {plain}"
