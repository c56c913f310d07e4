"""A study: a grid of trainings, and what is measured of each. Its life is written here, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from companion.lab.explorable import Source, asked, compare
from companion.models import Model
from companion.training import TrainConfig, fit, grid, sweep


@dataclass(frozen=True)
class Study(Source):
    """Trainings over the values of some controls and over seeds.

    Each function below gets of a point what its arguments name.

    Args:
        numbers: the bundle of numbers and arrays that a picture of one trained model shows.
        model: of a point, with seeded weights.
        data: of a point, ``(n, *data)``.
        config: of a point; ``epochs``, too, where a training can be made shorter.
        measure: ``(model, …) -> numbers``.
        metrics: the names of those that are single numbers.
        shared: for numbers that are the same along some axes, the axes along which they differ.
        exact: names of arrays that need float32; others take half.
        levels: for arrays that are multiples of 1/n: n; they are kept as bytes.
        training: what the lattice's description says of the trainings.
        order: of the axes in the lattice; the trainings of one value of the first are one sweep.
        checked: where a point is trained again to be compared, but for the controls' starts.

    A study is called with a point of its grid for its numbers, as they were when it was built.

    >>> from figures.explorables.relaxed_flow import STUDY
    >>> STUDY(0, eta=0.1, mu=30.0, mu_in=100.0).reconstruction < 0.03
    True
    >>> STUDY.at("nll", eta=0.1, mu=30.0).shape  # every mu_in, every seed
    (2, 5)
    """

    numbers: type[NamedTuple]
    model: Callable[..., Model]
    data: Callable[..., torch.Tensor]
    config: Callable[..., TrainConfig]
    measure: Callable[..., NamedTuple]
    metrics: tuple[str, ...]
    shared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    levels: dict[str, int] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    checked: dict[str, float] = field(default_factory=dict)

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """The values of each axis, in the lattice's order; the seeds are the last."""
        names = self.order or tuple(self.controls)
        return {name: self.controls[name].values for name in names} | {"seed": self.seeds}

    def __call__(self, seed: int, **some: float) -> NamedTuple:
        """The numbers of a point, as they were when the lattice was built."""
        point = self.point(seed, **some)
        found = {name: self.at(name, **point) for name in self.numbers._fields}
        return self.numbers(**found | {name: float(found[name]) for name in self.metrics})

    def at(self, name: str, **some: float) -> np.ndarray:
        """One number at some values; an axis that they leave out stays an axis of the result."""
        index = [
            int(np.abs(np.subtract(values, some[axis])).argmin()) if axis in some else slice(None)
            for axis, values in self.axes.items()
            if axis in self.shared.get(name, self.axes)
        ]
        return self.arrays[name][tuple(index)].astype(float) / self.levels.get(name, 1)

    def train(
        self,
        points: Sequence[dict],
        epochs: int | None = None,
        progress: bool = True,
        callback: Callable | None = None,
    ) -> list[Model]:
        """Train one model for each point, all at once; in eval mode after."""
        fewer = {} if epochs is None else {"epochs": epochs}
        models = [asked(self.model, point) for point in points]
        data = [asked(self.data, point) for point in points]
        configs = [asked(self.config, point | fewer) for point in points]
        sweep(models, data, configs, progress=progress, callback=callback)
        return [model.eval() for model in models]

    def epochs(self, **point: float) -> int:
        """How long a training is, for a progress bar."""
        return asked(self.config, point).epochs

    def live(self, callback: Callable | None, **point: float) -> NamedTuple:
        """Train one point now, by itself; the callback gets each epoch's row and may stop it."""
        model, data = asked(self.model, point), asked(self.data, point)
        fit(model, data, None, asked(self.config, point), progress=False, callback=callback)
        return asked(self.measure, point, model.eval())

    def build(self, progress: bool = True) -> None:
        """Train every point of the grid and write the lattice into the package."""
        (first, values), *_ = self.axes.items()
        found = []
        for value in values:
            points = grid(**self.axes | {first: [value]})
            models = self.train(points, progress=progress)
            found += [asked(self.measure, p, m) for p, m in zip(points, models, strict=True)]
        about = {
            "controls": {name: list(control.values) for name, control in self.controls.items()},
            "seeds": list(self.seeds),
            "training": self.training,
        }
        self.keep({name: self._stacked(name, found) for name in self.numbers._fields}, about)

    def _stacked(self, name: str, found: list[NamedTuple]) -> np.ndarray:
        """One number of all points as the lattice holds it."""
        kind = np.float32 if name in (*self.metrics, *self.exact) else np.float16
        kind = np.uint8 if name in self.levels else kind
        stacked = np.stack([getattr(one, name) for one in found]) * self.levels.get(name, 1)
        whole = stacked.reshape(*map(len, self.axes.values()), *stacked.shape[1:])
        differs = self.shared.get(name, self.axes)
        return whole[tuple(slice(None) if a in differs else 0 for a in self.axes)].astype(kind)

    def check(self, seed: int | None = None, **some: float) -> list[str]:
        """Retrain a point by itself and compare it with the band of the lattice's seeds there."""
        point = self.point(self.seeds[0] if seed is None else seed, **self.checked | some)
        (model,) = self.train([point], progress=False)
        there = {name: value for name, value in point.items() if name != "seed"}
        bands = {name: self.at(name, **there) for name in self.metrics}
        return compare(asked(self.measure, point, model), bands)
