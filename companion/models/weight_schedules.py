"""Hyper-parameters that move while a model trains."""

from collections.abc import Callable
from functools import partial

Schedule = Callable[[float, int], float]  # (share of the training done, epoch) -> value


def constant(value: float) -> Schedule:
    """A hyper-parameter that stays.

    >>> constant(5.0)(0.3, 2)
    5.0
    """
    return partial(_linear, value, value)


def linear(start: float, end: float) -> Schedule:
    """A hyper-parameter that goes evenly from start to end (MLAE App. E.4, change d1).

    >>> linear(1.0, 10.0)(0.5, 7)
    5.5
    """
    return partial(_linear, start, end)


def by_epoch(values: dict[int, float]) -> Schedule:
    """A hyper-parameter that jumps at given epochs; the first key must be 0.

    Raises:
        ValueError: when epoch 0 has no value.

    >>> by_epoch({0: 1.0, 10: 5.0})(0.9, 9)
    1.0
    """
    if 0 not in values:
        raise ValueError(f"by_epoch: epoch 0 needs a value, got epochs {sorted(values)}")
    return partial(_by_epoch, values)


def _linear(start: float, end: float, progress: float, epoch: int) -> float:
    return start if start == end else start + (end - start) * progress


def _by_epoch(values: dict[int, float], progress: float, epoch: int) -> float:
    return values[max(e for e in values if e <= epoch)]
