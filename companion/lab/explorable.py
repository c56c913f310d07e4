"""What an explorable is: a pure render over a lattice of controls, with words to go with it."""

import hashlib
import importlib.metadata
import io
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from companion.atomic import write, write_json

# of the checkout: the gallery is beside the package, not in it
LATTICES = Path(__file__).resolve().parents[2] / "figures" / "explorables" / "lattices"


@dataclass(frozen=True)
class Control:
    """One slider: its values in order, how they are called, and where it starts.

    >>> Control("probe", (0, 1), 0, names=("gaussian", "sphere")).texts
    ['gaussian', 'sphere']
    """

    label: str
    values: tuple[float, ...]
    start: float
    text: str = "{:g}"
    names: tuple[str, ...] = ()  # of the values, where they are choices and not numbers

    @property
    def texts(self) -> list[str]:
        """What the slider shows for each value."""
        return list(self.names) or [self.text.format(value) for value in self.values]

    def nearest(self, value: float) -> float:
        """The lattice value closest to ``value`` on a logarithmic axis if all are positive."""
        scale = np.log if min(self.values) > 0 and value > 0 else np.asarray
        distance = np.abs(scale(np.asarray(self.values)) - scale(value))
        return self.values[int(distance.argmin())]


@dataclass(frozen=True)
class Explorable:
    """A picture that answers to controls.

    Args:
        name: of the lattice's files and of the command line.
        title: one line.
        controls: by name, in the order of ``render``'s keywords.
        seeds: the seeds of the lattice.
        render: ``(seed, **controls) -> Figure``; the same numbers always give the same picture.
        describe: ``(seed, **controls) -> str``, the alt text, made from the same numbers.
        presets: named settings of the controls.
        prompts: what to predict before moving.
        train: ``(seed, callback, **controls) -> (Figure, alt text)`` retrains one point live, or
            nothing; the callback gets each epoch's row and may stop it.
        epochs: of such a training, for its progress bar.
    """

    name: str
    title: str
    controls: dict[str, Control]
    seeds: tuple[int, ...]
    render: Callable[..., Figure]
    describe: Callable[..., str]
    presets: dict[str, dict[str, float]] = field(default_factory=dict)
    prompts: tuple[str, ...] = ()
    train: Callable[..., tuple[Figure, str]] | None = None
    epochs: int = 1


def check_point(
    name: str, controls: dict[str, Control], seeds: tuple[int, ...], seed: int, values: dict
) -> None:
    """Refuse a point that is not on the lattice, naming the nearest that is.

    Raises:
        ValueError: for an unknown seed, control or value.
    """
    if seed not in seeds:
        raise ValueError(f"{name}: seed must be one of {list(seeds)}, got {seed}")
    for key, value in values.items():
        if key not in controls:
            raise ValueError(f"{name}: unknown control {key!r}; it has {', '.join(controls)}")
        if not any(isclose(value, v, rel_tol=1e-6) for v in controls[key].values):
            near = controls[key].nearest(value)
            raise ValueError(f"{name}: {key} = {value:g} is not on the lattice, but {near:g} is")


def load_lattice(name: str) -> tuple[dict[str, np.ndarray], dict]:
    """The precomputed numbers of an explorable and the parameters that made them.

    Raises:
        ValueError: when the file is not the one whose SHA-256 sum its description gives.
    """
    about = json.loads((LATTICES / f"{name}.json").read_text(encoding="utf-8"))
    path = LATTICES / f"{name}.npz"
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if got != about["sha256"]:
        raise ValueError(
            f"lattice {name}: {path.name} has SHA-256 {got[:12]}…, "
            f"expected {about['sha256'][:12]}…; restore the file or run: companion rebuild {name}"
        )
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}, about


def compare(result: Any, bands: dict[str, np.ndarray]) -> list[str]:
    """Compare numbers retrained now with the band of the lattice's runs.

    Args:
        result: has an attribute for each name.
        bands: the runs' values, ``(run,)``, by name.

    Returns:
        One line for each name: the band, the value, and whether it lies within the band widened by
        its own width on both sides (a run is chaotic: rounding alone moves it).

    >>> from types import SimpleNamespace
    >>> compare(SimpleNamespace(nll=3.5), {"nll": np.array([1.0, 2.0])})
    ['nll             lattice 1 … 2, retrained 3.5: OUTSIDE']
    """
    lines = []
    for name, band in bands.items():
        low, high, value = float(band.min()), float(band.max()), getattr(result, name)
        slack = high - low
        verdict = "ok" if low - slack <= value <= high + slack else "OUTSIDE"
        lines.append(f"{name:15} lattice {low:.4g} … {high:.4g}, retrained {value:.4g}: {verdict}")
    return lines


def lattice_sum(name: str) -> str:
    """The SHA-256 sum of an explorable's lattice, or nothing where pictures are closed forms."""
    described = LATTICES / f"{name}.json"
    return load_lattice(name)[1]["sha256"] if described.is_file() else ""


def save_lattice(name: str, arrays: dict[str, np.ndarray], about: dict) -> None:
    """Write a lattice and its description, with the versions, beside the others."""
    np.savez_compressed(content := io.BytesIO(), **arrays)
    torch_version = importlib.metadata.version("torch").split("+")[0]
    about = about | {"versions": {"python": platform.python_version(), "torch": torch_version}}
    about |= {"sha256": hashlib.sha256(content.getvalue()).hexdigest()}
    write(LATTICES / f"{name}.npz", content.getvalue())
    write_json(LATTICES / f"{name}.json", about)
