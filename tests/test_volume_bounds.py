"""RIF's bounds: their order, where they are tight, and every estimator against the exact norms."""

import pytest
import torch
from helpers import data, gradients, largest_difference, pair
from hypothesis import given, settings
from hypothesis import strategies as st

from companion import jacobians, probes
from companion.theory import frobenius as theory
from companion.volume import bounds

HOWS = ("forward", "backward", "difference")
linear_maps = st.builds(
    lambda d, extra, seed, spread: (
        data((d,), batch=d + extra, seed=seed)
        * torch.logspace(0, spread, d, dtype=torch.float64)
    ),
    st.integers(1, 6), st.integers(0, 5), st.integers(0, 10**6), st.floats(-2, 2),
)  # fmt: skip


def full(how, z, x):
    like = x if how == "backward" else z
    return probes.sample("basis", like[0].numel(), like)


@settings(max_examples=60)
@given(linear_maps, st.floats(0.05, 20))
def test_the_bounds_are_ordered_for_every_linear_map(J, scale):
    s, tiny = torch.linalg.svdvals(J), 1e-9
    exact, unit, best, fixed = (
        theory.log_volume(s), theory.unit_probe(s), theory.log_frobenius(s),
        theory.frobenius(s, scale),
    )  # fmt: skip
    assert exact <= unit + tiny and unit <= best + tiny and best <= fixed + tiny
    z = torch.zeros(1, J.shape[1], dtype=J.dtype)
    out = bounds.stretch(lambda z: z @ J.T, z, full("forward", z, None)).stretch
    d = J.shape[1]
    assert torch.allclose(bounds.log_frobenius(out, d), best[None])
    assert torch.allclose(bounds.frobenius(out, d, scale), fixed[None])
    assert bounds.log_stretch(out, d) >= exact - tiny  # Hadamard
    assert bounds.log_stretch(out, d) <= best + tiny


@settings(max_examples=30)
@given(linear_maps, st.floats(0.1, 10))
def test_the_bounds_are_tight_only_where_the_facts_say(J, scale):
    d = J.shape[1]
    equal = torch.full((d,), scale, dtype=J.dtype).sqrt()
    for bound in (theory.unit_probe, theory.log_frobenius, lambda s: theory.frobenius(s, scale)):
        assert torch.allclose(bound(equal), theory.log_volume(equal), atol=1e-8)
    assert theory.frobenius(equal, 1.5 * scale) > theory.log_volume(equal) + 1e-3
    s = torch.linalg.svdvals(J)
    if d > 1 and s[0] > 1.5 * s[-1]:
        gaps = [
            bound(s) - theory.log_volume(s) for bound in (theory.unit_probe, theory.log_frobenius)
        ]
        assert 1e-3 < gaps[0] < gaps[1]


@pytest.mark.parametrize("kind", ["sphere", "gaussian", "rademacher", "orthogonal"])
def test_the_probed_bound_lies_between_whatever_the_probes(kind):
    J, n = data((4,), batch=7), 40_000
    z = torch.zeros(n, 4, dtype=J.dtype)
    v = probes.sample(kind, 1, z, torch.Generator().manual_seed(0))
    value = bounds.log_stretch(bounds.stretch(lambda z: z @ J.T, z, v).stretch, 4)
    s = torch.linalg.svdvals(J)
    mean, error = value.mean(), value.std() / n**0.5
    assert theory.log_volume(s) < mean < theory.log_frobenius(s)
    if kind != "rademacher":
        assert (mean - theory.unit_probe(s)).abs() < 4 * error


def test_the_closed_form_is_a_quadrature_that_knows_two_dimensions():
    s = torch.tensor([[1e-3, 50.0], [2.0, 2.0], [1.0, 7.0]], dtype=torch.float64)
    assert torch.allclose(theory.unit_probe(s), 2 * s.mean(1).log(), atol=1e-9)
    one = torch.tensor([0.3], dtype=torch.float64)
    assert torch.allclose(theory.unit_probe(one), one.log().sum(), atol=1e-9)


def test_data_space_probes_need_the_shift():
    J, n = torch.eye(9, 3, dtype=torch.float64), 40_000
    x = torch.zeros(n, 9, dtype=J.dtype)
    w = bounds.draw("backward", x, 3, generator=torch.Generator().manual_seed(0))
    out = bounds.stretch(lambda z: z @ J.T, x[:, :3], w, how="backward").stretch
    value = bounds.log_stretch(out, 3)
    error = 4 * value.std() / n**0.5
    assert value.mean() < -10 * error  # below the log-volume 0: no bound …
    assert (value.mean() + bounds.backward_shift(9, 3)).abs() < error


@pytest.mark.parametrize("how", HOWS)
def test_every_way_to_stretch_is_the_exact_norm_with_its_gradient(how):
    _, decode = pair()
    z = data((3,))
    exact = jacobians.jacobian(decode, z, differentiable=True).square().sum((1, 2)) / 3
    out = bounds.stretch(decode, z, full(how, z, decode(z)), how=how, epsilon=1e-6)
    assert torch.equal(out.x_hat, decode(z))
    ours, tolerance = out.stretch.square().mean(0), 1e-4 if how == "difference" else 1e-12
    assert torch.allclose(ours, exact, rtol=tolerance)
    assert largest_difference(gradients(ours, decode), gradients(exact, decode)) < tolerance


def test_one_probe_and_many_agree():
    _, decode = pair()
    z = data((3,))
    for how in HOWS:
        v = bounds.draw(how, decode(z), 3, num_probes=2, generator=torch.Generator().manual_seed(0))
        both = bounds.stretch(decode, z, v, how=how).stretch
        each = [bounds.stretch(decode, z, one[None], how=how).stretch for one in v]
        assert torch.allclose(both, torch.cat(each))


def test_the_difference_is_first_order_in_its_step():
    _, decode = pair()
    z, v = data((3,)), data((3,), seed=2)[None]
    exact = bounds.stretch(decode, z, v).stretch
    errors = [
        (bounds.stretch(decode, z, v, how="difference", epsilon=e).stretch - exact).abs().max()
        for e in (0.1, 0.01)
    ]
    assert 5 < errors[0] / errors[1] < 20


def test_a_flat_direction_has_a_finite_gradient():
    weight = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    v = data((2,))[None]
    out = bounds.stretch(lambda z: z @ weight.T, data((2,)), v).stretch
    assert torch.isfinite(torch.autograd.grad(out.square().sum(), weight)[0]).all()


def test_refusals():
    _, decode = pair()
    z = data((3,))
    with pytest.raises(
        ValueError, match="how must be 'forward' or 'backward' or 'difference', got"
    ):
        bounds.stretch(decode, z, z[None], how="sideways")
    with pytest.raises(ValueError, match="epsilon must be positive, got 0"):
        bounds.stretch(decode, z, z[None], how="difference", epsilon=0)
    with pytest.raises(ValueError, match=r"probes must be \(probe, 6, 5\), got \(1, 6, 3\)"):
        bounds.stretch(decode, z, z[None], how="backward")
    with pytest.raises(ValueError, match="ratio must be at least 1, got 0.5"):
        theory.spread(3, 0.5)
