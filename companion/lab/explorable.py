"""What an explorable is: a way to draw the numbers of a point of a lattice, and to say them."""

import hashlib
import importlib.metadata
import inspect
import io
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import isclose
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from companion.atomic import write, write_json
from companion.lab.picture import Picture

# of the checkout: the gallery is beside the package, not in it
LATTICES = Path(__file__).resolve().parents[2] / "figures" / "explorables" / "lattices"


@dataclass(frozen=True)
class Control:
    """One slider: its values in order, how they are called, and where it starts.

    >>> Control("probe", (0, 1), 0, names=("gaussian", "sphere")).texts
    ['gaussian', 'sphere']
    """

    label: str
    values: tuple[Any, ...]  # numbers, or names
    start: Any
    text: str = "{:g}"
    names: tuple[str, ...] = ()  # of the values, where they are choices and not numbers

    @property
    def texts(self) -> list[str]:
        """What the slider shows for each value."""
        return list(self.names) or [self.text.format(value) for value in self.values]

    def nearest(self, value: float) -> float:
        """The lattice value closest to ``value`` on a logarithmic axis if all are positive.

        Raises:
            ValueError: for something that is no number, where there is nothing near.
        """
        if value in self.values:
            return value
        if not all(isinstance(one, Real) for one in (value, *self.values)):
            known = ", ".join(map(str, self.values))
            raise ValueError(f"{self.label} must be one of {known}, got {value!r}")
        scale = np.log if min(self.values) > 0 and value > 0 else np.asarray
        distance = np.abs(scale(np.asarray(self.values)) - scale(value))
        return self.values[int(distance.argmin())]


@dataclass(frozen=True)
class Source:
    """Where an explorable's numbers come from: a grid of points, and the numbers of each.

    A *point* is a value for each control and a seed.

    Args:
        name: of the command line, and of the lattice's files where there are some.
        controls: by name; their values are the grid.
        seeds: the last axis of the grid.
    """

    name: str
    controls: dict[str, Control]
    seeds: tuple[int, ...]
    live = None  # nothing is trained while one waits

    def point(self, seed: int, **some: float) -> dict[str, float]:
        """A point of the grid; a control that is left out stays where it starts.

        Raises:
            ValueError: for an unknown seed or control, or a value between those of the grid, naming
                the nearest.
        """
        if seed not in self.seeds:
            raise ValueError(f"{self.name}: seed must be one of {list(self.seeds)}, got {seed}")
        for key, value in some.items():
            if key not in self.controls:
                known = ", ".join(self.controls)
                raise ValueError(f"{self.name}: unknown control {key!r}; it has {known}")
            near = self.controls[key].nearest(value)
            if value != near and not isclose(value, near, rel_tol=1e-6):
                raise ValueError(
                    f"{self.name}: {key} = {value:g} is not on the lattice, but {near:g} is"
                )
        values = {name: some.get(name, control.start) for name, control in self.controls.items()}
        return {"seed": seed} | {k: self.controls[k].nearest(v) for k, v in values.items()}

    def __call__(self, seed: int, **some: float) -> Any:
        """The numbers of a point.

        Raises:
            ValueError: for a point that is not on the grid.
        """
        raise NotImplementedError

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The lattice, read once."""
        return _read(self.name)[0]

    @property
    def about(self) -> dict:
        """What made the lattice, and its sum."""
        return _read(self.name)[1]

    @property
    def made(self) -> dict[str, Any]:
        """What made its lattice, as a claim that is read from it says.

        >>> Computed("sum", {}, (0,), lambda: 1, lambda: []).made  # there is no lattice
        {'lattice': 'sum'}
        """
        about = self.about if (LATTICES / f"{self.name}.json").is_file() else {}
        kept = ("data", "device", "parameters", "versions", "seconds", "evidence")
        found = {"lattice": self.name} | {name: about[name] for name in kept if name in about}
        for name in ("runs", "seeds"):
            if name in about:
                number = about[name]
                found["trainings"] = number if isinstance(number, int) else len(number)
        if about.get("trained_with"):  # elsewhere than the lattice was written
            found["versions"] = about["trained_with"][0]
        if isinstance(found.get("parameters"), dict):  # of a descent, not of a network
            del found["parameters"]
        if isinstance(found.get("device"), list):
            found["device"] = ", ".join(dict.fromkeys(found["device"]))
        return found

    def keep(self, arrays: dict[str, np.ndarray], about: dict) -> None:
        """Write the lattice beside the others."""
        save_lattice(self.name, arrays, {"made_by": f"companion rebuild {self.name}"} | about)
        _read.cache_clear()


@dataclass(frozen=True)
class Computed(Source):
    """Numbers without a training: computed as they are shown, or all beforehand.

    Args:
        numbers: of a point; asked for what its arguments name of it.
        checks: computes some again, in another way: a line for each, which ends in OUTSIDE where
            they differ.
        compute: the arrays of the lattice, from which ``numbers`` reads, and what made them; it may
            ask for a ``directory``, to go on there where it was stopped. Nothing: no lattice.

    >>> sums = Computed("sum", {"a": Control("a", (1, 2), 1)}, (0,), lambda a: a + 1, lambda: [])
    >>> sums(0), sums(0, a=2)
    (2, 3)
    """

    numbers: Callable[..., Any]
    checks: Callable[[], list[str]]
    compute: Callable[[], tuple[dict[str, np.ndarray], dict]] | None = None

    def __call__(self, seed: int, **some: float) -> Any:
        """The numbers of a point, which must be on the grid."""
        return asked(self.numbers, self.point(seed, **some))

    def build(self, directory: Path | None = None) -> None:
        """Compute the lattice again, if there is one; a directory is for what can be stopped."""
        if self.compute:
            self.keep(*asked(self.compute, {"directory": directory}))

    def check(self) -> list[str]:
        """One line for each number that was computed again."""
        return self.checks()


@dataclass(frozen=True)
class Question:
    """What a panel asks before its sliders move.

    Args:
        text: the question.
        choices: what one can answer.
        reveal: the index of the choice that the numbers bear out, and a sentence with them.

    >>> Question("Is 2 + 2 more than 3?", ("yes", "no"), lambda: (0, "It is 4.")).told
    {'text': 'Is 2 + 2 more than 3?', 'choices': ['yes', 'no'], 'right': 0, 'reveals': 'It is 4.'}
    """

    text: str
    choices: tuple[str, ...]
    reveal: Callable[[], tuple[int, str]]

    @property
    def told(self) -> dict[str, Any]:
        """All of it, as a panel needs it.

        Raises:
            ValueError: where what is revealed is none of the choices.
        """
        right, sentence = self.reveal()
        if right not in range(len(self.choices)):
            raise ValueError(f"Question {self.text!r}: {right} is none of {len(self.choices)}")
        answers = {"choices": list(self.choices), "right": int(right), "reveals": sentence}
        return {"text": self.text} | answers


@dataclass(frozen=True)
class Explorable:
    """A picture that answers to controls.

    Args:
        title: one line.
        study: where its numbers come from, with the name, the controls and the seeds.
        draw: ``(numbers, …) -> Picture`` of the numbers, with the sentence that says what they
            show. Asked for what its further arguments name of the point.
        presets: named settings of the controls.
        prompts: what to predict, or to try, when the sliders move.
        question: to answer before they do.
        opening: so many columns of the picture are shown before it is answered.
    """

    title: str
    study: Source
    draw: Callable[..., Picture]
    presets: dict[str, dict[str, float]] = field(default_factory=dict)
    prompts: tuple[str, ...] = ()
    question: Question | None = None
    opening: int = 1

    @property
    def name(self) -> str:
        """The study's, of the command line and of the lattice."""
        return self.study.name

    @property
    def controls(self) -> dict[str, Control]:
        """The sliders, by name."""
        return self.study.controls

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the lattice."""
        return self.study.seeds

    def render(self, seed: int, numbers: Any = None, **some: float) -> Picture:
        """The picture of a point.

        Args:
            seed: of the lattice.
            numbers: what to draw, where it was trained now; else the study's.
            some: values of controls; one that is left out stays where it starts.

        Raises:
            ValueError: for a point that is not on the lattice.
        """
        point = self.study.point(seed, **some)
        numbers = self.study(**point) if numbers is None else numbers
        return asked(self.draw, point, numbers)


def asked(function: Callable, point: dict, *first: Any) -> Any:
    """A function of what it asks for by name of a point, after some arguments of its own.

    >>> asked(lambda model, beta: model * beta, {"beta": 3, "seed": 0}, 2)
    6
    """
    names = inspect.signature(function).parameters
    return function(*first, **{name: point[name] for name in names if name in point})


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


_read = cache(load_lattice)


def compare(result: Any, bands: dict[str, np.ndarray]) -> list[str]:
    """Compare numbers retrained now with the band of the lattice's runs.

    Args:
        result: has an attribute for each name.
        bands: the runs' values, ``(run,)``, by name.

    Returns:
        One line for each name: the band, the value, and whether it lies within the band widened by
        its own width on both sides (a run is chaotic: rounding alone moves it). What no run has,
        not a number in all of them, is left out.

    >>> from types import SimpleNamespace
    >>> compare(SimpleNamespace(nll=3.5), {"nll": np.array([1.0, 2.0])})
    ['nll             lattice 1 … 2, retrained 3.5: OUTSIDE']
    """
    lines = []
    for name, band in bands.items():
        if np.isnan(band).all():
            continue
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
