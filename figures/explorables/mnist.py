"""Real MNIST digits, the papers' networks: MLAE beside a VAE and an autoencoder (MLAE Table 5)."""

import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from companion.atomic import write_json
from companion.contracts import as_float
from companion.evaluation import Features
from companion.evaluation.generation import second_column
from companion.experiments import features_for, fit_experiment, score_experiment
from companion.experiments.experiment import Data, Experiment, choose
from companion.experiments.sizes import SIZES
from companion.experiments.train import kept
from companion.lab.explorable import Source, compare
from companion.lab.picture import Axis, Panel, Picture
from companion.lab.study import as_bytes
from figures import draw

DRAWN = ("N", "gaussian", "GMM(10)", "Rec")  # where codes of samples come from
SHOWN, ACROSS = 48, 16  # samples with codes from N(0, 1), and how many in a row
TEST_FILES = (8000, 1000, 1000)  # how the official test digits are cut
MLAE, AUTOENCODER = ("mlae", {"beta": 10.0}), ("autoencoder", {})


@dataclass(frozen=True)
class Comparison(Source):
    """Three models with the networks of one preset, trained from some seeds, by their samples.

    Args:
        models: a family and options, by what a figure calls them.
        preset: whose networks and training they have.
        train: what differs from its training.
        columns: the Fréchet distances that are kept, ``(model, seed)``; of one seed ``(model,)``.
        kept: further arrays: ``flat``, the error of the mean image; ``seconds`` of the training;
            ``samples``.
        test_files_only: cut the 10,000 official test digits into three parts, by the seed.
    """

    models: dict[str, tuple[str, dict]]
    preset: str
    train: dict
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    test_files_only: bool

    def make(self, model: str, seed: int) -> Experiment:
        """The experiment of one of the models.

        >>> SHORT.make("autoencoder", 0).preset.source
        'MLAE App. E.4, Tables 6 and 9, its networks and training; the model is autoencoder'
        """
        (family, options), train = self.models[model], self.train | {"device": "auto"}
        return choose("mnist", family, self.preset, "full", seed=seed, train=train, options=options)

    def load(self, seed: int) -> Data:
        """The digits in three parts.

        Raises:
            companion.data.fetch.DataNotFoundError: saying which file to put where.
        """
        experiment = self.make("autoencoder", seed)
        return experiment.load(test_files_only=self.test_files_only)

    def score(
        self, model: str, seed: int, data: Data, folder: Path, seen: Callable[[], Features]
    ) -> dict:
        """Train one model, or go on, and score its samples: numbers and what to show."""
        experiment, path = self.make(model, seed), folder / "scores.json"
        trained, history = fit_experiment(experiment, data, folder, resume=True)
        device = next(trained.parameters()).device
        if not path.exists():
            table = score_experiment(experiment, data, trained, seen(), only=self.columns)
            on_gpu = device.type == "cuda"
            versions = {"torch": torch.__version__, "python": platform.python_version()}
            found = {one.sampler: one.frechet for one in table.scores}
            found["error"] = experiment.judged(history)["valid_reconstruction"]
            found["seconds"] = history.rows[-1]["seconds"]
            found["parameters"] = sum(p.numel() for p in trained.parameters())
            found["device"] = torch.cuda.get_device_name(device) if on_gpu else device.type
            found["trained_with"] = versions
            found["features"] = f"{table.features}, accuracy {table.accuracy:.3f}"
            write_json(path, found)
        with torch.no_grad():
            samples = trained.sample(SHOWN, generator=torch.Generator().manual_seed(0))
        return json.loads(path.read_text("utf-8")) | {
            "samples": as_bytes(samples.cpu()),
            "flat": away_from_mean(data),
        }

    def compute(self, directory: Path) -> tuple[dict[str, np.ndarray], dict]:
        """Train every model for every seed; goes on where it stopped."""
        found: dict[str, list[dict]] = {name: [] for name in self.models}
        for seed in self.seeds:
            data = self.load(seed)
            seen = cache(lambda s=seed, d=data: features_for(self.make("autoencoder", s), d))
            for name in self.models:
                folder = directory / (f"{name}, seed {seed}" if len(self.seeds) > 1 else name)
                found[name].append(self.score(name, seed, data, folder, seen))
        arrays = {
            name: np.array([[run[name] for run in runs] for runs in found.values()])
            for name in (*self.columns, "error", *self.kept)
        }
        if len(self.seeds) == 1:
            arrays = {name: values[:, 0] for name, values in arrays.items()}
        about = {"data": data.note, "models": list(self.models), "preset": self.preset}
        about |= {"training": self.train, "runs": list(self.seeds)}
        some = self.make(next(iter(self.models)), self.seeds[0])
        about |= {"second_stage": list(some.second_stage[0]), "weights": kept(some)}
        of_each = ("features", "parameters", "device", "trained_with")
        every = [run for runs in found.values() for run in runs]
        return arrays, about | {name: [run[name] for run in every] for name in of_each}

    def build(self, directory: Path) -> None:
        """Train every model for every seed and write the scores.

        Needs MNIST's files (`companion data`) and hours of a processor core, or minutes of a GPU.
        """
        self.keep(*self.compute(directory))

    def runs(self, column: str) -> dict[str, np.ndarray]:
        """One of the columns or kept arrays, or the validation ``error``: model -> ``(run,)``.

        >>> SHORT.runs("N")["autoencoder"].shape, PAPER.runs("N")["autoencoder"].shape
        ((3,), (1,))
        """
        values = self.arrays[column].astype(float).reshape(len(self.models), len(self.seeds))
        return dict(zip(self.models, values, strict=True))

    @property
    def made(self) -> dict:
        """What made the record, as a claim says it; a paper's own where nothing was changed."""
        experiment = self.make("autoencoder", self.seeds[0])
        n = TEST_FILES[0] if self.test_files_only else SIZES["mnist"][0]
        config, model = experiment.config(n), experiment.build(experiment.preset.table.data_shape)
        found = {
            "samples": n,
            "steps": config.epochs * (n // config.batch_size),
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        changed = self.train or self.test_files_only
        return found | super().made | ({} if changed else {"evidence": "paper"})

    def caption(self, column: str) -> str:
        """A column as it is shown: a second stage that is not of the paper's size says so.

        >>> PAPER.caption("GMM(10)"), PAPER.caption("second stage")
        ('GMM(10)', 'small second stage')
        """
        hidden = self.about.get("second_stage", (64, 64))  # before it was kept it was that small
        return second_column(tuple(hidden)) if column == "second stage" else column

    def check(self) -> list[str]:
        """Retrain one autoencoder and compare it with the band of its runs; of one run, ± 30 %."""
        seed, slack = self.seeds[0], 0.1 if len(self.seeds) == 1 else 0.0
        data = self.load(seed)
        with tempfile.TemporaryDirectory() as folder:
            seen = lambda: features_for(self.make("autoencoder", seed), data)  # noqa: E731
            found = self.score("autoencoder", seed, data, Path(folder), seen)
        runs = {column: self.runs(column)["autoencoder"] for column in self.columns}
        widened = np.array([1 - slack, 1 + slack])[:, None]
        return compare(SimpleNamespace(**found), {n: v * widened for n, v in runs.items()})


SHORT = Comparison(
    "mnist_full", {}, (0, 1, 2),
    {
        "MLAE, β = 10": MLAE,
        "VAE, γ learned": ("vae", {"learn_variance": True, "decoder_variance": 0.05}),
        "autoencoder": AUTOENCODER,
    },
    "mlae-mnist-convnet-plus-bn",
    {
        "epochs": 6,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "schedule": "one-cycle",
        "validate_every": 2,
    },
    (*DRAWN, "real"), ("flat",), True,
)  # fmt: skip
PAPER = Comparison(
    "mnist_gpu", {}, (0,),
    {
        "MLAE, β = 10": MLAE,
        "VAE, γ = 0.05": ("vae", {"decoder_variance": 0.05, "learn_variance": False}),
        "autoencoder": AUTOENCODER,
    },
    "mlae-mnist-resnet", {}, (*DRAWN, "second stage", "real"), ("seconds", "samples"), False,
)  # fmt: skip


def away_from_mean(data: Data) -> float:
    """The error ‖x − x̄‖² of one image for all: where training stands until it learns of digits."""
    x, valid = as_float(data.train), as_float(data.valid)
    return float((valid - x.mean(0)).square().flatten(1).sum(1).mean())


def short_picture() -> Picture:
    """Fréchet distances of the short trainings by where codes come from."""
    label = f"Fréchet distance, mean and range of {len(SHORT.seeds)} trainings"
    return Picture([distances(SHORT, label)], f"Mean {words(SHORT)}", (7.2, 3.2))


def distances(comparison: Comparison, label: str) -> Panel:
    """A row for each model: Fréchet distances by where codes come from."""
    rows = {name: [comparison.runs(c)[name] for c in DRAWN] for name in comparison.models}
    x = Axis(label, "log", ticks=draw.TICKS)
    return draw.rows(rows, DRAWN, x, of_real(comparison), "real digits")


def of_real(comparison: Comparison) -> float:
    """The Fréchet distance of real digits, their mean over models and trainings."""
    return float(np.mean([values.mean() for values in comparison.runs("real").values()]))


def words(comparison: Comparison) -> str:
    """What :func:`distances` shows.

    >>> words(PAPER)[:56]
    'Fréchet distances of MNIST digits. MLAE, β = 10: N 247, '
    """
    columns = {name: comparison.runs(name) for name in DRAWN}
    parts = [
        f"{name}: " + ", ".join(f"{c} {runs[name].mean():.0f}" for c, runs in columns.items())
        for name in comparison.models
    ]
    found = "; ".join(parts)
    return f"Fréchet distances of MNIST digits. {found}; real {of_real(comparison):.0f}."


def paper_picture() -> Picture:
    """Samples at the paper's settings, and Fréchet distances."""
    samples = [
        draw.image_rows(found / 255, ACROSS, title=f"{name}, codes from N(0, 1)")
        for name, found in zip(PAPER.models, PAPER.arrays["samples"], strict=True)
    ]
    right = distances(PAPER, "Fréchet distance")
    return Picture([samples, right], words(PAPER), (10.6, 3.6), (1.15, 1))
