"""Two stages: what is trained, on which codes, and what the pair's density is."""

import pytest
import torch
from helpers import data
from torch import nn

from companion.models import MLAE, VAE, TwoStageVAE, posterior_size, second_stage
from companion.networks import MLP
from companion.training import TrainConfig, fit, sweep


def stages(dim=3, latent=1, hidden=8, **options):
    torch.manual_seed(0)
    first = VAE(
        MLP(dim, posterior_size(latent), [hidden]), MLP(latent, dim, [hidden]), (dim,), latent
    )
    nets = MLP(latent, posterior_size(latent), [hidden]), MLP(latent, latent, [hidden])
    return first, VAE(
        *nets, (latent,), latent, learn_variance=True, decoder_variance=0.5, **options
    )


def test_only_the_second_stage_learns_and_its_codes_are_fresh():
    first, second = stages()
    model, x = TwoStageVAE(first, second), data((3,), batch=64).float()
    before = [p.clone() for p in first.parameters()]
    log_variance = second.log_decoder_variance.item()
    fit(model, x, config=TrainConfig(epochs=2, batch_size=32), progress=False)
    assert all(torch.equal(a, b) for a, b in zip(before, first.parameters(), strict=True))
    assert second.log_decoder_variance.item() != log_variance and not first.training
    draws = [model.draw(x, torch.Generator().manual_seed(s)) for s in (0, 1)]
    z = [first.draw_posterior(x, d["noise"])[0] for d in draws]
    assert not torch.allclose(*z)
    expected = second.loss(z[0], noise=draws[0]["code_noise"]).loss
    assert torch.equal(model.loss(x, **draws[0]).loss, expected)


def test_from_a_tenth_a_second_stage_learns_and_from_one_it_stays_at_its_prior():
    """On codes of a circle with noise, of variance 1 in each direction."""
    torch.manual_seed(0)
    angle = 2 * torch.pi * torch.rand(1024)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    z = 2**0.5 * (0.98**0.5 * circle + 0.1 * torch.randn(1024, 2))
    config = TrainConfig(epochs=40, batch_size=128, learning_rate=2e-3, device="cpu")
    kl, loss = {}, {}
    for start in (0.1, 1.0):
        torch.manual_seed(0)
        second = second_stage(2, (32, 32), decoder_variance=start)
        row = fit(second, z, config=config, progress=False).rows[-1]
        kl[start], loss[start] = row["kl"], row["loss"]
    assert kl[0.1] > 1.5 and kl[1.0] < 0.3 and loss[0.1] < loss[1.0]
    assert second_stage(2).variance.item() == pytest.approx(0.1)


def test_stacks_like_one_by_one():
    x, config = data((3,), batch=64).float(), TrainConfig(epochs=2, batch_size=32, device="cpu")
    together, alone = [TwoStageVAE(*stages()) for _ in range(2)], TwoStageVAE(*stages())
    logs = sweep(together, [x, x], [config] * 2, progress=False)
    rows = fit(alone, x, config=config, progress=False).rows
    assert abs(logs[1].rows[-1]["loss"] - rows[-1]["loss"]) < 1e-4


def test_an_autoencoder_gives_its_codes():
    autoencoder = MLAE(MLP(3, 1), MLP(1, 3), (3,), 1)
    model, x = TwoStageVAE(autoencoder, stages()[1]), data((3,)).float()
    draws = model.draw(x)
    expected = model.second.loss(autoencoder.encode(x), noise=draws["code_noise"]).loss
    assert torch.equal(model.loss(x, **draws).loss, expected)
    with pytest.raises(ValueError, match="log_prob: needs a VAE as first stage, got MLAE"):
        model.log_prob(x)


def test_density_of_two_linear_stages_is_the_gaussian():
    """x = Wz + noise and z = Vu + noise, whatever the encoders: p(x) = N(0, W(VVᵀ + γ')Wᵀ + γ)."""
    torch.manual_seed(0)
    W, V = data((2,), batch=3) / 2, data((1,), batch=2, seed=5) / 2
    first = VAE(nn.Linear(3, 4), nn.Linear(2, 3, bias=False), (3,), 2, decoder_variance=0.5)
    second = VAE(nn.Linear(2, 2), nn.Linear(1, 2, bias=False), (2,), 1, decoder_variance=0.25)
    first.decoder.weight.data, second.decoder.weight.data = W, V
    for stage in (first, second):  # posteriors near the prior, wide enough for the weights
        nn.init.zeros_(stage.encoder.weight), nn.init.zeros_(stage.encoder.bias)
    model, x = TwoStageVAE(first, second).double(), data((3,)) / 2
    inner = V @ V.T + 0.25 * torch.eye(2)
    truth = torch.distributions.MultivariateNormal(
        torch.zeros(3).double(), W @ inner @ W.T + 0.5 * torch.eye(3)
    )
    found = model.log_prob(x, num_samples=100_000).value
    assert torch.allclose(found, truth.log_prob(x), atol=0.05)
    z = model.draw_codes(100_000, torch.Generator().manual_seed(0))
    assert torch.allclose(torch.cov(z.T), inner, atol=0.03)
    bound = model.log_prob(x, num_samples=1).value
    joint = TwoStageVAE(first, second, joint=True)
    draws = [joint.loss(x).loss for _ in range(500)]
    assert (-torch.stack(draws).mean(0) < truth.log_prob(x)).all() and bound.isfinite().all()


def linear_gaussian(seed, latent=2, dim=3, wide=1.2):
    """Two linear stages with posteriors near the exact ones, and the Gaussian that they model."""
    torch.manual_seed(seed)
    first = VAE(
        nn.Linear(dim, 2 * latent), nn.Linear(latent, dim), (dim,), latent, decoder_variance=0.5
    )
    nets = nn.Linear(latent, 2), nn.Linear(1, latent)
    model = TwoStageVAE(first, VAE(*nets, (latent,), 1, decoder_variance=0.25)).double()
    means, covariances = torch.zeros(1).double(), torch.eye(1).double()
    for stage in (model.second, first):
        W, b = stage.decoder.weight.data, stage.decoder.bias.data
        marginal = W @ covariances @ W.T + stage.variance * torch.eye(len(W))
        gain = covariances @ W.T @ marginal.inverse()  # E[code | data] = means + gain (data − mean)
        within = (covariances - gain @ W @ covariances).diagonal()
        bias = torch.cat([means - gain @ (W @ means + b), (wide**2 * within).log()])
        stage.encoder.weight.data = torch.cat([gain, torch.zeros_like(gain)])
        stage.encoder.bias.data = bias
        means, covariances = W @ means + b, marginal
    return model, torch.distributions.MultivariateNormal(means, covariances)


@pytest.mark.parametrize("seed", [0, 1])
def test_importance_weights_never_promise_more_than_the_density(seed):
    """E log (1/S) Σ weights rises to log p(x) from below; a KL in closed form would go past it."""
    model, truth = linear_gaussian(seed)
    x = truth.sample((2000,))
    gaps = {s: model.log_prob(x, num_samples=s).value - truth.log_prob(x) for s in (1, 8, 64, 512)}
    means = [gap.mean().item() for gap in gaps.values()]
    assert means[0] < -0.1 < means[1] < -0.01 and abs(means[2]) < 0.01 and abs(means[3]) < 0.005
    assert all(gap.mean() < 3 * gap.std() / len(x) ** 0.5 for gap in gaps.values())


def test_refusals():
    first, second = stages()
    with pytest.raises(ValueError, match=r"data_shape must be \(2,\), got \(1,\)"):
        TwoStageVAE(stages(latent=2)[0], second)
    with pytest.raises(ValueError, match="joint needs a VAE first, got MLAE"):
        TwoStageVAE(MLAE(MLP(3, 1), MLP(1, 3), (3,), 1), second, joint=True)
