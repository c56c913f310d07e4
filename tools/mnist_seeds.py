"""MLAE beside an autoencoder and a VAE on real MNIST digits, with the networks of MLAE Table 9.

Trains each model for some seeds on the 10,000 official test images (8,000 to train on, 1,000 each
to validate and to test), scores its samples, and writes figures/data/mnist_runs.json, from which
figures/tab05_mnist.py draws. Needs MNIST's two test files (`companion data`); goes on where it was
stopped. About an hour on one processor core; ``--epochs`` and ``--seeds`` make it longer.
"""

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path

import torch

from companion.evaluation import features_for, judge
from companion.evaluation.selection import write_json
from companion.training.experiment import choose, parameters
from companion.training.stages import fit_experiment

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "figures" / "data" / "mnist_runs.json"
MODELS = {  # name: family and its options
    "MLAE, β = 10": (None, {"beta": 10.0}),
    "VAE, γ learned": ("vae", {"learn_variance": True, "decoder_variance": 0.05}),
    "autoencoder": ("autoencoder", {}),
}
PRESET = "mlae-mnist-convnet-plus-plain"
COLUMNS = ("N", "gaussian", "GMM(10)", "Rec", "real")


def main() -> None:
    """Train and score what is not there yet, then write all numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/mnist_seeds"))
    arguments = parser.parse_args()
    train = {"epochs": arguments.epochs, "batch_size": 128, "learning_rate": 1e-3}
    train |= {"schedule": "one-cycle", "device": "auto", "monitor": "loss", "validate_every": 5}
    found = {name: [] for name in MODELS}
    for seed in range(arguments.seeds):
        seen = None
        for name, (family, options) in MODELS.items():
            experiment = choose(
                "mnist", family, PRESET, "full", seed=seed, train=train, options=options
            )
            folder = arguments.runs / f"{name}, seed {seed}"
            data = experiment.load(download=False, test_files_only=True)
            model, history = fit_experiment(experiment, data, folder, resume=True)
            if not (folder / "scores.json").exists():
                seen = seen or features_for(experiment, data)
                table = judge(experiment, data, model, seen, only=COLUMNS)
                numbers = {score.sampler: score.frechet for score in table.scores}
                run = {"seed": seed, "frechet": numbers, "accuracy": table.accuracy}
                run |= {"reconstruction": history.column("valid_reconstruction")[-1]}
                run |= {"parameters": parameters(model)["all"], "features": table.features}
                write_json(folder / "scores.json", run)
            found[name].append(json.loads((folder / "scores.json").read_text("utf-8")))
            print(name, seed, found[name][-1]["frechet"], flush=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
    about = {"preset": PRESET, "training": asdict(experiment.config(8000)), "data": data.note}
    about |= {"made_by": "python tools/mnist_seeds.py", "versions": versions}
    write_json(TARGET, about | {"runs": found})


if __name__ == "__main__":
    main()
