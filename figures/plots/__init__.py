"""Pictures of numbers: every function draws into given axes and knows no model.

Figures are made without pyplot, so that they can be drawn in any thread and leave no global state.
The colours keep apart in all common kinds of colour-blindness.
"""

from companion.lab.frame import BLUE, CODE_MAP, GREEN, GREY, ORANGE, PURPLE, figure, png, show
from figures.plots.closed_forms import direction_costs, hysteresis, phases
from figures.plots.codes import (
    blur,
    codes_apart,
    histograms,
    loss_against_variance,
    noise_rows,
    paired_strip,
    posterior_variances,
    strip,
)
from figures.plots.comparisons import bargains, plain_logarithm, spreads
from figures.plots.convergence import against_size, residuals, shares
from figures.plots.curves import (
    band,
    evolution,
    learning_curve,
    linearisation,
    objective_gap,
    quartiles,
    spectra,
    trade_off,
)
from figures.plots.densities import marked_density, ribbon
from figures.plots.estimates import distances, estimates, variances
from figures.plots.points import circles, codes_by_class, ellipse, image_grid, latent_map, manifold
from figures.plots.volume_changes import gaps, magnified, probed, scores, stretch_along

__all__ = [
    "BLUE",
    "CODE_MAP",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "against_size",
    "band",
    "bargains",
    "blur",
    "circles",
    "codes_apart",
    "codes_by_class",
    "direction_costs",
    "distances",
    "ellipse",
    "estimates",
    "evolution",
    "figure",
    "gaps",
    "histograms",
    "hysteresis",
    "image_grid",
    "latent_map",
    "learning_curve",
    "quartiles",
    "linearisation",
    "loss_against_variance",
    "magnified",
    "manifold",
    "marked_density",
    "noise_rows",
    "objective_gap",
    "paired_strip",
    "phases",
    "plain_logarithm",
    "png",
    "posterior_variances",
    "probed",
    "residuals",
    "ribbon",
    "scores",
    "shares",
    "show",
    "spectra",
    "spreads",
    "stretch_along",
    "strip",
    "trade_off",
    "variances",
]
