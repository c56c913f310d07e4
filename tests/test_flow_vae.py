"""The VAE beside an autoencoder within flows: against a plain VAE, quadrature and itself."""

import torch
from helpers import data
from torch import nn

from companion.models import VAE, FlowVAE
from companion.networks import MLP, flows
from companion.networks.preprocess import ActNorm, Logit, Preprocess
from companion.training import TrainConfig, fit

DIM, LATENT = 5, 2


def model(flow=True, **options):
    torch.manual_seed(0)
    steps = {"transforms": 2, "hidden": (8, 8)}
    pair = (flows.iaf(LATENT, **steps), flows.maf(LATENT, **steps)) if flow else (None, None)
    nets = MLP(DIM, 2 * LATENT, [9]), MLP(LATENT, DIM, [9])
    return FlowVAE(*nets, (DIM,), LATENT, *pair, **options).double()


class Softplus(nn.Module):
    """An encoder whose log-variances give a plain VAE the scales of another model's."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        mean, scale = self.inner._affine(x)
        return torch.cat([mean, 2 * scale.log()], dim=1)


def test_without_flows_it_is_the_plain_vae():
    chosen, x = model(flow=False, residual_scale=0.5), data((DIM,))
    plain = VAE(Softplus(chosen), chosen.decoder, (DIM,), LATENT, decoder_variance=0.25).double()
    noise = data((LATENT,), seed=3, batch=len(x))
    ours = chosen.loss(x, noise=noise).loss
    theirs = plain.terms(x, noise[None], estimator="iwae").loss  # of one draw: no closed-form KL
    assert torch.allclose(ours, theirs, atol=1e-6)  # the variance is a float32
    values = [
        m.log_prob(x, num_samples=7, generator=torch.Generator().manual_seed(2)).value
        for m in (chosen, plain)
    ]
    assert torch.allclose(*values, atol=1e-6)


def test_the_log_determinant_is_autograds_and_the_flow_comes_after_the_posterior():
    chosen, x = model(), data((DIM,), batch=1)
    noise = data((LATENT,), batch=1, seed=4)

    def code(e):
        return chosen.transform(x, noise=e[None]).z[0]

    exact = torch.linalg.slogdet(torch.func.jacrev(code)(noise[0])).logabsdet
    latents = chosen.transform(x, noise=noise)
    assert torch.allclose(latents.log_det[0], exact)
    mean, scale = chosen._affine(x)
    assert torch.allclose(latents.z, chosen.core_encoder(mean + scale * noise).value)
    assert torch.allclose(latents.delta, x - chosen.decoder(latents.z))
    assert torch.equal(chosen.encode(x), chosen.core_encoder(mean).value)
    drawn = chosen.draw_posterior(x, noise[None])
    assert torch.equal(drawn, latents.z[None])


def test_the_estimate_is_the_integral_over_codes():
    torch.manual_seed(0)
    steps = {"transforms": 1, "hidden": (8,)}
    chosen = FlowVAE(
        MLP(2, 2, [8]), MLP(1, 2, [8]), (2,), 1, flows.iaf(1, **steps), flows.maf(1, **steps),
        residual_scale=0.7,
    ).double()  # fmt: skip
    x, z = data((2,), batch=3), torch.linspace(-15, 15, 4001, dtype=torch.float64)[:, None]
    noise = torch.distributions.Normal(chosen.decoder(z), chosen.residual_scale)
    joint = noise.log_prob(x[:, None]).sum(-1) + chosen.prior.log_prob(z)
    exact = joint.logsumexp(1) + (z[1, 0] - z[0, 0]).log()
    found = chosen.log_prob(x, num_samples=20_000).value
    assert torch.allclose(found, exact, atol=0.05)
    bound = torch.stack([-chosen.loss(x, generator=g).loss for g in map(seeded, range(200))])
    assert (bound.mean(0) < exact).all()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_preprocessing_and_levels_are_those_of_the_flow_model():
    """On bytes: the density is that of dequantised numbers, through logit and ActNorm."""
    layers = Preprocess(Logit(0.05), ActNorm((1, 2, 2)))
    nets = MLP((1, 2, 2), 4, [8]), MLP(2, (1, 2, 2), [8])
    chosen = FlowVAE(*nets, (1, 2, 2), 2, preprocess=layers, levels=256, per_pixel=True)
    x = torch.randint(0, 256, (64, 1, 2, 2), dtype=torch.uint8)
    chosen.prepare(chosen.data(x))
    assert chosen.residual_scale.shape == (1, 2, 2)
    assert set(chosen.draw(chosen.data(x))) == {"u", "noise"}
    assert chosen.log_prob(x).kind.endswith("low on average, of data dequantised once")
    before = chosen.log_prob(x).value.mean()
    fit(chosen, x, None, TrainConfig(epochs=60, device="cpu", learning_rate=0.02), progress=False)
    assert chosen.log_prob(x).value.mean() > before + 0.1
    assert chosen.sample(3).shape == (3, 1, 2, 2)
