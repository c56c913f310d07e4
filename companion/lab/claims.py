"""What a notebook records: plain numbers, and measurements of the papers' claims.

The claims are in ``claims.toml``: what a paper says, and which measured value would bear it out.
What *was* measured stands nowhere but in the outputs of executed notebooks and in the
``results.json`` of ``companion run``; there is no file in which a result could be typed.
"""

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from companion.lab.parameters import of_notebook

MIME = "application/vnd.companion.results+json"
CLAIM_MIME = "application/vnd.companion.claims+json"
TESTS = {
    "close": lambda value, claim: abs(value - claim.bound) <= claim.tolerance * abs(claim.bound),
    "below": lambda value, claim: value <= claim.bound,
    "above": lambda value, claim: value >= claim.bound,
    "holds": lambda value, claim: value is True,
}


@dataclass(frozen=True)
class Claim:
    """One testable statement of a paper.

    Args:
        id: how notebooks call it; begins with the paper's short name.
        paper: short name.
        place: equation, table or figure.
        says: the statement, in our words.
        measures: what the recorded value is.
        test: ``close`` (to ``bound``, within the relative ``tolerance``), ``below`` or ``above``
            (the ``bound``), or ``holds`` (the value is true).
        bound: see ``test``.
        tolerance: see ``test``.
        paper_number: what the paper prints, if it prints a number.
    """

    id: str
    paper: str
    place: str
    says: str
    measures: str
    test: str
    bound: float | None = None
    tolerance: float | None = None
    paper_number: float | None = None

    def __post_init__(self):
        needs = {"close": ("bound", "tolerance"), "below": ("bound",), "above": ("bound",)}
        if self.test not in TESTS:
            raise ValueError(f"claim {self.id}: test must be {', '.join(TESTS)}, got {self.test!r}")
        given = tuple(n for n in ("bound", "tolerance") if getattr(self, n) is not None)
        if given != needs.get(self.test, ()):
            wanted = " and ".join(needs.get(self.test, ())) or "neither bound nor tolerance"
            raise ValueError(f"claim {self.id}: test {self.test!r} takes {wanted}, got {given}")

    def reproduced(self, value: bool | float | list) -> bool:
        """Whether a measured value, or each of several, bears the claim out.

        >>> Claim("a", "MLAE", "", "", "", "below", bound=1.0).reproduced([0.5, 0.9])
        True
        """
        values = value if isinstance(value, list) else [value]
        return bool(values) and all(TESTS[self.test](v, self) for v in values)


class Measured(NamedTuple):
    """One measurement of a claim, and where it was made."""

    id: str
    value: bool | float | list
    profile: str
    device: str
    source: str  # the notebook


@cache
def registry() -> dict[str, Claim]:
    """All claims of ``claims.toml`` by id, in its order.

    Raises:
        ValueError: for an entry that does not say what it is or how it is tested.

    >>> registry()["mlae-c-bottom-vanishes"].paper
    'MLAE'
    """
    return parse((files("companion.lab") / "claims.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, Claim]:
    """Claims from the text of a TOML file; see :func:`registry`."""
    claims = {}
    for id, entry in tomllib.loads(text).items():
        try:
            claims[id] = Claim(id, **entry)
        except TypeError as error:
            raise ValueError(f"claim {id}: {str(error).partition(') ')[2]}") from error
    return claims


def claim(id: str, value: Any) -> None:
    """Record what was measured for a claim, and say whether it bears the paper out.

    Args:
        id: of the claim in ``claims.toml``.
        value: a number, a truth value, or a list of either, each of which has to pass.

    Raises:
        ValueError: for an unknown id or a number that is not finite.
        TypeError: for anything else.

    >>> claim("mlae-c-bottom-vanishes", 1.1)
    mlae-c-bottom-vanishes = 1.1: reproduced (MLAE, App. C, after Theorem C.4)
    """
    if id not in registry():
        raise ValueError(f"claim: {id!r} is not in claims.toml; there is {', '.join(registry())}")
    entry, plain = registry()[id], _plain(id, value)
    verdict = "reproduced" if entry.reproduced(plain) else "not reproduced"
    text = f"{id} = {_text(plain)}: {verdict} ({entry.paper}, {entry.place})"
    _display(text, CLAIM_MIME, {id: plain})


def record(**numbers: Any) -> None:
    """Show ``name = value`` and carry the numbers along with the cell's output.

    Args:
        numbers: Numbers, strings, or lists of them; tensors and arrays of any size become lists.

    Raises:
        ValueError: If a number is not finite; such a thing is a failure to report, not a result.
        TypeError: If a value is none of these.

    >>> record(w2=0.25, spectrum=[3.0, 1.0])
    w2 = 0.25
    spectrum = [3, 1]
    >>> record(nll=float("nan"))
    Traceback (most recent call last):
    ValueError: record: nll must be finite, got nan
    """
    plain = {name: _plain(name, value) for name, value in numbers.items()}
    text = "\n".join(f"{name} = {_text(value)}" for name, value in plain.items())
    _display(text, MIME, plain)


def collect(notebook: Mapping, mime: str = MIME) -> dict[str, Any]:
    """Gather everything that ``record`` left in the outputs of an executed notebook.

    Args:
        notebook: The notebook, as ``nbformat.read`` gives it.
        mime: ``CLAIM_MIME`` for what ``claim`` left there.

    Returns:
        The numbers by name, in the order of the cells.

    Raises:
        ValueError: If one name was recorded twice with different values.

    >>> output = {"output_type": "display_data", "data": {MIME: {"w2": 0.25}}}
    >>> collect({"cells": [{"cell_type": "code", "outputs": [output]}]})
    {'w2': 0.25}
    """
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
    numbers: dict[str, Any] = {}
    for output in outputs:
        for name, value in output.get("data", {}).get(mime, {}).items():
            if numbers.setdefault(name, value) != value:
                raise ValueError(
                    f"collect: {name} was recorded twice, as {numbers[name]} and as {value}"
                )
    return numbers


def measured(paths: Iterable[Path]) -> list[Measured]:
    """Every measurement in executed notebooks and in the ``results.json`` of runs.

    Args:
        paths: ``.ipynb`` and ``results.json`` files.

    Raises:
        ValueError: when a file holds a claim that ``claims.toml`` does not know.
    """
    found = []
    for path in paths:
        content = json.loads(Path(path).read_text("utf-8-sig"))
        if "cells" in content:
            settings, values = of_notebook(content), collect(content, CLAIM_MIME)
            source = Path(path).stem
        else:
            settings, values = content, content["claims"]
            source = content["notebook"]
        for id, value in values.items():
            if id not in registry():
                raise ValueError(f"claims: {path} measures {id!r}, which is not in claims.toml")
            where = (str(settings.get(name)) for name in ("profile", "device"))
            found.append(Measured(id, value, *where, source))
    return found


def table(measurements: Iterable[Measured]) -> list[tuple[str, ...]]:
    """One row for each measurement of each claim, and one for a claim without any.

    Returns:
        Rows of (id, paper and place, statement, expected, measured, verdict, where).
    """
    rows, measurements = [], list(measurements)
    for entry in registry().values():
        about = (entry.id, f"{entry.paper}, {entry.place}", entry.says, _expected(entry))
        mine = [m for m in measurements if m.id == entry.id]
        rows += [(*about, "", "not yet measured", "")] if not mine else []
        for m in mine:
            verdict = "reproduced" if entry.reproduced(m.value) else "not reproduced"
            rows.append((*about, _text(m.value), verdict, f"{m.source}, {m.profile}, {m.device}"))
    return rows


def _expected(entry: Claim) -> str:
    words = {
        "close": f"{entry.bound:.4g} ± {entry.tolerance:.0%}" if entry.tolerance else "",
        "below": f"at most {entry.bound}",
        "above": f"at least {entry.bound}",
        "holds": "true",
    }[entry.test]
    paper = "" if entry.paper_number is None else f" (paper: {entry.paper_number:g})"
    return f"{entry.measures}: {words}{paper}"


def _display(text: str, mime: str, content: dict) -> None:
    """In a notebook an output that carries the content, elsewhere only the text."""
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
        from IPython.display import display  # only here: plain scripts need no IPython

        display({"text/plain": text, mime: content}, raw=True)
    else:
        print(text)


def _plain(name: str, value: Any) -> Any:
    """A value as JSON can hold it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if not isinstance(value, str | int | float):
        raise TypeError(f"record: {name} must be a number or a string, got {type(value).__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"record: {name} must be finite, got {value}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
