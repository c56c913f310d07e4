"""How near the surrogate's gradient is to the one that it stands for: its bias and its noise."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Generator, Tensor

from companion import jacobians
from companion.contracts import Map, bind
from companion.volume.one_pass import At, Side, Space, surrogate


def gradient_cosine(
    x: Tensor,
    encode: Map,
    decode: Map,
    parameters: Sequence[Tensor],
    condition: Tensor | None = None,
    side: Side = "encoder",
    space: Space = "latent",
    at: At = "data",
) -> Tensor:
    """Cosine between the surrogate's expected gradient and the exact log-volume's, in parameters.

    One where f' and g' are pseudo-inverse; below it the surrogate follows another direction, as its
    stopped factor is not the inverse that it stands for. The surrogate is taken without noise, with
    a full basis of probes, so that bias alone is measured.

    Args:
        x: ``(batch, *data)``.
        encode: the encoder.
        decode: the decoder.
        parameters: what the gradients are with respect to; those of both networks, say.
        condition: second argument of both maps, or nothing.
        side: the encoder's or the decoder's log-volume.
        space: as in :func:`surrogate`.
        at: as in :func:`surrogate`.

    Returns:
        A scalar in [−1, 1]; NaN when either gradient vanishes.

    >>> A = torch.tensor([[2.0, 0.0, 0.0]], requires_grad=True)
    >>> cosine = gradient_cosine(torch.ones(4, 3), lambda x: x @ A.T,
    ...                          lambda z: z @ torch.linalg.pinv(A).T, [A])
    >>> round(float(cosine), 4)
    1.0
    """
    with torch.enable_grad():
        z = bind(encode, condition)(x)
        size = prod((z if space == "latent" else x).shape[1:])
        out = surrogate(x, encode, decode, condition, size, "basis", side, space, at)
        if side == "decoder":
            exact = jacobians.log_volume(decode, z, condition, differentiable=True)
        else:
            point = x if at == "data" else bind(decode, condition)(z)
            exact = jacobians.log_volume_encoder(encode, point, condition, differentiable=True)
        a, b = (_flat_gradient(value.mean(), parameters) for value in (out.surrogate, exact))
    return (a @ b) / (a.norm() * b.norm())


def gradient_distance(
    x: Tensor,
    encode: Map,
    decode: Map,
    parameters: Sequence[Tensor],
    condition: Tensor | None = None,
    draws: int = 1,
    generator: Generator | None = None,
    **options,
) -> Tensor:
    """How far the surrogate's gradient with K probes is from the one with a full set, relatively.

    ‖∇ surrogate(K) − ∇ exact‖ / ‖∇ exact‖ of the batch's mean: the noise alone, whose bias
    :func:`gradient_cosine` measures. Zero at K = d orthogonal probes in latent space.

    Args:
        x: ``(batch, *data)``.
        encode: the encoder.
        decode: the decoder.
        parameters: what the gradients are with respect to; the encoder's for its side, say.
        condition: second argument of both maps, or nothing.
        draws: how many independent estimates.
        generator: where their probes come from.
        options: those of :func:`surrogate`: ``num_probes, kind, side, space, at, mode``.

    Returns:
        ``(draws,)``.

    Source: MLAE eq. 89 and Fig. 5.

    >>> A = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    >>> gradient_distance(torch.ones(4, 3), lambda x: x @ A.T, lambda z: z @ A.detach(), [A],
    ...                   num_probes=2).round(decimals=3)
    tensor([0.])
    """
    full = options | {"space": "latent", "kind": "basis"}
    full["num_probes"] = bind(encode, condition)(x).shape[1]

    def gradient(chosen: dict) -> Tensor:
        out = surrogate(x, encode, decode, condition, generator=generator, **chosen)
        return _flat_gradient(out.surrogate.mean(), parameters)

    with torch.enable_grad():
        exact = gradient(full)
        estimates = torch.stack([gradient(options) for _ in range(draws)])
    return (estimates - exact).norm(dim=-1) / exact.norm()


def _flat_gradient(value: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in gradients])
