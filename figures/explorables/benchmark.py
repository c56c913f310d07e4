"""All models of the family side by side on real digits, at every weight of an error."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from companion.evaluation import digit_features, evaluate
from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Line, Mark, Points, Rule, Text
from companion.lab.picture import Axis, Panel, Picture
from figures import draw
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


def picture(found: Shown) -> Picture:
    """Samples of the main models, and Fréchet distances by where codes come from."""
    real = float(STUDY.arrays["real"])
    label = f"Fréchet distance, mean and range of {len(RUNS.seeds)} trainings"
    x = Axis(label, "log", _limits(), draw.TICKS)
    right = draw.rows(found.distances, LABELS, x, real, "real digits")
    own, mixture = SAMPLERS.index("own"), SAMPLERS.index("mixture")
    parts = [
        f"{caption} {row[own].mean():.1f} and {row[mixture].mean():.1f}"
        for caption, row in found.distances.items()
    ]
    says = (
        "Fréchet distances of samples of 8×8 digits, codes from the model's own prior and from a "
        f"mixture: {', '.join(parts)}; real digits {real:.1f}."
    )
    return Picture([sampled(found), right], says, (10.6, 4.4), (5.4, 4))


def sampled(found: Shown) -> Panel:
    """A row of samples for each model: codes of its own prior, and beside them of a mixture."""
    gap = np.zeros_like(found.samples[:, 0, :1])
    own, mixture = found.samples[:, 0], found.samples[:, 1]
    images = np.concatenate([own, gap, mixture], axis=1)  # (model, 2 shown + 1, 8, 8)
    columns, names = images.shape[1], (LABELS[0], LABELS[2])
    panel = draw.image_rows(
        images.reshape(-1, 1, 8, 8), columns, names=list(found.distances),
        title="samples, by where codes come from",
    )  # fmt: skip
    middles = SHOWN / 2, columns - SHOWN / 2
    return replace(panel, x=replace(panel.x, ticks=middles, names=names))


def _limits() -> tuple[float, float]:
    """One axis for all pictures, so that they can be compared."""
    shown = [KEYS.index(key) for name in MAIN for key in keys_of(name)]
    values = np.stack([STUDY.arrays[name][shown] for name in SAMPLERS])
    return 0.85 * float(STUDY.arrays["real"]), 1.15 * float(values.max())


def mixed_up() -> list[str]:
    """The keys of the main models at one price, in an order that tells nothing."""
    keys = [key_at(name, 10.0, 0.05) for name in MAIN]
    return [keys[i] for i in np.random.default_rng(0).permutation(len(keys))]


def unnamed() -> Picture:
    """Samples of the main models with codes of their own prior; rows are numbered, not named."""
    samples = np.concatenate([RUNS.at("samples", key=key)[0] for key in mixed_up()])
    names = [str(1 + row) for row in range(len(MAIN))]
    panel = draw.image_rows(samples.reshape(-1, 1, 8, 8), SHOWN, names=names)
    says = f"{SHOWN} samples of 8×8 digits of each of {len(MAIN)} models, without their names."
    return Picture([panel], says, (3.4, 4.4))


def over_weights(
    names: Sequence[str] = ("mlae", "rectangular", "scale", "vae", "taylor"),
) -> Picture:
    """Distances and errors of some models against the weight of an error."""
    titles = {
        "error": "reconstructions",
        "own": "codes from N(0, 1)",
        "mixture": "codes from GMM(10)",
    }
    colours = ("blue", "grey", "green", "orange", "purple")
    values = {m: {n: np.stack([runs(k, m) for k in keys_of(n)]) for n in names} for m in titles}
    distances = np.stack([*values["own"].values(), *values["mixture"].values()])
    (limits,) = draw.common([distances])
    panels, texts = [], []
    for metric, title in titles.items():
        marks: list[Mark] = []
        for (name, found), colour in zip(values[metric].items(), colours, strict=True):
            marks += draw.spread(BETAS, found, colour, COMPARED[name].label)
            best = int(found.mean(1).argmin())
            texts.append(f"{COMPARED[name].label} {title}: least at {caption(keys_of(name)[best])}")
        y = Axis("Fréchet distance", "log", limits, draw.TICKS)
        y = Axis("mean ‖x̂ − x‖²", "log") if metric == "error" else y
        x = Axis("price of an error, β or 1/2γ", "log")
        panels.append(Panel(marks, x, y, title=title, legend="above"))
    return Picture(panels, "; ".join(texts) + ".", (10.5, 3.5))


def against_cost(beta: float, gamma: float) -> Picture:
    """Distances with the own prior and the best sampler against a step's time."""
    points, words = {}, []
    for name in COMPARED:
        key = key_at(name, beta, gamma)
        low = min(runs(key, sampler).mean() for sampler in SAMPLERS)
        points[COMPARED[name].label] = cost(name, "step"), low, runs(key, "own").mean()
        words.append(f"{caption(key)}: {cost(name, 'step'):.1f}, {low:.1f}")
    steps, lows, highs = np.transpose(list(points.values()))  # (model,) each
    ends = np.stack([lows, highs, np.full(len(lows), np.nan)], axis=-1)
    marks = (
        Line(np.repeat(steps, 3), ends.ravel(), "grey", width=0.9, alpha=0.6),
        Points(steps, highs, label="N (own prior)"),
        Points(steps, lows, "orange", marker="s", label="its best sampler"),
        Rule(y=float(STUDY.arrays["real"]), dash="dashed", label="real digits"),
        *_names_beside(points),
    )
    x = Axis("time of a step over a plain autoencoder's", "log", (0.9, 1.5 * steps.max()))
    says = "Time of a step and best Fréchet distance. " + "; ".join(words) + "."
    return Picture(
        [Panel(marks, x, Axis("Fréchet distance", "log", ticks=draw.TICKS))], says, (7.2, 4.4)
    )


def _names_beside(points: dict[str, tuple[float, float, float]]) -> list[Text]:
    """Each name beside its lower point, moved down from those already there."""
    written: list[tuple[float, float]] = []
    for _, (step, height, _) in sorted(points.items(), key=lambda point: point[1][0]):
        while any(
            abs(np.log(step / a)) < 0.3 and abs(np.log(height / b)) < 0.16 for a, b in written
        ):
            height *= 0.95
        written.append((step, height))
    names = sorted(points, key=lambda name: points[name][0])
    return [
        Text(1.025 * step, height, name, anchor="start", size=7)
        for name, (step, height) in zip(names, written, strict=True)
    ]


def gains(beta: float, gamma: float) -> Picture:
    """What each fitted sampler does to each model, paired over trainings."""
    rows = {}
    for name in COMPARED:
        key = key_at(name, beta, gamma)
        rows[caption(key)] = [runs(key, s) / runs(key, "own") for s in SAMPLERS[1:]]
    x = Axis(
        "Fréchet distance over that with codes from the own prior, same training",
        "log",
        ticks=draw.TICKS,
    )
    panel = draw.rows(rows, LABELS[1:], x, 1.0, "no change")
    words = [f"{name} {ratios[1].mean():.2f}" for name, ratios in rows.items()]
    says = "Ratio with the mixture to the own prior: " + ", ".join(words) + "."
    return Picture([panel], says, (7.4, 5.6))


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


def what_makes_digits() -> tuple[int, str]:
    """From which codes the plain autoencoder's samples are nearer to digits than MLAE's with N."""
    mlae, own, mixture = (
        runs(key, name).mean()
        for key, name in (("mlae 10", "own"), ("ae", "own"), ("ae", "mixture"))
    )
    right = 2 if mixture > mlae else 0 if own < mlae else 1
    return right, (
        f"Its samples' distance from real digits is {own:.0f} with codes from N(0, 1) and "
        f"{mixture:.0f} with a mixture, means of {len(RUNS.seeds)} trainings; MLAE's with N(0, 1) "
        f"is {mlae:.0f}, that of other real digits {STUDY.arrays['real']:.1f}."
    )


STUDY = Computed(NAME, CONTROLS, (0,), numbers, RUNS.check, compute)
EXPLORABLE = Explorable(
    title="All models side by side on 8×8 digits",
    study=STUDY,
    draw=picture,
    presets={
        "the same price: β = 1/2γ = 10": {"beta": 10.0, "gamma": 0.05},
        "β → 0, γ → ∞": {"beta": BETAS[0], "gamma": GAMMAS[-1]},
        "β → ∞": {"beta": BETAS[-1]},
        "γ → 0": {"gamma": GAMMAS[0]},
    },
    prompts=(
        "At β = 1/2γ = 10, which other models sample digits from a standard normal?",
        "When errors cost ever more, what do MLAE and the VAE turn into?",
    ),
    question=Question(
        "A plain autoencoder pays for errors alone. From which codes do its samples come near to "
        "real digits?",
        (
            "from N(0, 1), and from a mixture fitted to its codes",
            "only from the mixture",
            "from neither: it is no generative model",
        ),
        what_makes_digits,
    ),
    opening=0,
)
