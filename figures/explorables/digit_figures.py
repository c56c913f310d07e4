"""What β does to models of digits, from their lattice: spectra, samples, codes (MLAE App. E.2)."""

import numpy as np

from companion.lab.marks import Bars, Images, Line, Mark, Points, Rule
from companion.lab.picture import Axis, Panel, Picture
from figures import draw
from figures.explorables.digits import (
    BETAS,
    EDGES,
    GAMMAS,
    LATENT,
    RUNS,
    THRESHOLD,
    WEIGHTS,
    curves,
)

FIG8 = (0.1, 1.0, 10.0, 100.0)  # the paper's β


def spectra() -> Picture:
    """MLAE Fig. 7: mean spectra by β over the trainings, and how many values are large."""
    level = Rule(y=THRESHOLD, colour="ink", dash="dashed")
    index = Axis("index of the singular value", ticks=tuple(range(2, LATENT + 1, 2)))
    highest = 1.1 * RUNS.arrays["spectrum"][: len(BETAS)].mean(1).max()
    values = Axis("mean singular value of g'(z)", limits=(0, highest))
    left = Panel((*(m for i in range(len(BETAS)) for m in spectrum_at(i)), level), index, values)
    count = Axis(f"singular values of at least {THRESHOLD:.2f}", limits=(-0.5, LATENT + 0.5))
    right = WEIGHTS.panel(RUNS, curves("count"), count)
    found = {name: np.median(values, -1) for name, values in curves("count").items()}
    words = ", ".join(f"{n:g} at β = {b:g}" for b, n in zip(BETAS, found["beta"], strict=True))
    ends = found["gamma"][-1], GAMMAS[-1], found["gamma"][0], GAMMAS[0]
    says = (
        f"Singular values of at least {THRESHOLD:.2f}, medians: MLAE {words}; VAE "
        "{:g} at γ = {:g} and {:g} at γ = {:g}; ".format(*ends)
        + f"learned γ {found['learned']:g}."
    )
    return Picture([left, right], says, (9.2, 3.4))


def spectrum_at(i: int) -> tuple[Mark, ...]:
    """The mean spectrum at one β, with bars of the standard deviation over the trainings."""
    found = RUNS.arrays["spectrum"][i].astype(float)
    mean, std, index = found.mean(0), found.std(0), np.arange(1.0, LATENT + 1)
    ends = np.stack([mean - std, mean + std, np.full(LATENT, np.nan)], axis=-1)
    shade = np.full(LATENT, 0.92 * i / len(BETAS))
    return (
        Line(np.repeat(index, 3), ends.ravel(), shade=np.repeat(shade, 3), width=3, alpha=0.35),
        Line(index, mean, shade=shade, label=f"β = {BETAS[i]:g}"),
        Points(index, mean, shade=shade, size=3.5),
    )


def samples() -> Picture:
    """MLAE Fig. 8: samples by β, a row for each class, and how much they vary."""
    panels, words = [], []
    for beta in FIG8:
        one = RUNS.typical(key=f"mlae {beta:g}")
        by_class = one.samples.reshape(10, 10, *one.samples.shape[1:]).swapaxes(0, 1)
        grid = Images(by_class.reshape(one.samples.shape), 10)
        panels.append(Panel.of_images(grid, title=f"β = {beta:g}"))
        words.append(f"{one.variety:.2f} at β = {beta:g}")
    says = (
        "Ten samples of each class at temperature 1; their variance within a class is "
        f"{', '.join(words)}; that of real digits {RUNS.arrays['variety_real']:.2f}."
    )
    return Picture(panels, says, (9.2, 2.75))


def quality() -> Picture:
    """Error, variety of samples and distance of codes from N(0, 1) against an error's weight."""
    ticks, chance = (0.2, 0.5, 1, 2, 3), float(np.median(RUNS.arrays["distance_chance"]))
    names = {
        "error": ("reconstructions", Axis("mean ‖x̂ − x‖²", "log", (0.4, 3.6), ticks)),
        "variety": ("samples", Axis("variance within a class")),
        "distance": (
            "codes of noisy held-out digits", Axis("W₂² from N(0, 1)", "log", (0.13, 3.6), ticks)
        ),
    }  # fmt: skip
    levels = {"variety": (float(RUNS.arrays["variety_real"]), "real digits")}
    levels["distance"] = (chance, "chance")
    panels, words = [], []
    for name, (title, y) in names.items():
        marks = ()
        if name in levels:
            level, label = levels[name]
            marks = (Rule(y=level, colour="ink", dash="dashed", label=label),)
        panels.append(WEIGHTS.panel(RUNS, curves(name), y, marks=marks, title=title))
        words.append(f"{y.label}: {ends_of(name)}")
    return Picture(panels, "; ".join(words) + ".", (9.9, 3.0))


def ends_of(name: str) -> str:
    """The medians of one metric at the ends of β, at 10, and at the ends of γ, in words."""
    found = {k: np.median(v, -1) for k, v in curves(name).items() if k != "learned"}
    middle = found["beta"][BETAS.index(10.0)]
    return (
        f"MLAE {found['beta'][0]:.2f}, {middle:.2f} and {found['beta'][-1]:.2f} at "
        f"β = {BETAS[0]:g}, 10 and {BETAS[-1]:g}, VAE {found['gamma'][-1]:.2f} to "
        f"{found['gamma'][0]:.2f}"
    )


def codes() -> Picture:
    """How far MLAE's codes are from N(0, 1) with and without the training's noise on the images."""
    names, words = {"distance": "with noise", "clean": "without"}, []
    marks: list[Mark] = []
    for (name, label), colour in zip(names.items(), ("blue", "orange"), strict=True):
        found = curves(name)["beta"]
        marks += draw.spread(BETAS, found, colour, label)
        ends = np.median(found, 1)[[0, BETAS.index(10.0), -1]]
        words.append("{} {:.2f}, {:.2f} and {:.2f}".format(label, *ends))
    chance = float(np.median(RUNS.arrays["distance_chance"]))
    marks += [Rule(y=chance, colour="ink", dash="dashed", label="chance")]
    axes = Axis("β", "log"), Axis("W₂² from N(0, 1)")
    panels = [Panel(marks, *axes, title="codes of held-out digits")]
    panels += [entries(beta) for beta in (0.1, 100.0)]
    says = (
        f"Distance of codes from N(0, 1) at β = {BETAS[0]:g}, 10 and {BETAS[-1]:g}: "
        f"{'; '.join(words)}. Histograms of their entries at β = 0.1 and 100."
    )
    return Picture(panels, says, (9.6, 2.8))


def entries(beta: float) -> Panel:
    """Histograms of the entries of MLAE's codes with and without noise, beside N(0, 1)."""
    noisy, clean = RUNS.at("histogram", key=f"mlae {beta:g}").mean(0)  # (bins,) each
    grid = np.linspace(-4, 4, 101)
    normal = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    marks = (
        Bars(EDGES, noisy, alpha=0.4),
        Bars(EDGES, clean, "orange", outline=True),
        Line(grid, normal, "ink", dash="dashed", label="N(0, 1)"),
    )
    axes = Axis("entry of z"), Axis("density", limits=(0, 1.3 * max(noisy.max(), clean.max())))
    return Panel(marks, *axes, title=f"β = {beta:g}")
