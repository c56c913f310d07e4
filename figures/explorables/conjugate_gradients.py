"""Conjugate gradients on JᵀJ: how many rounds, and what stopping early leaves out (MLAE eq. 7)."""

from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion import probes
from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Line, Points, Rule
from companion.lab.picture import Axis, Panel, Picture
from companion.volume.conjugate import solve
from figures import draw

NAME = "rectangular"
LATENTS = (8, 32, 128)
SPREADS = (2.0, 10.0, 100.0, 1000.0)
TOLERANCES = (1e-10, 1e-4, 1e-2, 0.5)
BUDGETS = (0.25, 1.0, 4.0)
SEEDS = (0,)
ROUNDS = Axis("rounds", limits=(0.7, 1500))
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


def full_set(seed: int, latent: int) -> Tensor:
    """A full orthogonal set of probes, so that (1/K) Σ vvᵀ = 1 and bias alone is left, square."""
    generator = torch.Generator().manual_seed(seed)
    like = torch.zeros(1, latent, dtype=torch.float64)
    return probes.sample("orthogonal", latent, like, generator)[:, 0]


def solved(seed: int, latent: int, spread: float, tolerance: float, budget: float = 4.0) -> Numbers:
    """Solve for all probes and compare the gradient with the exact one, direction by direction.

    In log s_i the exact gradient of ½ log det JᵀJ is 1; the estimate is s_i² mean_k(u_ki v_ki). Its
    mean over i is 1 after any number of rounds, as the residuals of conjugate gradients are
    orthogonal to v: twice the surrogate's value, over d. So that value tells nothing.

    Where singular values spread, the rounds and what they miss rest on the last bit of each probe,
    and that on the processor; ``STUDY`` has what one machine found.

    >>> n = solved(0, 8, 10.0, 1e-10)
    >>> bool(np.allclose(n.share, 1)), n.rounds <= 10
    (True, True)
    >>> hasty = solved(0, 8, 10.0, 1e-10, budget=0.25)
    >>> round(float(hasty.share.mean()), 6), hasty.error > 0.3
    (1.0, True)
    """
    s, v = singular_values(latent, spread), full_set(seed, latent)
    out = solve(lambda x: s**2 * x, v, tolerance, round(budget * latent))
    share = s**2 * (out.x * v).mean(0)
    return Numbers(s.numpy(), float(out.iterations.double().mean()), share.numpy())


def residuals(seed: int, latent: int, spread: float) -> np.ndarray:
    """Least, median and largest relative residual after :func:`so_many` rounds: ``(33, 3)``.

    >>> bool(residuals(0, 8, 10.0)[-1, 2] < 1e-10)
    True
    """
    s, v = singular_values(latent, spread), full_set(seed, latent)[:32]
    steps = [solve(lambda x: s**2 * x, v, 0.0, int(n)).residual for n in so_many(latent)[1:]]
    every = torch.stack([torch.ones(len(v), dtype=v.dtype), *steps])
    return np.quantile(every.numpy(), (0, 0.5, 1), axis=1).T


def so_many(latent: int) -> np.ndarray:
    """The rounds after which residuals are drawn, up to 4d: ``(33,)``.

    >>> so_many(32)[:4].tolist()
    [0, 1, 5, 9]
    """
    return np.array([0, *np.linspace(1, 4 * latent, 32).round()], int)


def numbers(latent: int, spread: float, tolerance: float, budget: float) -> Numbers:
    """What :func:`solved` found at one lattice point."""
    at = SPREADS.index(spread), TOLERANCES.index(tolerance), BUDGETS.index(budget)
    rounds, share = (STUDY.arrays[f"{name}_{latent}"][at] for name in ("rounds", "share"))
    return Numbers(singular_values(latent, spread).numpy(), float(rounds), share.astype(float))


def fallen(latent: int, spread: float, tolerance: float, stop: float) -> Panel:
    """Relative residuals over the rounds, median and range over probes, and where they stop."""
    kept = STUDY.arrays[f"residuals_{latent}"][SPREADS.index(spread)]  # (rounds, 3)
    marks = (
        *draw.spread(so_many(latent), np.maximum(kept, 1e-15), "blue"),
        Rule(y=tolerance, colour="orange", dash="solid", label=f"tolerance {tolerance:g}"),
        Rule(stop, label=f"stops after {stop:.1f}"),
    )
    title = f"d = {latent}, singular values from 1 to {1 / spread:g}"
    y = Axis("‖v − JᵀJu‖ / ‖v‖", "log", (1e-13, 5))
    return Panel(marks, Axis("round"), y, title=title)


def shares(sizes, share, title: str) -> Panel:
    """How much of the gradient an unfinished iteration finds in each direction; 1 is all of it.

    Args:
        sizes: ``(size,)`` singular values.
        share: ``(size,)``.
        title: above.
    """
    exact = Rule(y=1.0, colour="green", width=1.4, dash="solid", label="exact")
    marks = exact, Points(sizes, share, "orange", size=4.5, label="found")
    ends = min(-0.1, np.min(share) - 0.6), max(1.2, np.max(share)) + 0.1
    return Panel(marks, Axis("singular value of J", "log"), Axis("share", limits=ends), title=title)


def against_size(sizes, curves: dict, y: Axis, bound=None, here=None, title: str = "") -> Panel:
    """Costs against a size, both logarithmic, each ticked where it was measured.

    Args:
        sizes: ``(m,)``.
        curves: ``(m,)`` values by name.
        y: the axis of the costs.
        bound: ``(m,)`` of a dotted bound, or nothing.
        here: a size to mark, or nothing.
        title: above.
    """
    marks = []
    if bound is not None:
        marks += [Line(sizes, bound, "grey", width=1.4, dash="dotted", label="bound: d")]
    styles = zip(("blue", "orange", "green", "purple"), "osv^", strict=True)
    for (name, values), (colour, marker) in zip(curves.items(), styles, strict=False):
        marks += [Line(sizes, values, colour, marker=marker, label=name)]
    if here is not None:
        marks += [Rule(here, colour="ink", width=1, dash="solid")]
    x = Axis("latent size d", "log", ticks=tuple(sizes), names=tuple(f"{d:g}" for d in sizes))
    return Panel(marks, x, replace(y, scale="log"), title=title)


def picture(n: Numbers, latent: int, spread: float, tolerance: float, budget: float) -> Picture:
    """The residuals over the rounds, the share of the gradient found, and rounds against d."""
    found = f"gradient found, relative error {n.error:.1%}"
    rounds = [numbers(d, spread, tolerance, budget).rounds for d in LATENTS]
    curves = {"conjugate gradients": rounds, "one pass": np.ones(len(LATENTS))}
    panels = (
        fallen(latent, spread, tolerance, n.rounds),
        shares(n.singular_values, n.share, found),
        against_size(LATENTS, curves, ROUNDS, LATENTS, latent, "rounds against the latent size"),
    )
    says = (
        f"Conjugate gradients on {latent} dimensions with singular values from 1 to "
        f"{1 / spread:g}, at a tolerance of {tolerance:g} and at most {round(budget * latent)} "
        f"rounds, take {n.rounds:.1f}; the log-volume's gradient has a relative error of "
        f"{n.error:.2%}, from {n.share.min():.0%} to {n.share.max():.0%} of it are found."
    )
    return Picture(panels, says, (10.5, 3.2))


def compute() -> tuple[dict[str, np.ndarray], dict]:
    """Solve at every point of the lattice."""
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
    return arrays, {"controls": controls, "seeds": list(SEEDS)}


def check() -> list[str]:
    """Solve again at d = 32 and count the rounds: the same to one, or to three in a hundred."""
    lines = []
    for spread in SPREADS:
        at = 32, spread, 1e-4, 4.0
        now, kept = solved(0, *at).rounds, numbers(*at).rounds
        verdict = "ok" if abs(now - kept) <= max(1.0, 0.03 * kept) else "OUTSIDE"
        lines.append(f"rectangular, spread {spread:g}: rounds {now:.1f} for {kept:.1f}: {verdict}")
    return lines


def lost() -> tuple[int, str]:
    """Which directions' gradient is missing after too few rounds, of the most and least stretched.

    Half of the gradient missing in the median of a quarter of the directions is lost.
    """
    latent, spread, budget = 32, 100.0, BUDGETS[0]
    n, few = numbers(latent, spread, 1e-4, budget), latent // 4
    stretched, squeezed = (float(np.median(part)) for part in (n.share[:few], n.share[-few:]))
    right = 2 if (stretched < 0.5) == (squeezed < 0.5) else 0 if stretched < 0.5 else 1
    return right, (
        f"At d = {latent}, with singular values from 1 to {1 / spread:g}, {n.rounds:.0f} rounds: "
        f"the {few} most stretched directions get {stretched:.0%} of their gradient in the median, "
        f"the {few} most squeezed ones {squeezed:.0%}."
    )


STUDY = Computed(NAME, CONTROLS, SEEDS, numbers, check, compute)
EXPLORABLE = Explorable(
    title="An inverse by conjugate gradients",
    study=STUDY,
    draw=picture,
    presets={
        "well conditioned": {"latent": 32, "spread": 2.0, "tolerance": 1e-4},
        "badly conditioned": {"latent": 32, "spread": 1000.0, "tolerance": 1e-4},
        "too few rounds": {"latent": 32, "spread": 100.0, "tolerance": 1e-4, "budget": 0.25},
        "enough rounds": {"latent": 32, "spread": 100.0, "tolerance": 1e-4, "budget": 4.0},
    },
    prompts=(
        "Make the latent space four times larger: does the number of rounds follow, at any spread?",
        "Loosen the tolerance at a large spread: how much of the gradient is wrong then?",
    ),
    question=Question(
        "With singular values from 1 to 0.01 the iteration is stopped after a quarter of d rounds. "
        "Which directions of the latent space lose their gradient?",
        ("those that the decoder stretches most", "those that it squeezes most", "all alike"),
        lost,
    ),
)
