"""The papers' experiments: planned, trained, chosen among, judged by their samples, and kept."""

from companion.experiments.plan import Plan, fit_experiment, plans
from companion.experiments.selection import (
    Candidate,
    Selection,
    features_for,
    score_experiment,
    select,
)

__all__ = [
    "Candidate",
    "Plan",
    "Selection",
    "features_for",
    "fit_experiment",
    "score_experiment",
    "plans",
    "select",
]
