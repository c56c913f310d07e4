"""All models of the family side by side on real digits, at every price of an error."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from companion.lab import explorable
from companion.lab.explorable import Control, Explorable, check_point, load_lattice, save_lattice
from companion.models import Model
from figures import plots
from figures.explorables import contenders
from figures.explorables.contenders import CONTENDERS, METRICS, SAMPLERS, SHOWN, Numbers

NAME = "benchmark"
BETAS = (0.1, 1.0, 10.0, 100.0, 1000.0)
GAMMAS = (0.0005, 0.005, 0.05, 0.5, 5.0)  # 1/(2β)
SEEDS = (0,)  # of the pictures
RUNS = (0, 1, 2)  # trainings behind each number
CONTROLS = {
    "beta": Control("MLAE's β, InjFlow's μ", BETAS, 10.0),
    "gamma": Control("VAE's γ, Taylor's c", GAMMAS, 0.05),
}
PRICES = {"beta": BETAS, "gamma": GAMMAS[::-1], "": ("",)}  # from cheap errors to dear ones
KEYS = tuple(
    f"{name} {price:g}" if price else name
    for name, one in CONTENDERS.items()
    for price in PRICES[one.price]
)
MAIN = ("mlae", "rectangular", "relaxed", "vae", "taylor", "learned", "aef", "wae", "ae")
COLUMNS = {
    "own": "N (own prior)",
    "gaussian": "Gaussian",
    "mixture": "GMM(10)",
    "second": "2nd stage",
    "rec": "Rec",
}
LABELS = tuple(COLUMNS[name] for name in SAMPLERS)


@cache
def lattice() -> dict[str, np.ndarray]:
    """All arrays, read once: metrics ``(key, run)``, samples of the first run, costs."""
    return load_lattice(NAME)[0]


def keys_of(name: str) -> list[str]:
    """A contender's keys at all prices, cheap errors first.

    >>> keys_of("vae")[:2], keys_of("ae")
    (['vae 5', 'vae 0.5'], ['ae'])
    """
    return [key for key in KEYS if key.partition(" ")[0] == name]


def key_at(name: str, beta: float, gamma: float) -> str:
    """The contender's key at these prices, or the nearest on the lattice.

    >>> key_at("mlae", 10.0, 0.05), key_at("vae", 10.0, 0.05), key_at("ae", 10.0, 0.05)
    ('mlae 10', 'vae 0.05', 'ae')
    """
    price = CONTENDERS[name].price
    if not price:
        return name
    value = CONTROLS[price].nearest({"beta": beta, "gamma": gamma}[price])
    return f"{name} {value:g}"


def caption(key: str) -> str:
    """A key in words.

    >>> caption("taylor 0.05"), caption("mlae 10"), caption("ae")
    ('Taylor VAE, c = 0.05', 'MLAE, β = 10', 'AE')
    """
    name, _, price = key.partition(" ")
    symbol = {"taylor": "c", "relaxed": "μ", "scale": "μ"}.get(name)
    symbol = symbol or {"beta": "β", "gamma": "γ", "": ""}[CONTENDERS[name].price]
    return CONTENDERS[name].label + (f", {symbol} = {price}" if price else "")


def runs(key: str, metric: str) -> np.ndarray:
    """One metric of every training of a key: ``(run,)``.

    >>> runs("mlae 10", "error").shape
    (3,)
    """
    return lattice()[metric][KEYS.index(key)].astype(float)


def spread(key: str, metric: str, digits: int = 1) -> str:
    """Mean ± standard deviation over the trainings, as a table shows it."""
    values = runs(key, metric)
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def kind(name: str) -> str:
    """What kind of number a contender's log-likelihood is, in a word or two."""
    told = str(load_lattice(NAME)[1]["kinds"][name])
    return "manifold" if "manifold" in told else "sampled" if "sampled" in told else told


def cost(name: str, what: str) -> float:
    """``parameters``, or ``step``: the time of a training step over a plain autoencoder's."""
    return float(lattice()[what][list(CONTENDERS).index(name)])


def table(beta: float, gamma: float, names: Sequence[str] = tuple(CONTENDERS)) -> str:
    """The comparison in lines: means ± standard deviations over the trainings.

    >>> table(10.0, 0.05, ["mlae"]).splitlines()[1].startswith("MLAE, β = 10")
    True
    """
    heads = "".join(f"{label:>14}" for label in COLUMNS.values())
    lines = [
        f"{'':22}{heads}{'‖x̂ − x‖²':>14}{'NLL, nats':>14}  {'kind':9}{'step':>5}{'numbers':>9}"
    ]
    for name in names:
        key = key_at(name, beta, gamma)
        row = "".join(f"{spread(key, column):>14}" for column in COLUMNS)
        row += f"{spread(key, 'error', 2):>12}{spread(key, 'nll'):>14}  {kind(name):9}"
        row += f"{cost(name, 'step'):5.1f}{cost(name, 'parameters'):9,.0f}"
        mark = "" if CONTENDERS[name].prior == "N(0, 1)" else " †"
        lines.append(f"{caption(key) + mark:22}{row}")
    return "\n".join(lines)


def render(seed: int, beta: float, gamma: float) -> Figure:
    """Samples of the main models, and Fréchet distances by where codes come from.

    >>> len(render(0, beta=10.0, gamma=0.05).axes)
    3
    """
    keys = _main(seed, beta, gamma)
    figure = plots.figure(layout=None, size=(10.6, 4.9))
    boxes = ((0.148, 0.1, 0.235, 0.79), (0.392, 0.1, 0.235, 0.79))
    titles = (LABELS[0], LABELS[2])
    samples = lattice()["samples"][[KEYS.index(key) for key in keys]] / 255
    for i, (box, title) in enumerate(zip(boxes, titles, strict=True)):
        ax = figure.add_axes(box)
        plots.image_grid(ax, samples[:, i].reshape(-1, 1, 8, 8), SHOWN)
        ax.set_aspect("auto")
        ax.set_title(f"samples, codes from {title}", fontsize=9)
    middles = 9 * np.arange(len(keys)) + 4
    figure.axes[0].set_yticks(middles, [caption(key) for key in keys], fontsize=9)
    figure.axes[0].tick_params(length=0)
    right = figure.add_axes((0.645, 0.1, 0.34, 0.79))
    rows = {caption(key): [runs(key, name) for name in SAMPLERS] for key in keys}
    plots.spreads(right, rows, LABELS, float(lattice()["real"]), "real digits")
    right.set(xlabel=f"Fréchet distance, mean and range of {len(RUNS)} trainings", xlim=_limits())
    right.set_yticklabels([])
    return figure


def _limits() -> tuple[float, float]:
    """One axis for all pictures, so that they can be compared."""
    shown = [KEYS.index(key) for name in MAIN for key in keys_of(name)]
    values = np.stack([lattice()[name][shown] for name in SAMPLERS])
    return 0.85 * float(lattice()["real"]), 1.15 * float(values.max())


def _main(seed: int, beta: float, gamma: float) -> list[str]:
    check_point(NAME, CONTROLS, SEEDS, seed, {"beta": beta, "gamma": gamma})
    return [key_at(name, beta, gamma) for name in MAIN]


def describe(seed: int, beta: float, gamma: float) -> str:
    """The alt text of :func:`render`, made from the same numbers.

    >>> describe(0, beta=10.0, gamma=0.05).startswith("Fréchet distances of samples of 8×8 digits")
    True
    """
    parts = [
        f"{caption(key)} {runs(key, 'own').mean():.1f} and {runs(key, 'mixture').mean():.1f}"
        for key in _main(seed, beta, gamma)
    ]
    return (
        "Fréchet distances of samples of 8×8 digits, codes from the model's own prior and from a "
        f"mixture: {', '.join(parts)}; real digits {float(lattice()['real']):.1f}."
    )


def over_prices(
    names: Sequence[str] = ("mlae", "rectangular", "scale", "vae", "taylor"),
) -> tuple[Figure, str]:
    """Distances and errors of some models against the price of an error, with the alt text."""
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
            plots.band(ax, BETAS, values, colour, CONTENDERS[name].label)
            best = int(values.mean(1).argmin())
            texts.append(
                f"{CONTENDERS[name].label} {title}: least at {caption(keys_of(name)[best])}"
            )
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
    """The distance of the best of its samplers against the time of a step, with the alt text."""
    figure = plots.figure(size=(7.2, 4.4))
    ax = figure.subplots()
    points, words = {}, []
    for name in CONTENDERS:
        key = key_at(name, beta, gamma)
        best = min(SAMPLERS, key=lambda sampler, k=key: runs(k, sampler).mean())
        points[CONTENDERS[name].label] = (cost(name, "step"), runs(key, "own"), runs(key, best))
        words.append(f"{caption(key)}: {cost(name, 'step'):.1f}, {runs(key, best).mean():.1f}")
    plots.bargains(ax, points)
    ax.axhline(float(lattice()["real"]), color=plots.GREY, linestyle="--", linewidth=1)
    return figure, "Time of a step and best Fréchet distance. " + "; ".join(words) + "."


def gains(beta: float, gamma: float) -> tuple[Figure, str]:
    """What each fitted sampler does to each model, paired over trainings, with the alt text."""
    figure = plots.figure(size=(7.4, 5.6))
    ax = figure.subplots()
    rows = {}
    for name in CONTENDERS:
        key = key_at(name, beta, gamma)
        rows[caption(key)] = [runs(key, s) / runs(key, "own") for s in SAMPLERS[1:]]
    plots.spreads(ax, rows, LABELS[1:], 1.0, "no change")
    ax.set_xlabel("Fréchet distance over that with codes from the own prior, same training")
    words = [f"{name} {ratios[1].mean():.2f}" for name, ratios in rows.items()]
    return figure, "Ratio with the mixture to the own prior: " + ", ".join(words) + "."


def build(progress: bool = True) -> None:
    """Train every model of the lattice and write it into the package."""
    found: dict[str, list[tuple]] = {}
    for name in CONTENDERS:
        keys = keys_of(name)
        models = contenders.train(keys, RUNS, progress)
        at = [(key, seed) for key in keys for seed in RUNS]
        for (key, seed), model in zip(at, models, strict=True):
            found.setdefault(key, []).append(_judged(model, seed))
    keep(found)


def _judged(model: Model, seed: int) -> tuple[Numbers, np.ndarray, int]:
    size = sum(p.numel() for p in model.parameters())
    return contenders.measure(model, seed), contenders.pictures(model, seed), size


def keep(found: dict[str, list[tuple[Numbers, np.ndarray, int]]]) -> None:
    """Write the lattice of judged trainings: for each key one for each of ``RUNS``."""
    arrays = {
        name: np.array([[getattr(run[0], name) for run in found[k]] for k in KEYS], np.float32)
        for name in METRICS
    }
    shown = np.stack([found[key][0][1] for key in KEYS])
    arrays["samples"] = (shown * 255).round().astype(np.uint8)
    arrays["parameters"] = np.array([found[keys_of(n)[0]][0][2] for n in CONTENDERS])
    seconds = contenders.step_seconds(tuple(CONTENDERS))
    arrays["step"] = np.array([seconds[n] / seconds["ae"] for n in CONTENDERS], np.float32)
    arrays["real"] = np.float32(contenders.real())
    judge = contenders.judge()
    about = {
        "made_by": f"companion rebuild {NAME}",
        "data": "the 1,797 8×8 digits of scikit-learn: 1,297 to train on, 500 held out",
        "features": judge.name,
        "accuracy": round(judge.accuracy, 4),
        "kinds": {name: found[keys_of(name)[0]][0][0].kind for name in CONTENDERS},
        "notes": {name: one.note for name, one in CONTENDERS.items()},
        "networks": {"hidden": list(contenders.HIDDEN), "latent": contenders.LATENT},
        "runs": list(RUNS),
        "training": {
            "epochs": contenders.EPOCHS, "batch_size": 128, "learning_rate": 2e-3,
            "noise": contenders.NOISE,
        },
    }  # fmt: skip
    save_lattice(NAME, arrays, about)
    lattice.cache_clear()


def compare(key: str, result: Numbers) -> list[str]:
    """A training beside the lattice's band of the same key, widened by its own width each way."""
    return explorable.compare(result, {name: runs(key, name) for name in METRICS})


def check(seed: int = 0, beta: float = 10.0) -> list[str]:
    """Retrain one model by itself and compare it with the band of the lattice's runs there."""
    key = f"mlae {beta:g}"
    return compare(key, contenders.measure(contenders.train([key], [seed])[0], seed))


EXPLORABLE = Explorable(
    name=NAME,
    title="All models side by side on 8×8 digits",
    controls=CONTROLS,
    seeds=SEEDS,
    render=render,
    describe=describe,
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
