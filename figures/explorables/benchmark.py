"""All models of the family side by side on real digits, at every weight of an error."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.evaluation import digit_features, evaluate
from companion.lab.explorable import Computed, Control, Explorable
from figures import plots
from figures.explorables import compared_models
from figures.explorables.compared_models import (
    COMPARED,
    METRICS,
    SAMPLERS,
    SHOWN,
    Numbers,
    Trainings,
    finish,
)

NAME = "benchmark"
BETAS = (0.1, 1.0, 10.0, 100.0, 1000.0)
GAMMAS = (0.0005, 0.005, 0.05, 0.5, 5.0)  # 1/(2β)
CONTROLS = {
    "beta": Control("MLAE's β, InjFlow's μ", BETAS, 10.0),
    "gamma": Control("VAE's γ, Taylor's c", GAMMAS, 0.05),
}
WEIGHTS = {"beta": BETAS, "gamma": GAMMAS[::-1], "": ("",)}  # from cheap errors to dear ones
KEYS = tuple(
    f"{name} {weight:g}" if weight else name
    for name, one in COMPARED.items()
    for weight in WEIGHTS[one.weight]
)
MAIN = ("mlae", "rectangular", "relaxed", "vae", "taylor", "learned", "aef", "wae", "ae")
COLUMNS = {
    "own": "N (own prior)",
    "gaussian": "Gaussian",
    "mixture": "GMM(10)",
    "second": "small 2nd stage",
    "rec": "Rec",
}
LABELS = tuple(COLUMNS[name] for name in SAMPLERS)


RUNS = Trainings(
    NAME, {"key": Control("model", KEYS, "mlae 10", names=KEYS)}, (0, 1, 2), Numbers,
    compared_models.make_model, lambda: compared_models.data().train, compared_models.make_config,
    compared_models.measure, METRICS, shared={"samples": ("key",)}, levels={"samples": 255},
    notes={
        "data": "the 1,797 8×8 digits of scikit-learn: 1,297 to train on, 500 held out",
        "notes": {name: one.note for name, one in COMPARED.items()},
        "networks": {"hidden": list(compared_models.HIDDEN), "latent": compared_models.LATENT},
        "training": compared_models.TRAINING,
    },
)  # fmt: skip


def keys_of(name: str) -> list[str]:
    """A model's keys at all weights of an error, from the smallest.

    >>> keys_of("vae")[:2], keys_of("ae")
    (['vae 5', 'vae 0.5'], ['ae'])
    """
    return [key for key in KEYS if key.partition(" ")[0] == name]


def key_at(name: str, beta: float, gamma: float) -> str:
    """The model's key at these weights, or the nearest on the lattice.

    >>> key_at("mlae", 10.0, 0.05), key_at("vae", 10.0, 0.05), key_at("ae", 10.0, 0.05)
    ('mlae 10', 'vae 0.05', 'ae')
    """
    slider = COMPARED[name].weight
    if not slider:
        return name
    value = CONTROLS[slider].nearest({"beta": beta, "gamma": gamma}[slider])
    return f"{name} {value:g}"


def caption(key: str) -> str:
    """A key in words.

    >>> caption("taylor 0.05"), caption("mlae 10"), caption("ae")
    ('Taylor VAE, c = 0.05', 'MLAE, β = 10', 'AE')
    """
    name, _, value = key.partition(" ")
    symbol = {"taylor": "c", "relaxed": "μ", "scale": "μ"}.get(name)
    symbol = symbol or {"beta": "β", "gamma": "γ", "": ""}[COMPARED[name].weight]
    return COMPARED[name].label + (f", {symbol} = {value}" if value else "")


def runs(key: str, metric: str) -> np.ndarray:
    """One metric of every training of a key: ``(run,)``.

    >>> runs("mlae 10", "error").shape
    (3,)
    """
    return RUNS.at(metric, key=key)


def spread(key: str, metric: str, digits: int = 1) -> str:
    """Mean ± standard deviation over the trainings, as a table shows it."""
    values = runs(key, metric)
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def kind(name: str) -> str:
    """What kind of number a model's log-likelihood is, in a word or two."""
    words = str(STUDY.about["kinds"][name])
    return "manifold" if "manifold" in words else "sampled" if "sampled" in words else words


def cost(name: str, what: str) -> float:
    """``parameters``, or ``step``: the time of a training step over a plain autoencoder's."""
    return float(STUDY.arrays[what][list(COMPARED).index(name)])


def table(beta: float, gamma: float, names: Sequence[str] = tuple(COMPARED)) -> str:
    """The comparison in lines: means ± standard deviations over the trainings.

    >>> table(10.0, 0.05, ["mlae"]).splitlines()[1].startswith("MLAE, β = 10")
    True
    """
    wide = {name: max(14, len(label) + 2) for name, label in COLUMNS.items()}
    heads = "".join(f"{label:>{wide[name]}}" for name, label in COLUMNS.items())
    lines = [
        f"{'':22}{heads}{'‖x̂ − x‖²':>14}{'NLL, nats':>14}  {'kind':9}{'step':>5}{'numbers':>9}"
    ]
    for name in names:
        key = key_at(name, beta, gamma)
        row = "".join(f"{spread(key, column):>{wide[column]}}" for column in COLUMNS)
        row += f"{spread(key, 'error', 2):>12}{spread(key, 'nll'):>14}  {kind(name):9}"
        row += f"{cost(name, 'step'):5.1f}{cost(name, 'parameters'):9,.0f}"
        mark = "" if COMPARED[name].prior == "N(0, 1)" else " †"
        lines.append(f"{caption(key) + mark:22}{row}")
    return "\n".join(lines)


class Shown(NamedTuple):
    """What a picture shows of the main models, by their captions."""

    samples: np.ndarray  # (model, 2, shown, 8, 8) by codes: of the own prior, of a mixture
    distances: dict[str, list[np.ndarray]]  # for each of ``SAMPLERS`` (run,)


def numbers(beta: float, gamma: float) -> Shown:
    """Samples and Fréchet distances of the main models at these weights."""
    keys = [key_at(name, beta, gamma) for name in MAIN]
    samples = np.stack([RUNS.at("samples", key=key) for key in keys])
    return Shown(samples, {caption(k): [runs(k, name) for name in SAMPLERS] for k in keys})


def draw(figure: Figure, found: Shown) -> str:
    """Samples of the main models, and Fréchet distances by where codes come from."""
    captions, real = list(found.distances), float(STUDY.arrays["real"])
    boxes = ((0.148, 0.1, 0.235, 0.79), (0.392, 0.1, 0.235, 0.79))
    for i, (box, title) in enumerate(zip(boxes, (LABELS[0], LABELS[2]), strict=True)):
        ax = figure.add_axes(box)
        plots.image_grid(ax, found.samples[:, i].reshape(-1, 1, 8, 8), SHOWN)
        ax.set_aspect("auto")
        ax.set_title(f"samples, codes from {title}", fontsize=9)
    figure.axes[0].set_yticks(9 * np.arange(len(captions)) + 4, captions, fontsize=9)
    figure.axes[0].tick_params(length=0)
    right = figure.add_axes((0.645, 0.1, 0.34, 0.79))
    plots.spreads(right, found.distances, LABELS, real, "real digits")
    right.set(
        xlabel=f"Fréchet distance, mean and range of {len(RUNS.seeds)} trainings", xlim=_limits()
    )
    right.set_yticklabels([])
    own, mixture = SAMPLERS.index("own"), SAMPLERS.index("mixture")
    parts = [
        f"{caption} {row[own].mean():.1f} and {row[mixture].mean():.1f}"
        for caption, row in found.distances.items()
    ]
    return (
        "Fréchet distances of samples of 8×8 digits, codes from the model's own prior and from a "
        f"mixture: {', '.join(parts)}; real digits {real:.1f}."
    )


def _limits() -> tuple[float, float]:
    """One axis for all pictures, so that they can be compared."""
    shown = [KEYS.index(key) for name in MAIN for key in keys_of(name)]
    values = np.stack([STUDY.arrays[name][shown] for name in SAMPLERS])
    return 0.85 * float(STUDY.arrays["real"]), 1.15 * float(values.max())


def over_weights(
    names: Sequence[str] = ("mlae", "rectangular", "scale", "vae", "taylor"),
) -> tuple[Figure, str]:
    """Distances and errors of some models against the weight of an error, with the alt text."""
    figure = plots.figure(3, size=(3.5, 3.1))
    titles = {
        "error": "reconstructions",
        "own": "codes from N(0, 1)",
        "mixture": "codes from GMM(10)",
    }
    colours = (plots.BLUE, plots.GREY, plots.GREEN, plots.ORANGE, plots.PURPLE)
    texts = []
    axes = figure.subplots(1, 3)
    for ax, (metric, title) in zip(axes, titles.items(), strict=True):
        for name, colour in zip(names, colours, strict=True):
            values = np.stack([runs(key, metric) for key in keys_of(name)])
            plots.band(ax, BETAS, values, colour, COMPARED[name].label)
            best = int(values.mean(1).argmin())
            texts.append(f"{COMPARED[name].label} {title}: least at {caption(keys_of(name)[best])}")
        label = "mean ‖x̂ − x‖²" if metric == "error" else "Fréchet distance"
        plots.plain_logarithm(ax, "y")
        ax.set(xscale="log", xlabel="price of an error, β or 1/2γ", title=title)
        ax.set_ylabel(label)
    high = [ax.get_ylim() for ax in axes[1:]]
    for ax in axes[1:]:
        ax.set_ylim(min(h[0] for h in high), max(h[1] for h in high))
    axes[0].legend(frameon=False, fontsize=8)
    return figure, "; ".join(texts) + "."


def against_cost(beta: float, gamma: float) -> tuple[Figure, str]:
    """Distances with the own prior and the best sampler against a step's time, with alt text."""
    figure = plots.figure(size=(7.2, 4.4))
    ax = figure.subplots()
    points, words = {}, []
    for name in COMPARED:
        key = key_at(name, beta, gamma)
        low = min(runs(key, sampler).mean() for sampler in SAMPLERS)
        points[COMPARED[name].label] = cost(name, "step"), low, runs(key, "own").mean()
        words.append(f"{caption(key)}: {cost(name, 'step'):.1f}, {low:.1f}")
    for step, low, high in sorted(points.values()):
        ax.plot([step, step], [low, high], color=plots.GREY, linewidth=0.9, alpha=0.6, zorder=1)
        ax.plot(step, high, "o", color=plots.BLUE, markersize=5)
        ax.plot(step, low, "s", color=plots.ORANGE, markersize=5)
    _write_names(ax, points)
    ax.plot([], [], "o", color=plots.BLUE, label="N (own prior)")
    ax.plot([], [], "s", color=plots.ORANGE, label="its best sampler")
    for which in "xy":
        plots.plain_logarithm(ax, which)
    ax.set_xlim(0.9, 1.35 * ax.get_xlim()[1])  # room for the names
    ax.set(xlabel="time of a step over a plain autoencoder's", ylabel="Fréchet distance")
    ax.legend(fontsize=8, frameon=False)
    ax.axhline(float(STUDY.arrays["real"]), color=plots.GREY, linestyle="--", linewidth=1)
    return figure, "Time of a step and best Fréchet distance. " + "; ".join(words) + "."


def _write_names(ax: Axes, points: dict[str, tuple[float, float, float]]) -> None:
    """Each name beside its lower point, moved down from those already there."""
    written: list[tuple[float, float]] = []
    for name, (step, height, _) in sorted(points.items(), key=lambda point: point[1][0]):
        while any(
            abs(np.log(step / a)) < 0.3 and abs(np.log(height / b)) < 0.16 for a, b in written
        ):
            height *= 0.95
        written.append((step, height))
        ax.annotate(name, (step, height), (4, -3), textcoords="offset points", fontsize=7)


def gains(beta: float, gamma: float) -> tuple[Figure, str]:
    """What each fitted sampler does to each model, paired over trainings, with the alt text."""
    figure = plots.figure(size=(7.4, 5.6))
    ax = figure.subplots()
    rows = {}
    for name in COMPARED:
        key = key_at(name, beta, gamma)
        rows[caption(key)] = [runs(key, s) / runs(key, "own") for s in SAMPLERS[1:]]
    plots.spreads(ax, rows, LABELS[1:], 1.0, "no change")
    ax.set_xlabel("Fréchet distance over that with codes from the own prior, same training")
    words = [f"{name} {ratios[1].mean():.2f}" for name, ratios in rows.items()]
    return figure, "Ratio with the mixture to the own prior: " + ", ".join(words) + "."


def compute(directory: Path | None = None) -> tuple[dict[str, np.ndarray], dict]:
    """Train every model of the lattice, or go on in a directory, and time one step of each."""
    arrays, about = RUNS.compute(directory)
    seconds, features = compared_models.step_seconds(tuple(COMPARED)), digit_features()
    one_of_each = {n: finish(compared_models.make_model(keys_of(n)[0], 0), 0) for n in COMPARED}
    sizes = [sum(p.numel() for p in model.parameters()) for model in one_of_each.values()]
    x = compared_models.data().held_out[:2]
    arrays |= {
        "parameters": np.array(sizes),
        "step": np.array([seconds[n] / seconds["ae"] for n in COMPARED], np.float32),
        "real": np.float32(compared_models.real()),
    }
    return arrays, about | {
        "features": features.name,
        "accuracy": round(features.accuracy, 4),
        "kinds": {name: evaluate(model, x).kind for name, model in one_of_each.items()},
    }


STUDY = Computed(NAME, CONTROLS, (0,), numbers, RUNS.check, compute)
EXPLORABLE = Explorable(
    title="All models side by side on 8×8 digits",
    study=STUDY,
    draw=draw,
    size=(10.6, 4.9),
    presets={
        "the same price: β = 1/2γ = 10": {"beta": 10.0, "gamma": 0.05},
        "β → 0, γ → ∞": {"beta": BETAS[0], "gamma": GAMMAS[-1]},
        "β → ∞": {"beta": BETAS[-1]},
        "γ → 0": {"gamma": GAMMAS[0]},
    },
    prompts=(
        "At β = 1/2γ = 10, which models sample digits from a standard normal?",
        "When errors cost ever more, what do MLAE and the VAE turn into?",
    ),
)
