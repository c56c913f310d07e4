"""Projection onto a circle: the toy of MLAE Fig. 2, in closed form.

Encoder and decoder share a circle of radius r about (m, 0). With ρ a point's distance to that
centre and θ its angle as seen from there (zero towards −x₁), the code is z = sθ and the decoder
puts it back at distance r: a pseudo-inverse pair for every m, r and s. The paper gives no
settings; ours are the parameters p = (m, log r, log s), data about the origin, and expectations as
means over given points.
"""

from math import log, pi, sqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor

At = Literal["manifold", "data"]


def circle(m: float, r: float, x: Tensor) -> Tensor:
    """The parameters (m, log r, log s) with the scale s = 1/√E θ² that makes codes unit: ``(3,)``.

    >>> circle(2.0, 1.0, torch.tensor([[0.0, 1.0], [0.0, -1.0]])).exp()[1]
    tensor(1.)
    """
    theta = _polar(x.new_tensor([m, 0.0, 0.0]), x)[1]
    return torch.stack([x.new_tensor(m), x.new_tensor(log(r)), -theta.square().mean().log() / 2])


def encode(x: Tensor, p: Tensor) -> Tensor:
    """z = sθ: ``(batch, 2) -> (batch, 1)``, for one circle ``p`` of shape ``(3,)``."""
    return (p[2].exp() * _polar(p, x)[1]).unsqueeze(-1)


def decode(z: Tensor, p: Tensor) -> Tensor:
    """x̂ = (m − r cos(z/s), r sin(z/s)): ``(batch, 1) -> (batch, 2)``.

    >>> p = torch.tensor([2.0, 0.0, 0.5])
    >>> decode(encode(torch.tensor([[0.0, 0.0]]), p), p)
    tensor([[1., 0.]])
    """
    m, log_r, log_s = p
    theta = z * torch.exp(-log_s)
    return torch.cat([m - log_r.exp() * theta.cos(), log_r.exp() * theta.sin()], dim=-1)


class CircleTerms(NamedTuple):
    """Means over the data, each of the shape of p without its last axis."""

    nll: Tensor  # ½s²Eθ² + log(r/s) + ½ log 2π: exact, on the manifold, in nats
    reconstruction: Tensor  # E(ρ − r)²


def terms(p: Tensor, x: Tensor) -> CircleTerms:
    """Exact NLL and reconstruction error of circles.

    At the best scale the NLL is ½ + log(r·√(2π E θ²)): it has no lower bound as r → 0, and the
    reconstruction error stays below E ρ².

    Args:
        p: ``(…, 3)`` of (m, log r, log s).
        x: ``(n, 2)`` data.

    Source: MLAE eqs 13 and 17, for the map of Fig. 2.

    >>> x = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    >>> [round(float(v), 3) for v in terms(circle(2.0, 1.0, x), x)]
    [0.65, 1.528]
    """
    rho, theta = _polar(p, x)
    r, log_s = p[..., 1].exp(), p[..., 2]
    prior = 0.5 * (2 * log_s).exp() * theta.square().mean(-1) + 0.5 * log(2 * pi)
    return CircleTerms(prior + p[..., 1] - log_s, (rho - r[..., None]).square().mean(-1))


def field(p: Tensor, x: Tensor, beta: float | Tensor, at: At) -> Tensor:
    """The gradient that a step follows, in (m, log r, log s), log-volume by eq. 12 or by eq. 18.

    Common part: ∂E[½s²θ² + β(ρ − r)²]. The log-volume adds (0, 1, −1) on the manifold, and off it
    E[(r/ρ) ∂(log ρ − log s)] = (E[r cos θ/ρ²], 0, −E[r/ρ]). The first is the gradient of the loss;
    the second is the gradient of nothing, see :func:`circulation`.

    Args:
        p: ``(…, 3)`` circles.
        x: ``(n, 2)`` data.
        beta: weight of the reconstruction error, a number or of the shape ``(…)``.
        at: ``"manifold"`` evaluates the encoder's Jacobian at x̂, ``"data"`` at x.

    Returns:
        The field, like ``p``.

    Raises:
        ValueError: for another ``at``.

    Source: MLAE eqs 12 and 18.

    >>> x = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    >>> p = circle(2.0, 1.0, x)
    >>> field(p, x, 0.0, "manifold") + 0.0, field(p, x, 0.0, "data")[1]
    (tensor([-0.4314,  1.0000,  0.0000]), tensor(0.))
    """
    if at not in ("manifold", "data"):
        raise ValueError(f"semicircle.field: at must be 'manifold' or 'data', got {at!r}")
    rho, theta = _polar(p, x)  # (…, n)
    r, s2 = p[..., 1, None].exp(), (2 * p[..., 2, None]).exp()
    weight = torch.as_tensor(beta, dtype=p.dtype, device=p.device)[..., None]
    off = 2 * weight * (rho - r)
    m_part = -s2 * theta * theta.sin() / rho + off * theta.cos()
    common = torch.stack([m_part, -off * r, s2 * theta.square()], dim=-1).mean(-2)
    if at == "manifold":
        return common + common.new_tensor([0.0, 1.0, -1.0])
    share = r / rho
    volume = torch.stack([share * theta.cos() / rho, torch.zeros_like(share), -share], dim=-1)
    return common + volume.mean(-2)


def descend(p: Tensor, x: Tensor, beta: float | Tensor, at: At, times: list[int]) -> Tensor:
    """Follow the field by Adam (rate 0.01) and keep the circles at some steps.

    Args:
        p: ``(…, 3)`` starts, all followed at once.
        x: ``(n, 2)`` data.
        beta: as in :func:`field`.
        at: as in :func:`field`.
        times: steps to keep, ascending, say ``[0, 100, 1000]``.

    Returns:
        ``(times, …, 3)``.

    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.1, 1])
    >>> path = descend(circle(1.0, 0.05, x), x, 2.0, "manifold", [0, 300])
    >>> bool(path[1, 1] < path[0, 1] - 2)  # the radius has fallen by e² and more
    True
    """
    p, kept = p.clone(), []
    p.requires_grad_()
    optimizer = torch.optim.Adam([p], lr=0.01)
    for step in range(times[-1] + 1):
        if step in times:
            kept.append(p.detach().clone())
        p.grad = field(p.detach(), x, beta, at)
        optimizer.step()
    return torch.stack(kept)


class Radii(NamedTuple):
    """Where on-manifold descent in r alone stops: the well's edge and the flat minimum beyond."""

    barrier: float  # from smaller radii descent falls to r → 0
    minimum: float  # from larger ones it ends here


def critical_radii(x: Tensor, m: float, beta: float) -> Radii | None:
    """The barrier of the well at r → 0, for a fixed centre and the best scale.

    1 + 2βr(r − Eρ) = 0 at r = (Eρ ± √((Eρ)² − 2/β))/2; the smaller root is about 1/(2β Eρ).

    Returns:
        The two radii, or nothing for β ≤ 2/(Eρ)², where every start falls into the well.

    >>> radii = critical_radii(torch.zeros(1, 2), m=1.0, beta=10.0)
    >>> round(radii.barrier, 4), round(radii.minimum, 4)
    (0.0528, 0.9472)
    """
    mean = float(_polar(x.new_tensor([m, 0.0, 0.0]), x)[0].mean())
    under = mean**2 - 2 / beta
    if under <= 0:
        return None
    return Radii((mean - sqrt(under)) / 2, (mean + sqrt(under)) / 2)


def flattens(beta: float, std_x: float, std_y: float) -> bool:
    """Whether a far centre is driven farther off the manifold: β σy²(σy² − 2σx²) > σy² − σx².

    For data N(0, diag(σx², σy²)) and m ≈ r → ∞ the off-manifold field lowers the curvature exactly
    then. Isotropic data never flatten: 0 > −βσ⁴ fails at every β.

    >>> flattens(2.0, 0.1, 1.0), flattens(0.5, 0.1, 1.0), flattens(100.0, 1.0, 1.0)
    (True, False, False)
    """
    x2, y2 = std_x**2, std_y**2
    return beta * y2 * (y2 - 2 * x2) > y2 - x2


def circulation(x: Tensor, centres: tuple[float, float], radii: tuple[float, float]) -> float:
    """∮ of the off-manifold field around a rectangle in the (m, log r) plane, anticlockwise.

    = (r₂ − r₁)(E[1/ρ(m₂)] − E[1/ρ(m₁)]). A gradient's is zero: no objective has this field.

    >>> circulation(torch.zeros(1, 2), (1.0, 2.0), (0.5, 1.0))
    -0.25
    """
    ends = [x.new_tensor([m, 0.0, 0.0]) for m in centres]
    first, second = (float((1 / _polar(p, x)[0]).mean()) for p in ends)
    return (radii[1] - radii[0]) * (second - first)


def _polar(p: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Distance ρ to the centre and angle θ, each ``(…, n)``."""
    across = p[..., 0, None] - x[..., 0]
    up = x[..., 1].expand_as(across)
    return (across.square() + up.square()).sqrt(), torch.atan2(up, across)
