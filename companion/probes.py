"""Random vectors v with E[v vᵀ] = I, the directions along which a trace is estimated.

tr A = E[vᵀ A v] for every such v (Hutchinson); the kinds differ in variance only (MLAE App. D.3).
All but ``basis`` also have E[v] = 0. That matters as soon as samples of a batch are coupled, say by
batch normalisation: then vᵀ A v holds cross terms of different samples' probes, which vanish only
when the probes' means do. The QR factor of a Gaussian is *not* zero-mean unless its signs
are fixed.
"""

from math import ceil, prod
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

Kind = Literal["rademacher", "gaussian", "sphere", "orthogonal", "batch-orthogonal", "basis"]
KINDS: tuple[str, ...] = get_args(Kind)


def sample(
    kind: Kind,
    num_probes: int,
    like: Tensor,
    generator: Generator | None = None,
    call: str = "probes.sample",
) -> Tensor:
    """Draw ``num_probes`` probes for every sample of a batch.

    =====================  =================================================================
    ``rademacher``          independent ±1
    ``gaussian``            independent standard normal
    ``sphere``              uniform on the sphere of radius √size, independent between probes
    ``orthogonal``          uniform on that sphere, and the probes of one sample mutually
                            orthogonal; at most ``size`` of them
    ``batch-orthogonal``    uniform on that sphere, and in each block of ``size`` samples one
                            sample's probe orthogonal to the others'; K independent such sets
    ``basis``               √size times the unit vectors; exactly ``size`` of them, not random
    =====================  =================================================================

    What ``batch-orthogonal`` gains is in the mean over a batch, see
    :func:`companion.theory.variance.mean_trace_variance`; each sample alone is ``sphere``.

    Args:
        kind: which distribution.
        num_probes: the number K of probes for each sample.
        like: ``(batch, *shape)``, what the probes multiply: its shape without the batch holds
            ``size`` numbers; dtype and device are taken over.
        generator: where chance comes from; on the device of ``like``.
        call: the name that errors blame.

    Returns:
        ``(probe, batch, *shape)`` with E[v vᵀ] = I over the flattened shape.

    Raises:
        ValueError: for an unknown kind or a number of probes that the kind does not allow.

    Source: MLAE App. D.3; sign-fixed QR: Mezzadri (2006), "How to generate random matrices from the
    classical compact groups".

    >>> v = sample("orthogonal", 2, torch.zeros(5, 3), torch.Generator().manual_seed(0))
    >>> v.shape, torch.allclose((v[0] * v[1]).sum(-1), torch.zeros(5), atol=1e-5)
    (torch.Size([2, 5, 3]), True)
    """
    size = prod(like.shape[1:])
    _check(kind, num_probes, size, call)
    if kind == "basis":
        eye = torch.eye(size, dtype=like.dtype, device=like.device) * size**0.5
        return eye.view(size, 1, *like.shape[1:]).expand(size, *like.shape)
    shape = (num_probes, *like.shape)
    if kind == "batch-orthogonal" and size > 1:
        return _across_batch(num_probes, size, like, generator).view(shape)
    if kind == "rademacher":
        coin = torch.randint(0, 2, shape, device=like.device, generator=generator)
        return coin.to(like.dtype) * 2 - 1
    normal = torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)
    if kind == "gaussian":
        return normal
    flat = normal.flatten(2)  # (probe, batch, size)
    if kind == "orthogonal" and num_probes > 1:
        flat = _orthonormal(flat)
    elif size == 1:  # a sphere of two points; on a GPU a normal number may be 0
        flat = torch.where(flat < 0, -torch.ones_like(flat), 1.0)
    else:
        flat = flat / flat.norm(dim=-1, keepdim=True)
    return (flat * size**0.5).view(shape)


def _check(kind: str, num_probes: int, size: int, call: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"{call}: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if num_probes < 1:
        raise ValueError(f"{call}: num_probes must be at least 1, got {num_probes}")
    if kind == "orthogonal" and num_probes > size:
        raise ValueError(
            f"{call}: num_probes must be between 1 and the size {size} of what orthogonal "
            f"probes multiply, got {num_probes}"
        )
    if kind == "basis" and num_probes != size:
        raise ValueError(
            f"{call}: basis needs exactly num_probes = {size}, the size of what the probes "
            f"multiply, got {num_probes}"
        )


def _across_batch(num_probes: int, size: int, like: Tensor, generator: Generator | None) -> Tensor:
    """√size times the columns of Haar matrices, one a sample: ``(probe, batch, size)``.

    The last block is cut short. A batch smaller than ``size`` is one block of so many columns.
    """
    block = max(1, min(size, len(like)))
    blocks = ceil(len(like) / block)
    random = {"dtype": like.dtype, "device": like.device, "generator": generator}
    columns = _orthonormal(torch.randn(block, num_probes * blocks, size, **random))
    flat = columns.transpose(0, 1).reshape(num_probes, blocks * block, size)
    return (flat[:, : len(like)] * size**0.5).contiguous()


def _orthonormal(normal: Tensor) -> Tensor:
    """The Q of a QR with R's diagonal made positive: uniform on the Stiefel manifold, zero-mean."""
    columns = normal.permute(1, 2, 0)  # (batch, size, probe)
    exact = columns if columns.dtype == torch.float64 else columns.float()  # QR has no bfloat16
    q, r = torch.linalg.qr(exact.cpu() if exact.device.type == "mps" else exact)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return q.to(normal).permute(2, 0, 1)
