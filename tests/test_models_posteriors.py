"""VampPrior against the mixture it is, a richer posterior against the exact one."""

import pytest
import torch
from helpers import data
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from companion.models import VAE, AggregateVAE
from companion.models.vamp_prior import VampPrior
from companion.networks import MLP, flows
from companion.training import TrainConfig, sweep


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
    """Linear-Gaussian data whose exact posterior is correlated: only a flow can reach it."""
    weight, x = torch.tensor([[1.0, 0.0], [0.9, 0.3]]), torch.zeros(64, 2)
    losses = {}
    for name in ("diagonal", "iaf"):
        torch.manual_seed(0)
        flow = flows.iaf(2, 4, transforms=1, hidden=(16,)) if name == "iaf" else None
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
    assert losses["diagonal"] > losses["iaf"] + 0.2
    assert losses["iaf"] == pytest.approx(float(exact), abs=0.1)


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
