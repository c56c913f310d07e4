"""The lattice of synthetic faces: what it holds, against slower ways to the same numbers."""

import numpy as np
import pytest
import torch
from torch.func import jacfwd, vmap

from figures.explorables import face_models


def test_its_true_spectrum_is_that_of_the_drawing():
    f = face_models.FACES.sample_factors(128, torch.Generator().manual_seed(4003))[:16].double()
    jacobian = vmap(jacfwd(lambda one: face_models.FACES.render(one[None]).flatten()))(f)
    slow = torch.linalg.svdvals(jacobian).mean(0).numpy()
    assert slow.shape == (face_models.DIM,)
    assert np.allclose(
        slow, face_models.RUNS.arrays["true_spectrum"], rtol=0.35
    )  # 16 of 128 factors
    assert np.allclose(
        face_models.true_spectrum(), face_models.RUNS.arrays["true_spectrum"], rtol=1e-3
    )


def test_its_faces_are_synthetic_ones_less_their_mean():
    x, f = face_models.make_data(7, 5)
    drawn = face_models.FACES.render(f)
    assert torch.allclose(x + face_models.mean_face(), drawn, atol=0.51 / 255)
    shown = (
        face_models.make_data(2000, face_models.NUM_TEST)[0][: face_models.NUM_SHOWN]
        + face_models.mean_face()
    )
    assert np.allclose(face_models.RUNS.arrays["truth"] / 255, shown, atol=0.51 / 255)


def test_the_two_controls_hold_the_same_prices():
    assert np.allclose(0.5 / np.array(face_models.GAMMAS[::-1]), face_models.BETAS)
    assert face_models.make_model("mlae 100", 1).beta == 100
    vae = face_models.make_model("learned", 1)
    assert vae.log_decoder_variance.exp().item() == pytest.approx(0.05)


def test_a_smaller_price_gives_a_larger_error():
    for name in ("beta", "gamma"):
        error = np.median(face_models.curves("error")[name], 1)
        low, high = (error[0], error[-1]) if name == "beta" else (error[-1], error[0])
        assert low > high


def test_the_largest_step_comes_where_it_says():
    learned = face_models.RUNS.arrays["spectrum"][8]  # (run, latent)
    for spectrum, step in zip(learned, face_models.curves("step")["learned"], strict=True):
        ratios = [spectrum[i] / spectrum[i + 1] for i in range(face_models.LATENT - 1)]
        assert ratios[step - 1] == max(ratios) and min(ratios) >= 1


def test_a_point_between_two_is_refused():
    with pytest.raises(ValueError, match="beta = 7 is not on the lattice, but 10 is"):
        face_models.EXPLORABLE.render(0, beta=7.0, gamma=0.05)
    with pytest.raises(ValueError, match="seed must be one of"):
        face_models.EXPLORABLE.render(1, beta=10.0, gamma=0.05)


def test_the_description_has_the_numbers_of_the_picture():
    picture = face_models.EXPLORABLE.render(0, beta=10.0, gamma=0.05)
    found = face_models.RUNS.typical(key="mlae 10")
    assert f"MLAE, β = 10: reconstruction error {found.error:.2f}" in picture.says
    [[left], _] = picture.panels
    assert f"MLAE, β = 10\nreconstructions,\nerror {found.error:.2g}" in left.y.names


def test_where_errors_are_dear_both_are_as_sharp():
    assert [face_models.sharper(beta)[0] for beta in face_models.BETAS] == [0, 0, 2, 2]
