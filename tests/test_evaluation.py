"""Evaluation: each number against an independent way to compute it."""

from math import e, isnan, log, pi

import pytest
import torch
from helpers import data
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from companion.evaluation import (
    add_noise,
    bits_of,
    decoder_spectrum,
    denoising_error,
    evaluate,
    gaussian_w2,
    normal_alignment,
    rank_correlation,
)
from companion.latents import Mixture
from companion.models import (
    AEF,
    MLAE,
    VAE,
    AggregateVAE,
    FlowVAE,
    RelaxedFlow,
    TaylorVAE,
    TwoStageVAE,
)
from companion.networks import MLP


def linear_model(scales=(2.0, 0.75)):
    """Encoder and decoder that stretch the first axes of ℝ³ by ``scales``."""
    encoder, decoder = nn.Linear(3, 2, bias=False).double(), nn.Linear(2, 3, bias=False).double()
    decoder.weight.data = torch.eye(3, 2, dtype=torch.float64) * torch.tensor(scales)
    encoder.weight.data = torch.linalg.pinv(decoder.weight.data)
    return MLAE(encoder, decoder, (3,), 2)


def test_bits_are_averages_over_images_and_estimates():
    """A decoder that ignores its code: the density is a Gaussian's, whatever proposes."""
    vae = VAE(nn.Linear(6, 4), nn.Linear(2, 6), (6,), 2, decoder_variance=0.04).double()
    vae.decoder.weight.data.zero_()
    vae.decoder.bias.data.fill_(0.5)
    x = torch.randint(0, 17, (70, 6), generator=torch.Generator().manual_seed(0)) / 16.0
    found = bits_of(vae, x.double(), repetitions=3, num_samples=128, levels=17, seed=1)
    chance, bits = torch.Generator().manual_seed(1), []
    for _ in range(3):
        for part in x.double().split(32):
            u = torch.rand(part.shape, generator=chance, dtype=torch.float64)
            y = (16 * part + u) / 17
            torch.randn(128, len(part), 2, generator=chance, dtype=torch.float64)
            density = torch.distributions.Normal(0.5, 0.2).log_prob(y).sum(1)
            bits.append((log(17) - density / 6) / log(2))
    rows = torch.cat(bits).view(3, 70).mean(1)
    prior = found.bits - float(rows.mean())  # what 128 proposals miss
    assert 0 < prior < 0.05 and found[3:] == (70, 3)
    assert found.error == pytest.approx(float(rows.std()) / 3**0.5, rel=0.1)
    assert "3 × (importance-sampled, 128 codes" in str(found)


def test_only_a_density_of_pixels_has_bits():
    assert bits_of(linear_model(), torch.rand(2, 3)) is None
    assert bits_of(RelaxedFlow(nn.Linear(3, 2), nn.Linear(2, 3), (3,), 2), torch.rand(2, 3)) is None
    taylor = TaylorVAE(nn.Linear(3, 4), nn.Linear(2, 3), (3,), 2)
    once = bits_of(taylor, torch.rand(2, 3), repetitions=1)
    assert once.error is None and "±" not in str(once)


def test_every_estimate_has_as_many_samples_by_default():
    x, kinds = torch.rand(2, 1, 2, 2), []
    encoder, decoder = MLP((1, 2, 2), 4), MLP(2, (1, 2, 2))
    for model in (
        VAE(encoder, decoder, (1, 2, 2), 2),
        FlowVAE(encoder, decoder, (1, 2, 2), 2),
        AEF(encoder, decoder, (1, 2, 2), 2, MLP((1, 2, 2), 2)),
        TwoStageVAE(VAE(encoder, decoder, (1, 2, 2), 2), VAE(MLP(2, 4), MLP(2, 2), (2,), 2)),
    ):
        kinds.append(model.log_prob(x).kind)
    assert all(kind.startswith("importance-sampled, 128 ") for kind in kinds)


def test_evaluate_averages_over_chunks():
    x = data((3,), batch=10)
    fit = evaluate(linear_model(), x, chunk=3)
    expected = -linear_model().log_prob(x).value.mean()
    assert fit.nll == pytest.approx(float(expected.detach())) and fit.num_samples == 10
    assert fit.reconstruction == pytest.approx(float(x[:, 2].square().mean()))
    assert fit.kind.startswith("exact")
    with pytest.raises(ValueError, match="at least one sample"):
        evaluate(linear_model(), x[:0])


def test_spectrum_and_entropy_of_a_linear_decoder():
    spectrum = decoder_spectrum(linear_model(), n=5)
    assert torch.allclose(spectrum.mean, torch.tensor([2.0, 0.75], dtype=torch.float64))
    assert spectrum.std.max() < 1e-12
    assert spectrum.entropy == pytest.approx(log(2 * pi * e) + log(2.0 * 0.75))


def scaled_prior(s):
    """z ~ N(0, s²) in two dimensions, as a learned prior has it."""
    prior = Mixture(1, 2).double()
    prior.scales.mul_(s)
    return prior


@pytest.mark.parametrize("prior_std", [1.0, 3.0])
def test_entropy_follows_the_models_own_prior(prior_std):
    """A linear decoder of N(0, s²) codes makes a Gaussian, whose entropy is known."""
    nets = linear_model().encoder, linear_model().decoder
    heads = nn.Linear(3, 4).double()
    vae = VAE(heads, nets[1], (3,), 2, prior=scaled_prior(prior_std))
    models = {
        "relaxed": RelaxedFlow(*nets, (3,), 2, prior_weight=0.5 / prior_std**2),
        "vae": vae,
        "aggregate": AggregateVAE(vae, "mmd", 1.0),
    }
    truth = log(2 * pi * e) + log(2.0 * 0.75) + 2 * log(prior_std)
    for name, model in models.items():
        generator = torch.Generator().manual_seed(0)
        found = decoder_spectrum(model, n=4000, generator=generator).entropy
        assert found == pytest.approx(truth, abs=1e-6 if name == "relaxed" else 0.05), name


@given(st.integers(0, 1000), st.integers(1, 4))
def test_w2_of_gaussians_obeys_its_laws(seed, size):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(50, size, generator=generator, dtype=torch.float64)
    b = a @ torch.randn(size, size, generator=generator, dtype=torch.float64) + 1
    assert gaussian_w2(a, a).value < 1e-6
    assert gaussian_w2(a, b).value == pytest.approx(gaussian_w2(b, a).value, rel=1e-5, abs=1e-6)
    assert gaussian_w2(a, b).value >= float((a.mean(0) - b.mean(0)).square().sum()) - 1e-6


def test_w2_is_squared_and_states_its_counts():
    a = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distance = gaussian_w2(a, 3 * a[:1000])
    expected = (a.std() - 3 * a[:1000].std()) ** 2 + (a.mean() - 3 * a[:1000].mean()) ** 2
    assert distance.value == pytest.approx(float(expected))
    assert (distance.num_first, distance.num_second) == (4000, 1000)
    with pytest.raises(ValueError, match="the second sample's features must be finite, got 1 rows"):
        gaussian_w2(a, torch.cat([a, a[:1] / 0]))
    with pytest.raises(ValueError, match="gaussian_w2: expected"):
        gaussian_w2(a, torch.zeros(5, 2))


@given(st.integers(0, 1000))
def test_ranks_ignore_monotone_maps(seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 30, generator=generator, dtype=torch.float64)
    assert rank_correlation(a, b) == pytest.approx(rank_correlation(a**3, b.exp()))
    assert rank_correlation(a, -a.exp()) == pytest.approx(-1.0)
    assert isnan(rank_correlation(a, torch.zeros(30)))


def test_alignment_is_the_cosine_squared():
    x = data((2,), batch=12)
    normal = torch.tensor([[0.6, 0.8]]).double().expand(12, 2)
    assert normal_alignment(lambda p: p[:, :1], x, normal) == pytest.approx(0.36)
    assert normal_alignment(lambda p: (p @ normal[0])[:, None] ** 3, x, normal) == pytest.approx(
        1.0
    )
    with pytest.raises(ValueError, match="one shape"):
        normal_alignment(lambda p: p[:, :1], x, normal[:3])


def test_denoising_compares_with_the_clean_image():
    x, noise = data((4,), batch=50).sigmoid(), data((4,), batch=50, seed=2)
    features = lambda y: 2 * y[:, :2]  # noqa: E731
    perfect = denoising_error(lambda y: x, x, noise, 0.5, features)
    assert perfect.features == perfect.pixels == 0 and perfect.num_samples == 50
    idle = denoising_error(lambda y: y, x, noise, 0.5, features)
    noisy = (x + 0.5 * noise).clamp(0, 1)
    expected = 4 * (noisy - x)[:, :2].square().mean()
    assert idle.features == idle.features_of_noisy == pytest.approx(float(expected))
    assert idle.pixels == pytest.approx(float((noisy - x).square().mean()))


def test_noisy_images_stay_images():
    noisy = add_noise(data((4,)).sigmoid(), data((4,), seed=2), 3.0)
    assert noisy.min() == 0 and noisy.max() == 1
    with pytest.raises(ValueError, match="sigma must not be negative, got -1"):
        add_noise(noisy, noisy, -1)
