"""MLAE Fig. 6 in full: the sinusoid at fourteen β, three noise levels and twenty seeds."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from companion.lab.explorable import Control
from companion.lab.marks import Band, Line, Mark, Points, Rule
from companion.lab.picture import Axis, Panel, Picture
from figures.explorables import sinusoid

NAME = "sinusoid_full"
BETAS = sinusoid.PAPER_BETAS
NOISES = sinusoid.NOISES
COLOURS = ("blue", "orange", "green")


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


def quartiles(values: np.ndarray, colour: str, label: str) -> tuple[Mark, ...]:
    """The median over seeds against β as a line, and their middle half as a band."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=1)
    return Band(BETAS, low, high, colour), Line(BETAS, middle, colour, marker="o", label=label)


def phase_diagram() -> Picture:
    """What the code follows, and where that changes, in the plane of β and noise."""
    follows: list[Mark] = [Rule(y=0.5)]
    errors: list[Mark] = []
    onsets: list[Mark] = []
    texts = []
    for noise, colour in zip(NOISES, COLOURS, strict=True):
        label, onset = f"σ = {noise:g}", transitions(noise)
        error = STUDY.at("reconstruction", noise=noise) / noise**2  # (beta, seed)
        follows += quartiles(STUDY.at("alignment", noise=noise), colour, label)
        errors += quartiles(error, colour, label)
        aside, middle = np.linspace(-0.04, 0.04, len(onset)), np.median(onset)
        onsets += [Points(onset, noise + aside, colour, size=3.5)]
        onsets += [Line([middle] * 2, [noise - 0.04, noise + 0.04], "ink")]
        texts.append(f"σ = {noise:g}: median β {middle:.2g}")
    x = Axis("β", "log", (BETAS[0] / 1.3, BETAS[-1] * 1.3))
    sigma = Axis("noise σ", limits=(NOISES[0] - 0.07, NOISES[-1] + 0.07), ticks=NOISES)
    cosine = Axis("mean cos² to the normal", limits=(0, 1))
    panels = (
        Panel(follows, x, cosine, title="what the code follows"),
        Panel(errors, x, Axis("mean ‖x̂ − x‖² / σ²", "log"), title="reconstruction error"),
        Panel(onsets, x, sigma, title="transitions of 20 seeds, and the median"),
    )
    words = "The transition from following the noise to following the curve, over 20 seeds: "
    return Picture(panels, words + "; ".join(texts) + ".", (10.5, 3.2))
