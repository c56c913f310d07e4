"""All of MNIST, the networks of MLAE Table 8 and a hundred epochs: what a GPU makes in minutes."""

import json
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from matplotlib.figure import Figure

from companion.atomic import write_json
from companion.evaluation import Features
from companion.experiments import features_for, fit_experiment, judge
from companion.experiments.experiment import Data, Experiment, choose
from companion.lab.explorable import Computed, compare
from figures import plots

NAME = "mnist_gpu"
MODELS = {  # family and options
    "MLAE, β = 10": ("mlae", {"beta": 10.0}),
    "VAE, γ = 0.05": ("vae", {"decoder_variance": 0.05, "learn_variance": False}),
    "autoencoder": ("autoencoder", {}),
}
COLUMNS = ("N", "gaussian", "GMM(10)", "Rec", "second stage", "real")
DRAWN = COLUMNS[:4]
PRESET = "mlae-mnist-resnet"
SHOWN, ACROSS = 48, 16  # samples with codes from N(0, 1), and how many in a row


def make(model: str) -> Experiment:
    """The experiment of one of ``MODELS``, at the paper's settings.

    >>> make("VAE, γ = 0.05").preset.source
    'MLAE App. E.4, Tables 5 and 7, 8, its networks and training; the model is vae'
    """
    family, options = MODELS[model]
    return choose("mnist", family, PRESET, "full", options=options, train={"device": "auto"})


def load() -> Data:
    """MNIST's official files: 50,000 digits to train on, 10,000 to validate, 10,000 to test.

    Raises:
        companion.data.fetch.DataNotFoundError: saying which file to put where.
    """
    return make("autoencoder").load()


def score(model: str, data: Data, folder: Path, seen: Callable[[], Features]) -> dict:
    """Train one model, or go on, and judge its samples: numbers and the samples to show."""
    experiment, path = make(model), folder / "scores.json"
    trained, history = fit_experiment(experiment, data, folder, resume=True)
    device = next(trained.parameters()).device
    if not path.exists():
        table = judge(experiment, data, trained, seen(), only=COLUMNS)
        found = {"frechet": {one.sampler: one.frechet for one in table.scores}}
        found["reconstruction"] = history.column("valid_reconstruction")[-1]
        found["seconds"] = history.rows[-1]["seconds"]
        on_gpu = device.type == "cuda"
        found["device"] = torch.cuda.get_device_name(device) if on_gpu else device.type
        found["versions"] = {"torch": torch.__version__, "python": platform.python_version()}
        write_json(path, found | {"features": table.features, "accuracy": table.accuracy})
    with torch.no_grad():
        samples = trained.sample(SHOWN, generator=torch.Generator().manual_seed(0))
    shown = (255 * samples.clamp(0, 1)).round().byte().cpu().numpy()
    return json.loads(path.read_text("utf-8")) | {"samples": shown}


def compute(directory: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Train and judge every model; goes on where it stopped.

    Needs MNIST's four files (`companion data`) and ten minutes of a GPU, or a day of a CPU.
    """
    data = load()
    seen = cache(lambda: features_for(make("autoencoder"), data))
    found = {name: score(name, data, directory / name, seen) for name in MODELS}
    return as_lattice(found, data.note)


def as_lattice(found: dict[str, dict], note: str) -> tuple[dict[str, np.ndarray], dict]:
    """The lattice of judged trainings, as :func:`score` returns them."""
    runs = [found[name] for name in MODELS]
    arrays = {column: np.array([run["frechet"][column] for run in runs]) for column in COLUMNS}
    arrays["error"] = np.array([run["reconstruction"] for run in runs])
    arrays["seconds"] = np.array([run["seconds"] for run in runs])
    arrays["samples"] = np.stack([run["samples"] for run in runs])
    about = {
        "data": note,
        "features": ["{features}, accuracy {accuracy:.3f}".format(**run) for run in runs],
        "models": list(MODELS),
        "preset": PRESET,
        "device": [run["device"] for run in runs],
        "trained_with": [run["versions"] for run in runs],
    }
    return arrays, about


def of(model: str, column: str) -> float:
    """One of ``COLUMNS``, the validation ``error`` or the ``seconds`` of a model's training.

    >>> of("autoencoder", "N") > of("autoencoder", "GMM(10)")
    True
    """
    return float(STUDY.arrays[column][list(MODELS).index(model)])


def picture() -> tuple[Figure, str]:
    """Samples, and Fréchet distances by where codes come from, with the alt text."""
    figure = plots.figure(size=(10.6, 3.6))
    grid = figure.add_gridspec(3, 2, width_ratios=(1.15, 1))
    for i, (name, samples) in enumerate(zip(MODELS, STUDY.arrays["samples"], strict=True)):
        ax = figure.add_subplot(grid[i, 0])
        plots.image_grid(ax, samples / 255, ACROSS, f"{name}, codes from N(0, 1)")
        ax.title.set_fontsize(9)
    right = figure.add_subplot(grid[:, 1])
    rows = {name: [np.array([of(name, c)]) for c in DRAWN] for name in MODELS}
    real = float(STUDY.arrays["real"].mean())
    plots.spreads(right, rows, DRAWN, real, "real digits")
    right.set_xlabel("Fréchet distance")
    words = [f"{n}: " + ", ".join(f"{c} {of(n, c):.0f}" for c in DRAWN) for n in MODELS]
    return figure, f"Fréchet distances of MNIST digits. {'; '.join(words)}; real {real:.0f}."


def check() -> list[str]:
    """Train the autoencoder again (or go on in ``runs``) and compare it with what is kept."""
    data, folder = load(), Path("runs") / f"{NAME}-check"
    found = score("autoencoder", data, folder, lambda: features_for(make("autoencoder"), data))[
        "frechet"
    ]
    names = {column: column.replace("(10)", "").replace(" ", "_") for column in COLUMNS}
    bands = {names[c]: of("autoencoder", c) * np.array([0.9, 1.1]) for c in COLUMNS}
    return compare(SimpleNamespace(**{names[c]: found[c] for c in COLUMNS}), bands)


STUDY = Computed(NAME, {}, (0,), None, check, compute)
