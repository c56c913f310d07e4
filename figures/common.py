"""How a figure script saves its picture and the numbers behind it, both atomically."""

import json
import platform
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import companion
from companion.atomic import write
from companion.contracts import as_float
from companion.data import images
from companion.lab.frame import png
from companion.lab.paper import on_paper
from companion.lab.picture import Picture
from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, fit

HERE = Path(__file__).parent


def save(
    name: str,
    picture: Picture | Figure,
    source: str,
    parameters: dict,
    numbers: dict,
    tolerance: float = 0.0,
    times: dict | None = None,
) -> None:
    """Write figures/out/NAME.png and figures/data/NAME.json.

    Args:
        name: of the script.
        picture: as data, or a figure of matplotlib.
        source: what it re-makes, say "MLAE Fig. 3".
        parameters: everything that the numbers depend on.
        numbers: what the picture shows.
        tolerance: by how much, relatively, they may differ on another machine; or 0.001.
        times: measured times and ratios of times, which differ from run to run.
    """
    versions = {
        "companion": companion.__version__,
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
    }
    record = {"source": source, "parameters": parameters, "versions": versions, "numbers": numbers}
    record |= {"tolerance": tolerance} if tolerance else {}
    record |= {"times": times} if times else {}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    figure = picture if isinstance(picture, Figure) else on_paper(picture)
    write(HERE / "out" / f"{name}.png", png(figure))
    write(HERE / "data" / f"{name}.json", text)
    print(f"figures/out/{name}.png, figures/data/{name}.json")


def benchmark(machine: str) -> tuple[dict[str, float], dict]:
    """What ``make bench`` measured: ratios by quantity, and of which machine; cpu or h200.

    >>> benchmark("cpu")[1]["device"] != ""
    True
    """
    path = HERE.parent / "tests" / "benchmarks" / f"{machine}.json"
    bench = json.loads(path.read_text(encoding="utf-8"))
    return {row["quantity"]: row["measured"] for row in bench["rows"]}, bench["about"]


def digits_model(seed: int, latent: int = 8) -> tuple[MLAE, Tensor, Tensor]:
    """The conditional digits model of notebook 05, trained, in float64, with its data."""
    data = images.load("digits", seed=seed)
    x, labels = as_float(data.train.x), images.one_hot(data.train.y, 10)
    torch.manual_seed(seed)
    nets = {"hidden": (128, 128), "condition_dim": 10, "residual": True}
    shape = tuple(x.shape[1:])
    model = MLAE(MLP(shape, latent, **nets), MLP(latent, shape, **nets), shape, latent, beta=2.0)
    settings = {"epochs": 60, "batch_size": 128, "learning_rate": 2e-3, "noise": 0.1}
    config = TrainConfig(seed=seed, device="cpu", **settings)
    fit(model, x, None, config, condition=labels, progress=False)
    return model.double().eval(), x.double(), labels.double()
