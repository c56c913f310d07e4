"""A study: a grid of trainings, and what is measured of each. Its life is written here, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from companion.lab.explorable import Source, asked, compare
from companion.lab.provenance import made
from companion.models import Model
from companion.training import TrainConfig, fit, grid, sweep


@dataclass(frozen=True)
class Study(Source):
    """Trainings over the values of some controls and over seeds.

    Each function below gets of a point what its arguments name.

    Args:
        numbers: the bundle of numbers and arrays that a picture of one trained model shows.
        model: of a point, with seeded weights; ``before``, too, where there is ``after``.
        data: of a point, ``(n, *data)``.
        config: of a point.
        measure: ``(model, …) -> numbers``.
        metrics: the names of those that are single numbers.
        condition: of a point, ``(n, …)``, of conditional models.
        after: of a point, what differs at the point whose trained model is the ``before`` of this
            one's; nothing where a model starts anew.
        extra: further arrays of the lattice; asked for what it names of ``models``, all that were
            trained, by their points' values.
        shared: for numbers that are the same along some axes, the axes along which they differ.
        half: names of arrays for which half precision is enough.
        levels: for arrays in [0, 1] that are kept as bytes, the byte that stands for 1.
        wider: the values of axes that have more than their control.
        order: of the axes in the lattice.
        apart: the axes whose values are trained one sweep after the other; by default the first.
        notes: what the lattice's description says beside its axes.
        checked: where a point is trained again to be compared, but for the controls' starts.

    A study is called with a point of its grid for its numbers, as they were when it was built.

    >>> from companion.lab.explorable import Control
    >>> from companion.models import Autoencoder
    >>> from companion.networks import MLP
    >>> class Numbers(NamedTuple):
    ...     error: float
    >>> study = Study(
    ...     "toy", {"code": Control("penalty of the code", (0.0, 0.1), 0.0)}, (0, 1), Numbers,
    ...     model=lambda code: Autoencoder(MLP(2, 1, [4]), MLP(1, 2, [4]), (2,), 1, code=code),
    ...     data=lambda: torch.zeros(8, 2),
    ...     config=lambda seed: TrainConfig(epochs=3, batch_size=8, seed=seed, device="cpu"),
    ...     measure=lambda model: Numbers(model.loss(torch.zeros(1, 2)).loss.item()),
    ...     metrics=("error",),
    ... )
    >>> arrays, about = study.compute(progress=False)
    >>> arrays["error"].shape, about["seeds"]  # every penalty, every seed
    ((2, 2), [0, 1])
    """

    numbers: type[NamedTuple]
    model: Callable[..., Model]
    data: Callable[..., torch.Tensor]
    config: Callable[..., TrainConfig]
    measure: Callable[..., NamedTuple]
    metrics: tuple[str, ...]
    condition: Callable[..., torch.Tensor] | None = None
    after: Callable[..., dict | None] | None = None
    extra: Callable[..., dict[str, np.ndarray]] | None = None
    shared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    half: tuple[str, ...] = ()
    levels: dict[str, int] = field(default_factory=dict)
    wider: dict[str, tuple] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    checked: dict[str, float] = field(default_factory=dict)

    @property
    def axes(self) -> dict[str, tuple]:
        """The values of each axis, in the lattice's order; the seeds are the last."""
        names = self.order or tuple(self.controls)
        values = {name: self.controls[name].values for name in names}
        return values | self.wider | {"seed": self.seeds}

    @cached_property
    def made(self) -> dict[str, Any]:
        """What made the lattice, with the sizes of its networks, data and trainings."""
        sizes: dict[str, set] = {"parameters": set(), "samples": set(), "steps": set()}
        for point in self._one_axis_at_a_time():
            first = self.chain(point)[0]
            model, x = asked(self.model, first | {"before": None}), asked(self.data, first)
            found = made("", model, x, asked(self.config, first))
            for name, values in sizes.items():
                values.add(found[name])
        found = {"device": "cpu"} | self.notes | super().made
        names = ("lattice", "data", "device", "versions", "trainings", "seconds", "evidence")
        kept = {name: found[name] for name in names if name in found}
        return kept | {name: sorted(values) for name, values in sizes.items()}

    def _one_axis_at_a_time(self) -> list[dict]:
        """Where all controls start, and from there every value of each axis."""
        start = self.point(self.seeds[0])
        others = [
            start | {axis: value}
            for axis, values in self.axes.items()
            for value in values
            if axis != "seed" and value != start.get(axis)
        ]
        return [start, *others]

    def __call__(self, seed: int, **some: float) -> NamedTuple:
        """The numbers of a point, as they were when the lattice was built."""
        point = self.point(seed, **some)
        found = {name: self.at(name, **point) for name in self.numbers._fields}
        return self.numbers(**found | {name: float(found[name]) for name in self.metrics})

    def at(self, name: str, **some: float) -> np.ndarray:
        """One number at some values; an axis that they leave out stays an axis of the result.

        Raises:
            ValueError: for an axis or a value that there is not.
        """
        for axis, value in some.items():
            if value not in self.axes.get(axis, ()):
                known = self.axes.get(axis) or f"there is no such axis, but {', '.join(self.axes)}"
                raise ValueError(f"{self.name}: {axis} = {value!r}, but {known}")
        index = [
            values.index(some[axis]) if axis in some else slice(None)
            for axis, values in self.axes.items()
            if axis in self.shared.get(name, self.axes)
        ]
        return self.arrays[name][tuple(index)].astype(float) / self.levels.get(name, 1)

    def typical(self, average: Callable = np.median, **some: float) -> NamedTuple:
        """The numbers of the first seed, but for the metrics: their average over all seeds."""
        averages = {name: float(average(self.at(name, **some))) for name in self.metrics}
        return self(self.seeds[0], **some)._replace(**averages)

    def chain(self, point: dict) -> list[dict]:
        """A point, and before it those whose trained models it goes on from, first to last."""
        changes = asked(self.after, point) if self.after else None
        return [*(self.chain(point | changes) if changes else []), point]

    def train(
        self, points: Sequence[dict], epochs: int | None = None, before: Sequence = (), **options
    ) -> list[Model]:
        """Train one model for each point, all at once; in eval mode after.

        Args:
            points: a value for each axis.
            epochs: instead of what the configs say.
            before: the trained models that these go on from, one for each point.
            options: of :func:`companion.training.sweep`.
        """
        models = [
            asked(self.model, point | {"before": model})
            for point, model in zip_longest(points, before)
        ]
        data = [asked(self.data, point) for point in points]
        configs = [asked(self.config, point) for point in points]
        if epochs is not None:
            configs = [replace(config, epochs=epochs) for config in configs]
        if self.condition:
            options["conditions"] = [asked(self.condition, point) for point in points]
        sweep(models, data, configs, **options)
        return [model.eval() for model in models]

    def epochs(self, **point: float) -> int:
        """How long the longest training of a point is, for a progress bar."""
        return max(asked(self.config, step).epochs for step in self.chain(point))

    def live(self, callback: Callable | None, **point: float) -> NamedTuple:
        """Train one point now, by itself; the callback gets each epoch's row and may stop it."""
        model = None
        for step in self.chain(point):
            model = asked(self.model, step | {"before": model})
            data, config = asked(self.data, step), asked(self.config, step)
            options = {"condition": asked(self.condition, step)} if self.condition else {}
            log = fit(model, data, None, config, progress=False, callback=callback, **options)
            if log.stopped:
                break
        return asked(self.measure, point, model.eval())

    def compute(
        self, directory: Path | None = None, progress: bool = True
    ) -> tuple[dict[str, np.ndarray], dict]:
        """Train every point of the grid: the arrays of the lattice, and what made them.

        Args:
            directory: where the sweeps keep checkpoints, to go on where they were stopped.
            progress: show a bar for each sweep.
        """
        rounds: dict[tuple, list[dict]] = {}
        for point in grid(**self.axes):
            values = (self.axes[axis].index(point[axis]) for axis in self.apart or [*self.axes][:1])
            rounds.setdefault((len(self.chain(point)), *values), []).append(point)
        models, found = {}, {}
        for at, points in sorted(rounds.items()):
            options = {"directory": directory and Path(directory, "-".join(map(str, at)))}
            before = [models.get(_key(step)) for p in points for step in self.chain(p)[-2:-1]]
            trained = self.train(points, before=before, progress=progress, resume=True, **options)
            for point, model in zip(points, trained, strict=True):
                models[_key(point)] = model
                found[_key(point)] = asked(self.measure, point, model)
        every = [found[_key(point)] for point in grid(**self.axes)]
        arrays = {name: self._stacked(name, every) for name in self.numbers._fields}
        extra = asked(self.extra, {"models": models}) if self.extra else {}
        axes = {name: list(values) for name, values in self.axes.items()}
        seeds = axes.pop("seed")
        return arrays | extra, {"controls": axes, "seeds": seeds} | self.notes

    def build(self, directory: Path | None = None) -> None:
        """Train every point of the grid and write the lattice."""
        self.keep(*self.compute(directory))

    def _stacked(self, name: str, found: list[NamedTuple]) -> np.ndarray:
        """One number of all points as the lattice holds it."""
        stacked = np.stack([getattr(one, name) for one in found])
        if name in self.levels:
            stacked = as_bytes(stacked, self.levels[name])
        whole = stacked.reshape(*map(len, self.axes.values()), *stacked.shape[1:])
        differs = self.shared.get(name, self.axes)
        kept = whole[tuple(slice(None) if axis in differs else 0 for axis in self.axes)]
        if name in self.levels:
            return kept
        return kept.astype(np.float16 if name in self.half else np.float32)

    def check(self, seed: int | None = None, **some: float) -> list[str]:
        """Retrain a point by itself and compare it with the band of the lattice's seeds there."""
        point = self.point(self.seeds[0] if seed is None else seed, **self.checked | some)
        model = None
        for step in self.chain(point):
            (model,) = self.train([step], before=[model], progress=False)
        there = {name: value for name, value in point.items() if name != "seed"}
        return self.compare(asked(self.measure, point, model), **there)

    def compare(self, numbers: NamedTuple, **there: float) -> list[str]:
        """The metrics of a training beside the band of the lattice's seeds at some values."""
        return compare(numbers, {name: self.at(name, **there) for name in self.metrics})


def as_bytes(images: np.ndarray, levels: int = 255) -> np.ndarray:
    """Images in [0, 1], and what lies beyond cut off, as a lattice keeps them.

    >>> as_bytes([0.0, 0.5, 1.2]).tolist()
    [0, 128, 255]
    """
    return (np.clip(np.asarray(images), 0, 1) * levels).round().astype(np.uint8)


def _key(point: dict) -> tuple:
    return tuple(point.values())
