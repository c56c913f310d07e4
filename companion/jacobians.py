"""Exact Jacobians, log-volumes and spectra: slow, certain, the judge of every estimator.

Everything takes plain maps that treat the samples of a batch independently and costs one
Jacobian-vector product for each column (or each row, whichever are fewer).
"""

from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import vjp, vmap
from torch.overrides import TorchFunctionMode

from companion.contracts import FORWARD_MODE, Map, bind

LINEAR_LAYERS = (
    F.linear, F.conv1d, F.conv2d, F.conv3d,
    F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
)  # fmt: skip


def jvp(
    function: Map, point: Tensor, tangent: Tensor, detach: bool = False
) -> tuple[Tensor, Tensor]:
    """A map's value and its Jacobian times a vector, in one forward-mode pass.

    The same numbers as :func:`torch.func.jvp`, but faster: for a layer W x + b torch computes
    W ẋ + Ẇ x with an explicit Ẇ = 0, and the second product costs as much as the first. Here the
    layers of ``LINEAR_LAYERS`` skip it.

    Threads wait for each other, since torch's forward mode is one for all of them.

    Args:
        function: any map.
        point: where, ``(batch, *in)``.
        tangent: the vector, like ``point``.
        detach: the product needs no gradient, so that its graph need not be recorded.

    Returns:
        Value and product, both ``(batch, *out)``.

    >>> jvp(lambda x: x**2, torch.tensor([3.0]), torch.tensor([1.0]))
    (tensor([9.]), tensor([6.]))
    """

    def skipping(dual: Tensor) -> Tensor:
        with _SkipZeroTangents(detach):
            return function(dual)

    alone = nullcontext() if torch.compiler.is_compiling() else FORWARD_MODE
    with alone:
        value, product = torch.func.jvp(skipping, (point,), (tangent,))
    return value, product.detach() if detach else product


class _SkipZeroTangents(TorchFunctionMode):
    """Inside forward mode: a linear layer whose weight is constant maps tangent to tangent."""

    def __init__(self, detach: bool):
        super().__init__()
        self.detach = detach

    def __torch_function__(self, layer, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if layer in LINEAR_LAYERS and len(args) >= 2 and "bias" not in kwargs:
            x, weight, bias, *rest = (*args, None)[: max(3, len(args))]
            value, tangent = forward_ad.unpack_dual(x)
            constant = all(
                p is None or forward_ad.unpack_dual(p).tangent is None for p in (weight, bias)
            )
            if tangent is not None and constant:
                with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach):
                    pushed = layer(tangent, weight, None, *rest, **kwargs)
                return forward_ad.make_dual(layer(value, weight, bias, *rest, **kwargs), pushed)
        return layer(*args, **kwargs)


def jacobian(
    function: Map,
    point: Tensor,
    condition: Tensor | None = None,
    chunk_size: int | None = None,
    differentiable: bool = False,
) -> Tensor:
    """The Jacobian matrix of a map at every sample of a batch.

    Args:
        function: ``(batch, *in) -> (batch, *out)``, each sample on its own.
        point: ``(batch, *in)``.
        condition: second argument of the map, or nothing.
        chunk_size: columns (or rows) computed at once; bounds the memory. By default as many as
            keep one chunk below about 2²⁴ numbers.
        differentiable: keep the graph, so that gradients flow to the map's parameters.

    Returns:
        ``(batch, out, in)`` with both sides flattened.

    Raises:
        ValueError: when ``chunk_size`` is not positive.

    >>> jacobian(lambda z: torch.cat([z**2, z, 3 * z], 1), torch.tensor([[2.0]]))
    tensor([[[4.],
             [1.],
             [3.]]])
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"jacobians.jacobian: chunk_size must be positive, got {chunk_size}")
    with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
        bound = bind(function, condition)
        with torch.no_grad():
            value = bound(point)
        rows, columns = value[0].numel(), point[0].numel()
        chunk = chunk_size or max(1, 2**24 // max(value.numel(), point.numel()))
        if columns <= rows:
            by_column = vmap(lambda v: jvp(bound, point, v)[1], chunk_size=chunk)
            return by_column(_unit_vectors(point)).flatten(2).permute(1, 2, 0)
        _, pull = vjp(bound, point)
        by_row = vmap(lambda w: pull(w)[0], chunk_size=chunk)
        return by_row(_unit_vectors(value)).flatten(2).transpose(0, 1)


def _unit_vectors(like: Tensor) -> Tensor:
    """All unit vectors of one sample, the same for each of the batch: ``(size, batch, *shape)``."""
    size = like[0].numel()
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return eye.view(size, 1, *like.shape[1:]).expand(size, *like.shape)


def singular_values(
    function: Map, point: Tensor, condition: Tensor | None = None, **options
) -> Tensor:
    """Singular values of the Jacobian, largest first: ``(batch, min(in, out))``.

    Options are those of :func:`jacobian`. Source: MLAE App. E.2.

    >>> singular_values(lambda z: z * torch.tensor([3.0, 4.0]), torch.zeros(1, 2))
    tensor([[4., 3.]])
    """
    if options.get("differentiable", False):
        return torch.linalg.svdvals(jacobian(function, point, condition, **options))
    with torch.no_grad():  # in parts of the batch, so that the Jacobians of one part are held
        size = point[0].numel() * bind(function, _first(condition))(point[:1]).numel()
        parts = max(1, 2**24 // size)
        conditions = [condition] * len(point) if condition is None else condition.split(parts)
        return torch.cat(
            [
                torch.linalg.svdvals(jacobian(function, part, c, **options))
                for part, c in zip(point.split(parts), conditions, strict=False)
            ]
        )


def _first(condition: Tensor | None) -> Tensor | None:
    return None if condition is None else condition[:1]


def log_volume(decode: Map, z: Tensor, condition: Tensor | None = None, **options) -> Tensor:
    """½ log det(g'(z)ᵀ g'(z)), how much a decoder stretches latent volume, in nats: ``(batch,)``.

    It is the sum of the logarithms of the Jacobian's singular values; −∞ where the map is singular.
    Options are those of :func:`jacobian`. Source: MLAE eqs 2 and 27.

    >>> log_volume(lambda z: z * torch.tensor([2.0, 0.5]), torch.zeros(1, 2)).abs()
    tensor([0.])
    """
    return singular_values(decode, z, condition, **options).log().sum(-1)


def log_volume_encoder(
    encode: Map, x: Tensor, condition: Tensor | None = None, **options
) -> Tensor:
    """½ log det(f'(x) f'(x)ᵀ), how much an encoder stretches volume, in nats: ``(batch,)``.

    Minus the decoder's log-volume where the two Jacobians are pseudo-inverse (MLAE eq. 34). Options
    are those of :func:`jacobian`. Source: MLAE eqs 34 and 35.

    >>> log_volume_encoder(lambda x: x[:, :1] * 3.0, torch.zeros(2, 3)).exp().round()
    tensor([3., 3.])
    """
    return singular_values(encode, x, condition, **options).log().sum(-1)


class Defect(NamedTuple):
    """How far an encoder and a decoder are from being pseudo-inverse, per sample."""

    log_volume: Tensor  # (batch,) sum of both log-volumes, in nats; 0 for a pseudo-inverse pair
    identity: Tensor  # (batch,) ‖f'g' − 1‖_F / √latent; 0 when f∘g is the identity to first order


def defect(
    x: Tensor, encode: Map, decode: Map, condition: Tensor | None = None, **options
) -> Defect:
    """The pseudo-inverse defect at z = f(x), x̂ = g(z): what the one-pass surrogate neglects.

    ``log_volume`` is ½ log det(f'(x̂)f'(x̂)ᵀ) + ½ log det(g'(z)ᵀg'(z)), zero where f'(x̂) is the
    pseudo-inverse of g'(z) (MLAE eq. 34), at least zero where only f'(x̂)g'(z) = 1 (eq. 10).
    Options are those of :func:`jacobian`.

    >>> A = torch.tensor([[2.0, 0.0]])
    >>> defect(torch.ones(1, 2), lambda x: x @ A.T, lambda z: z @ torch.linalg.pinv(A).T)
    Defect(log_volume=tensor([0.]), identity=tensor([0.]))
    """
    with torch.set_grad_enabled(options.get("differentiable", False)):
        z = bind(encode, condition)(x)
        x_hat = bind(decode, condition)(z)
    f = jacobian(encode, x_hat, condition, **options)  # (batch, latent, dim)
    g = jacobian(decode, z, condition, **options)  # (batch, dim, latent)
    logs = [torch.linalg.svdvals(j).log().sum(-1) for j in (f, g)]
    eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    identity = torch.linalg.matrix_norm(f @ g - eye) / z.shape[1] ** 0.5
    return Defect(logs[0] + logs[1], identity)
