"""How a figure script saves its picture and the numbers behind it, both atomically."""

import json
import platform
from pathlib import Path

import torch
from matplotlib.figure import Figure

import companion
from companion.plots import png

HERE = Path(__file__).parent


def save(name: str, picture: Figure, source: str, parameters: dict, numbers: dict) -> None:
    """Write figures/out/NAME.png and figures/data/NAME.json.

    Args:
        name: of the script.
        picture: the figure.
        source: what it re-makes, say "MLAE Fig. 3".
        parameters: everything that the numbers depend on.
        numbers: what the picture shows.
    """
    versions = {
        "companion": companion.__version__,
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
    }
    record = {"source": source, "parameters": parameters, "versions": versions, "numbers": numbers}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    _replace(HERE / "out" / f"{name}.png", png(picture))
    _replace(HERE / "data" / f"{name}.json", text.encode())
    print(f"figures/out/{name}.png, figures/data/{name}.json")


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
