"""The circle's closed forms against automatic differentiation, and what descent does with them."""

import pytest
import torch

from companion import jacobians
from companion.models import mlae_loss
from companion.theory import semicircle as circle


def data(std_x=0.1, std_y=1.0, n=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([std_x, std_y], dtype=torch.float64)
    return torch.randn(n, 2, dtype=torch.float64, generator=generator) * scale


def maps(p):
    return lambda x: circle.encode(x, p), lambda z: circle.decode(z, p)


@pytest.mark.parametrize("m", [1.0, 3.0])
def test_encoder_and_decoder_are_a_pseudo_inverse_pair(m):
    x = data()
    encode, decode = maps(circle.circle(m, 0.7, x))
    found = jacobians.defect(x, encode, decode)
    assert max(float(part.abs().max()) for part in found) < 1e-10


@pytest.mark.parametrize("at", ["manifold", "data"])
@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_the_field_is_the_surrogates_gradient(at, beta):
    x = data()
    p = circle.circle(1.5, 0.8, x).add(0.1).requires_grad_()
    loss = mlae_loss(x, *maps(p), beta, kind="basis", at=at).loss.mean()
    (expected,) = torch.autograd.grad(loss, p)
    assert torch.allclose(circle.field(p.detach(), x, beta, at), expected, atol=1e-12)


def test_on_the_manifold_it_is_the_gradient_of_the_loss():
    x, beta = data(), 4.0
    p = circle.circle(1.5, 0.8, x).add(0.1).requires_grad_()
    nll, reconstruction = circle.terms(p, x)
    (expected,) = torch.autograd.grad(nll + beta * reconstruction, p)
    assert torch.allclose(circle.field(p.detach(), x, beta, "manifold"), expected, atol=1e-12)
    encode, decode = maps(p.detach())
    exact = 0.5 * encode(x).square().sum(-1) + jacobians.log_volume(decode, encode(x))
    assert torch.isclose(nll, exact.mean() + 0.5 * torch.tensor(2 * torch.pi).log())
    assert torch.isclose(reconstruction, (decode(encode(x)) - x).square().sum(-1).mean())


def test_circles_of_a_batch_are_independent():
    x = data(n=50)
    p = torch.stack([circle.circle(m, r, x) for m, r in ((1.0, 0.3), (2.0, 1.5))])
    beta = torch.tensor([1.0, 7.0], dtype=torch.float64)
    together = circle.field(p, x, beta, "data")
    for one, b, expected in zip(p, beta, together, strict=True):
        assert torch.allclose(circle.field(one, x, float(b), "data"), expected)


def test_another_place_is_refused():
    with pytest.raises(ValueError, match="at must be 'manifold' or 'data', got 'on'"):
        circle.field(torch.zeros(3), data(), 1.0, "on")


def loop(x, at, beta, centres, radii, points=400):
    """∮ field·dp by the trapezoid rule along the four sides of a rectangle in (m, log r)."""
    (m0, m1), (l0, l1) = centres, [torch.tensor(r).log().item() for r in radii]
    corners = torch.tensor([[m0, l0], [m1, l0], [m1, l1], [m0, l1], [m0, l0]], dtype=x.dtype)
    total = 0.0
    for a, b in zip(corners[:-1], corners[1:], strict=True):
        t = torch.linspace(0, 1, points, dtype=x.dtype)[:, None]
        p = torch.cat([a + t * (b - a), torch.full_like(t, 0.3)], dim=-1)
        along = circle.field(p, x, beta, at)[:, :2] @ (b - a)
        total += float(torch.trapezoid(along, dx=1 / (points - 1)))
    return total


@pytest.mark.parametrize("beta", [0.5, 10.0])
def test_the_off_manifold_field_has_a_curl_and_the_other_has_none(beta):
    x, centres, radii = data(), (1.2, 2.5), (0.4, 1.5)
    expected = circle.circulation(x, centres, radii)
    assert abs(expected) > 0.1
    assert loop(x, "data", beta, centres, radii) == pytest.approx(expected, abs=1e-4)
    assert loop(x, "manifold", beta, centres, radii) == pytest.approx(0.0, abs=1e-4)


def test_the_well_swallows_what_starts_inside():
    x = data()
    cases = [(m, beta) for m in (1.0, 2.0) for beta in (2.0, 10.0, 100.0)]
    starts = torch.stack(
        [
            torch.stack([circle.circle(m, share * radii.barrier, x) for share in (0.3, 5.0)])
            for m, beta in cases
            if (radii := circle.critical_radii(x, m, beta))
        ]
    )  # (case, inside or outside, 3)
    beta = torch.tensor([[b, b] for _, b in cases], dtype=x.dtype)
    on, off = (
        circle.descend(starts, x, beta, at, [0, 2000, 5000])[..., 1].exp()
        for at in ("manifold", "data")
    )
    assert (on[1, :, 0] < on[0, :, 0] / 10).all() and (on[2, :, 0] < on[1, :, 0] / 10).all()
    assert (on[2, :, 1] > 0.5).all() and (off[2] > 0.5).all()


@pytest.mark.parametrize("beta", [3.0, 10.0, 30.0])
def test_the_barrier_is_where_descent_in_the_radius_turns(beta):
    x, m = data(), 1.5
    barrier, minimum = circle.critical_radii(x, m, beta)

    def slope(r):
        return float(circle.field(circle.circle(m, r, x), x, beta, "manifold")[1])

    assert abs(slope(barrier)) < 1e-10 and abs(slope(minimum)) < 1e-10
    assert slope(0.95 * barrier) > 0 > slope(1.05 * barrier) and slope(1.05 * minimum) > 0
    assert barrier == pytest.approx(1 / (2 * beta * (barrier + minimum)), rel=0.4)


def test_below_a_certain_beta_there_is_no_barrier():
    x = data()
    assert circle.critical_radii(x, 1.5, 0.3) is None
    path = circle.descend(circle.circle(1.5, 1.0, x), x, 0.0, "manifold", [0, 1000])
    assert path[1, 1] < path[0, 1] - 5


@pytest.mark.parametrize(("std_x", "std_y"), [(0.1, 1.0), (0.5, 1.0), (1.0, 1.0)])
def test_when_a_far_arc_flattens(std_x, std_y):
    """The sign of the curvature's drift at a far centre against the closed form, over β."""
    x = quadrature(std_x, std_y)
    for beta in (0.2, 0.5, 1.25, 2.0, 5.0, 50.0):
        drifts = [drift(x, beta, m) for m in (50.0, 100.0)]
        expected = circle.flattens(beta, std_x, std_y)
        assert all((d > 0) == expected for d in drifts)


def quadrature(std_x, std_y, n=50):
    """Points whose plain mean is close to the Gaussian's: a grid of its quantiles."""
    q = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    scale = torch.tensor([std_x, std_y], dtype=torch.float64)
    return torch.cartesian_prod(q, q) / q.square().mean().sqrt() * scale


def drift(x, beta, m):
    """dm/dt along the slow direction: the others relax to r = Eρ and s²Eθ² = E[r/ρ] first."""
    rho, theta = circle._polar(torch.tensor([m, 0.0, 0.0], dtype=x.dtype), x)
    r = rho.mean()
    s2 = (r / rho).mean() / theta.square().mean()
    p = torch.stack([torch.tensor(m, dtype=x.dtype), r.log(), s2.log() / 2])
    return -float(circle.field(p, x, beta, "data")[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("at", ["manifold", "data"])
def test_cuda_gives_the_same_field_and_descent(at):
    x = data()
    here, there = (
        circle.descend(circle.circle(1.5, 0.5, points), points, 3.0, at, [0, 50])
        for points in (x, x.cuda())
    )
    assert there.is_cuda and torch.allclose(here, there.cpu(), atol=1e-8)
    assert circle.critical_radii(x.cuda(), 1.5, 3.0) == pytest.approx(
        circle.critical_radii(x, 1.5, 3.0)
    )
