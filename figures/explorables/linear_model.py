"""The linear model under β: which direction of the data does one number keep? (MLAE App. C)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from companion.data.toy import Gaussian
from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Line, Points, Rule, Text
from companion.lab.picture import Axis, Panel, Picture
from companion.theory import linear

NAME = "linear"
BETAS = tuple(float(f"{b:.3g}") for b in np.logspace(-1, 1.5, 21))
SMALL = (0.02, 0.05, 0.1, 0.3)
LARGE = 1.0
SEEDS = (0,)
CONTROLS = {
    "beta": Control("β = 1/(2σ²)", BETAS, BETAS[8]),
    "small": Control("smaller eigenvalue (the larger is 1)", SMALL, 0.05),
}


def sweep_up_and_down(
    eigenvalues: Sequence[float], betas: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Which of two directions a minimum that is followed keeps: 0 the small one, 1 the large one.

    A solution stays where it is for as long as it is a local minimum; so the way up switches at
    1/(2·small), the way down at 1/(2·large).

    Returns:
        Two arrays ``(betas,)``, for β going up and going down.

    >>> up, down = sweep_up_and_down((0.05, 1.0), [0.1, 1.0, 20.0])
    >>> up.tolist(), down.tolist()
    ([0, 0, 1], [0, 1, 1])
    """

    def follow(betas: Sequence[float], state: int) -> list[int]:
        states = []
        for beta in betas:
            minima = [kept[0] for kept in linear.local_minima(eigenvalues, 1, beta)]
            state = state if state in minima else minima[0]
            states.append(state)
        return states

    return np.array(follow(betas, 0)), np.array(follow(betas[::-1], 1)[::-1])


class Numbers(NamedTuple):
    """What the picture shows of one β."""

    x: np.ndarray  # (300, 2) data
    kept: int  # the direction of the global minimum: 0 the small one, 1 the large one
    minima: int  # how many local ones there are
    threshold: linear.Threshold  # between the two directions
    fine: np.ndarray  # (400,) β of the loop
    up: np.ndarray  # (400,) what is kept as β grows
    down: np.ndarray  # (400,) and as it shrinks


def numbers(seed: int, beta: float, small: float) -> Numbers:
    """All from the closed forms, but for the data."""
    eigenvalues, fine = (small, LARGE), np.geomspace(BETAS[0], BETAS[-1], 400)
    x = Gaussian((LARGE, small)).sample(300, torch.Generator().manual_seed(seed)).numpy()
    (kept,) = linear.global_minimum(eigenvalues, 1, beta)
    minima = len(linear.local_minima(eigenvalues, 1, beta))
    (threshold,) = linear.thresholds(eigenvalues, 1)
    return Numbers(x, kept, minima, threshold, fine, *sweep_up_and_down(eigenvalues, fine))


def direction_costs(eigenvalues, variance: float, chosen, title: str = "") -> Panel:
    """log λ − λ/σ² with the eigenvalues of the data on it, the chosen ones filled (MLAE Fig. 4).

    Args:
        eigenvalues: ``(dim,)`` ascending.
        variance: σ² = 1/(2β), where the curve has its top.
        chosen: indices of the eigenvalues that the global minimum keeps.
        title: above.
    """
    values = np.asarray(eigenvalues)
    ends = min(values.min(), variance) / 3, max(values.max(), variance) * 3
    top, grid = np.log(variance) - 1, np.geomspace(*ends, 100)
    marks = [Line(grid, np.log(grid) - grid / variance, "grey", width=1.4), Rule(variance)]
    for i, value in enumerate(values):
        height = np.log(value) - value / variance
        marks += [Points([value], [height], size=9, hollow=i not in chosen)]
    x, y = Axis("eigenvalue λ", "log", ends), Axis("log λ − λ/σ²", limits=(top - 6, top + 0.7))
    return Panel(marks, x, y, title=title, note="filled: kept;  dotted: λ = σ²")


def hysteresis(beta, up, down, marks: dict[str, float], here: float | None = None) -> Panel:
    """Which direction is kept when β is swept up and down: 0 the smallest variance, 1 the largest.

    Args:
        beta: ``(m,)``.
        up: ``(m,)`` share of the top direction on the way up.
        down: ``(m,)`` on the way down.
        marks: thresholds by name, drawn as lines.
        here: a β to mark, or nothing.
    """
    found = [
        Line(beta, up, width=3.5, alpha=0.6, label="β going up"),
        Line(beta, down, "orange", width=1.8, label="β going down"),
    ]
    for name, value in marks.items():
        found += [Rule(value), Text(value, 1.08, name)]
    if here is not None:
        found += [Rule(here, colour="ink", width=1, dash="solid")]
    kept = Axis(limits=(-0.08, 1.18), ticks=(0, 1), names=("smallest", "largest"))
    return Panel(found, Axis("β", "log"), kept, legend="above")


def lines_kept(x: np.ndarray, directions: dict[str, int]) -> Panel:
    """Data ``(n, 2)`` with a line along each direction, by name: 0 the small one, 1 the large."""
    marks = [Points(*x.T, "grey", size=2.6, alpha=0.5)]
    for colour, (name, large) in zip(("orange", "purple"), directions.items(), strict=False):
        along = {"y": 0.0} if large else {"x": 0.0}
        marks += [Rule(**along, colour=colour, width=2.5, dash="solid", label=name)]
    axes = Axis("x₁", limits=(-3, 3)), Axis("x₂", limits=(-3, 3))
    return Panel(marks, *axes, equal=True)


def opening(small: float = 0.05) -> Picture:
    """The data and the two lines between which a model chooses."""
    x = numbers(SEEDS[0], CONTROLS["beta"].start, small).x
    panel = lines_kept(x, {"this one?": 1, "or this?": 0})
    says = f"Points with variances 1 and {small:g}, and a line along each of the two directions."
    return Picture([panel], says, (3.8, 3.6))


def picture(n: Numbers, beta: float, small: float) -> Picture:
    """The cost of each direction, the data with the kept line, and the loop of up and down."""
    title = f"β = {beta:g}, σ² = {1 / (2 * beta):.3g}"
    left = direction_costs((small, LARGE), 1 / (2 * beta), {n.kept}, title)
    middle = lines_kept(n.x, {"global minimum": n.kept})
    low, tie, high = n.threshold.appears, n.threshold.tie, n.threshold.vanishes
    marks = {"½λ₁⁻¹": low, "β*": tie, "½λ₂⁻¹": high}
    right = hysteresis(n.fine, n.up, n.down, marks, here=beta)
    says = (
        f"Linear model with variances 1 and {small:g} at β = {beta:g}: the best line follows the "
        f"{'largest' if n.kept else 'smallest'} variance, of {n.minima} local "
        f"{'minimum' if n.minima == 1 else 'minima'}; both directions are minima between "
        f"β = {low:.3g} and {high:.3g}, equally good at {tie:.3g}."
    )
    return Picture([left, middle, right], says, (10.5, 3.3))


def descend(
    A: torch.Tensor, eigenvalues: Sequence[float], beta: float, steps: int = 3000
) -> torch.Tensor:
    """Follow the exact gradient from encoders ``(batch, 1, dim)`` by Adam, for a diagonal Σ."""
    covariance = torch.diag(torch.tensor(eigenvalues, dtype=A.dtype))
    A = A.clone().requires_grad_()
    optimizer = torch.optim.Adam([A], lr=0.01)
    for _ in range(steps):
        A.grad = linear.gradient(A.detach(), covariance, beta)
        optimizer.step()
    return A.detach()


def top_share(A: torch.Tensor) -> torch.Tensor:
    """How much of an encoder's direction is the last axis, that of the largest λ: ``(batch,)``."""
    squared = A[:, 0].square()
    return squared[:, -1] / squared.sum(-1)


def check() -> list[str]:
    """Descend at two β inside the loop and compare with the closed form's two local minima."""
    lines, start = [], torch.tensor([[[4.0, 0.02]], [[0.02, 1.0]]], dtype=torch.float64)
    for beta in (1.0, 5.0):
        ends = top_share(descend(start, (0.05, LARGE), beta)).round().tolist()
        verdict = "ok" if ends == [0.0, 1.0] else "OUTSIDE"
        lines.append(f"linear, β = {beta:g}: both minima are reached, {ends}: {verdict}")
    return lines


def switches() -> tuple[int, str]:
    """Where a minimum that is followed while β grows changes its direction: at the tie or later."""
    small = CONTROLS["small"].start
    n = numbers(SEEDS[0], CONTROLS["beta"].start, small)
    up, down = (n.fine[np.argmax(way > 0.5)] for way in (n.up, n.down))
    return 0 if up < 1.05 * n.threshold.tie else 2, (
        f"For variances 1 and {small:g} both directions are equally good at β = "
        f"{n.threshold.tie:.2f}. A minimum that is followed changes at β = {up:.1f} on the way up "
        f"and at {down:.2f} on the way down: until then it is still a local one."
    )


EXPLORABLE = Explorable(
    title="The linear model",
    study=Computed(NAME, CONTROLS, SEEDS, numbers, check),
    draw=picture,
    presets={
        "β → 0: least variance": {"beta": BETAS[0]},
        "near the tie": {"beta": CONTROLS["beta"].nearest(1.577)},
        "β → ∞: PCA": {"beta": BETAS[-1]},
    },
    prompts=(
        "Which direction is cheaper at small β, and where is the top between them?",
        "Bring the two variances nearer to each other: does the loop become wider or narrower?",
    ),
    question=Question(
        "β grows slowly past the point where both directions are equally good. When does a model "
        "that is already trained change its direction?",
        ("at once", "gradually: its line turns", "later, when its own is no minimum any more"),
        switches,
    ),
    opening=2,
)
