"""Pictures of numbers: every function draws into given axes and knows no model.

Figures are made without pyplot, so that they can be drawn in any thread and leave no global state.
The colours keep apart in all common kinds of colour-blindness.
"""

from companion.lab.frame import BLUE, CODE_MAP, GREEN, GREY, ORANGE, PURPLE, figure, png, show
from figures.plots.closed_forms import direction_costs, hysteresis, phases
from figures.plots.codes import (
    noise_rows,
    posterior_variances,
    strip,
)
from figures.plots.comparisons import plain_logarithm, spreads
from figures.plots.convergence import against_size, shares
from figures.plots.curves import (
    band,
    learning_curve,
    linearisation,
    objective_gap,
    spectra,
    trade_off,
)
from figures.plots.estimates import distances
from figures.plots.points import codes_by_class, image_grid, latent_map, manifold
from figures.plots.volume_changes import magnified, scores

__all__ = [
    "BLUE",
    "CODE_MAP",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "against_size",
    "band",
    "codes_by_class",
    "direction_costs",
    "distances",
    "figure",
    "hysteresis",
    "image_grid",
    "latent_map",
    "learning_curve",
    "linearisation",
    "magnified",
    "manifold",
    "noise_rows",
    "objective_gap",
    "phases",
    "plain_logarithm",
    "png",
    "posterior_variances",
    "scores",
    "shares",
    "show",
    "spectra",
    "spreads",
    "strip",
    "trade_off",
]
