"""Regularised autoencoders: every penalty against the slow way to write it."""

import pytest
import torch
from helpers import data, gradients, largest_difference, pair
from torch import distributions as D
from torch import nn

from companion import jacobians, probes
from companion.models import Autoencoder
from companion.models.aggregate import mmd, total_correlation

N = 4000


def model(**weights):
    encode, decode = pair()
    return Autoencoder(encode, decode, (5,), 3, **weights)


def test_a_plain_autoencoder_draws_nothing_and_pays_for_its_error_alone():
    ae, x = model(), data()
    assert ae.draw(x) == {} and list(ae.buffers()) == []
    terms = ae.loss(x)
    assert torch.equal(terms.loss, (ae.decode(ae.encode(x)) - x).square().sum(1))
    assert not terms.penalty.any()


@pytest.mark.parametrize("name", ["code", "decoder_l2", "decoder_jacobian", "encoder_jacobian"])
def test_each_penalty_is_what_its_name_says(name):
    ae, x = model(**{name: 0.25}), data()
    z = ae.encode(x)
    maps = {"decoder_jacobian": (ae.decode, z), "encoder_jacobian": (ae.encode, x)}
    if name in maps:
        exact = jacobians.jacobian(*maps[name], differentiable=True).square().sum((1, 2))
        point = maps[name][1]
        basis = probes.sample("basis", point.shape[1], point)
        draws = {{"decoder_jacobian": "probes"}.get(name, "data_probes"): basis}
    else:
        flat = torch.cat([p.flatten() for p in ae.decoder.parameters()])
        exact = {"code": 0.5 * z.square().sum(1), "decoder_l2": flat.square().sum().expand(6)}[name]
        draws = {}
    terms = ae.loss(x, **draws)
    assert torch.allclose(terms.penalty, 0.25 * exact)
    ours, theirs = gradients(terms.penalty, ae), gradients(0.25 * exact, ae)
    assert largest_difference(ours, theirs) < 1e-10


def test_one_probe_is_right_on_average():
    ae, x = model(encoder_jacobian=1.0), data(batch=1).repeat(N, 1)
    exact = jacobians.jacobian(ae.encode, x[:1]).square().sum()
    estimates = ae.loss(x).penalty
    assert (estimates.mean() - exact).abs() < 4 * estimates.std() / N**0.5


def test_penalties_add_up():
    x = data()
    parts = [model(code=0.5), model(decoder_l2=0.25)]
    both = model(code=0.5, decoder_l2=0.25).loss(x).penalty
    assert torch.allclose(both, sum(m.loss(x).penalty for m in parts))


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_the_double_sum(kernel):
    z, p = data((2,)), data((2,), seed=2)

    def k(a, b):
        widths = [4 * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
        r = (a - b).square().sum()
        return sum(c / (c + r) if kernel == "imq" else torch.exp(-r / c) for c in widths)

    n = len(z)
    total = sum(
        k(z[i], z[j]) + k(p[i], p[j]) - k(z[i], p[j]) - k(p[i], z[j])
        for i in range(n) for j in range(n) if i != j
    )  # fmt: skip
    assert torch.allclose(mmd(z, p, kernel).mean(), total / (n * (n - 1)))


def test_total_correlation_is_the_gaussians():
    """Aggregate N(0, C + σ²): half the log of the variances' product over the determinant."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    mean = data((2,), batch=N // 2) @ torch.linalg.cholesky(covariance).T
    scale = torch.full_like(mean, 0.3)
    z = mean + scale * data((2,), batch=N // 2, seed=2)
    whole = covariance + 0.09 * torch.eye(2)
    exact = 0.5 * (whole.diagonal().log().sum() - torch.logdet(whole))
    assert total_correlation(z, mean, scale).mean() == pytest.approx(float(exact), abs=0.05)
    turned = mean @ torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=mean.dtype) / 2**0.5
    z = turned + scale * data((2,), batch=N // 2, seed=2)
    assert total_correlation(z, turned, scale).mean().abs() < 0.05


def test_total_correlation_is_that_of_mixtures():
    """Posteriors of different widths: the joint mixture's log-density less its marginals'."""
    mean, scale, z = (data((3,), batch=5, seed=s) for s in range(3))
    scale, even = scale.exp(), D.Categorical(torch.ones(5, dtype=torch.float64))
    joint = D.MixtureSameFamily(even, D.Independent(D.Normal(mean, scale), 1)).log_prob(z)
    alone = sum(
        D.MixtureSameFamily(even, D.Normal(m, s)).log_prob(one)
        for m, s, one in zip(mean.T, scale.T, z.T, strict=True)
    )
    assert torch.allclose(total_correlation(z, mean, scale), joint - alone)


def test_the_wae_moves_its_codes_to_the_prior():
    wae = Autoencoder(nn.Linear(2, 2), nn.Linear(2, 2), (2,), 2, mmd=100.0)
    wae.encoder.weight.data, wae.encoder.bias.data = torch.eye(2) / 3, torch.ones(2)
    x = torch.randn(128, 2)
    optimizer = torch.optim.Adam(wae.encoder.parameters(), lr=5e-2)
    for _ in range(150):
        optimizer.zero_grad()
        wae.loss(x).loss.mean().backward()
        optimizer.step()
    z = wae.encode(x)
    assert z.mean(0).abs().max() < 0.2 and (z.std(0) - 1).abs().max() < 0.2


def test_refusals():
    with pytest.raises(ValueError, match="weights are code, .* and not negative, got jacobian=1.0"):
        model(jacobian=1.0)
    with pytest.raises(ValueError, match="not negative, got code=-1"):
        model(code=-1)
    with pytest.raises(ValueError, match="kernel must be imq or rbf, got 'box'"):
        model(kernel="box")
    with pytest.raises(ValueError, match=r"at least 2 rows, got \(1, 2\) and \(1, 2\)"):
        mmd(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="kernel must be imq or rbf"):
        mmd(torch.zeros(2, 2), torch.zeros(2, 2), "box")
