"""Posterior flows against autograd's log-determinant, VampPrior against the mixture it is."""

import pytest
import torch
from helpers import data
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.func import jacrev

from companion.models import VAE, AggregateVAE
from companion.models.posteriors import HouseholderFlow, PlanarFlow, VampPrior
from companion.networks import MLP
from companion.sweep import sweep
from companion.training import TrainConfig

FLOWS = [HouseholderFlow, PlanarFlow]


@pytest.mark.parametrize("kind", FLOWS)
def test_the_log_determinant_is_autograds(kind):
    flow, z, h = kind(3, 5, steps=3).double(), data((3,)), 3 * data((5,), seed=2)
    _, log_det = flow(z, h)
    for i in range(len(z)):
        J = jacrev(lambda one, i=i: flow(one[None], h[i : i + 1])[0][0])(z[i])
        assert torch.allclose(log_det[i], torch.linalg.slogdet(J)[1], atol=1e-10)


def test_every_planar_step_is_invertible():
    flow = PlanarFlow(1, 2, steps=1).double()
    flow.planes.weight.data *= 20
    z = torch.linspace(-3, 3, 200, dtype=torch.float64)[:, None]
    for h in 3 * data((2,), batch=20):
        out, _ = flow(z, h.expand(len(z), 2))
        assert (out[1:] > out[:-1]).all()


def test_householder_steps_keep_lengths_and_turn_the_covariance():
    flow, z = HouseholderFlow(3, 5).double(), data((3,), batch=8)
    out, _ = flow(z, data((5,), batch=8, seed=2))
    assert torch.allclose(out.norm(dim=1), z.norm(dim=1)) and not torch.allclose(out, z)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_vamp_prior_is_the_mixture_of_its_posteriors(covariance):
    encoder = MLP(3, 4 if covariance == "diagonal" else 5, [8]).double()
    prior = VampPrior(encoder, data((3,), batch=5), 2, covariance)
    z = data((2,))
    mean, scale = prior.components()
    if covariance == "diagonal":
        parts = Independent(Normal(mean, scale.diagonal(dim1=1, dim2=2)), 1)
    else:
        parts = torch.distributions.MultivariateNormal(mean, scale_tril=scale)
    mixture = MixtureSameFamily(Categorical(logits=torch.zeros(5)), parts)
    assert torch.allclose(prior.log_prob(z), mixture.log_prob(z))
    codes = prior.sample(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(codes.mean(0), mixture.mean, atol=0.05)


def test_richer_posteriors_bring_the_bound_nearer():
    """Linear-Gaussian data whose exact posterior is correlated: only a turned one can reach it."""
    weight, x = torch.tensor([[1.0, 0.0], [0.9, 0.3]]), torch.zeros(64, 2)
    losses = {}
    for name in ("diagonal", "householder"):
        torch.manual_seed(0)
        flow = HouseholderFlow(2, 4, steps=2) if name == "householder" else None
        encoder, decoder = nn.Linear(2, 4), nn.Linear(2, 2, bias=False).requires_grad_(False)
        encoder.bias.data, decoder.weight.data = torch.tensor([0.0, 0, -4, -2]), weight
        vae = VAE(encoder, decoder, (2,), 2, decoder_variance=0.01, posterior_flow=flow)
        optimizer = torch.optim.Adam([p for p in vae.parameters() if p.requires_grad], lr=5e-2)
        for _ in range(300):
            optimizer.zero_grad()
            vae.loss(x).loss.mean().backward()
            optimizer.step()
        losses[name] = vae.loss(x.repeat(80, 1)).loss.mean().item()
    plane = weight @ weight.T + 0.01 * torch.eye(2)
    exact = -torch.distributions.MultivariateNormal(torch.zeros(2), plane).log_prob(x[0])
    assert losses["diagonal"] > losses["householder"] + 0.2
    assert losses["householder"] == pytest.approx(float(exact), abs=0.1)


def aggregate(penalty, weight, seed=0, **options):
    torch.manual_seed(seed)
    return AggregateVAE(VAE(MLP(3, 4, [8]), MLP(2, 3, [8]), (3,), 2, **options), penalty, weight)


@pytest.mark.parametrize("penalty", ["mmd", "total_correlation"])
def test_an_aggregate_penalty_adds_to_the_vaes_loss(penalty):
    model, x = aggregate(penalty, 3.0), data((3,)).float()
    draws = model.draw(x, torch.Generator().manual_seed(0))
    terms, plain = model.loss(x, **draws), model.vae.loss(x, noise=draws["noise"])
    assert torch.allclose(terms.loss, plain.loss + 3.0 * terms.penalty)
    assert torch.equal(terms.kl, plain.kl) and terms.penalty.abs().sum() > 0


def test_aggregate_vaes_train_stacked():
    models, x = [aggregate("mmd", w) for w in (1.0, 10.0)], torch.randn(128, 3)
    config = TrainConfig(epochs=2, batch_size=64, device="cpu")
    logs = sweep(models, [x, x], [config] * 2, progress=False)
    assert all(log.rows[-1]["loss"] < 1e3 for log in logs)
    assert float(models[1].weight) == 10.0


def test_refusals():
    with pytest.raises(ValueError, match="penalty must be mmd or total_correlation, got 'kl'"):
        aggregate("kl", 1.0)
    with pytest.raises(ValueError, match="must have a diagonal posterior, no posterior flow"):
        aggregate("mmd", 1.0, estimator="iwae")
