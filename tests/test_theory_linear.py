"""The linear model's closed forms against autograd, search and optimisation."""

from itertools import combinations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from companion.models import mlae_loss
from companion.theory import linear
from figures.explorables import linear_model as explorable

SPECTRA = st.lists(st.floats(0.05, 5.0), min_size=2, max_size=5)
BETAS = st.floats(0.05, 8.0)


def encoder(latent, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(latent, dim, dtype=torch.float64, generator=generator)


def diagonal(eigenvalues):
    return torch.diag(torch.tensor(sorted(eigenvalues), dtype=torch.float64))


@given(SPECTRA, st.integers(1, 5), BETAS, st.integers(0, 999))
def test_the_gradient_is_autograds(eigenvalues, latent, beta, seed):
    latent = min(latent, len(eigenvalues))
    A = encoder(latent, len(eigenvalues), seed).requires_grad_()
    (theirs,) = torch.autograd.grad(linear.loss(A, diagonal(eigenvalues), beta), A)
    ours = linear.gradient(A.detach(), diagonal(eigenvalues), beta)
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6 * (1 + float(theirs.abs().max())))


def test_the_loss_is_the_models():
    """On data whose sample covariance is Σ, the mean exact loss of the tied pair is L(A)."""
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    A, beta = encoder(2, 3), 1.7
    terms = mlae_loss(x, lambda p: p @ A.T, lambda z: z @ torch.linalg.pinv(A).T, beta)
    volume = torch.linalg.svdvals(A).log().sum()
    exact = (terms.prior - volume + beta * terms.reconstruction).mean()
    constant = torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))  # (d/2) log 2π, d = 2
    assert torch.allclose(linear.loss(A, x.T @ x / 50, beta) + constant, exact)


@given(SPECTRA, st.integers(1, 4), BETAS)
@example([1.0, 1 / 3], 2, 1.5)  # an eigenvalue is σ²: it alone is a free direction
@example([1 / 3, 1 / 3, 1.0], 2, 1.5)
def test_every_critical_point_has_no_gradient_and_its_value(eigenvalues, latent, beta):
    latent = min(latent, len(eigenvalues))
    for point in linear.critical_points(eigenvalues, latent, beta):
        A = linear.representative(eigenvalues, beta, point)
        assert linear.gradient(A, diagonal(eigenvalues), beta).abs().max() < 1e-10 * (1 + beta)
        value = linear.loss(A, diagonal(eigenvalues), beta)
        assert float(value) == pytest.approx(point.value, abs=1e-9)


def test_the_continuum_is_the_barrier_that_the_lemma_leaves_out():
    eigenvalues, beta = (1.0, 0.05), 1.0
    free = [p for p in linear.critical_points(eigenvalues, 1, beta) if p.num_free]
    isolated = [p for p in linear.critical_points(eigenvalues, 1, beta) if not p.num_free]
    assert len(free) == 1 and free[0].value > max(p.value for p in isolated)


@given(SPECTRA, st.integers(1, 4), BETAS)
def test_local_minima_are_those_with_a_positive_hessian(eigenvalues, latent, beta):
    """Brute force: the Hessian over rotations of every eigen-subspace, up to scale and rotation."""
    latent, spectrum = min(latent, len(eigenvalues)), sorted(eigenvalues)
    variance, gaps = 1 / (2 * beta), [abs(v - 1 / (2 * beta)) for v in spectrum]
    near = [abs(a - b) for a, b in combinations(spectrum, 2)]
    if min(gaps + near) < 1e-3:
        return  # degenerate: the test below would decide by rounding
    expected = set()
    for kept in combinations(range(len(spectrum)), latent):
        outside = [i for i in range(len(spectrum)) if i not in kept]
        curvature = [
            (1 / spectrum[i] - 1 / variance) * (spectrum[j] - spectrum[i])
            for i in kept
            for j in outside
        ]
        if all(c > 0 for c in curvature):
            expected.add(kept)
    assert set(linear.local_minima(eigenvalues, latent, beta)) == expected


@given(SPECTRA, st.integers(1, 4), BETAS)
def test_the_global_minimum_is_the_best_subset(eigenvalues, latent, beta):
    latent = min(latent, len(eigenvalues))
    isolated = [p for p in linear.critical_points(eigenvalues, latent, beta) if not p.num_free]
    best = min(p.value for p in isolated)
    chosen = linear.global_minimum(eigenvalues, latent, beta)
    assert next(p.value for p in isolated if p.kept == chosen) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("eigenvalues", "latent"), [((1.0, 0.05), 1), ((2.0, 0.7, 0.3, 0.1), 2)])
def test_thresholds_are_where_a_fine_search_finds_them(eigenvalues, latent):
    for t in linear.thresholds(eigenvalues, latent):
        assert bisect(lambda b: linear.global_minimum(eigenvalues, latent, b), t.tie) < 1e-6
        for edge in (t.appears, t.vanishes):
            assert bisect(lambda b: linear.local_minima(eigenvalues, latent, b), edge) < 1e-6


def bisect(state, guess):
    """Distance from a guess to the β at which a state changes near it."""
    low, high = guess * 0.99, guess * 1.01
    start = state(low)
    assert state(high) != start
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if state(middle) == start else (low, middle)
    return abs(low - guess)


@pytest.mark.parametrize("beta", [0.3, 1.0, 20.0])
def test_optimisation_ends_in_the_predicted_minima(beta):
    """100 random starts in ℝ³, one latent dimension, Newton-like long descent."""
    eigenvalues, generator = (1.0, 0.4, 0.05), torch.Generator().manual_seed(0)
    A = nn.Parameter(torch.randn(100, 1, 3, dtype=torch.float64, generator=generator))
    covariance, optimizer = diagonal(eigenvalues), torch.optim.Adam([A], lr=0.02)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6000, 1e-4)
    for _ in range(6000):
        A.grad = linear.gradient(A.detach(), covariance, beta)
        optimizer.step()
        scheduler.step()
    values = linear.loss(A.detach(), covariance, beta)
    points = linear.critical_points(eigenvalues, 1, beta)
    minima = linear.local_minima(eigenvalues, 1, beta)
    allowed = torch.tensor([p.value for p in points if p.kept in minima and not p.num_free])
    distance = (values[:, None] - allowed).abs().min(1).values
    assert distance.max() < 1e-3


def test_hysteresis_switches_within_two_percent_of_the_thresholds():
    """A followed minimum survives 2 % inside its threshold and is left 2 % beyond."""
    spectrum = (0.05, 1.0)
    t = linear.thresholds(spectrum, 1)[0]
    small, large = ([[s**-0.5 * a, s**-0.5 * b]] for s, a, b in ((0.05, 1, 1e-3), (1.0, 1e-3, 1)))
    start = torch.tensor([small, small, large, large], dtype=torch.float64)
    betas = (0.98 * t.vanishes, 1.02 * t.vanishes, 1.02 * t.appears, 0.98 * t.appears)
    ends = [
        float(explorable.top_share(explorable.descend(s[None], spectrum, b, steps=12_000)))
        for s, b in zip(start, betas, strict=True)
    ]
    assert [round(e) for e in ends] == [0, 1, 1, 0]


def test_shares_of_random_starts_are_the_recorded_ones():
    """400 N(0, 1) starts at λ = (1, 0.05), where 24, 42, 82 and 95 % were once found."""
    starts = torch.randn(400, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for beta, share in ((0.55, 0.24), (0.7, 0.42), (1.577, 0.82), (2.5, 0.95)):
        ends = explorable.descend(starts, (0.05, 1.0), beta, steps=2000)
        found = float((explorable.top_share(ends) > 0.5).double().mean())
        error = (2 * share * (1 - share) / 400) ** 0.5  # both shares are estimates
        assert abs(found - share) < 3 * error


@given(SPECTRA, st.integers(1, 4), st.floats(0.05, 3.0))
def test_the_linear_vae_is_probabilistic_pca(eigenvalues, latent, gamma):
    latent = min(latent, len(eigenvalues))
    vae = linear.linear_vae(eigenvalues, latent, gamma)
    spectrum = sorted(eigenvalues, reverse=True)
    W = torch.zeros(len(spectrum), latent, dtype=torch.float64)
    W.diagonal().copy_(vae.singular_values)
    model = W @ W.T + gamma * torch.eye(len(spectrum), dtype=torch.float64)
    sigma = torch.diag(torch.tensor(spectrum, dtype=torch.float64))
    exact = -0.5 * (
        torch.logdet(2 * torch.pi * model) + torch.trace(torch.linalg.solve(model, sigma))
    )
    assert vae.log_likelihood == pytest.approx(float(exact), rel=1e-5)
    assert all(spectrum[::-1][i] > gamma for i in vae.active)
    posterior = torch.linalg.inv(torch.eye(latent).double() + W.T @ W / gamma).diagonal()
    assert torch.allclose(vae.posterior_variance.double(), posterior, rtol=1e-4, atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="latent must be between 1 and 2, got 3"):
        linear.thresholds((1.0, 2.0), 3)
    with pytest.raises(ValueError, match="eigenvalues must be positive"):
        linear.global_minimum((1.0, 0.0), 1, 1.0)
    with pytest.raises(ValueError, match="beta must be positive, got 0"):
        linear.local_minima((1.0, 2.0), 1, 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_loss_and_gradient():
    A, covariance = torch.randn(4, 2, 5, dtype=torch.float64), diagonal((0.1, 0.5, 1.0, 2.0, 3.0))
    for function in (linear.loss, linear.gradient):
        there = function(A.cuda(), covariance.cuda(), 0.7)
        assert there.is_cuda and torch.allclose(function(A, covariance, 0.7), there.cpu())
