"""MLAE Fig. 6 in full: the sinusoid at fourteen β, three noise levels and twenty seeds."""

from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from companion.lab.explorable import compare, load_lattice, save_lattice
from companion.training import grid, sweep
from figures import plots
from figures.explorables import sinusoid

NAME = "sinusoid_full"
BETAS = sinusoid.PAPER_BETAS
NOISES = sinusoid.NOISES
SEEDS = tuple(range(20))
AT_ONCE = 60  # as fast as more, and stays in the processor's cache
COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN)


@cache
def lattice() -> dict[str, np.ndarray]:
    """Each of ``METRICS``, ``(noise, beta, seed)``, read once."""
    return {name: a.astype(float) for name, a in load_lattice(NAME)[0].items()}


def transitions(noise: float) -> np.ndarray:
    """For each seed the β above which the code follows the curve for good: ``(seed,)``.

    >>> transitions(0.1).shape
    (20,)
    """
    return sinusoid.onsets(BETAS, lattice()["alignment"][NOISES.index(noise)])


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


def phase_diagram() -> tuple[Figure, str]:
    """What the code follows, and where that changes, in the plane of β and noise; with alt text."""
    figure = plots.figure(3, size=(3.5, 3.2))
    left, middle, right = figure.subplots(1, 3)
    arrays, texts = lattice(), []
    for at, (noise, colour) in enumerate(zip(NOISES, COLOURS, strict=True)):
        label, onset = f"σ = {noise:g}", transitions(noise)
        plots.quartiles(left, BETAS, arrays["alignment"][at], colour, label)
        plots.quartiles(middle, BETAS, arrays["reconstruction"][at] / noise**2, colour, label)
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


def build(directory: str | Path = Path("runs") / NAME, progress: bool = True) -> None:
    """Train all 840 models and write their numbers into the package; goes on where it stopped."""
    points = grid(noise=NOISES, beta=BETAS, seed=SEEDS)
    models = [sinusoid.make_model(p["beta"], p["seed"]) for p in points]
    data = [sinusoid.make_data(p["noise"], p["seed"]) for p in points]
    configs = [sinusoid.make_config(p["seed"]) for p in points]
    options = {"directory": directory, "resume": True, "at_once": AT_ONCE}
    sweep(models, data, configs, progress=progress, **options)
    results = [sinusoid.measure(m.eval(), p["noise"]) for m, p in zip(models, points, strict=True)]
    shape = (len(NOISES), len(BETAS), len(SEEDS))
    arrays = {
        name: np.array([getattr(r, name) for r in results], np.float32).reshape(shape)
        for name in sinusoid.METRICS
    }
    about = {
        "made_by": f"companion rebuild {NAME}",
        "betas": list(BETAS),
        "noises": list(NOISES),
        "seeds": len(SEEDS),
        "training": sinusoid.TRAINING,
    }
    save_lattice(NAME, arrays, about)
    lattice.cache_clear()


def check(seed: int = 0, at: int = 10, noise: float = 0.1) -> list[str]:
    """Retrain one point by itself and compare it with the band of the twenty seeds there."""
    (model,) = sinusoid.STUDY.train(
        [{"beta": BETAS[at], "noise": noise, "seed": seed}], progress=False
    )
    bands = {name: lattice()[name][NOISES.index(noise), at] for name in sinusoid.METRICS}
    return compare(sinusoid.measure(model, noise), bands)
