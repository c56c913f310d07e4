"""The parameters of a notebook: refuse bad values and unknown names before anything runs.

The first code cell of a notebook, tagged ``parameters``, sets the defaults; the next cell is the
guard::

    guard(globals(), profile=PROFILES, seed=whole, device=device_name, beta=positive)

Papermill only warns about a parameter that the notebook does not have; the guard makes it an error.
"""

import ast
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from numbers import Integral, Real
from typing import Any

PROFILES = ("quick", "standard", "full")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Rule:
    """What a value must be: in words, and as a check."""

    expected: str
    check: Callable[[Any], bool]


def number(value: Any) -> bool:
    """Whether a value is a finite real number, which a bool is not.

    >>> number(0.5), number(True), number(float("inf"))
    (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def between(low: float, high: float) -> Rule:
    """A number from ``low`` to ``high``, both included.

    >>> between(0, 2).check(2)
    True
    """
    return Rule(f"a number from {low} to {high}", lambda v: number(v) and low <= v <= high)


def one_of(*allowed: Any) -> Rule:
    """One of some values; a bare tuple in ``guard`` means the same.

    >>> one_of("data", "manifold").expected
    "one of 'data', 'manifold'"
    """
    return Rule("one of " + ", ".join(map(repr, allowed)), lambda v: v in allowed)


def present(name: Any) -> bool:
    """Whether this machine has a device of that name; ``auto`` and ``cpu`` it always has.

    >>> present("cpu"), present("gpu")
    (True, False)
    """
    if name not in DEVICES:
        return False
    if name in ("auto", "cpu"):
        return True
    import torch  # only here: a notebook on the CPU need not wait for it

    return torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()


positive = Rule("a positive number", lambda v: number(v) and v > 0)
non_negative = Rule("a number that is not negative", lambda v: number(v) and v >= 0)
whole = Rule(
    "a whole number that is not negative",
    lambda v: number(v) and isinstance(v, Integral) and v >= 0,
)
unit_interval = between(0, 1)
device_name = Rule("a device of this machine (" + ", ".join(map(repr, DEVICES)) + ")", present)


def guard(namespace: Mapping[str, Any], /, **rules: Rule | tuple) -> tuple:
    r"""Check the parameters of a notebook and show them.

    Args:
        namespace: The notebook's ``globals()``.
        rules: What each parameter must be: a ``Rule``, or a tuple of the values that it may have.
            Every parameter of the notebook has a rule; a name without one is unknown.

    Returns:
        The values, as a named tuple, so that the cell shows what the notebook runs with.

    Raises:
        ValueError: If a value breaks its rule, or papermill injected a name that has none.

    >>> guard({"profile": "quick", "beta": 10.0}, profile=PROFILES, beta=positive)
    Parameters(profile='quick', beta=10.0)
    >>> guard({"beta": -1}, beta=positive)
    Traceback (most recent call last):
    ValueError: parameters: beta must be a positive number, got -1
    >>> injected = ["# Parameters\nbetta = 5"]
    >>> guard({"In": injected, "beta": 10.0}, beta=positive)
    Traceback (most recent call last):
    ValueError: parameters: unknown parameter 'betta'; this notebook has beta (did you mean 'beta'?)
    """
    for name in _injected(namespace.get("In", ())):
        if name not in rules:
            raise ValueError(f"parameters: {unknown(name, rules)}")
    for name, rule in rules.items():
        rule = one_of(*rule) if isinstance(rule, tuple) else rule
        if name not in namespace:
            raise ValueError(f"parameters: the notebook sets no {name!r} before its guard")
        if not rule.check(namespace[name]):
            raise ValueError(f"parameters: {name} must be {rule.expected}, got {namespace[name]!r}")
    return namedtuple("Parameters", rules)(*(namespace[name] for name in rules))


def unknown(name: str, known: Mapping[str, Any]) -> str:
    """Say that a parameter is unknown, which there are, and which one was probably meant.

    >>> unknown("sed", {"profile": "quick", "seed": 0})
    "unknown parameter 'sed'; this notebook has profile, seed (did you mean 'seed'?)"
    """
    close = get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown parameter {name!r}; this notebook has {', '.join(known) or 'none'}{hint}"


def _injected(cells: list[str]) -> list[str]:
    """What papermill's ``# Parameters`` cell sets: the last one, so that a correction counts."""
    for source in reversed(cells):
        if source.lstrip().startswith("# Parameters\n"):
            targets = (t for s in ast.parse(source).body for t in getattr(s, "targets", ()))
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []
