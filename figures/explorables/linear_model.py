"""The linear model under β: which direction of the data does one number keep? (MLAE App. C)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from companion.data.toy import Gaussian
from companion.lab.explorable import Computed, Control, Explorable
from companion.theory import linear
from figures import plots

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


def draw(figure: Figure, n: Numbers, beta: float, small: float) -> str:
    """The cost of each direction, the data with the kept line, and the loop of up and down."""
    figure.subplots_adjust(0.065, 0.15, 0.985, 0.9, wspace=0.3)
    left, middle, right = figure.subplots(1, 3)
    plots.direction_costs(left, (small, LARGE), 1 / (2 * beta), {n.kept})
    left.set_title(f"β = {beta:g}, σ² = {1 / (2 * beta):.3g}", fontsize=9)
    middle.scatter(*n.x.T, s=7, color=plots.GREY, alpha=0.5, linewidths=0)
    line = {"color": plots.ORANGE, "linewidth": 2.5, "label": "global minimum"}
    middle.axline((0, 0), (1, 0) if n.kept else (0, 1), **line)
    middle.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="x₁", ylabel="x₂")
    middle.legend(loc="upper right", fontsize=8)
    low, tie, high = n.threshold.appears, n.threshold.tie, n.threshold.vanishes
    marks = {"½λ₁⁻¹": low, "β*": tie, "½λ₂⁻¹": high}
    plots.hysteresis(right, n.fine, n.up, n.down, marks, here=beta)
    return (
        f"Linear model with variances 1 and {small:g} at β = {beta:g}: the best line follows the "
        f"{'largest' if n.kept else 'smallest'} variance, of {n.minima} local "
        f"{'minimum' if n.minima == 1 else 'minima'}; both directions are minima between "
        f"β = {low:.3g} and {high:.3g}, equally good at {tie:.3g}."
    )


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


EXPLORABLE = Explorable(
    title="The linear model",
    study=Computed(NAME, CONTROLS, SEEDS, numbers, check),
    draw=draw,
    columns=3,
    size=(3.5, 3.3),
    presets={
        "β → 0: least variance": {"beta": BETAS[0]},
        "near the tie": {"beta": CONTROLS["beta"].nearest(1.577)},
        "β → ∞: PCA": {"beta": BETAS[-1]},
    },
    prompts=(
        "One number for points with variances 1 and 0.05: which direction is cheaper at small β?",
        "When β passes the tie, will a model that is already trained change its mind at once?",
    ),
)
