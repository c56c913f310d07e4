"""Preprocessing: inverses and log-determinants against autograd, and what the units mean."""

import pytest
import torch
from helpers import data
from torch.func import jacrev, vmap

from companion.networks import preprocess
from companion.networks.preprocess import ActNorm, Logit, Preprocess

SHAPE = (2, 2, 2)


def layers():
    whole = Preprocess(Logit(0.05), ActNorm(SHAPE)).double()
    whole.prepare(images())
    return whole


def images(seed=1):
    return data(SHAPE, seed=seed).sigmoid()


def test_round_trip_and_log_det():
    whole, x = layers(), images(2)
    y, log_det = whole(x)
    back, log_det_back = whole.inverse(y)
    assert (back - x).abs().max() < 1e-8 and (log_det + log_det_back).abs().max() < 1e-8
    jacobian = vmap(jacrev(lambda p: whole(p[None]).value.flatten()))(x).flatten(2)
    assert torch.allclose(log_det, torch.linalg.slogdet(jacobian).logabsdet)


def test_act_norm_standardises_each_channel_once():
    whole = layers()
    y = whole(images()).value
    assert y.mean((0, 2, 3)).abs().max() < 1e-10
    assert (y.transpose(0, 1).flatten(1).std(1) - 1).abs().max() < 1e-10
    whole.prepare(10 * images(3).clamp(max=0.1))
    assert torch.equal(whole(images()).value, y)


def test_bytes_are_spread_within_their_cells():
    x = torch.arange(256, dtype=torch.float64) / 255
    low, high = preprocess.dequantise(x, 0.0), preprocess.dequantise(x, 1.0)
    assert low[0] == 0 and high[-1] == 1 and torch.allclose(high[:-1], low[1:])
    assert torch.allclose(preprocess.requantise(preprocess.dequantise(x)), x)


def test_bits_of_a_density_that_is_flat_in_each_cell():
    """A density that is constant within the cells gives the discrete entropy exactly."""
    probabilities = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    log_prob = (probabilities * 4).log()  # density on [0, 1): probability over the cell's width
    bits = preprocess.bits_per_dimension(log_prob, (1,), levels=4)
    assert torch.allclose((probabilities * bits).sum(), torch.tensor(1.75).double())


def test_refusals():
    with pytest.raises(ValueError, match="Logit: margin must be between 0 and 1/2, got 0"):
        Logit(0)
