"""Does a curve cross itself? What an injective decoder of one latent dimension must not do."""

import torch
from torch import Tensor

from companion.contracts import exact


def self_crossings(curve: Tensor) -> int:
    """How many pairs of segments of a polyline in the plane cross each other.

    Two segments cross when each one's ends lie on both sides of the other; neighbours, which share
    an end, do not count.

    Args:
        curve: ``(m, 2)`` points in order.

    Raises:
        ValueError: when the points are not in the plane.

    >>> t = torch.linspace(-1, 4, 200)
    >>> self_crossings(torch.stack([t.sin(), (2 * t).sin()], 1))  # a figure eight
    1
    """
    if curve.dim() != 2 or curve.shape[1] != 2:
        raise ValueError(f"self_crossings: expected (m, 2) points, got {tuple(curve.shape)}")
    curve = exact(curve)
    a, b = curve[:-1], curve[1:]
    i, j = torch.triu_indices(len(a), len(a), 2)

    def side(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        return (q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0]

    first = side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0
    second = side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0
    return int((first & second).sum())


def nearest_far(curve: Tensor, codes: Tensor, apart: float = 0.5) -> float:
    """The smallest distance between decoded points whose codes differ by at least ``apart``.

    Infinite where no two codes are so far apart.

    Args:
        curve: ``(m, dim)`` decoded points.
        codes: ``(m,)`` their codes.
        apart: how far.

    >>> line = torch.linspace(0, 1, 11)[:, None]
    >>> round(nearest_far(2 * line, line[:, 0], apart=0.5), 3)
    1.0
    """
    far = (codes[:, None] - codes).abs() >= apart - 1e-6
    distance = torch.cdist(curve, curve)
    return float(distance[far].min()) if far.any() else float("inf")
