"""MLAE Fig. 6 in full: the sinusoid at fourteen β, three noise levels and twenty seeds."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.lab.explorable import Control
from figures import plots
from figures.explorables import sinusoid

NAME = "sinusoid_full"
BETAS = sinusoid.PAPER_BETAS
NOISES = sinusoid.NOISES
COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN)


class Numbers(NamedTuple):
    """What is kept of each trained model, as :class:`figures.explorables.sinusoid.Numbers`."""

    nll: float
    reconstruction: float
    alignment: float
    correlation: float


STUDY = replace(
    sinusoid.STUDY, name=NAME, seeds=tuple(range(20)), numbers=Numbers,
    controls=sinusoid.CONTROLS | {"beta": Control("β", BETAS, BETAS[10])},
)  # fmt: skip


def order_is_open(noise: float) -> np.ndarray:
    """How far the order along the curve is from kept; ½ where |rank correlation| is 0.95."""
    return (1 - np.abs(STUDY.at("correlation", noise=noise))) / 0.1


def way_back(values: np.ndarray) -> np.ndarray:
    """The way of each run from its value at the largest β, 0, to that at the smallest, 1.

    >>> way_back(np.array([[3.0], [2.0], [1.0]])).ravel()
    array([1. , 0.5, 0. ])
    """
    return (values - values[-1]) / (values[0] - values[-1])


MEASURES = {  # of what has not yet changed to the regime of large β: (beta, seed), ½ at the change
    "noise followed": lambda noise: STUDY.at("alignment", noise=noise),
    "order not kept": order_is_open,
    "error": lambda noise: way_back(STUDY.at("reconstruction", noise=noise)),
    "log of the error": lambda noise: way_back(np.log(STUDY.at("reconstruction", noise=noise))),
    "NLL": lambda noise: way_back(STUDY.at("nll", noise=noise)),
}


def transitions(noise: float, measure: str = "noise followed") -> np.ndarray:
    """For each seed the β above which one of ``MEASURES`` stays below ½: ``(seed,)``.

    >>> transitions(0.1).shape
    (20,)
    """
    return sinusoid.onsets(BETAS, MEASURES[measure](noise))


def shift(draws: int = 10_000) -> dict[str, float]:
    """By which factor the median transition moves from the least to the most noise.

    Returns:
        ``factor``, its 95 % interval ``low`` to ``high`` (bootstrap over seeds), and ``width``, the
        ratio of the ranges of log β that the middle half of the seeds covers.

    >>> found = shift(200)
    >>> found["low"] <= found["factor"] <= found["high"]
    True
    """
    first, last = (np.log(transitions(noise)) for noise in (NOISES[0], NOISES[-1]))
    rng = np.random.default_rng(0)
    again = [np.median(rng.choice(t, (draws, len(t))), axis=1) for t in (first, last)]
    low, high = np.exp(np.quantile(again[1] - again[0], (0.025, 0.975)))
    spread = [float(np.subtract(*np.quantile(t, (0.75, 0.25)))) for t in (first, last)]
    factor = float(np.exp(np.median(last) - np.median(first)))
    return {
        "factor": factor,
        "low": float(low),
        "high": float(high),
        "width": spread[1] / spread[0],
    }


def quartiles(ax: Axes, values: np.ndarray, color: str, label: str) -> None:
    """The median over seeds against β as a line, and their middle half as a band."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=1)
    ax.fill_between(BETAS, low, high, color=color, alpha=0.22, linewidth=0)
    ax.plot(BETAS, middle, color=color, marker="o", markersize=3, linewidth=1.4, label=label)


def phase_diagram() -> tuple[Figure, str]:
    """What the code follows, and where that changes, in the plane of β and noise; with alt text."""
    figure = plots.figure(3, size=(3.5, 3.2))
    left, middle, right = figure.subplots(1, 3)
    texts = []
    for noise, colour in zip(NOISES, COLOURS, strict=True):
        label, onset = f"σ = {noise:g}", transitions(noise)
        error = STUDY.at("reconstruction", noise=noise) / noise**2  # (beta, seed)
        quartiles(left, STUDY.at("alignment", noise=noise), colour, label)
        quartiles(middle, error, colour, label)
        spread = noise + 0.04 * np.linspace(-1, 1, len(onset))
        right.plot(onset, spread, ".", color=colour, clip_on=False)  # one lies at the first β
        right.plot([np.median(onset)] * 2, [noise - 0.04, noise + 0.04], color="black")
        texts.append(f"σ = {noise:g}: median β {np.median(onset):.2g}")
    left.axhline(0.5, color=plots.GREY, linestyle=":")
    left.set(ylabel="mean cos² to the normal", ylim=(0, 1))
    left.set_title("what the code follows", fontsize=9)
    middle.set(yscale="log", ylabel="mean ‖x̂ − x‖² / σ²")
    middle.set_title("reconstruction error", fontsize=9)
    right.set(ylabel="noise σ", yticks=NOISES, ylim=(NOISES[0] - 0.07, NOISES[-1] + 0.07))
    right.set_title("transitions of 20 seeds, and the median", fontsize=9)
    for ax in (left, middle, right):
        ax.set(xscale="log", xlim=(BETAS[0], BETAS[-1]), xlabel="β")
    left.legend(frameon=False, fontsize=8)
    words = "The transition from following the noise to following the curve, over 20 seeds: "
    return figure, words + "; ".join(texts) + "."
