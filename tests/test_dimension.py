"""The dimension of a manifold, read off a VAE: closed forms first, then trained models."""

from math import log

import pytest
import torch
from torch import nn

from companion.data.manifold import Manifold
from companion.evaluation import active_dimensions, loss_slope, noise_effect, variance_spectrum
from companion.models import VAE, posterior_size
from companion.networks import MLP
from companion.theory.linear import linear_vae
from companion.training import TrainConfig, sweep


def ppca(eigenvalues, latent, gamma):
    """The optimal linear VAE, written into networks."""
    best, dim = linear_vae(eigenvalues, latent, gamma), len(eigenvalues)
    encoder, decoder = nn.Linear(dim, 2 * latent).double(), nn.Linear(latent, dim).double()
    for layer in (encoder, decoder):
        nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    order = torch.tensor(eigenvalues).argsort()
    for j, i in enumerate(best.active):
        w, axis = best.singular_values[j], order[i]
        decoder.weight.data[axis, j] = w
        encoder.weight.data[j, axis] = w / (w**2 + gamma)
    encoder.bias.data[latent:] = best.posterior_variance.log()
    return VAE(encoder, decoder, (dim,), latent, gamma).double(), best


def gaussian_data(eigenvalues):
    """Points whose second moments are exactly diag λ: ± √(dim·λ) along each axis."""
    corners = (len(eigenvalues) * torch.tensor(eigenvalues, dtype=torch.float64)).sqrt().diag()
    return torch.cat([corners, -corners])


def test_the_optimal_linear_vae_is_ppca():
    eigenvalues, gamma = (2.0, 1.0, 0.3, 0.05), 0.1
    model, best = ppca(eigenvalues, 3, gamma)
    x = gaussian_data(eigenvalues)
    noise = torch.cat([torch.eye(3), -torch.eye(3)]).double()[:, None] * 3**0.5
    terms = model.loss(x, noise=noise.expand(-1, len(x), -1))  # exact second moments of N(0, 1)
    assert abs(float(terms.loss.mean().detach()) + best.log_likelihood) < 1e-6
    assert torch.allclose(model.log_prob(x).value.mean(), -terms.loss.mean(), atol=1e-6)
    assert (
        max(g.abs().max() for g in torch.autograd.grad(terms.loss.mean(), model.parameters()))
        < 1e-6
    )
    spectrum = variance_spectrum(model, x).values
    assert torch.allclose(spectrum, best.posterior_variance.double().sort().values, atol=1e-6)


def test_the_slope_counts_the_active_directions():
    eigenvalues, gammas = (2.0, 1.0, 1e-9, 1e-9, 1e-9), (1e-6, 1e-5, 1e-4)
    loss = torch.tensor([-linear_vae(eigenvalues, 4, g).log_likelihood for g in gammas])
    slope = loss_slope(torch.tensor(gammas).log(), loss)
    model, _ = ppca(eigenvalues, 4, 1e-4)
    count = active_dimensions(variance_spectrum(model, torch.zeros(1, 5).double()).values)
    assert abs(slope - 3) < 0.01 and count == 2


def test_the_spectrum_of_a_full_posterior_is_that_of_its_covariance():
    torch.manual_seed(0)
    encoder = MLP(3, posterior_size(2, "full"), [8])
    model = VAE(encoder, MLP(2, 3), (3,), 2, covariance="full").double()
    x = torch.randn(4, 3, dtype=torch.float64)
    scale = model.posterior(x).scale
    mean = (scale @ scale.mT).mean(0)
    found = variance_spectrum(model, x)
    rebuilt = found.directions.T @ found.values.diag() @ found.directions
    assert torch.allclose(rebuilt, mean)


def test_noise_moves_the_active_directions_only():
    model, _ = ppca((2.0, 1.0, 0.01), 3, 0.1)
    effect = noise_effect(model, torch.ones(1, 3).double(), 50, torch.Generator().manual_seed(0))
    assert effect.x_hat.shape == (3, 50, 3)
    assert effect.variance[0] > effect.variance[1] > 0.1 and effect.variance[2] == 0


@pytest.mark.parametrize(("density", "variance"), [("uniform", 1), ("clusters", 1.04)])
def test_coordinates_on_a_manifold_have_the_moments_of_their_density(density, variance):
    u = Manifold(2, 5, density).coordinates(20_000, torch.Generator().manual_seed(0))
    assert u.mean(0).abs().max() < 0.03 and (u.var(0) - variance).abs().max() < 0.03
    assert u.abs().max() <= 3**0.5 if density == "uniform" else (u.abs() - 1).abs().max() < 1


def test_refusals():
    with pytest.raises(ValueError, match="threshold must lie between 0 and 1, got 1.5"):
        active_dimensions(torch.ones(2), 1.5)
    with pytest.raises(ValueError, match=r"expected two \(n,\) with n ≥ 2, got \(1,\) and \(1,\)"):
        loss_slope(torch.ones(1), torch.ones(1))
    with pytest.raises(ValueError, match="needs 1 ≤ intrinsic < dim, got 3 and 3"):
        Manifold(3, 3)
    with pytest.raises(ValueError, match="density must be uniform or clusters, got 'ring'"):
        Manifold(1, 3, "ring")


DIM, LATENT, SEEDS = 30, 10, range(5)


def manifold_vae(dimension, seed, **options):
    torch.manual_seed(seed)
    nets = MLP(DIM, posterior_size(LATENT), [64, 64]), MLP(LATENT, DIM, [64, 64])
    generator = torch.Generator().manual_seed(seed)
    x = Manifold(dimension, DIM, seed=seed).sample(4096, generator)
    return VAE(*nets, (DIM,), LATENT, **options), x


def config(seed, epochs):
    return TrainConfig(epochs, 128, learning_rate=3e-3, seed=seed, device="cpu")


@pytest.mark.slow
def test_the_count_is_the_true_dimension():
    runs = [(r, seed) for r in (1, 2, 5) for seed in SEEDS]
    models, x = zip(*(manifold_vae(*run, learn_variance=True) for run in runs), strict=True)
    sweep(models, x, [config(seed, 40) for _, seed in runs], progress=False)
    counts = {r: [] for r in (1, 2, 5)}
    for (r, _), model, data in zip(runs, models, x, strict=True):
        counts[r].append(active_dimensions(variance_spectrum(model, data).values))
    print(counts)
    assert all(found.count(r) >= 4 for r, found in counts.items())


@pytest.mark.slow
def test_the_slope_of_the_loss_is_that_of_the_dimension():
    """γ is lowered step by step: from scratch at a small γ superfluous directions stay active."""
    gammas, dimensions = (0.1, 0.05, 0.02), (1, 2, 5)
    models, x = zip(*(manifold_vae(r, 0) for r in dimensions), strict=True)
    losses = {r: [] for r in dimensions}
    for gamma, epochs in zip(gammas, (30, 15, 15), strict=True):
        for model in models:
            model.decoder_variance.fill_(gamma)
        sweep(models, x, [config(0, epochs)] * 3, progress=False)
        for r, model, data in zip(dimensions, models, x, strict=True):
            terms = model.loss(data, generator=torch.Generator().manual_seed(0))
            losses[r].append(float(terms.loss.mean().detach()))
    log_gamma = torch.tensor([log(g) for g in gammas])
    slopes = {r: loss_slope(log_gamma, torch.tensor(loss)) for r, loss in losses.items()}
    print(slopes)
    assert all(abs(slope - (DIM - r)) < 0.1 * (DIM - r) for r, slope in slopes.items())
