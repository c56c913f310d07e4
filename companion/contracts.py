"""The words that every other module uses: the axes, the maps and the bundles of tensors.

Axes, always in this order:

==========  ==========================================================================
``probe``   random directions of a trace estimator, ``num_probes`` of them (the papers' K)
``batch``   samples
``dim``     one sample of the data, of any shape ``*data`` (the papers' D numbers)
``latent``  one code (the papers' d numbers)
==========  ==========================================================================

An encoder is any callable ``(batch, *data) -> (batch, latent)`` and a decoder any callable back.
With a condition they take it as their second argument, with the same batch.
"""

from collections.abc import Callable
from threading import RLock
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

Map = Callable[..., Tensor]
FORWARD_MODE = RLock()  # torch's forward mode is one for all threads: two at once give nonsense


class Surrogate(NamedTuple):
    """What one pass of the log-volume surrogate gives: code, reconstruction, surrogate."""

    z: Tensor  # (batch, latent)
    x_hat: Tensor  # (batch, *data)
    surrogate: Tensor  # (batch,) its gradient matters, its value is no log-determinant


class LogProb(NamedTuple):
    """Log-densities in nats and, in words, what kind of number they are."""

    value: Tensor  # (batch,)
    kind: str  # "exact, …", "lower bound, …" or "importance-sampled, …"


@runtime_checkable
class Terms(Protocol):
    """A model's named per-sample terms: a NamedTuple of ``(batch,)`` tensors with a ``loss``."""

    loss: Tensor

    def _asdict(self) -> dict[str, Tensor]: ...


def as_float(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Images of bytes become numbers in [0, 1]; anything else keeps its values.

    >>> as_float(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([0., 1.])
    """
    dtype = dtype or (torch.get_default_dtype() if x.dtype == torch.uint8 else x.dtype)
    return x.to(dtype) / 255 if x.dtype == torch.uint8 else x.to(dtype)


def exact(x: Tensor) -> Tensor:
    """A tensor in float64, on the CPU: some devices have no such numbers.

    >>> exact(torch.ones(1)).dtype
    torch.float64
    """
    return x.detach().cpu().double()


def bind(function: Map, condition: Tensor | None) -> Map:
    """Close a map over its condition, so that only its first argument is left.

    >>> import torch
    >>> bind(lambda x, c: x + c, torch.ones(2))(torch.zeros(2))
    tensor([1., 1.])
    """
    if condition is None:
        return function
    return lambda point: function(point, condition)
