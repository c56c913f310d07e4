"""The change of variables on the interval's curve, and on a sphere, by quadrature in float64."""

from math import erf, exp, log, pi

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from companion import jacobians
from companion.models.base import standard_normal_nll
from figures.explorables import interval

CODES = torch.linspace(-2.9, 2.9, 30, dtype=torch.float64)[:, None]
SETTINGS = [(k, w) for k in (0.0, 0.2, 0.4) for w in (0.0, 0.5, 1.0)]


knobs = st.just(0.0) | st.floats(0.01, 0.5)


@given(st.floats(-2, 2), st.sampled_from([0.5, 1.0]), knobs, knobs)
def test_the_interval_keeps_its_mass_and_gets_its_length(centre, width, k, w):
    """Any interval whose ends lie on the grid of codes, in any decoder."""
    centre = round(centre, 2)
    n = interval.numbers(centre, width, k, w)
    low, high = centre - width / 2, centre + width / 2
    assert n.mass_z == pytest.approx((erf(high / 2**0.5) - erf(low / 2**0.5)) / 2)
    assert n.mass_x == pytest.approx(n.mass_z, rel=2e-4)
    length = (exp(k * high) - exp(k * low)) / k if k else width
    assert n.length == pytest.approx(length, rel=2e-5)


@pytest.mark.parametrize(("k", "w"), SETTINGS)
def test_the_decoder_is_the_integral_that_it_claims_to_be(k, w):
    jacobian = jacobians.jacobian(lambda z: interval.decode(z, k, w), CODES)[..., 0]
    z = CODES
    expected = torch.exp(k * z) * torch.cat([torch.cos(w * z), torch.sin(w * z)], 1)
    assert torch.allclose(jacobian, expected, atol=1e-12)
    assert not interval.decode(torch.zeros(1, 1), k, w).any()


@pytest.mark.parametrize(("k", "w"), [(k, w) for k, w in SETTINGS if k])
def test_two_encoders_invert_it_and_one_is_its_pseudo_inverse(k, w):
    """f∘g = 1 for both; the defect is 0 for one and log(|c|/k), c = k + iω, for the other."""
    pairs = [lambda x, f=f: f(x, k, w) for f in (interval.spiral_code, interval.radius_code)]
    x = interval.decode(CODES, k, w)
    straight, skew = (
        jacobians.defect(x, encode, lambda z: interval.decode(z, k, w)) for encode in pairs
    )
    for encode, found in zip(pairs, (straight, skew), strict=True):
        assert torch.allclose(encode(x), CODES, atol=1e-12)
        assert found.identity.max() < 1e-11
    assert straight.log_volume.abs().max() < 1e-12
    expected = torch.full((30,), log((k**2 + w**2) ** 0.5 / k), dtype=torch.float64)
    assert torch.allclose(skew.log_volume, expected, atol=1e-12)


@pytest.mark.parametrize(("k", "w"), SETTINGS)
def test_the_formula_integrates_to_one_on_the_curve(k, w):
    """Chords of a fine polygon times the density at the middle of each: no Jacobian in lengths."""
    z = torch.linspace(-6.5, 6.5, 20001, dtype=torch.float64)[:, None]
    x = interval.decode(z, k, w)
    middle = (z[1:] + z[:-1]) / 2
    log_density = -standard_normal_nll(middle) - jacobians.log_volume(
        lambda z: interval.decode(z, k, w), middle
    )
    mass = (log_density.exp() * (x[1:] - x[:-1]).norm(dim=1)).sum()
    assert abs(mass - 1) < 1e-6


def sphere(z):
    """Stereographic projection: the plane onto the unit sphere without its north pole."""
    squared = z.square().sum(1, keepdim=True)
    return torch.cat([2 * z, squared - 1], 1) / (1 + squared)


def mass_on_the_sphere(cells):
    """Flat triangles in space times the density at the middle code of each."""
    side = torch.linspace(-6, 6, cells + 1, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1)
    a, b, c, d = (z[i : cells + i, j : cells + j].reshape(-1, 2) for i in (0, 1) for j in (0, 1))
    mass = 0.0
    for corners in ((a, b, d), (a, c, d)):
        p, q, r = map(sphere, corners)
        area = torch.linalg.cross(q - p, r - p).norm(dim=1) / 2
        middle = sum(corners) / 3
        log_density = -standard_normal_nll(middle) - jacobians.log_volume(sphere, middle)
        mass += float((log_density.exp() * area).sum())
    return mass


def test_the_formula_integrates_to_one_on_a_surface():
    """Flat triangles miss what the sphere bulges, by their size squared: extrapolated away."""
    coarse, fine = map(mass_on_the_sphere, (150, 300))
    assert (1 - coarse) / (1 - fine) == pytest.approx(4, rel=0.05)
    assert (4 * fine - coarse) / 3 == pytest.approx(1, abs=1e-5)


def test_a_known_density_on_the_sphere_comes_out():
    """Codes with density 1/(π(1 + |z|²)²) are uniform on the sphere: 1/(4π) everywhere."""
    z = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = 1 / (pi * (1 + z.square().sum(1)) ** 2)
    density = prior * (-jacobians.log_volume(sphere, z)).exp()
    assert_allclose(density, np.full(50, 1 / (4 * pi)), rtol=1e-12)


def test_off_the_lattice_is_refused():
    with pytest.raises(ValueError, match=r"interval: bend = 0.7 is not on the lattice, but 0.5 is"):
        interval.EXPLORABLE.render(0, bend=0.7)
