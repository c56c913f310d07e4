"""Checks of an exercise by property: a wrong answer gets a hint that says what is off."""

from typing import Any

import torch
from torch import Tensor


class Hint(AssertionError):
    """What is off about an answer, in words; a notebook shows the words and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Hint: {self}"]


def holds(condition: Any, hint: str) -> None:
    """Raise a hint unless a condition is true, for a tensor in all its entries.

    Raises:
        Hint: with the words that were given.

    >>> holds(torch.tensor([1.0, 2.0]) > 0, "a variance is positive")
    >>> holds(-1.0 > 0, "a variance is positive")
    Traceback (most recent call last):
    companion.course.check.Hint: a variance is positive
    """
    if not bool(torch.as_tensor(condition).all()):
        raise Hint(hint)


def numbers(answer: Any, shape: tuple[int, ...], name: str) -> Tensor:
    """An answer as finite float64 numbers of a certain shape, whatever held them.

    Args:
        answer: tensor, array, number or nested list.
        shape: the expected one, ``()`` for a single number.
        name: what hints call it.

    Returns:
        A detached tensor of that shape.

    Raises:
        Hint: for nothing at all, for what is no numbers, another shape, infinities and NaN.

    >>> numbers([1, 2], (2,), "variances")
    tensor([1., 2.], dtype=torch.float64)
    >>> numbers(None, (2,), "variances")
    Traceback (most recent call last):
    companion.course.check.Hint: variances: got None; does the function return its result?
    """
    if answer is None:
        raise Hint(f"{name}: got None; does the function return its result?")
    try:
        got = torch.as_tensor(answer).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Hint(f"{name}: expected numbers, got {type(answer).__name__}") from error
    if got.shape != shape:
        raise Hint(f"{name}: expected the shape {shape}, got {tuple(got.shape)}")
    if not got.isfinite().all():
        raise Hint(f"{name}: every entry must be finite, got {got[~got.isfinite()][0].item()}")
    return got


def close(answer: Any, expected: Any, hint: str, tolerance: float = 1e-6) -> None:
    """Raise a hint, with the first numbers that disagree, unless an answer is what it has to be.

    Args:
        answer: what came out.
        expected: numbers of the same shape.
        hint: what is off if they differ.
        tolerance: the largest |answer − expected| / (1 + |expected|) that passes.

    Raises:
        Hint: for a difference, and where :func:`numbers` does.

    >>> close(2.0, 2.0, "densities integrate to one")
    >>> close(2.5, 1.0, "densities integrate to one")
    Traceback (most recent call last):
    companion.course.check.Hint: densities integrate to one (got 2.5, expected 1)
    """
    right = torch.as_tensor(expected).detach().cpu().double()
    got = numbers(answer, tuple(right.shape), hint)
    off = (got - right).abs() > tolerance * (1 + right.abs())
    if off.any():
        raise Hint(f"{hint} (got {got[off][0].item():.4g}, expected {right[off][0].item():.4g})")
