"""The lattice of notebook 08, and the small models that it compares."""

import numpy as np
import pytest
import torch

from companion.evaluation import digit_features
from figures.explorables import digit_flows, within_flows


def test_the_digits_have_seventeen_levels_and_fill_their_cells():
    x, y = digit_flows.digits().test.x, digit_flows.make_data("test", seed=3)
    assert torch.equal((x * 16).round() / 16, x) and len(x.unique()) == 17
    assert ((y * 17).floor() == (x * 16).round()).all()
    assert not torch.equal(y, digit_flows.make_data("test", seed=4))


def test_dequantised_digits_are_compared_as_the_digits_that_they_are():
    """So that a Fréchet distance here has the reference and the features of all others."""
    x, y = digit_flows.digits().test.x, digit_flows.make_data("test", seed=3)
    seen = digit_flows.level_features()(y)
    assert torch.allclose(seen.features, digit_features()(x).features, atol=1e-5)
    models = [digit_flows.make_model("vae", 2, seed, False, False) for seed in (0, 0, 1)]
    one, same, other = (digit_flows.frechet(model.eval(), seed=0) for model in models)
    assert one == same and one != other


@pytest.mark.parametrize("kind", [*digit_flows.MODELS, *digit_flows.DENOISERS[:2]])
def test_models_are_made_alike_and_by_seed(kind):
    one, same, other = (digit_flows.make_model(kind, 2, seed) for seed in (0, 0, 1))
    hidden = [m.encoder.body[0].weight for m in (one, same, other)]
    assert torch.equal(hidden[0], hidden[1]) and not torch.equal(hidden[0], hidden[2])
    assert hidden[0].shape == (128, 64)


def test_training_longer_helps_every_model():
    for latent in within_flows.LATENTS:
        for kind in digit_flows.MODELS:
            bits = np.median(within_flows.over_seeds("bits", kind, latent), axis=1)
            scale = np.median(within_flows.over_seeds("scale", kind, latent), axis=1)
            assert bits[-1] < bits[0] and bits[-1] < np.log2(17) and scale[-1] < scale[0]


def test_the_lattice_is_whole_and_small():
    arrays = within_flows.STUDY.arrays
    assert all(np.isfinite(a).all() for a in arrays.values())
    assert arrays["ablation_bits"].shape == (2, 4, 5) and arrays["denoising"].shape == (2, 4, 4, 5)
    assert arrays["bits"].min() > 0 and arrays["denoising"].min() > 0


def test_the_picture_shows_core_and_residuals():
    result = within_flows.STUDY(0, core=1, latent=2, epochs=100)
    sheet = within_flows.rows("corner", 2, 0, result, result.samples)
    digit, core, x_hat, residual = (sheet[within_flows.SHOWN * i, 0] for i in range(4))
    assert np.count_nonzero(core[np.where(digit_flows.mask("corner", 2)[0], 0, 1) == 1]) == 0
    assert np.allclose(np.abs(digit - x_hat), residual)


@pytest.mark.slow
def test_noise_is_removed():
    """After two epochs on noisy digits the reconstructed pixels are nearer to the clean ones."""
    (model,), errors = digit_flows.denoise("linear", 8, [0], epochs=2, sigmas=[0.5])
    found = digit_flows.judge_denoising(lambda y: model.decode(model.encode(y)), 0.5)
    assert errors.tolist() == [[found.features]]
    idle = digit_flows.judge_denoising(lambda y: y, 0.5)
    assert found.pixels < 0.8 * idle.pixels and idle.features == idle.features_of_noisy


@pytest.mark.slow
def test_one_point_is_retrained_within_its_band():
    assert not [line for line in within_flows.STUDY.check() if line.endswith("OUTSIDE")]
