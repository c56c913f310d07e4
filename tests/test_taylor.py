"""The linearised likelihoods against dense Gaussians and sampling, and the model made of them."""

from itertools import product

import pytest
import torch
from helpers import data, largest_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributions import MultivariateNormal

from companion import jacobians
from companion.evaluation import compare_covariances, posterior_collapse, spread_quality
from companion.models import TaylorVAE, linear, posterior_size, taylor_loss
from companion.models.gaussian import Posterior
from companion.models.linearised import bound_log_likelihood, exact_log_likelihood, linearise
from companion.networks import MLP
from companion.training import TrainConfig, fit, sweep

DIM, LATENT, BATCH = 5, 3, 4


def case(seed=0, covariance="diagonal", spread=1.0, dim=DIM):
    """A curved decoder, data and a posterior, all differentiable leaves, in float64."""
    torch.manual_seed(seed)
    decoder = MLP(LATENT, dim, [7], activation="tanh").double()
    x = data((dim,), BATCH, seed)
    mean = data((LATENT,), BATCH, seed + 1).requires_grad_()
    scale = spread * torch.rand(BATCH, LATENT, dtype=torch.float64)
    if covariance == "full":
        scale = torch.diag_embed(scale) + torch.randn(BATCH, LATENT, LATENT).double().tril(-1)
    variance = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    return decoder, x, Posterior(mean, scale.requires_grad_()), variance


def jacobian_factor(decoder, q):
    """U = g'(μ)S, dense and differentiable: (batch, dim, latent)."""
    scale = q.scale if q.scale.dim() == 3 else torch.diag_embed(q.scale)
    return jacobians.jacobian(decoder, q.mean, differentiable=True) @ scale


def dense_bound(x, decoder, q, variance, taylor_weight):
    """The paper's objective from n × n matrices: eq. 14 with the inverse of eq. 21."""
    U, r = jacobian_factor(decoder, q), decoder(q.mean) - x
    dim = x.shape[1]
    eye = torch.eye(dim, dtype=torch.float64)
    covariance = U @ U.mT + variance * eye
    inverse = taylor_weight * covariance.inverse() + (1 - taylor_weight) * eye / variance
    square = torch.einsum("bi,bij,bj->b", r, inverse, r)
    return -0.5 * (dim * torch.tensor(2 * torch.pi).log() + covariance.logdet() + square)


def all_signs():
    """Every Rademacher probe: averaging over them is the expectation, exactly."""
    return [torch.tensor(s).double().expand(BATCH, -1) for s in product([-1.0, 1.0], repeat=LATENT)]


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("taylor_weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dim", [DIM, LATENT, 2])
def test_woodbury_is_the_dense_gaussian_in_value_and_gradient(covariance, taylor_weight, dim):
    decoder, x, q, c = case(covariance=covariance, dim=dim)
    ours, x_hat = bound_log_likelihood(x, decoder, q, c, taylor_weight)
    dense = dense_bound(x, decoder, q, c, taylor_weight)
    assert torch.allclose(ours, dense) and torch.equal(x_hat, decoder(q.mean))
    leaves = [*q, c, *decoder.parameters()]
    mine, theirs = (torch.autograd.grad(v.sum(), leaves) for v in (ours, dense))
    assert largest_difference(mine, theirs) < 1e-12


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("tangents", ["two", "one"])
@pytest.mark.parametrize("dim", [DIM, 2])
def test_fewer_tangents_have_the_same_value_and_expected_gradient(covariance, tangents, dim):
    decoder, x, q, c = case(covariance=covariance, dim=dim)
    leaves, found = [*q, c, *decoder.parameters()], []
    full = bound_log_likelihood(x, decoder, q, c, 0.7)[0]
    exact = torch.autograd.grad(full.sum(), leaves)
    for probe in all_signs():
        some = bound_log_likelihood(x, decoder, q, c, 0.7, tangents, probe)[0]
        assert torch.allclose(some, full, atol=1e-14)
        found.append(torch.autograd.grad(some.sum(), leaves))
    mean = [torch.stack(g).mean(0) for g in zip(*found, strict=True)]
    assert largest_difference(mean, exact) < 1e-12
    assert largest_difference(found[0], exact) > 1e-3  # one probe alone is noisy


def test_two_tangents_are_exact_where_the_determinant_is_constant():
    """Without posterior spread in the gradient's way only the square is left, and that is exact."""
    decoder, x, q, c = case()
    probe = torch.zeros(BATCH, LATENT, dtype=torch.float64)
    square = bound_log_likelihood(x, decoder, q, c, 1.0, "two", probe)[0]
    U, r = jacobian_factor(decoder, q), (decoder(q.mean) - x).unsqueeze(2)
    inner = U.mT @ U + c * torch.eye(LATENT, dtype=torch.float64)
    expected = ((r.mT @ U) @ inner.inverse() @ (U.mT @ r)).sum() / (2 * c)
    expected = expected - r.square().sum() / (2 * c)
    leaves = [*q, *decoder.parameters()]
    mine, theirs = (torch.autograd.grad(v.sum(), leaves) for v in (square, expected))
    assert largest_difference(mine, theirs) < 1e-12


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_exact_expectation_is_the_dense_trace_from_all_tangents_or_one(covariance):
    decoder, x, q, c = case(covariance=covariance)
    ours = exact_log_likelihood(x, decoder, q, c)[0]
    U = jacobian_factor(decoder, q)
    trace = torch.diagonal(U @ U.mT, dim1=1, dim2=2).sum(1)
    square = (decoder(q.mean) - x).square().sum(1) + trace
    expected = -square / (2 * c) - DIM / 2 * (2 * torch.pi * c).log()
    assert torch.allclose(ours, expected)
    each = [exact_log_likelihood(x, decoder, q, c, "one", probe)[0] for probe in all_signs()]
    leaves = [*q, c, *decoder.parameters()]
    mine = torch.autograd.grad(torch.stack(each).mean(0).sum(), leaves)
    theirs = torch.autograd.grad(expected.sum(), leaves)
    assert largest_difference(mine, theirs) < 1e-12


def test_both_expectations_are_what_sampling_the_linearised_decoder_gives():
    decoder, x, q, c = case(spread=0.3)
    with torch.no_grad():
        noise = torch.randn(200_000, BATCH, LATENT, dtype=torch.float64)
        mean = decoder(q.mean) + torch.einsum("bij,sbj->sbi", jacobian_factor(decoder, q), noise)
        eye = torch.eye(DIM, dtype=torch.float64)
        samples = MultivariateNormal(mean, c * eye).log_prob(x)  # (samples, batch)
        bound, exact = (
            f(x, decoder, q, c)[0] for f in (bound_log_likelihood, exact_log_likelihood)
        )
    error = samples.std(0) / len(samples) ** 0.5
    assert ((samples.mean(0) - exact).abs() < 5 * error).all()
    assert torch.allclose(samples.exp().mean(0).log(), bound, atol=0.03)


@given(
    seed=st.integers(0, 10_000),
    spread=st.floats(0.0, 3.0),
    c=st.floats(0.05, 5.0),
    weights=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=40, deadline=None)
def test_jensen_orders_the_expectations_and_the_weight_orders_the_objective(
    seed, spread, c, weights
):
    decoder, x, q, _ = case(seed, spread=spread)
    with torch.no_grad():
        exact = exact_log_likelihood(x, decoder, q, c)[0]
        less, more = (bound_log_likelihood(x, decoder, q, c, w)[0] for w in sorted(weights))
        full = bound_log_likelihood(x, decoder, q, c, 1.0)[0]
    slack = 1e-9 * (1 + exact.abs())
    assert (full >= exact - slack).all() and (more >= less - slack).all()
    # log det(1 + UᵀU/c) ≤ tr UᵀU/c keeps even w = 0 above the exact expectation
    assert (bound_log_likelihood(x, decoder, q, c, 0.0)[0].detach() >= exact - slack).all()


def test_expectations_agree_where_the_posterior_is_a_point():
    decoder, x, q, c = case(spread=0.0)
    bound, exact = (f(x, decoder, q, c)[0] for f in (bound_log_likelihood, exact_log_likelihood))
    assert torch.allclose(bound, exact)


def on_a_line(expectation, weight=1.0):
    """The objective for x = 1, x | z ~ N(z, ½), at the exact posterior N(⅔, ⅓)."""
    x = torch.ones(1, 1, dtype=torch.float64)
    h = torch.tensor([[2 / 3, -torch.tensor(3.0).log()]], dtype=torch.float64)
    options = {"taylor_weight": weight, "expectation": expectation}
    return -float(taylor_loss(x, lambda x: h, lambda z: z, 0.5, x, **options).loss)


def test_the_papers_objective_exceeds_the_likelihood_on_a_line():
    """There the true evidence lower bound is log N(1; 0, 3/2) itself."""
    likelihood = float(torch.distributions.Normal(0.0, 1.5**0.5).log_prob(torch.tensor(1.0)))
    assert likelihood == pytest.approx(-1.455, abs=5e-4)
    assert on_a_line("exact") == pytest.approx(likelihood)
    assert on_a_line("bound") == pytest.approx(-1.333, abs=5e-4)


def test_each_direction_is_pushed_once():
    decoder, _, q, _ = case()
    out = linearise(decoder, q)
    assert torch.allclose(out.tangents.permute(1, 2, 0), jacobian_factor(decoder, q))
    some = linearise(decoder, q, q.mean.detach().unsqueeze(0), detach=True).tangents
    assert torch.allclose(some[0], (jacobian_factor(decoder, q) @ q.mean.unsqueeze(2)).squeeze(2))
    assert not some.requires_grad


def model(seed=0, **options):
    torch.manual_seed(seed)
    encoder, decoder = MLP(4, posterior_size(2), [8]), MLP(2, 4, [8])
    return TaylorVAE(encoder, decoder, (4,), 2, **options)


def test_the_reported_elbo_is_the_sampling_vaes():
    one, x = model(taylor_weight=0.9, decoder_variance=0.3), data((4,)).float()
    draws = one.draw(x)
    terms, sampled = one.loss(x, **draws), one.sampling().loss(x, noise=draws["noise"][None])
    assert torch.allclose(terms.elbo, -sampled.loss) and not terms.elbo.requires_grad
    assert torch.equal(terms.loss, terms.neg_log_likelihood + terms.kl)
    assert torch.equal(one.log_prob(x).value, one.sampling().log_prob(x).value)


def test_the_loss_does_not_see_the_noise_of_the_report():
    one, x = model(), data((4,)).float()
    first, second = (one.loss(x, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(first.loss, second.loss) and not torch.equal(first.elbo, second.elbo)


def test_the_weight_follows_its_schedule():
    one = model(taylor_weight=linear(1.0, 0.5))
    assert float(one.advance(0.5, 3)["taylor_weight"]) == 0.75 == float(one.taylor_weight)


@pytest.mark.parametrize("tangents", ["all", "two", "one"])
def test_a_sweep_over_weight_and_variance_is_one_by_one(tangents):
    x, config = data((4,), batch=64).float(), TrainConfig(epochs=3, batch_size=32, device="cpu")
    points = [(0.0, 0.1), (0.9, 2.0)]

    def make():
        return [model(taylor_weight=w, decoder_variance=c, tangents=tangents) for w, c in points]

    alone, together = make(), make()
    for one in alone:
        fit(one, x, None, config, progress=False)
    logs = sweep(together, [x, x], [config] * 2, progress=False)
    for one, other in zip(alone, together, strict=True):
        assert largest_difference(one.parameters(), other.parameters()) < 1e-5
    assert logs[0].rows[-1]["elbo"] != logs[1].rows[-1]["elbo"]


@pytest.mark.parametrize("tangents", ["all", "one"])
def test_parts_of_a_batch_give_the_whole(tangents, monkeypatch):
    torch.manual_seed(0)
    encoder, decoder = MLP(4, posterior_size(2), [8], 3), MLP(2, 4, [8], 3)
    one = TaylorVAE(encoder, decoder, (4,), 2, tangents=tangents)
    x, c = data((4,), batch=7).float(), data((3,), batch=7, seed=4).float()
    draws = one.draw(x)
    whole = one.loss(x, c, **draws)
    monkeypatch.setattr("companion.models.taylor.ROWS", 6)  # three samples at a time
    for ours, theirs in zip(one.loss(x, c, **draws), whole, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_loss_compiles_in_one_piece():
    one, x = model(tangents="one"), data((4,)).float()
    draws = one.draw(x)
    compiled = torch.compile(lambda x, **d: one.loss(x, **d).loss, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(x, **draws), one.loss(x, **draws).loss)


def test_collapse_counts_dimensions_that_say_nothing():
    mean = torch.zeros(100, 3)
    mean[0, 0], mean[:2, 1] = 9.0, 9.0  # one sample of a hundred speaks in 0, two in 1
    found = posterior_collapse(Posterior(mean, torch.ones(100, 3)))
    assert found.collapsed.tolist() == [True, False, True]
    assert found.share == pytest.approx(2 / 3)
    full = posterior_collapse(Posterior(mean, torch.eye(3).expand(100, 3, 3)))
    assert full.collapsed.tolist() == [True, False, True]
    wide = posterior_collapse(Posterior(torch.zeros(5, 1), torch.full((5, 1), 0.5)))
    assert float(wide.kl) == pytest.approx(0.5 * (0.25 - 1) + torch.tensor(2.0).log())


def test_the_spread_of_a_linear_decoder_is_known_without_samples():
    q = Posterior(data((LATENT,)), data((LATENT,), seed=2).exp())
    A, chance = data((DIM,), batch=LATENT), torch.Generator().manual_seed(0)
    found = spread_quality(lambda z: z @ A, q, (5, 500), 20_000, chance)
    assert found[0].correlation > 0.999 and found[0].ratio == pytest.approx(1, abs=0.02)
    assert found[0].frobenius < found[500].frobenius < found[5].frobenius


def test_an_estimate_is_judged_against_the_truth():
    truth = torch.diag_embed(torch.tensor([[1.0, 2.0, 3.0]]))
    found = compare_covariances(truth.flip(1, 2), truth)
    assert found == pytest.approx((-1.0, (8 / 14) ** 0.5, 1.0), abs=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="needs decoder_variance > 0, got 0"):
        model(decoder_variance=0)
    with pytest.raises(ValueError, match=r"taylor_weight must be in \[0, 1\], got 2"):
        model(taylor_weight=2)
    with pytest.raises(ValueError, match="tangents must be one of .*got 'three'"):
        model(tangents="three")
    with pytest.raises(ValueError, match="expectation must be one of .*got 'best'"):
        model(expectation="best")
    with pytest.raises(ValueError, match="'two' needs a probe"):
        x = data((4,)).float()
        taylor_loss(x, model().encoder, model().decoder, 0.5, data((2,)).float(), tangents="two")
    decoder = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match="got layer '1', which normalises over the batch"):
        TaylorVAE(MLP(4, 4), decoder, (4,), 2)
    with pytest.raises(ValueError, match="needs epsilon > 0 and 0 ≤ delta < 1, got 0.1 and 1"):
        posterior_collapse(Posterior(torch.zeros(1, 1), torch.ones(1, 1)), 0.1, 1)
