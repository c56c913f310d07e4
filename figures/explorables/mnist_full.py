"""Real MNIST digits, the networks of MLAE Table 9: MLAE beside a VAE and an autoencoder."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from companion.atomic import write_json
from companion.contracts import as_float
from companion.evaluation import Features
from companion.experiments import features_for, fit_experiment, judge
from companion.experiments.experiment import Data, Experiment, choose
from companion.lab.explorable import Computed, compare
from figures import plots

NAME = "mnist_full"
MODELS = {  # family and options
    "MLAE, β = 10": (None, {"beta": 10.0}),
    "VAE, γ learned": ("vae", {"learn_variance": True, "decoder_variance": 0.05}),
    "autoencoder": ("autoencoder", {}),
}
COLUMNS = ("N", "gaussian", "GMM(10)", "Rec", "real")
RUNS = (0, 1, 2)
PRESET = "mlae-mnist-convnet-plus-bn"
TRAINING = {
    "epochs": 6,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "schedule": "one-cycle",
    "monitor": "loss",
    "validate_every": 2,
}


def make(model: str, seed: int) -> Experiment:
    """The experiment of one of ``MODELS``: ConvNet+ with BatchNorm, trained shortly.

    >>> make("autoencoder", 0).preset.source
    'MLAE App. E.4, Tables 6 and 9, its networks and training; the model is autoencoder'
    """
    family, options = MODELS[model]
    train = TRAINING | {"device": "auto"}
    return choose("mnist", family, PRESET, "full", seed=seed, train=train, options=options)


def load(seed: int) -> Data:
    """The 10,000 official test digits, cut by the seed: 8,000, 1,000 and 1,000.

    Raises:
        companion.data.fetch.DataNotFoundError: saying which file to put where.
    """
    return make("autoencoder", seed).load(test_files_only=True)


def score(model: str, seed: int, data: Data, folder: Path, seen: Callable[[], Features]) -> dict:
    """Train one model, or go on, and score its samples against the test digits."""
    experiment, path = make(model, seed), folder / "scores.json"
    trained, history = fit_experiment(experiment, data, folder, resume=True)
    if not path.exists():
        table = judge(experiment, data, trained, seen(), only=COLUMNS)
        found = {"frechet": {one.sampler: one.frechet for one in table.scores}}
        found["reconstruction"] = history.column("valid_reconstruction")[-1]
        found["parameters"] = sum(p.numel() for p in trained.parameters())
        write_json(path, found | {"features": table.features, "accuracy": table.accuracy})
    return json.loads(path.read_text("utf-8"))


def _features(seed: int, data: Data) -> Callable[[], Features]:
    """The judge of one seed's trainings, made when it is first asked."""
    return cache(lambda: features_for(make("autoencoder", seed), data))


def compute(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Train every model for every seed; goes on where it stopped.

    Needs MNIST's two test files (`companion data`) and about an hour of one processor core.
    """
    found, notes, flat = {name: [] for name in MODELS}, [], []
    for seed in RUNS:
        data = load(seed)
        seen = _features(seed, data)
        for name in MODELS:
            folder = directory / f"{name}, seed {seed}"
            found[name].append(score(name, seed, data, folder, seen))
            print(name, seed, found[name][-1]["frechet"], flush=True)
        flat.append(float(away_from_mean(data)))
        notes.append("{features}, accuracy {accuracy:.3f}".format(**found[name][-1]))
    arrays = {
        column: np.array([[run["frechet"][column] for run in many] for many in found.values()])
        for column in COLUMNS
    }
    arrays["error"] = np.array([[run["reconstruction"] for run in m] for m in found.values()])
    arrays["flat"] = np.tile(flat, (len(MODELS), 1))
    about = {
        "data": data.note,
        "features": notes,
        "models": list(MODELS),
        "parameters": [many[0]["parameters"] for many in found.values()],
        "preset": PRESET,
        "training": TRAINING,
        "runs": list(RUNS),
    }
    return arrays, about


def away_from_mean(data: Data) -> Tensor:
    """The error ‖x − x̄‖² of one image for all: where training stands until it learns of digits."""
    x, valid = as_float(data.train), as_float(data.valid)
    return (valid - x.mean(0)).square().flatten(1).sum(1).mean()


def runs(column: str) -> dict[str, np.ndarray]:
    """One of ``COLUMNS``, or the validation ``error``, of every training: model -> ``(run,)``.

    ``flat`` is the error of the mean image on the same validation digits.

    >>> runs("N")["autoencoder"].shape
    (3,)
    """
    values = STUDY.arrays[column].astype(float)
    return dict(zip(MODELS, values, strict=True))


def picture() -> tuple[Figure, str]:
    """Fréchet distances of the three models by where codes come from, with the alt text."""
    figure = plots.figure(size=(7.2, 3.2))
    rows = {name: [runs(c)[name] for c in COLUMNS[:4]] for name in MODELS}
    real = float(np.mean([v.mean() for v in runs("real").values()]))
    ax = figure.subplots()
    plots.spreads(ax, rows, COLUMNS[:4], real, "real digits")
    ax.set_xlabel(f"Fréchet distance, mean and range of {len(RUNS)} trainings")
    words = [
        f"{name}: " + ", ".join(f"{c} {v.mean():.0f}" for c, v in zip(COLUMNS, row, strict=False))
        for name, row in rows.items()
    ]
    return figure, f"Mean Fréchet distances of MNIST digits. {'; '.join(words)}; real {real:.0f}."


def check(seed: int = 0) -> list[str]:
    """Retrain one autoencoder and compare it with the band of the lattice's runs."""
    data = load(seed)
    seen = _features(seed, data)
    with tempfile.TemporaryDirectory() as folder:
        found = score("autoencoder", seed, data, Path(folder), seen)["frechet"]
    names = {column: column.replace("(10)", "") for column in COLUMNS}
    bands = {name: runs(column)["autoencoder"] for column, name in names.items()}
    return compare(SimpleNamespace(**{names[c]: found[c] for c in COLUMNS}), bands)


STUDY = Computed(NAME, {}, (0,), None, check, compute)
