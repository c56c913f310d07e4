"""Exact Jacobians against torch's own, and the cheap forward mode against torch's dear one."""

import threading

import pytest
import torch
from helpers import BATCH, DIM, LATENT, data, gradients, largest_difference, pair
from torch import nn
from torch.func import jacrev

from companion import jacobians, passes
from companion.networks import MLP


def per_sample(function, points):
    return torch.stack([jacrev(lambda p: function(p[None])[0])(p) for p in points]).flatten(2)


@pytest.mark.parametrize("chunk_size", [None, 1, 2])
def test_both_directions_match_autograd(chunk_size):
    encode, decode = pair()
    x, z = data(), data((LATENT,))
    wide = jacobians.jacobian(encode, x, chunk_size=chunk_size)
    tall = jacobians.jacobian(decode, z, chunk_size=chunk_size)
    assert torch.allclose(wide, per_sample(encode, x), atol=1e-12)
    assert torch.allclose(tall, per_sample(decode, z), atol=1e-12)


def test_images_are_flattened():
    encode, decode = pair(data_shape=(1, 2, 3))
    assert jacobians.jacobian(encode, data((1, 2, 3))).shape == (BATCH, LATENT, 6)
    assert jacobians.jacobian(decode, data((LATENT,))).shape == (BATCH, 6, LATENT)


def test_log_volumes_are_half_log_determinants():
    encode, decode = pair()
    x, z = data(), data((LATENT,))
    f, g = jacobians.jacobian(encode, x), jacobians.jacobian(decode, z)
    assert torch.allclose(jacobians.log_volume(decode, z), 0.5 * torch.logdet(g.mT @ g))
    assert torch.allclose(jacobians.log_volume_encoder(encode, x), 0.5 * torch.logdet(f @ f.mT))


def test_no_graph_unless_asked():
    _, decode = pair()
    z = data((LATENT,))
    assert not jacobians.log_volume(decode, z).requires_grad
    value = jacobians.log_volume(decode, z, differentiable=True)
    g = jacobians.jacobian(decode, z, differentiable=True)
    theirs = gradients(0.5 * torch.logdet(g.mT @ g), decode)
    assert largest_difference(gradients(value, decode), theirs) < 1e-9


def test_conditions_reach_the_map():
    _, decode = pair(condition_dim=2)
    z, c = data((LATENT,)), data((2,), seed=5)
    one = jacobians.jacobian(decode, z, c)
    other = jacobians.jacobian(lambda p: decode(p, c), z)
    assert torch.equal(one, other)


def test_defect_vanishes_for_a_pseudo_inverse_pair_only():
    A = torch.randn(LATENT, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    B = torch.linalg.pinv(A)
    good = jacobians.defect(data(), lambda x: x @ A.T, lambda z: z @ B.T)
    assert good.log_volume.abs().max() < 1e-10 and good.identity.max() < 1e-10
    # f∘g = 1 is not enough: an encoder that also looks across the manifold has more volume
    across = torch.linalg.svd(B.mT).Vh[LATENT:]  # spans the orthogonal complement of the image
    C = A + 0.7 * torch.ones(LATENT, 2, dtype=torch.float64) @ across
    skew = jacobians.defect(data(), lambda x: x @ C.T, lambda z: z @ B.T)
    assert skew.identity.max() < 1e-10 and skew.log_volume.min() > 0.01


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(3, 1, 4, stride=2, padding=1, bias=False)
        self.mix = nn.Linear(6, 6)

    def forward(self, x):
        return self.mix(self.up(torch.tanh(self.down(x))))


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("network", [Convolutions().double(), nn.Linear(6, 2).double()])
def test_forward_mode_equals_torchs(network, detach):
    x, v = data((1, 4, 6)), data((1, 4, 6), seed=2)
    value, product = passes.jvp(network, x, v, detach)
    expected_value, expected = torch.func.jvp(network, (x,), (v,))
    assert torch.allclose(value, expected_value) and torch.allclose(product, expected)
    assert product.requires_grad is not detach and value.requires_grad
    if not detach:
        assert (
            largest_difference(gradients(product**2, network), gradients(expected**2, network))
            < 1e-10
        )


def test_forward_mode_keeps_weights_that_do_move():
    """A weight that itself depends on the point has a tangent, which must not be skipped."""
    x, v = data((3,)), data((3,), seed=2)

    def function(p):
        return nn.functional.linear(p, (p[:1] * 2.0).tanh())

    assert torch.allclose(passes.jvp(function, x, v)[1], torch.func.jvp(function, (x,), (v,))[1])


def test_refusal():
    with pytest.raises(ValueError, match="chunk_size must be positive, got 0"):
        jacobians.jacobian(pair()[0], data(), chunk_size=0)


def test_threads_do_not_disturb_each_other():
    """A slider's thread draws while a cell computes: torch's forward mode is one for both."""
    net, z, v = MLP(2, 20, (32, 32)), torch.randn(64, 2), torch.randn(64, 2)
    expected, wrong = passes.jvp(net, z, v)[1], []

    def work():
        for _ in range(100):
            try:
                wrong.extend([] if torch.equal(passes.jvp(net, z, v)[1], expected) else ["other"])
            except RuntimeError as error:
                wrong.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
