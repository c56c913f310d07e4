"""Pictures of numbers: every function draws into given axes and knows no model.

Figures are made without pyplot, so that they can be drawn in any thread and leave no global state.
The colours keep apart in all common kinds of colour-blindness.
"""

from companion.plots.closed_forms import direction_costs, hysteresis, phases
from companion.plots.codes import (
    blur,
    codes_apart,
    histograms,
    loss_against_variance,
    noise_rows,
    paired_strip,
    posterior_variances,
    strip,
)
from companion.plots.contests import bargains, plain_logarithm, spreads
from companion.plots.curves import (
    band,
    evolution,
    learning_curve,
    linearisation,
    objective_gap,
    quartiles,
    spectra,
    trade_off,
)
from companion.plots.densities import marked_density, ribbon
from companion.plots.estimates import distances, estimates, variances
from companion.plots.frame import BLUE, CODE_MAP, GREEN, GREY, ORANGE, PURPLE, figure, png, show
from companion.plots.points import (
    circles,
    codes_by_class,
    ellipse,
    image_grid,
    latent_map,
    manifold,
)
from companion.plots.solvers import against_size, residuals, shares
from companion.plots.stretches import gaps, magnified, probed, scores, stretch_along

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
