"""The sinusoid away from its data, in float32, and for many points."""

import math

import pytest
import torch

from companion.data.toy import Sinusoid

POINTS = torch.tensor(
    [[0.0, 0.0], [0.7, -2.0], [7.0, 0.0], [9.0, 0.3], [-12.0, 1.0], [1.0, 10.0]],
    dtype=torch.float64,
)


def slow_log_prob(toy, x):
    """log ∫ N(t; 0, 1) N(x; curve(t), σ²) dt by brute force, point by point."""
    step = toy.noise / 100
    t = torch.arange(-20, 20, step, dtype=torch.float64)
    values = []
    for point in x:
        squared = (toy.curve(t) - point).square().sum(-1)
        joint = -0.5 * (t.square() + squared / toy.noise**2)
        constant = 1.5 * math.log(2 * math.pi) + 2 * math.log(toy.noise)
        values.append(joint.logsumexp(0) + math.log(step) - constant)
    return torch.stack(values)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0, 3.0])
def test_the_density_is_the_slow_one_near_and_far(noise, standardize):
    toy = Sinusoid(noise, standardize)
    expected = slow_log_prob(toy, POINTS)
    assert torch.allclose(toy.log_prob(POINTS), expected, rtol=1e-11, atol=1e-9)


def test_many_points_go_in_parts_and_none_is_an_empty_answer(monkeypatch):
    toy, x = Sinusoid(), Sinusoid().sample(50, torch.Generator().manual_seed(0), torch.float64)
    whole = toy.log_prob(x)
    monkeypatch.setattr("companion.data.toy.GRID_NUMBERS", 5_000)
    assert torch.allclose(toy.log_prob(x), whole, rtol=0, atol=1e-12)
    assert toy.log_prob(x[:0]).shape == toy.nearest(x[:0]).shape == (0,)


def test_the_density_is_differentiable():
    toy, x = Sinusoid(0.3), POINTS[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(toy.log_prob, (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("standardize", [False, True])
def test_nearest_points_are_accurate_near_and_far(standardize, dtype):
    toy, t = Sinusoid(0.1, standardize), torch.linspace(-12, 12, 97, dtype=torch.float64)
    x = toy.curve(t) + 0.1 * toy.normal(t)
    found = toy.nearest(x.to(dtype))
    assert found.dtype == dtype
    rounding = 4 * torch.finfo(dtype).eps * 12  # of the points themselves
    assert (found.double() - t).abs().max() < 1e-6 + rounding


def test_both_dtypes_and_the_curve_of_any_shape():
    toy = Sinusoid()
    x = toy.sample(3, torch.Generator().manual_seed(0))
    assert x.dtype == toy.log_prob(x).dtype == torch.float32
    assert toy.curve(torch.zeros(2, 5)).shape == toy.normal(torch.zeros(2, 5)).shape == (2, 5, 2)
