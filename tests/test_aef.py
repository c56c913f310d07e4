"""Autoencoders within flows against autograd, the ELBO, exact Gaussians and quadrature."""

from math import e, log, pi

import pytest
import torch
from helpers import data
from torch import nn
from torch.distributions import MultivariateNormal, Normal
from torch.func import jacrev, vmap

from companion.models import AEF, aef_loss, aef_map, core_mask
from companion.models.aef import Affine
from companion.networks import MLP, flows
from companion.networks.preprocess import ActNorm, Logit, Preprocess, bits_per_dimension
from companion.training import TrainConfig, fit, sweep

DIM, LATENT = 6, 2


def model(core="center", flow=True, **options):
    torch.manual_seed(0)
    steps = {"transforms": 2, "hidden": (8, 8)}
    pair = (flows.iaf(LATENT, **steps), flows.maf(LATENT, **steps)) if flow else (None, None)
    core = core if isinstance(core, nn.Module) else core_mask((DIM,), LATENT, core)
    nets = MLP(DIM, 2 * LATENT, [9]), MLP(LATENT, DIM, [9])
    return AEF(*nets, (DIM,), LATENT, core, *pair, **options).double()


def prepared():
    chosen = model("random", preprocess=Preprocess(Logit(0.05), ActNorm((DIM,))), per_pixel=True)
    chosen.prepare(data((DIM,)).sigmoid())
    return chosen


@pytest.mark.parametrize("place", ["center", "corner", "random"])
def test_the_partition_model_is_exactly_invertible(place):
    chosen, x = model(place), data((DIM,))
    z, delta, _ = chosen.transform(x)
    assert (chosen.invert(z, delta) - x).abs().max() < 1e-8
    assert (chosen.decode(z) - x).abs().max() > 1e-2  # without the residuals it is not


def test_the_partition_models_log_det_is_autograds():
    chosen, x = prepared(), data((DIM,), seed=3).sigmoid()

    def whole(p):
        z, delta, _ = chosen.transform(p[None])
        return torch.cat([z, delta], dim=1)[0]

    exact = torch.linalg.slogdet(vmap(jacrev(whole))(x)).logabsdet
    assert torch.allclose(chosen.transform(x).log_det, exact, atol=1e-9)
    assert (chosen.invert(*chosen.transform(x)[:2]) - x).abs().max() < 1e-8


def test_the_partition_models_density_integrates_to_one():
    torch.manual_seed(0)
    nets = MLP(2, 2, [8]), MLP(1, 2, [8])
    core = core_mask((2,), 1, "corner")
    chosen = AEF(*nets, (2,), 1, core, prior=flows.maf(1, transforms=1)).double()
    grid = torch.linspace(-60, 60, 801, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    total = chosen.log_prob(points).value.exp().sum() * (grid[1] - grid[0]) ** 2
    assert abs(total - 1) < 1e-3


def test_noise_for_a_core_gives_the_elbo():
    """Their difference is (d/2) log 2πe in expectation, ½‖ε‖² + (d/2) log 2π for each draw."""
    torch.manual_seed(0)
    chosen, x, sigma = model(MLP(DIM, LATENT, []), flow=False), data((DIM,)), torch.tensor(0.7)
    noise = data((LATENT,), batch=20_000, seed=5)
    mean, scale = chosen._affine(x[:1])
    many = Affine(mean.expand(len(noise), -1), scale.expand(len(noise), -1))
    shell = x[:1].expand(len(noise), -1)
    latents = aef_map(shell, noise, lambda _: many, chosen.decoder)
    loss = aef_loss(latents, sigma).loss
    likelihood = Normal(chosen.decoder(mean + scale * noise), sigma).log_prob(shell).sum(1)
    kl = (0.5 * (mean**2 + scale**2 - 1) - scale.log()).sum()
    difference = loss - (kl - likelihood)  # minus the ELBO with its exact KL
    error = difference.std() / len(noise) ** 0.5
    assert abs(difference.mean() - LATENT / 2 * log(2 * pi * e)) < 3 * error


def linear(sigma=0.5):
    """An expanded model with a linear decoder: its marginal is a Gaussian, whatever the rest is."""
    chosen = model(MLP(DIM, LATENT, []), flow=False, residual_scale=sigma)
    chosen.decoder = nn.Linear(LATENT, DIM).double()
    assert torch.allclose(chosen.residual_scale, torch.tensor(sigma).double())
    weight, bias = chosen.decoder.weight.detach(), chosen.decoder.bias.detach()
    covariance = weight @ weight.T + sigma**2 * torch.eye(DIM, dtype=torch.float64)
    return chosen, MultivariateNormal(bias, covariance)


def test_importance_sampling_hits_the_exact_marginal():
    chosen, exact = linear()
    x = exact.sample((8,))
    chosen.tune_proposal(x)
    runs = torch.stack([
        chosen.log_prob(x, num_samples=2000, generator=torch.Generator().manual_seed(s)).value
        for s in range(12)
    ])  # fmt: skip
    error = runs.std(0) / len(runs) ** 0.5
    assert ((runs.mean(0) - exact.log_prob(x)).abs() < 3 * error + 1e-3).all()


def test_without_minus_log_k_it_would_be_off_by_log_k():
    """The authors' estimate of the linear model is too high by log K; ours does not miss."""
    chosen, exact = linear()
    x = exact.sample((50,))
    chosen.tune_proposal(x)
    ours = chosen.log_prob(x, num_samples=128).value
    miss = (ours - exact.log_prob(x)).mean()
    assert abs(miss) < 0.1 and log(128) > 4


def test_importance_sampling_hits_quadrature():
    """A nonlinear decoder, a flow prior and core encoder; one latent, integrated on a grid of w."""
    torch.manual_seed(0)
    nets, h = (MLP(3, 2, [8]), MLP(1, 3, [8])), MLP(3, 1, [4])
    steps = {"transforms": 2, "hidden": (8, 8)}
    chosen = AEF(*nets, (3,), 1, h, flows.iaf(1, **steps), flows.maf(1, **steps)).double()
    x = data((3,), batch=4)
    w = torch.linspace(-40, 40, 8001, dtype=torch.float64)[:, None]

    def joint(one):
        many = chosen._affine(one[None].expand(len(w), -1))
        shell = one[None].expand(len(w), -1)
        latents = aef_map(shell, w, lambda _: many, chosen.decoder, chosen.core_encoder)
        return -aef_loss(latents, chosen.residual_scale, chosen.prior).loss

    step = (w[1] - w[0]).log()
    exact = torch.stack([joint(one).logsumexp(0) + step[0] for one in x])
    chosen.tune_proposal(x)
    runs = torch.stack([
        chosen.log_prob(x, num_samples=4000, generator=torch.Generator().manual_seed(s)).value
        for s in range(12)
    ])  # fmt: skip
    error = runs.std(0) / len(runs) ** 0.5
    assert ((runs.mean(0) - exact).abs() < 3 * error + 1e-3).all()


def test_the_expanded_loss_falls_without_bound_and_the_likelihood_does_not():
    """Features a times smaller, scales a times larger: the same codes, a loss lower by d log a."""
    torch.manual_seed(0)
    h, a, x = MLP(DIM, LATENT, []), 10.0, data((DIM,))

    class Rescaled(nn.Module):
        def forward(self, x):
            return h.double()(x) / a

    class Scaled(nn.Module):
        def forward(self, w):
            return flows.Mapped(a * w, w.new_full((len(w),), LATENT * log(a)))

    first, second = model(h, flow=False), model(Rescaled(), flow=False)
    second.core_encoder = Scaled()
    assert torch.allclose(first.encode(x), second.encode(x))
    drop = first.loss(x).loss - second.loss(x).loss
    assert torch.allclose(drop, torch.full_like(drop, LATENT * log(a)))
    second.proposal_scale.fill_(float(first.proposal_scale) / a)
    ours, theirs = (m.log_prob(x).value for m in (first, second))
    assert torch.allclose(ours, theirs)


def test_levels_are_filled_with_fresh_noise():
    chosen, x = model(levels=17), torch.randint(0, 17, (5, DIM)).double() / 16
    draws = chosen.draw(x, torch.Generator().manual_seed(0))
    y = (16 * x + draws["u"]) / 17
    plain = model()
    assert torch.allclose(chosen.loss(x, **draws).loss, plain.loss(y).loss)
    kind = chosen.log_prob(x).kind
    assert kind == "exact, of data dequantised once"
    z, delta, _ = chosen.transform(x)
    assert torch.allclose(chosen.invert(z, delta), x)
    bits = bits_per_dimension(chosen.log_prob(x).value, (DIM,), 17)
    assert bits.shape == (5,)


def test_temperature_cools_the_flows_base():
    chosen = model()
    z = chosen.draw_codes(5, torch.Generator().manual_seed(0), temperature=0.85)
    warm = chosen.draw_codes(5, torch.Generator().manual_seed(0))
    base = [chosen.prior.normalise(codes).value for codes in (z, warm)]
    assert torch.allclose(base[0], 0.85 * base[1])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 5), (7,)])
@pytest.mark.parametrize("place", ["center", "corner", "random"])
def test_core_masks_have_as_many_pixels_as_latents(shape, place):
    mask = core_mask(shape, 5, place, torch.Generator().manual_seed(0))
    assert mask.shape == shape and int(mask.sum()) == 5 and mask.dtype == torch.bool


def test_the_corner_is_in_the_corner():
    assert core_mask((1, 4, 4), 4, "corner")[0, :2, :2].all()


@pytest.mark.slow
@pytest.mark.parametrize("core", ["center", "linear"])
def test_training_raises_the_likelihood(core):
    x = data((3,), batch=1000) @ data((DIM,), batch=3, seed=2)  # three dimensions in six
    x = (x + 0.1 * data((DIM,), batch=1000, seed=3)).float()
    chosen = model(MLP(DIM, LATENT, []) if core == "linear" else core).float()
    before = chosen.log_prob(x[:200]).value.mean()
    log = fit(chosen, x, None, TrainConfig(epochs=8, batch_size=50, learning_rate=3e-3),
              progress=False)  # fmt: skip
    chosen.tune_proposal(x[:200])
    assert log.rows[-1]["loss"] < log.rows[0]["loss"]
    assert chosen.log_prob(x[:200]).value.mean() > before + 1


def test_refusals():
    with pytest.raises(ValueError, match="place must be one of center, corner, random, got 'top'"):
        core_mask((4,), 2, "top")
    nets = MLP(4, 4), MLP(2, 4)
    with pytest.raises(ValueError, match="the core must be 2 of 4 numbers.* got 3"):
        AEF(*nets, (4,), 2, core_mask((4,), 3))
    with pytest.raises(
        ValueError, match=r"mask must be boolean of shape \(4,\), got torch.float32"
    ):
        AEF(*nets, (4,), 2, torch.ones(4))
    with pytest.raises(ValueError, match="residual_scale must exceed 1e-05, got 0"):
        AEF(*nets, (4,), 2, core_mask((4,), 2), residual_scale=0)


def test_a_sweep_trains_as_one_by_one_does():
    """Flows stack under vmap, and data initialise each model before it is stacked."""
    x = (torch.randint(0, 17, (256, DIM), generator=torch.Generator().manual_seed(0)) / 16).float()

    def fresh(seed):
        chosen = model("corner", preprocess=Preprocess(Logit(0.05), ActNorm((DIM,))), levels=17)
        with torch.no_grad():
            chosen.raw_scale.add_(seed)
        return chosen.float()

    configs = [TrainConfig(epochs=2, batch_size=64, seed=s, device="cpu") for s in (0, 1)]
    stacked, alone = ([fresh(s) for s in (0, 1)] for _ in range(2))
    histories = sweep(stacked, [x, x], configs, progress=False)
    for one, many, config, history in zip(alone, stacked, configs, histories, strict=True):
        log = fit(one, x, None, config, progress=False)
        assert abs(log.rows[-1]["loss"] - history.rows[-1]["loss"]) < 1e-3
        assert torch.allclose(one.log_prob(x).value, many.log_prob(x).value, atol=1e-3)
        assert bool(many.preprocess.layers[1].prepared)
