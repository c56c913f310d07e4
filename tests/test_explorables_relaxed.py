"""The pictures of notebook 07: bounds measured against their closed form, loops and their cure."""

import numpy as np
import pytest
import torch

from companion.evaluation import nearest_far, self_crossings
from figures.explorables import frobenius_bounds, relaxed_flow


def test_single_probes_average_to_the_closed_form():
    for line in frobenius_bounds.check():
        assert line.endswith(": ok")


def test_closed_forms_are_ordered_and_zero_where_all_are_equal():
    for latent in frobenius_bounds.LATENTS:
        for ratio in frobenius_bounds.RATIOS:
            unit, best, fixed = frobenius_bounds.in_closed_form(latent, ratio, 1.0)
            assert -1e-9 <= unit <= best + 1e-9 <= fixed + 2e-9
        assert np.allclose(frobenius_bounds.in_closed_form(latent, 1.0, 1.0), 0, atol=1e-9)
        assert frobenius_bounds.in_closed_form(latent, 1.0, 0.5)[2] > 0.1


def test_crossings_are_those_of_the_curve():
    t = torch.linspace(0, 1, 50)
    assert self_crossings(torch.stack([t, t.square()], 1)) == 0
    t = torch.linspace(0.05, 4 * torch.pi - 0.1, 800)
    spiral = torch.stack([t.cos(), 2 * t.sin() + 0.1 * t], 1)  # each turn meets the one before
    assert self_crossings(spiral) >= 1
    star = torch.tensor([[0.0, 1], [0.6, -0.8], [-0.95, 0.3], [0.95, 0.3], [-0.6, -0.8], [0, 1.0]])
    assert self_crossings(star) == 5
    with pytest.raises(ValueError, match=r"expected \(m, 2\) points, got \(3, 3\)"):
        self_crossings(torch.zeros(3, 3))


def test_far_codes_meet_at_a_crossing():
    t = torch.linspace(-1, 4, 2001)
    eight = torch.stack([t.sin(), (2 * t).sin()], 1)
    assert nearest_far(eight, t) < 0.01 and nearest_far(eight, t, apart=3.3) > 0.1
    assert nearest_far(eight, t, apart=9.0) == float("inf")


def test_the_lattice_says_what_the_notebook_teaches():
    """Loops without the penalty, none with it, and no stretch far below η."""
    loose, tight = (
        {n: relaxed_flow.STUDY.at(n, eta=0.3, mu=3.0, mu_in=m) for n in relaxed_flow.METRICS}
        for m in relaxed_flow.MUS_IN
    )
    assert loose["crossings"].sum() > tight["crossings"].sum() == 0
    assert (tight["least"] > 0.9 * 0.3).all() and (loose["least"] < 0.5 * 0.3).all()
    error, nll = (
        relaxed_flow.STUDY.at(n, eta=0.03, mu=1.0, mu_in=0.0) for n in ("reconstruction", "nll")
    )
    assert (error > 1.2).all() and (nll < -2).all()  # collapsed
