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

from collections.abc import Callable, Sequence
from math import prod
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


def as_float(x: Tensor, dtype: torch.dtype | None = None, call: str = "as_float") -> Tensor:
    """Images of bytes become numbers in [0, 1]; floating-point numbers keep their values.

    Args:
        x: ``(batch, *data)``, a sample of at least one axis.
        dtype: of what is returned; by default that of ``x``, or torch's default for bytes.
        call: the name that errors blame.

    Raises:
        ValueError: for anything but a tensor of bytes or of real floating-point numbers, and for
            samples without an axis, with the cure.

    >>> as_float(torch.tensor([[0, 255]], dtype=torch.uint8))
    tensor([[0., 1.]])
    """
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{call}: data must be a tensor, got {type(x).__name__}; torch.as_tensor(…) makes one"
        )
    if not (x.dtype == torch.uint8 or x.is_floating_point()):
        raise ValueError(
            f"{call}: data must be floating point, or images of uint8, got {x.dtype}; x.float() "
            "makes numbers, and x.to(torch.uint8) bytes, which are divided by 255"
        )
    if x.dim() < 2:
        raise ValueError(
            f"{call}: data must be (batch, *data), got {tuple(x.shape)}; x.view(-1, 1) makes each "
            "number a sample"
        )
    if x.dtype == torch.uint8:
        return x.to(dtype or torch.get_default_dtype()) / 255
    return x if dtype is None else x.to(dtype)


def exact(x: Tensor) -> Tensor:
    """A tensor in float64, on the CPU: some devices have no such numbers.

    >>> exact(torch.ones(1)).dtype
    torch.float64
    """
    return x.detach().cpu().double()


def bind(
    function: Map,
    condition: Tensor | None = None,
    who: str = "the map",
    shape: Sequence[int | None] | None = None,
) -> Map:
    """Close a map over its condition and hold it to the contract, whatever it is called with.

    What a map returns is checked at every call, by shape and type alone, which costs nothing and
    vanishes under ``torch.compile``: an output that merely broadcasts against the data would train
    in silence on something else than the loss.

    Args:
        function: an encoder or a decoder.
        condition: its second argument, or nothing.
        who: whom errors blame, such as ``"mlae_loss: the decoder"``.
        shape: of one sample of its output, where it is known; ``None`` in it stands for any size.

    Returns:
        The map of its first argument alone.

    Raises:
        ValueError: when the map is called with a condition for another number of samples, and when
            it returns no tensor, none of floating-point numbers, or one of another shape than
            ``(batch, *shape)``; it says what to do.

    >>> bind(lambda x, c: x + c, torch.ones(2, 1))(torch.zeros(2, 1)).flatten()
    tensor([1., 1.])
    >>> bind(torch.nn.Flatten(), None, "the decoder", (2, 2))(torch.zeros(8, 2, 2))
    Traceback (most recent call last):
    ValueError: the decoder must return (8, 2, 2), got (8, 4); end it with nn.Unflatten(1, (2, 2))
    """

    def held(point: Tensor) -> Tensor:
        if condition is not None:
            check_condition(condition, len(point), who)
        out = function(point) if condition is None else function(point, condition)
        _check_output(out, point, who, shape)
        return out

    return held


def check_condition(
    condition: Tensor, batch: int, who: str, size: int | None = None, flat: bool = False
) -> None:
    """Refuse a condition of another batch; with a size or ``flat`` also one that is not a vector.

    Raises:
        ValueError: naming what came, what was expected, and how labels become vectors.

    >>> check_condition(torch.tensor([3, 0]), 2, "MLP", size=10)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: MLP: a condition must be (2, 10), got (2,); torch.nn.functional.one_hot(labels, ...
    """
    flat = flat or size is not None
    got = tuple(condition.shape) if isinstance(condition, Tensor) else type(condition).__name__
    right = isinstance(got, tuple) and got[:1] == (batch,)
    if right and not (flat and (len(got) != 2 or size not in (None, got[1]))):
        return
    wanted = f"({batch}, {size or 'size'})" if flat else f"a tensor ({batch}, …)"
    cure = ""
    if right and len(got) == 1:
        cure = (
            f"; torch.nn.functional.one_hot(labels, {size or 'number'}).float() makes one of labels"
        )
    raise ValueError(f"{who}: a condition must be {wanted}, got {got}{cure}")


def _check_output(out: Tensor, point: Tensor, who: str, shape: Sequence[int | None] | None) -> None:
    if not isinstance(out, Tensor):
        several = isinstance(out, tuple | list)
        what = f"a {type(out).__name__} of {len(out)}" if several else type(out).__name__
        cure = (
            "; take the part that is the code or the reconstruction (a VAE's encoder returns one "
            "tensor, torch.cat([mean, log_variance], 1))"
        )
        raise ValueError(f"{who} must return one tensor, got {what}{cure * several}")
    expected = (len(point), *([None] * (out.dim() - 1) if shape is None else shape))
    fits = len(expected) == out.dim() > 0 and all(
        size in (None, got) for size, got in zip(expected, out.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{who} must return {_shown(expected)}, got {tuple(out.shape)}{_cure(out, expected)}"
        )
    if not out.is_floating_point():
        raise ValueError(f"{who} must return floating-point numbers, got {out.dtype}")


def _shown(expected: tuple[int | None, ...]) -> str:
    sizes = ["latent" if size is None else str(size) for size in expected]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"


def _cure(out: Tensor, expected: tuple[int | None, ...]) -> str:
    """What makes an output of the wrong shape right, where a layer can."""
    batch, *sizes = expected
    if out.dim() == 0 or len(out) != batch:
        return "; the first axis is the batch, which a map leaves as it is"
    if len(sizes) == 1 and out.dim() > 2 and sizes[0] in (None, prod(out.shape[1:])):
        return "; end it with nn.Flatten()"
    if None not in sizes and prod(sizes) == prod(out.shape[1:]) and sizes:
        return f"; end it with nn.Unflatten(1, {tuple(sizes)})"
    if len(sizes) == 1 and out.dim() == 2:
        return "; change its last layer, or the size that is asked of it"
    return ""
