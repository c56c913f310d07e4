"""The lattice and the table of the VAE without sampling say what the paper says."""

import numpy as np

from figures.explorables import estimators, taylor_vae


def test_the_equal_budget_is_the_count_of_matrix_products():
    """With m latents all tangents cost 1 + m/2 steps of a VAE with one sample."""
    short, long = estimators.EPOCHS
    latent = estimators.make_estimator("SFVAE", 0).latent_dim
    assert long == short * (1 + latent / 2)


def test_the_collapse_is_trained_with_the_papers_gradient():
    """SFVAE Table 4 has no noise but the VAE's: full batches, and all tangents."""
    assert estimators.make_wide("SFVAE", 0).options["tangents"] == "all"
    config = estimators.COLLAPSE.config(estimators.STEPS[0], 0)
    assert config.batch_size == len(estimators.thousand()) == 1000


def test_the_lattice_says_what_figure_1_says():
    """The objective exceeds the true bound everywhere, most at γ = 1, where the bound is lowest."""
    for c in taylor_vae.VARIANCES:
        gap = taylor_vae.STUDY.at("objective", variance=c) - taylor_vae.STUDY.at("elbo", variance=c)
        assert (gap > 0).all() and (gap[-1] > gap[0]).all()
    for c in (0.01, 0.04, 0.15):
        bound = taylor_vae.STUDY.at("elbo", variance=c).mean(1)
        assert bound[-1] == bound.min() and bound[2] > bound[4]


def test_the_map_shows_the_codes_where_the_axes_say():
    """The first code is the top left one, (−span, span); images follow row by row."""
    codes = taylor_vae.grid_codes(3, span=2.0)
    assert codes[0].tolist() == [-2, 2] and codes[1].tolist() == [0, 2]
    assert codes[-1].tolist() == [2, -2]
    images = np.zeros((9, 1, 2, 2))
    images[0] = 1.0
    panel = taylor_vae.latent_map(images, 2.0, "a map")
    ink = 255 - panel.marks[0].sheet().astype(int)
    assert ink[:2, :2].min() == 255 and ink.sum() == 4 * 255
    assert panel.y.names == ("2", "0", "-2") and panel.x.names == ("-2", "0", "2")
    assert panel.y.limits[0] > panel.y.limits[1] and panel.y.ticks[0] < 1  # rows run downward


def test_the_taylor_line_touches_the_decoder():
    z = np.linspace(-1, 1, 5)
    panel = taylor_vae.linearisation(z, z**2, 0.5, 0.1, value=0.25, slope=1.0)
    decoder, line = (mark.y for mark in panel.marks if mark.kind == "line")
    assert decoder.tolist() == (z**2).tolist() and line.tolist() == (z - 0.25).tolist()
