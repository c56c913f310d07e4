"""Conjugate gradients on JᵀJ: how many rounds, and what stopping early leaves out (MLAE eq. 7)."""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from companion import probes
from companion.lab.explorable import Control, Explorable, check_point, load_lattice, save_lattice
from companion.volume.conjugate import solve
from figures import plots

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


def solved(seed: int, latent: int, spread: float, tolerance: float, budget: float = 4.0) -> Numbers:
    """Solve for all probes and compare the gradient with the exact one, direction by direction.

    In log s_i the exact gradient of ½ log det JᵀJ is 1; the estimate is s_i² mean_k(u_ki v_ki). Its
    mean over i is 1 after any number of rounds, as the residuals of conjugate gradients are
    orthogonal to v: twice the surrogate's value, over d. So that value tells nothing.

    Where singular values spread, the rounds and what they miss rest on the last bit of each probe,
    and that on the processor; :func:`numbers` has what one machine found.

    >>> n = solved(0, 8, 10.0, 1e-10)
    >>> bool(np.allclose(n.share, 1)), n.rounds <= 10
    (True, True)
    >>> hasty = solved(0, 8, 10.0, 1e-10, budget=0.25)
    >>> round(float(hasty.share.mean()), 6), hasty.error > 0.3
    (1.0, True)
    """
    s, v = singular_values(latent, spread), draw(seed, latent)
    out = solve(lambda x: s**2 * x, v, tolerance, round(budget * latent))
    share = s**2 * (out.x * v).mean(0)
    return Numbers(s.numpy(), float(out.iterations.double().mean()), share.numpy())


def residuals(seed: int, latent: int, spread: float) -> np.ndarray:
    """Least, median and largest relative residual after :func:`so_many` rounds: ``(33, 3)``.

    >>> bool(residuals(0, 8, 10.0)[-1, 2] < 1e-10)
    True
    """
    s, v = singular_values(latent, spread), draw(seed, latent)[:32]
    steps = [solve(lambda x: s**2 * x, v, 0.0, int(n)).residual for n in so_many(latent)[1:]]
    every = torch.stack([torch.ones(len(v), dtype=v.dtype), *steps])
    return np.quantile(every.numpy(), (0, 0.5, 1), axis=1).T


def so_many(latent: int) -> np.ndarray:
    """The rounds after which residuals are drawn, up to 4d: ``(33,)``.

    >>> so_many(32)[:4].tolist()
    [0, 1, 5, 9]
    """
    return np.array([0, *np.linspace(1, 4 * latent, 32).round()], int)


@cache
def _lattice() -> dict[str, np.ndarray]:
    return load_lattice(NAME)[0]


def numbers(
    seed: int, latent: int, spread: float, tolerance: float, budget: float = 4.0
) -> Numbers:
    """What :func:`solved` found at one lattice point.

    Raises:
        ValueError: for a point that is not on the lattice.

    >>> bool(np.allclose(numbers(0, 8, 10.0, 1e-10).share, 1))
    True
    """
    values = {"latent": latent, "spread": spread, "tolerance": tolerance, "budget": budget}
    check_point(NAME, CONTROLS, SEEDS, seed, values)
    nearest = (CONTROLS[name].nearest(value) for name, value in values.items())
    _, *at = (c.values.index(n) for c, n in zip(CONTROLS.values(), nearest, strict=True))
    rounds, share = (_lattice()[f"{name}_{int(latent)}"][*at] for name in ("rounds", "share"))
    return Numbers(singular_values(int(latent), spread).numpy(), float(rounds), share.astype(float))


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
    latent = int(latent)
    n = numbers(seed, latent, spread, tolerance, budget)
    figure = plots.figure(3, size=(3.5, 3.2), layout=None)
    figure.subplots_adjust(0.075, 0.15, 0.985, 0.9, wspace=0.3)
    left, middle, right = figure.subplots(1, 3)
    fallen = _lattice()[f"residuals_{latent}"][SPREADS.index(CONTROLS["spread"].nearest(spread))]
    plots.residuals(left, so_many(latent), fallen, tolerance, n.rounds)
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
    n = numbers(seed, int(latent), spread, tolerance, budget)
    return (
        f"Conjugate gradients on {latent:g} dimensions with singular values from 1 to "
        f"{1 / spread:g}, at a tolerance of {tolerance:g} and at most {round(budget * latent)} "
        f"rounds, take {n.rounds:.1f}; the log-volume's gradient has a relative error of "
        f"{n.error:.2%}, from {n.share.min():.0%} to {n.share.max():.0%} of it are found."
    )


def build() -> None:
    """Solve at every point of the lattice and write it into the package."""
    arrays = {}
    for d in LATENTS:
        points = product(SPREADS, TOLERANCES, BUDGETS)
        found = [solved(SEEDS[0], d, *point) for point in points]
        shape = len(SPREADS), len(TOLERANCES), len(BUDGETS)
        arrays[f"rounds_{d}"] = np.array([n.rounds for n in found], np.float32).reshape(shape)
        arrays[f"share_{d}"] = np.array([n.share for n in found], np.float32).reshape(*shape, d)
        fallen = [residuals(SEEDS[0], d, spread) for spread in SPREADS]
        arrays[f"residuals_{d}"] = np.array(fallen, np.float32)
    controls = {name: list(control.values) for name, control in CONTROLS.items()}
    about = {"made_by": f"companion rebuild {NAME}", "controls": controls, "seeds": list(SEEDS)}
    save_lattice(NAME, arrays, about)
    _lattice.cache_clear()


def check() -> list[str]:
    """Solve again at d = 32 and count the rounds: the same to one, or to three in a hundred."""
    lines = []
    for spread in SPREADS:
        now, kept = (f(0, 32, spread, 1e-4).rounds for f in (solved, numbers))
        verdict = "ok" if abs(now - kept) <= max(1.0, 0.03 * kept) else "OUTSIDE"
        lines.append(f"rectangular, spread {spread:g}: rounds {now:.1f} for {kept:.1f}: {verdict}")
    return lines


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
