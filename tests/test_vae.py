"""The variational autoencoder against closed forms, quadrature and dense linear algebra."""

from math import log, pi

import pytest
import torch
from helpers import data, gradients, largest_difference
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from companion.evaluation import evaluate
from companion.models import VAE, gaussian_kl, linear, posterior_size, vae_loss
from companion.models.gaussian import as_posterior
from companion.networks import MLP
from companion.training import TrainConfig, fit, sweep


def model(covariance="diagonal", **options):
    torch.manual_seed(0)
    encoder = MLP(4, posterior_size(2, covariance), [8], activation="tanh")
    decoder = MLP(2, 4, [8], activation="tanh")
    return VAE(encoder, decoder, (4,), 2, covariance=covariance, **options).double()


def dense(q):
    scale = torch.diag_embed(q.scale) if q.scale.dim() == 2 else q.scale
    return MultivariateNormal(q.mean, scale_tril=scale)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_kl_is_that_of_dense_gaussians(covariance):
    q = as_posterior(data((posterior_size(3, covariance),)), 3, covariance)
    expected = kl_divergence(
        dense(q), MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    )
    assert torch.allclose(gaussian_kl(*q), expected)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("estimator", ["elbo", "sticking", "iwae"])
def test_loss_is_the_dense_one(covariance, estimator):
    vae = model(covariance, decoder_variance=0.3, kl_weight=0.5, estimator=estimator, num_samples=3)
    x, noise = data((4,)), torch.randn(3, 6, 2, dtype=torch.float64)
    q, terms = dense(vae.posterior(x)), vae.loss(x, noise=noise)
    z = q.mean + torch.einsum("bij,sbj->sbi", q.scale_tril, noise)
    variance = vae.decoder_variance * torch.eye(4, dtype=torch.float64)
    x_hat = torch.stack([vae.decode(one) for one in z])
    log_likelihood = MultivariateNormal(x_hat, variance).log_prob(x)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    kl = kl_divergence(q, prior) if estimator == "elbo" else q.log_prob(z) - prior.log_prob(z)
    weight = log_likelihood - 0.5 * kl
    bound = weight.exp().mean(0).log() if estimator == "iwae" else weight.mean(0)
    assert torch.allclose(terms.loss, -bound, atol=1e-6)
    assert torch.allclose(terms.neg_log_likelihood, -log_likelihood.mean(0), atol=1e-6)
    assert torch.allclose(terms.reconstruction, (x_hat - x).square().sum(-1).mean(0))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_sticking_has_the_same_expected_gradient(covariance):
    x, noise = data((4,), batch=2), torch.randn(20_000, 2, 2, dtype=torch.float64)
    noise = torch.cat([noise, -noise])
    found = []
    for estimator in ("elbo", "sticking"):
        vae = model(covariance, estimator=estimator, decoder_variance=0.5)
        found.append(gradients(vae.loss(x, noise=noise).loss, vae))
    assert largest_difference(*found) < 0.02 * max(g.abs().max() for g in found[0])


def linear_vae(W, gamma, covariance):
    """The exact posterior of x = Wz + noise as an encoder, if ``covariance`` is full."""
    latent, dim = W.shape[1], W.shape[0]
    M = W.T @ W + gamma * torch.eye(latent)
    encoder = nn.Linear(dim, posterior_size(latent, covariance)).double()
    decoder = nn.Linear(latent, dim, bias=False).double()
    L = torch.linalg.cholesky(gamma * M.inverse())
    below = L[tuple(torch.tril_indices(latent, latent, -1))]
    encoder.weight.data.zero_()[:latent] = torch.linalg.solve(M, W.T)
    encoder.bias.data = torch.cat([torch.zeros(latent), L.diagonal().log(), below])
    decoder.weight.data = W
    return VAE(encoder, decoder, (dim,), latent, gamma, covariance=covariance).double()


def test_exact_posterior_makes_every_estimate_exact_and_sticking_silent():
    W = data((2,), batch=4)
    vae, x = linear_vae(W, 0.5, "full"), data((4,))
    truth = MultivariateNormal(torch.zeros(4).double(), W @ W.T + 0.5 * torch.eye(4)).log_prob(x)
    assert torch.allclose(vae.log_prob(x).value, truth)
    for estimator in ("sticking", "iwae"):
        vae.options["estimator"] = estimator
        assert torch.allclose(vae.loss(x).loss, -truth)
    vae.options["estimator"] = "sticking"
    encoder = gradients(vae.loss(x).loss, vae.encoder)
    assert max(g.abs().max() for g in encoder) < 1e-10
    vae.options["estimator"] = "elbo"
    encoder = gradients(vae.loss(x).loss, vae.encoder)
    assert max(g.abs().max() for g in encoder) > 1e-2


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_posterior_of_a_linear_decoder(covariance):
    """Full: (1 + JᵀJ/γ)⁻¹; diagonal: each entry 1/(1 + ‖Jᵢ‖²/γ); found by descent on the loss."""
    J, gamma = data((2,), batch=4), 0.5
    h = torch.zeros(1, posterior_size(2, covariance), dtype=torch.float64, requires_grad=True)
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)[:, None]
    optimizer = torch.optim.LBFGS([h], max_iter=200, tolerance_grad=1e-10, tolerance_change=0)

    def loss():  # the corners' second moments are those of N(0, 1), so this mean is exact
        optimizer.zero_grad()
        terms = vae_loss(
            data((4,), batch=1),
            lambda x: h,
            lambda z: z @ J.T,
            gamma,
            corners,
            covariance=covariance,
        )
        terms.loss.sum().backward()
        return terms.loss.sum()

    optimizer.step(loss)
    found = dense(as_posterior(h, 2, covariance)).covariance_matrix[0]
    precision = torch.eye(2) + J.T @ J / gamma
    expected = precision.inverse() if covariance == "full" else precision.diag().reciprocal().diag()
    assert torch.allclose(found, expected, atol=1e-6)


def toy_log_prob(vae, x):
    """log p(x) by a Riemann sum over a one-dimensional code."""
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    squared = (x[:, None] - vae.decode(z)).square().sum(-1)
    gamma = vae.variance
    log_joint = -squared / (2 * gamma) - x.shape[1] / 2 * (2 * pi * gamma).log() - z[:, 0] ** 2 / 2
    return log_joint.logsumexp(1) - log(2 * pi) / 2 + log(16 / 4000)


def one_dimensional(**options):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 3))
    return VAE(MLP(3, 2, [8]), decoder, (3,), 1, decoder_variance=0.5, **options).double()


def test_more_samples_approach_log_p_from_below():
    vae, x = one_dimensional(), data((3,)) / 2
    truth = toy_log_prob(vae, x)
    few, many = (
        torch.stack(
            [
                vae.log_prob(x, num_samples=s, generator=torch.Generator().manual_seed(i)).value
                for i in range(400)
            ]
        )
        for s in (1, 50)
    )
    assert (few.mean(0) < many.mean(0)).all() and (many.mean(0) < truth + 0.01).all()
    weights = (many - truth).exp()  # p̂/p is unbiased
    error = weights.std(0) / 400**0.5
    assert ((weights.mean(0) - 1).abs() < 3.5 * error).all()


class Shift(nn.Module):
    """The flow z = z₀ exp(s) + h₀."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(0.3))

    def forward(self, z, h):
        return z * self.log_scale.exp() + h[:, :1], self.log_scale.expand(len(z)) * z.shape[1]


class Wide(nn.Module):
    """The prior N(0.5, 2²)."""

    def normal(self):
        return torch.distributions.Normal(0.5, 2.0)

    def log_prob(self, z):
        return self.normal().log_prob(z).sum(-1)

    def sample(self, n, generator=None, temperature=1.0):
        return 0.5 + temperature * 2.0 * torch.randn(n, 1, generator=generator, dtype=torch.float64)


def test_prior_and_flow_change_the_kl_as_densities_say():
    vae, x = one_dimensional(prior=Wide(), posterior_flow=Shift()), data((3,))
    noise = torch.randn(50_000, 6, 1, dtype=torch.float64)
    h, q = vae.encoder(x), vae.posterior(x)
    scale = vae.posterior_flow.log_scale.exp()
    moved = torch.distributions.Normal(q.mean * scale + h[:, :1], q.scale * scale)
    expected = kl_divergence(moved, vae.prior.normal())[:, 0]
    assert torch.allclose(vae.loss(x, noise=noise).kl, expected, rtol=0.02, atol=0.02)
    assert torch.allclose(vae.encode(x), moved.mean)
    assert abs(vae.draw_codes(20_000).std() - 2.0) < 0.05


@pytest.mark.parametrize("estimator", ["elbo", "sticking", "iwae"])
def test_compiles_and_stacks(estimator):
    x = data((4,), batch=64).float()
    options = {"estimator": estimator, "num_samples": 2, "learn_variance": True}
    models = [model("full", decoder_variance=v, **options).float() for v in (0.1, 1.0)]
    alone = [model("full", decoder_variance=v, **options).float() for v in (0.1, 1.0)]
    config = TrainConfig(epochs=2, batch_size=16, device="cpu")
    logs = sweep(models, [x, x], [config] * 2, progress=False)
    for stacked, single, log_ in zip(models, alone, logs, strict=True):
        rows = fit(single, x, config=config, progress=False).rows
        assert abs(log_.rows[-1]["loss"] - rows[-1]["loss"]) < 1e-3
        assert torch.allclose(stacked.variance, single.variance, atol=1e-5)
    draws = single.draw(x)
    compiled = torch.compile(single.loss, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(x, **draws).loss, single.loss(x, **draws).loss, atol=1e-5)


def test_models_of_different_options_do_not_stack():
    x, config = data((4,)).float(), TrainConfig(epochs=1)
    for other in ({"num_samples": 2}, {"estimator": "iwae"}, {"floor": 1e-3}):
        models = [model().float(), model(**other).float()]
        with pytest.raises(ValueError, match="run 1 has other networks or options"):
            sweep(models, [x, x], [config] * 2, progress=False)


def test_learned_variance_stops_at_its_floor_and_says_so_once():
    vae = model(learn_variance=True, decoder_variance=1.1e-3, floor=1e-3).float()
    config = TrainConfig(epochs=3, batch_size=8, learning_rate=0.1, schedule="constant")
    x = torch.zeros(32, 4)
    nn.init.zeros_(vae.decoder.body[-1].weight), nn.init.zeros_(vae.decoder.body[-1].bias)
    with pytest.warns(UserWarning, match="reached its floor 0.001 in epoch 1") as warned:
        fit(vae, x, config=config, progress=False)
    assert len([w for w in warned if "floor" in str(w.message)]) == 1
    assert abs(vae.variance.item() - 1e-3) < 1e-9
    assert gradients(vae.loss(x + 1).loss, vae)[0].abs() > 1  # and it can rise again


def test_the_optimal_variance_is_the_mean_squared_error():
    vae, x = model(learn_variance=True), data((4,))
    terms = vae.loss(x, noise=torch.zeros(1, 6, 2, dtype=torch.float64))
    best = terms.reconstruction.mean() / 4
    vae.log_decoder_variance.data = best.log()
    terms = vae.loss(x, noise=torch.zeros(1, 6, 2, dtype=torch.float64))
    assert gradients(terms.loss.mean(), vae)[0].abs() < 1e-12


def test_schedule_moves_the_weight_of_the_kl():
    vae = model(kl_weight=linear(0.0, 2.0))
    assert float(vae.advance(0.25, 1)["kl_weight"]) == 0.5


def test_refusals():
    with pytest.raises(ValueError, match="needs 0 < floor ≤ decoder_variance, got floor 1e-06"):
        model(decoder_variance=0.0)
    with pytest.raises(ValueError, match="covariance must be diagonal or full, got 'lower'"):
        model("lower")
    with pytest.raises(ValueError, match="estimator must be one of elbo, sticking, iwae, got 'x'"):
        model(estimator="x")
    with pytest.raises(ValueError, match="kl_weight must not be negative, got -1"):
        model(kl_weight=-1.0)
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        model(num_samples=0)
    with pytest.raises(ValueError, match="needs a Gaussian posterior"):
        model(estimator="sticking", posterior_flow=Shift())
    with pytest.raises(ValueError, match=r"encoder must return \(1, 4\), got \(1, 3\)"):
        VAE(MLP(4, 3), MLP(2, 4), (4,), 2).posterior(torch.zeros(1, 4))


def test_many_samples_take_little_memory_and_change_nothing(monkeypatch):
    """SFVAE's 50,000 are drawn and decoded a few at a time, from the same chance."""
    x, sizes = data((4,), batch=8), []
    once = evaluate(vae := model(), x, num_samples=400)
    drawn = torch.randn
    monkeypatch.setattr("companion.models.vae.POINTS", 64)  # eight codes of eight samples
    monkeypatch.setattr(torch, "randn", lambda *n, **o: sizes.append(n) or drawn(*n, **o))
    parts = evaluate(vae, x, num_samples=400)
    assert parts.nll == pytest.approx(once.nll, rel=1e-12) and "400 codes" in parts.kind
    assert sizes == 25 * [(16, 8, 2)]
