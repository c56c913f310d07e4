"""What β does to models of digits, from their lattice: spectra, samples, codes (MLAE App. E.2)."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from figures import plots
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


def spectra() -> tuple[Figure, str]:
    """MLAE Fig. 7: mean spectra by β over the trainings, and how many values are large."""
    figure = plots.figure(2, size=(4.6, 3.4))
    left, right = figure.subplots(1, 2)
    index = np.arange(1, LATENT + 1)
    for i, beta in enumerate(BETAS):
        found, colour = RUNS.arrays["spectrum"][i], colormaps[plots.CODE_MAP](0.92 * i / len(BETAS))
        mean, std = found.mean(0), found.std(0)
        left.fill_between(index, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
        left.plot(index, mean, ".-", color=colour, label=f"β = {beta:g}")
    left.axhline(THRESHOLD, color="black", linewidth=1, linestyle="--")
    left.set(xlabel="index of the singular value", ylabel="mean singular value of g'(z)")
    left.set(xticks=index[1::2], ylim=(0, None))
    left.legend(frameon=False, fontsize=8)
    WEIGHTS.draw(right, RUNS, curves("count"), f"singular values of at least {THRESHOLD:.2f}")
    right.set(ylim=(-0.5, LATENT + 0.5))
    right.legend(frameon=False, fontsize=8)
    found = {name: np.median(values, -1) for name, values in curves("count").items()}
    words = ", ".join(f"{n:g} at β = {b:g}" for b, n in zip(BETAS, found["beta"], strict=True))
    ends = found["gamma"][-1], GAMMAS[-1], found["gamma"][0], GAMMAS[0]
    return figure, (
        f"Singular values of at least {THRESHOLD:.2f}, medians: MLAE {words}; VAE "
        "{:g} at γ = {:g} and {:g} at γ = {:g}; ".format(*ends)
        + f"learned γ {found['learned']:g}."
    )


def samples() -> tuple[Figure, str]:
    """MLAE Fig. 8: samples by β, a row for each class, and how much they vary."""
    figure = plots.figure(4, size=(2.3, 2.75))
    words = []
    for ax, beta in zip(figure.subplots(1, 4), FIG8, strict=True):
        one = RUNS.typical(key=f"mlae {beta:g}")
        by_class = one.samples.reshape(10, 10, *one.samples.shape[1:]).swapaxes(0, 1)
        plots.image_grid(ax, by_class.reshape(one.samples.shape), 10, f"β = {beta:g}")
        ax.title.set_fontsize(10)
        words.append(f"{one.variety:.2f} at β = {beta:g}")
    return figure, (
        "Ten samples of each class at temperature 1; their variance within a class is "
        f"{', '.join(words)}; that of real digits {RUNS.arrays['variety_real']:.2f}."
    )


def quality() -> tuple[Figure, str]:
    """Error, variety of samples and distance of codes from N(0, 1) against an error's weight."""
    figure = plots.figure(3, size=(3.3, 3.0))
    arrays, axes = RUNS.arrays, figure.subplots(1, 3)
    chance = float(np.median(arrays["distance_chance"]))
    panels = {
        "error": ("reconstructions", "mean ‖x̂ − x‖²", None),
        "variety": ("samples", "variance within a class", float(arrays["variety_real"])),
        "distance": ("codes of noisy held-out digits", "W₂² from N(0, 1)", chance),
    }
    words = []
    for ax, (name, (title, label, line)) in zip(axes, panels.items(), strict=True):
        WEIGHTS.draw(ax, RUNS, curves(name), label)
        ax.set_title(title)
        if name != "variety":
            ax.set_yscale("log")
            ax.set_yticks((0.2, 0.5, 1, 2, 3), ("0.2", "0.5", "1", "2", "3"))
            ax.minorticks_off()
            ax.set_ylim(0.13 if name == "distance" else 0.4, 3.6)
        if line is not None:
            what = "real digits" if name == "variety" else "chance"
            ax.axhline(line, color="black", linewidth=1, linestyle="--", label=what)
            ax.legend(fontsize=8, handles=ax.get_legend_handles_labels()[0][-1:], frameon=False)
        found = {k: np.median(v, -1) for k, v in curves(name).items() if k != "learned"}
        middle = found["beta"][BETAS.index(10.0)]
        words.append(
            f"{label}: MLAE {found['beta'][0]:.2f}, {middle:.2f} and {found['beta'][-1]:.2f} at "
            f"β = {BETAS[0]:g}, 10 and {BETAS[-1]:g}, VAE {found['gamma'][-1]:.2f} to "
            f"{found['gamma'][0]:.2f}"
        )
    axes[0].legend(frameon=False, fontsize=8)
    return figure, "; ".join(words) + "."


def codes() -> tuple[Figure, str]:
    """How far MLAE's codes are from N(0, 1) with and without the training's noise on the images."""
    figure = plots.figure(3, size=(3.2, 2.8))
    left, *axes = figure.subplots(1, 3)
    names, words = {"distance": "with noise", "clean": "without"}, []
    for (name, label), colour in zip(names.items(), (plots.BLUE, plots.ORANGE), strict=True):
        found = curves(name)["beta"]
        plots.band(left, BETAS, found, colour, label)
        ends = np.median(found, 1)[[0, BETAS.index(10.0), -1]]
        words.append("{} {:.2f}, {:.2f} and {:.2f}".format(label, *ends))
    left.axhline(np.median(RUNS.arrays["distance_chance"]), color="black", lw=1, linestyle="--")
    left.set(xscale="log", xlabel="β", ylabel="W₂² from N(0, 1)", title="codes of held-out digits")
    left.minorticks_off()
    left.legend(frameon=False, fontsize=8)
    grid = np.linspace(-4, 4, 200)
    for ax, beta in zip(axes, (0.1, 100.0), strict=True):
        heights = RUNS.at("histogram", key=f"mlae {beta:g}").mean(0)  # (2, bins)
        ax.stairs(heights[0], EDGES, fill=True, color=plots.BLUE, alpha=0.4)
        ax.stairs(heights[1], EDGES, color=plots.ORANGE)
        ax.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), "k--", label="N(0, 1)")
        ax.set(xlabel="entry of z", ylabel="density", title=f"β = {beta:g}")
        ax.legend(frameon=False, fontsize=8)
    return figure, (
        f"Distance of codes from N(0, 1) at β = {BETAS[0]:g}, 10 and {BETAS[-1]:g}: "
        f"{'; '.join(words)}. Histograms of their entries at β = 0.1 and 100."
    )
