"""Pictures of numbers: every function draws into given axes and knows no model.

Figures are made without pyplot, so that they can be drawn in any thread and leave no global state.
The colours keep apart in all common kinds of colour-blindness.
"""

from companion.plots.closed_forms import direction_costs, hysteresis, phases
from companion.plots.curves import (
    band,
    codes_against_normal,
    evolution,
    learning_curve,
    linearisation,
    objective_gap,
    spectrum,
    trade_off,
)
from companion.plots.densities import marked_density, ribbon
from companion.plots.estimates import distances, estimates, variances
from companion.plots.frame import BLUE, CODE_MAP, GREEN, GREY, ORANGE, PURPLE, figure, png, show
from companion.plots.points import circles, ellipse, image_grid, latent_map, manifold

__all__ = [
    "BLUE",
    "CODE_MAP",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "band",
    "circles",
    "codes_against_normal",
    "direction_costs",
    "distances",
    "ellipse",
    "estimates",
    "evolution",
    "figure",
    "hysteresis",
    "image_grid",
    "latent_map",
    "learning_curve",
    "linearisation",
    "manifold",
    "marked_density",
    "objective_gap",
    "phases",
    "png",
    "ribbon",
    "show",
    "spectrum",
    "trade_off",
    "variances",
]
