"""Exact Jacobians, log-volumes and spectra: slow, certain, the judge of every estimator.

Everything takes plain maps that treat the samples of a batch independently and costs one
Jacobian-vector product for each column (or each row, whichever are fewer).
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from companion.contracts import Map, bind
from companion.passes import PassError, jvp, over, vjp

Mode = Literal["auto", "forward", "backward"]
CHUNK = 2**19  # numbers; a pass holds some forty times as many inside a deep network


def jacobian(
    function: Map,
    point: Tensor,
    condition: Tensor | None = None,
    chunk_size: int | None = None,
    differentiable: bool = False,
    mode: Mode = "auto",
    name: str = "map",
) -> Tensor:
    """The Jacobian matrix of a map at every sample of a batch.

    Args:
        function: ``(batch, *in) -> (batch, *out)``, each sample on its own.
        point: ``(batch, *in)``.
        condition: second argument of the map, or nothing.
        chunk_size: columns (or rows) computed at once; bounds the memory. By default as many as
            keep one chunk below about 2¹⁹ numbers, which costs no time.
        differentiable: keep the graph, so that gradients flow to the map's parameters.
        mode: ``forward`` computes columns, ``backward`` rows. ``auto`` takes whichever are fewer,
            and rows where an operation of the map has no forward derivative.
        name: what errors call the map.

    Returns:
        ``(batch, out, in)`` with both sides flattened.

    Raises:
        ValueError: when ``chunk_size`` is not positive, or for an unknown mode.
        PassError: when the map cannot be differentiated so, or draws random numbers.

    >>> jacobian(lambda z: torch.cat([z**2, z, 3 * z], 1), torch.tensor([[2.0]]))
    tensor([[[4.],
             [1.],
             [3.]]])
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"jacobians.jacobian: chunk_size must be positive, got {chunk_size}")
    if mode not in get_args(Mode):
        expected = " or ".join(map(repr, get_args(Mode)))
        raise ValueError(f"jacobians.jacobian: mode must be {expected}, got {mode!r}")
    with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
        bound = bind(function, condition)
        with torch.no_grad():
            value = bound(point)
        fewer_columns = point[0].numel() <= value[0].numel()
        chunk = chunk_size or max(1, CHUNK // max(value.numel(), point.numel()))
        if mode == "forward" or (mode == "auto" and fewer_columns):
            try:
                return _columns(bound, point, chunk, name)
            except PassError as error:
                if mode == "forward" or not error.no_forward:
                    raise
        _, pull = vjp(bound, point, name)
        rows = over(pull, _unit_vectors(value), "error", chunk, name)
        return rows.flatten(2).transpose(0, 1)


def _columns(function: Map, point: Tensor, chunk: int, name: str) -> Tensor:
    def push(v):
        return jvp(function, point, v, name=name)[1]

    return over(push, _unit_vectors(point), "error", chunk, name).flatten(2).permute(1, 2, 0)


def _unit_vectors(like: Tensor) -> Tensor:
    """All unit vectors of one sample, the same for each of the batch: ``(size, batch, *shape)``."""
    size = like[0].numel()
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    return eye.view(size, 1, *like.shape[1:]).expand(size, *like.shape)


def singular_values(
    function: Map, point: Tensor, condition: Tensor | None = None, **options
) -> Tensor:
    """Singular values of the Jacobian, largest first: ``(batch, min(in, out))``.

    In float32 where the map's numbers are shorter. Options are those of :func:`jacobian`.
    Source: MLAE App. E.2.

    >>> singular_values(lambda z: z * torch.tensor([3.0, 4.0]), torch.zeros(1, 2))
    tensor([[4., 3.]])
    """
    if options.get("differentiable", False):
        return _singular_values(jacobian(function, point, condition, **options))
    with torch.no_grad():  # in parts of the batch, so that the Jacobians of one part are held
        size = point[0].numel() * bind(function, _first(condition))(point[:1]).numel()
        parts = max(1, 2**24 // size)
        conditions = [condition] * len(point) if condition is None else condition.split(parts)
        return torch.cat(
            [
                _singular_values(jacobian(function, part, c, **options))
                for part, c in zip(point.split(parts), conditions, strict=False)
            ]
        )


def _singular_values(matrices: Tensor) -> Tensor:
    exact = matrices.dtype in (torch.float32, torch.float64)  # no other has a decomposition
    return torch.linalg.svdvals(matrices if exact else matrices.float())


def _first(condition: Tensor | None) -> Tensor | None:
    return None if condition is None else condition[:1]


def log_volume(decode: Map, z: Tensor, condition: Tensor | None = None, **options) -> Tensor:
    """½ log det(g'(z)ᵀ g'(z)), how much a decoder stretches latent volume, in nats: ``(batch,)``.

    It is the sum of the logarithms of the Jacobian's singular values; −∞ where the map is singular.
    Options are those of :func:`jacobian`. Source: MLAE eqs 2 and 27.

    >>> log_volume(lambda z: z * torch.tensor([2.0, 0.5]), torch.zeros(1, 2)).abs()
    tensor([0.])
    """
    return singular_values(decode, z, condition, **{"name": "decoder"} | options).log().sum(-1)


def log_volume_encoder(
    encode: Map, x: Tensor, condition: Tensor | None = None, **options
) -> Tensor:
    """½ log det(f'(x) f'(x)ᵀ), how much an encoder stretches volume, in nats: ``(batch,)``.

    Minus the decoder's log-volume where the two Jacobians are pseudo-inverse (MLAE eq. 34). Options
    are those of :func:`jacobian`. Source: MLAE eqs 34 and 35.

    >>> log_volume_encoder(lambda x: x[:, :1] * 3.0, torch.zeros(2, 3)).exp().round()
    tensor([3., 3.])
    """
    return singular_values(encode, x, condition, **{"name": "encoder"} | options).log().sum(-1)


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
    f = jacobian(encode, x_hat, condition, name="encoder", **options)  # (batch, latent, dim)
    g = jacobian(decode, z, condition, name="decoder", **options)  # (batch, dim, latent)
    logs = [_singular_values(j).log().sum(-1) for j in (f, g)]
    eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    identity = torch.linalg.matrix_norm(f @ g - eye) / z.shape[1] ** 0.5
    return Defect(logs[0] + logs[1], identity)
