"""The pictures of notebook 09: what their lattices hold, and that a point can be made again."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from companion.lab.explorable import Control
from companion.models import VAE
from figures.explorables import decoder_variance, directions, two_stages


def test_lowered_gamma_counts_the_dimension():
    for r in decoder_variance.DIMENSIONS:
        small = decoder_variance.counts(r, way=1)[0]
        assert (small == r).sum() >= 4
        assert (decoder_variance.counts(r, way=0)[0] >= small).all()


def test_reconstructions_sharpen_as_gamma_falls():
    for r in decoder_variance.DIMENSIONS:
        errors = np.median(decoder_variance.curves(r, "error")[decoder_variance.WAYS[1]], 1)
        assert (np.diff(errors) > 0).all()


def test_a_live_point_can_be_stopped_and_drawn():
    seen = []
    at = {"gamma": 0.03, "dimension": 1, "way": 1}
    numbers = decoder_variance.STUDY.live(
        lambda row: seen.append(row) or len(seen) == 2, seed=0, **at
    )
    picture = decoder_variance.EXPLORABLE.render(0, numbers, **at)
    assert len(seen) == 2 and len(picture.panels) == 3
    assert "γ = 0.03 lowered step by step" in picture.says


class Seen(NamedTuple):
    """What is kept of a model of a short lattice."""

    variance: float
    weight: float


def test_lowering_visits_each_gamma(monkeypatch):
    """A lowered model goes on from the one at the γ above, trained at a γ of its own."""
    for name, value in {"EPOCHS": 1, "STEP_EPOCHS": 1, "GAMMAS": (0.1, 0.3)}.items():
        monkeypatch.setattr(decoder_variance, name, value)
    gammas = Control("γ", (0.1, 0.3), 0.1)

    def start(gamma, seed, before=None):
        model = decoder_variance.start(gamma, seed, before)
        weights[gamma, seed, before is None] = weight(model)
        return model

    def weight(model):
        return float(next(model.parameters()).detach().sum())

    weights, ways = {}, decoder_variance.CONTROLS["way"]
    study = replace(
        decoder_variance.STUDY, shared={}, half=(), order=("way", "gamma"), seeds=(0, 1),
        controls={"gamma": gammas, "way": ways}, numbers=Seen, metrics=("variance", "weight"),
        model=start, data=lambda seed: decoder_variance.make_data(1, seed, 256),
        measure=lambda model: Seen(model.variance.item(), weight(model)),
    )  # fmt: skip
    arrays, about = study.compute(progress=False)
    assert np.allclose(arrays["variance"], np.array([0.1, 0.3])[:, None])  # (way, gamma, seed)
    began = [weights[0.1, seed, False] for seed in (0, 1)]
    assert np.allclose(began, arrays["weight"][1, 1]) and len(weights) == 6
    assert not np.allclose(began, [weights[0.1, seed, True] for seed in (0, 1)])
    assert about["controls"] == {"way": [0, 1], "gamma": [0.1, 0.3]}
    assert len(study.chain({"gamma": 0.1, "way": 1})) == 2


def test_energy_distance_is_zero_for_the_same_points_only():
    a = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert abs(two_stages.energy_distance(a, a)) < 1e-6 < two_stages.energy_distance(a, a + 1)


def test_a_second_stage_on_the_vae_beats_one_on_the_autoencoder():
    energy = np.median(two_stages.STUDY.at("energy"), 1)
    assert energy[2] < energy[1] and energy[2] < energy[5]
    second = np.median(two_stages.STUDY.at("second_variance"), 1)
    assert second[5] < second[2]


def test_code_spectra_of_noise_are_flat():
    class Still(VAE):
        def draw_posterior(self, x, noise, condition=None):
            return noise

    first = directions.make_first()
    model = directions.make_second(first)
    first.__class__ = model.second.__class__ = Still
    spectra = directions.code_spectra(model, torch.zeros(4000, 1, 8, 8))
    assert spectra.shape == (3, 16) and abs(spectra - 1).max() < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("module", [decoder_variance, directions, two_stages])
def test_a_point_can_be_made_again(module):
    lines = module.STUDY.check()
    assert lines and not [line for line in lines if line.endswith("OUTSIDE")]
