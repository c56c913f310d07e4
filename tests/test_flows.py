"""Flows: both directions, log-determinants and densities against autograd and quadrature."""

import pytest
import torch
from helpers import data
from torch.func import functional_call, jacrev, stack_module_state, vmap

from companion.networks import flows

KINDS = {"maf": flows.maf, "iaf": flows.iaf, "realnvp": flows.realnvp}
KINDS["spline"] = flows.spline_coupling


@pytest.fixture(params=KINDS)
def make(request):
    def build(dim, condition_dim=0, **options):
        torch.manual_seed(0)
        return KINDS[request.param](dim, condition_dim, hidden=(16, 16), **options).double()

    return build


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_round_trip_and_log_det(make, dim):
    flow, x, h = make(dim, 3), 1.5 * data((dim,)), data((3,), seed=2)
    z, log_det = flow(x, h)
    back, log_det_back = flow.inverse(z, h)
    assert (back - x).abs().max() < 1e-8 and (log_det + log_det_back).abs().max() < 1e-8
    jacobian = vmap(jacrev(lambda p, c: flow(p[None], c[None]).value[0]))(x, h)
    assert torch.allclose(log_det, torch.linalg.slogdet(jacobian).logabsdet, atol=1e-10)
    assert log_det.abs().max() > 1e-3  # otherwise all of this says nothing


def test_the_density_integrates_to_one(make):
    grid = torch.linspace(-8, 8, 121, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    total = make(2).log_prob(points).exp().sum() * (grid[1] - grid[0]) ** 2
    assert abs(total - 1) < 0.01


def test_samples_follow_the_density(make):
    flow = make(3)
    x = flow.sample(4000, torch.Generator().manual_seed(0))
    z = flow.normalise(x).value
    assert z.mean(0).abs().max() < 0.07 and (z.std(0) - 1).abs().max() < 0.05
    assert torch.allclose(flow.generate(z).value, x, atol=1e-8)
    again = flow.sample(4000, torch.Generator().manual_seed(0))
    assert torch.equal(x, again)
    assert not torch.equal(x, flow.sample(4000, torch.Generator().manual_seed(1)))


def test_temperature_zero_is_the_image_of_the_origin(make):
    flow = make(3)
    origin = flow.generate(torch.zeros(2, 3, dtype=torch.float64)).value
    assert torch.equal(flow.sample(2, temperature=0.0), origin)


def test_the_condition_moves_the_map(make):
    flow, x = make(2, 3), data((2,))
    first, second = (flow(x, data((3,), seed=s)).value for s in (1, 2))
    assert (first - second).abs().max() > 1e-3


def test_flows_stack_under_vmap_and_compile(make):
    stack = [make(4) for _ in range(2)]
    with torch.no_grad():
        for parameter in stack[1].parameters():
            parameter.mul_(1.1)
    state, x = stack_module_state(stack), data((4,), batch=10).view(2, 5, 4)
    stacked = vmap(lambda *args: functional_call(stack[0], args[:2], args[2]))(*state, x)
    for i, flow in enumerate(stack):
        for ours, one in zip(stacked, flow(x[i]), strict=True):
            assert torch.allclose(ours[i], one)
    compiled = torch.compile(stack[0], fullgraph=True, backend="eager")
    assert torch.allclose(compiled(x[0]).value, stack[0](x[0]).value)


def test_refusals(make):
    with pytest.raises(ValueError, match="flow: dim must be positive, got 0"):
        make(0)
    with pytest.raises(ValueError, match="flow: transforms must be positive, got 0"):
        make(2, transforms=0)
