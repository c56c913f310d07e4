"""The parameters of a notebook: refuse bad values and unknown names before anything runs.

The first code cell of a notebook, tagged ``parameters``, sets the defaults; the next cell is the
guard::

    guard(globals(), profile=PROFILES, seed=seed_number, beta=between(0.01, 100))

Papermill only warns about a parameter that the notebook does not have; the guard makes it an error.
A rule lets through what the notebook can run, and looks at types: 2.0 and True are not 2.
"""

import ast
import os
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from companion.choices import DEVICES, present, unknown
from companion.choices import PROFILES as PROFILES  # for the guard of a notebook


@dataclass(frozen=True)
class Rule:
    """What a value must be: in words, and as a check."""

    expected: str
    check: Callable[[Any], bool]


def number(value: Any) -> bool:
    """Whether a value is a finite number of Python's; a bool is none.

    >>> number(0.5), number(True), number(float("inf"))
    (True, False, False)
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, float) and isfinite(value))


def between(low: float, high: float) -> Rule:
    """A number from ``low`` to ``high``, both included.

    >>> between(0, 2).check(2)
    True
    """
    return Rule(f"a number from {low} to {high}", lambda v: number(v) and low <= v <= high)


def whole_between(low: int, high: int) -> Rule:
    """A whole number from ``low`` to ``high``, both included.

    >>> whole_between(1, 3).check(2), whole_between(1, 3).check(2.0)
    (True, False)
    """
    expected = f"a whole number from {low} to {high}"
    return Rule(expected, lambda v: number(v) and isinstance(v, int) and low <= v <= high)


def one_of(*allowed: Any) -> Rule:
    """One of some values, of the same type; a bare tuple in ``guard`` means the same.

    >>> one_of("data", "manifold").expected
    "one of 'data', 'manifold'"
    >>> one_of(1, 2).check(True)
    False
    """
    expected = "one of " + ", ".join(map(repr, allowed))
    return Rule(expected, lambda v: any(type(v) is type(a) and v == a for a in allowed))


def some_of(*allowed: str) -> Rule:
    """``auto``, or some of the allowed words with spaces between them.

    >>> some_of("mnist", "celeba").check("celeba mnist"), some_of("mnist", "celeba").check("")
    (True, False)
    """

    def check(value: Any) -> bool:
        words = value.split() if isinstance(value, str) else []
        return value == "auto" or (bool(words) and set(words) <= set(allowed))

    return Rule(f"'auto', or some of: {' '.join(allowed)}", check)


def writable(name: Any) -> bool:
    """Whether a folder of that name is there and can be written, or could be made.

    >>> writable("runs/mine"), writable(5)
    (True, False)
    """
    if not isinstance(name, str):
        return False
    place = Path(name).expanduser().absolute()
    above = next(p for p in (place, *place.parents) if os.path.lexists(p))
    return above.is_dir() and os.access(above, os.W_OK)


positive = Rule("a positive number", lambda v: number(v) and v > 0)
seed_number = whole_between(0, 2**31 - 1)  # NumPy's seeds have 32 bits, and some are added to it
folder = Rule("a folder that can be written, or '' for none", lambda v: v == "" or writable(v))
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
    >>> guard({"num_probes": 2.0}, num_probes=(1, 2))
    Traceback (most recent call last):
    ValueError: parameters: num_probes must be one of 1, 2, got 2.0; write 2
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
        if not rule.check(value := namespace[name]):
            raise ValueError(
                f"parameters: {name} must be {rule.expected}, got {value!r}{_cure(rule, value)}"
            )
    return namedtuple("Parameters", rules)(*(namespace[name] for name in rules))


def assigned(source: str) -> dict[str, Any]:
    r"""What a cell sets, in order: literals as their values, anything else as its source.

    Raises:
        SyntaxError: If the cell is no Python.

    >>> assigned("beta = 1 / 20  # = 0.05\nname: str = 'x'")
    {'beta': '1 / 20', 'name': 'x'}
    """
    found = {}
    for line in ast.parse(source).body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value:
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            found |= dict.fromkeys(names, _literal(line.value))
    return found


def of_notebook(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a notebook: what its tagged cell sets, overwritten by what was injected.

    Args:
        notebook: As ``nbformat`` or ``json`` reads it.

    Raises:
        SyntaxError: If one of those cells is no Python.

    >>> of_notebook({"cells": [{"metadata": {"tags": ["parameters"]}, "source": ["beta = 10.0"]}]})
    {'beta': 10.0}
    """
    tags = {"parameters", "injected-parameters"}
    cells = [c for c in notebook["cells"] if tags & set(c["metadata"].get("tags", ()))]
    return {n: v for c in cells for n, v in assigned("".join(c["source"])).items()}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _cure(rule: Rule, value: Any) -> str:
    """How to write a whole number, where that is all that is wrong."""
    if isinstance(value, float) and value.is_integer() and rule.check(int(value)):
        return f"; write {int(value)}"
    return ""


def _injected(cells: list[str]) -> list[str]:
    """What papermill's ``# Parameters`` cell sets: the last one, so that a correction counts."""
    given = (source for source in reversed(cells) if source.lstrip().startswith("# Parameters\n"))
    return list(assigned(next(given, "")))
