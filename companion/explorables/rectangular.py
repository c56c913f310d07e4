"""Conjugate gradients on JᵀJ: how many rounds, and what stopping early leaves out (MLAE eq. 7)."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from companion import plots, probes
from companion.explorables.base import Control, Explorable, check_point
from companion.volume.conjugate import solve

NAME = "rectangular"
LATENTS = (8, 32, 128)
SPREADS = (2.0, 10.0, 100.0, 1000.0)
TOLERANCES = (1e-10, 1e-4, 1e-2, 0.5)
BUDGETS = (0.25, 1.0, 4.0)
SEEDS = (0,)
CONTROLS = {
    "latent": Control("latent size d", LATENTS, 32),
    "spread": Control("largest over smallest singular value", SPREADS, 10.0),
    "tolerance": Control("tolerance", TOLERANCES, 1e-4),
    "budget": Control("rounds allowed, over d", BUDGETS, 1.0),
}


class Numbers(NamedTuple):
    """What conjugate gradients do on a decoder whose singular values are evenly spread."""

    singular_values: np.ndarray  # (latent,) from 1 down to 1/spread, even in the logarithm
    rounds: float  # until the tolerance is met or the budget is spent, mean over probes
    share: np.ndarray  # (latent,) of the gradient in log s_i that is found; 1 is exact

    @property
    def error(self) -> float:
        """The gradient's relative error over all directions: root mean square of share − 1."""
        return float(np.sqrt(np.mean((self.share - 1) ** 2)))


def singular_values(latent: int, spread: float) -> Tensor:
    """From 1 down to 1/spread, evenly in the logarithm: ``(latent,)``.

    >>> singular_values(3, 100.0).tolist()
    [1.0, 0.1, 0.01]
    """
    return torch.logspace(0, -np.log10(spread), latent, dtype=torch.float64)


def draw(seed: int, latent: int) -> Tensor:
    """A full orthogonal set of probes, so that (1/K) Σ vvᵀ = 1 and bias alone is left: (K, K)."""
    generator = torch.Generator().manual_seed(seed)
    like = torch.zeros(1, latent, dtype=torch.float64)
    return probes.sample("orthogonal", latent, like, generator)[:, 0]


@lru_cache(maxsize=256)
def numbers(
    seed: int, latent: int, spread: float, tolerance: float, budget: float = 4.0
) -> Numbers:
    """Solve for all probes and compare the gradient with the exact one, direction by direction.

    In log s_i the exact gradient of ½ log det JᵀJ is 1; the estimate is s_i² mean_k(u_ki v_ki). Its
    mean over i is 1 after any number of rounds, as the residuals of conjugate gradients are
    orthogonal to v: twice the surrogate's value, over d. So that value tells nothing.

    >>> n = numbers(0, 8, 10.0, 1e-10)
    >>> bool(np.allclose(n.share, 1)), n.rounds <= 10
    (True, True)
    >>> hasty = numbers(0, 8, 10.0, 1e-10, budget=0.25)
    >>> round(float(hasty.share.mean()), 6), hasty.error > 0.3
    (1.0, True)
    """
    s, v = singular_values(latent, spread), draw(seed, latent)
    out = solve(lambda x: s**2 * x, v, tolerance, round(budget * latent))
    share = s**2 * (out.x * v).mean(0)
    return Numbers(s.numpy(), float(out.iterations.double().mean()), share.numpy())


@lru_cache(maxsize=64)
def trajectory(seed: int, latent: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Relative residuals after so many rounds: ``(m,)`` and ``(m, probes)``.

    >>> rounds, residuals = trajectory(0, 8, 10.0)
    >>> bool(residuals[-1].max() < 1e-10)
    True
    """
    s, v = singular_values(latent, spread), draw(seed, latent)[:32]
    rounds = np.unique(np.linspace(1, 4 * latent, 32).round().astype(int))
    steps = [solve(lambda x: s**2 * x, v, 0.0, int(n)).residual.numpy() for n in rounds]
    return np.array([0, *rounds]), np.array([np.ones(len(v)), *steps])


def render(
    seed: int,
    latent: int = 32,
    spread: float = 10.0,
    tolerance: float = 1e-4,
    budget: float = 1.0,
) -> Figure:
    """The residuals over the rounds, the share of the gradient found, and rounds against d.

    >>> len(render(0, latent=8).axes)
    3
    """
    values = {"latent": latent, "spread": spread, "tolerance": tolerance, "budget": budget}
    check_point(NAME, CONTROLS, SEEDS, seed, values)
    latent = int(latent)
    n = numbers(seed, latent, spread, tolerance, budget)
    figure = plots.figure(3, size=(3.5, 3.2), layout=None)
    figure.subplots_adjust(0.075, 0.15, 0.985, 0.9, wspace=0.3)
    left, middle, right = figure.subplots(1, 3)
    plots.residuals(left, *trajectory(seed, latent, spread), tolerance, n.rounds)
    left.set_title(f"d = {latent}, singular values from 1 to {1 / spread:g}", fontsize=9)
    plots.shares(middle, n.singular_values, n.share)
    middle.set_title(f"gradient found, relative error {n.error:.1%}", fontsize=9)
    rounds = [numbers(seed, d, spread, tolerance, budget).rounds for d in LATENTS]
    curves = {"conjugate gradients": rounds, "one pass": np.ones(len(LATENTS))}
    plots.against_size(right, LATENTS, curves, "rounds", bound=LATENTS, here=latent)
    right.set(ylim=(0.7, 1500), title="rounds against the latent size")
    right.title.set_fontsize(9)
    return figure


def describe(
    seed: int,
    latent: int = 32,
    spread: float = 10.0,
    tolerance: float = 1e-4,
    budget: float = 1.0,
) -> str:
    """The alt text of :func:`render`, made from the same numbers.

    >>> describe(0, latent=8)[:60]
    'Conjugate gradients on 8 dimensions with singular values fro'
    """
    values = {"latent": latent, "spread": spread, "tolerance": tolerance, "budget": budget}
    check_point(NAME, CONTROLS, SEEDS, seed, values)
    n = numbers(seed, int(latent), spread, tolerance, budget)
    return (
        f"Conjugate gradients on {latent:g} dimensions with singular values from 1 to "
        f"{1 / spread:g}, at a tolerance of {tolerance:g} and at most {round(budget * latent)} "
        f"rounds, take {n.rounds:.1f}; the log-volume's gradient has a relative error of "
        f"{n.error:.2%}, from {n.share.min():.0%} to {n.share.max():.0%} of it are found."
    )


def build() -> None:
    """Nothing to train: every picture is solved when it is drawn."""


def check() -> list[str]:
    """Compare a tight solution with the theory: at most d rounds, and all of the gradient."""
    n = numbers(0, 32, 2.0, 1e-10)
    good = n.rounds <= 32 and np.allclose(n.share, 1)
    return [f"rectangular: {n.rounds:.1f} rounds at d = 32: {'ok' if good else 'OUTSIDE'}"]


EXPLORABLE = Explorable(
    name=NAME,
    title="An inverse by conjugate gradients",
    controls=CONTROLS,
    seeds=SEEDS,
    render=render,
    describe=describe,
    presets={
        "well conditioned": {"latent": 32, "spread": 2.0, "tolerance": 1e-4},
        "badly conditioned": {"latent": 32, "spread": 1000.0, "tolerance": 1e-4},
        "too few rounds": {"latent": 32, "spread": 100.0, "tolerance": 1e-4, "budget": 0.25},
        "enough rounds": {"latent": 32, "spread": 100.0, "tolerance": 1e-4, "budget": 4.0},
    },
    prompts=(
        "Make the latent space four times larger: does the number of rounds follow, at any spread?",
        "Allow too few rounds: which directions lose their gradient, those that the decoder "
        "stretches or those that it squeezes?",
    ),
)
