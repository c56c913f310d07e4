"""What a notebook records: plain numbers, and measurements of the papers' claims.

What *was* measured stands nowhere but in the outputs of executed notebooks and in the
``results.json`` of ``companion run``; there is no file in which a result could be typed. Each
measurement carries what made it (:mod:`companion.lab.provenance`), and the rule of
:mod:`companion.lab.verdicts` says what it says.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from companion.lab.parameters import of_notebook
from companion.lab.provenance import described
from companion.lab.verdicts import EVIDENCE, VERDICTS, Claim, interval, registry

MIME = "application/vnd.companion.results+json"
CLAIM_MIME = "application/vnd.companion.claims+json"
OLDER = "measured in another form"


class Measured(NamedTuple):
    """One measurement of a claim, and what made it."""

    id: str
    value: bool | float | list
    by: dict[str, Any]  # as companion.lab.provenance.made says it
    source: str  # the notebook


class Row(NamedTuple):
    """A claim beside one measurement of it, in words; without one but for the claim."""

    claim: Claim
    expected: str
    value: str = ""
    evidence: str = ""
    verdict: str = "not yet measured"
    by: str = ""


def claim(id: str, value: Any, by: Any = None) -> None:
    """Record what was measured for a claim, and say whether it bears the paper out.

    Args:
        id: of the claim in ``claims.toml``.
        value: a number, a truth value, or lists of either, with the axes that the claim names.
        by: what made it: a study, or what :func:`companion.lab.provenance.made` gives; left out
            where the cell computes it from nothing that was trained.

    Raises:
        ValueError: for an unknown id, one that has ended, a number that is not finite, or a value
            with other axes.
        TypeError: for anything else.

    >>> claim("mlae-c-bottom-vanishes", 1.1)
    mlae-c-bottom-vanishes = 1.1: holds (MLAE, App. C, after Theorem C.4)
    """
    live = {name: entry for name, entry in registry().items() if not entry.ended}
    if id not in live:
        known = "has ended" if id in registry() else f"is not in claims.toml; there is {[*live]}"
        raise ValueError(f"claim: {id!r} {known}")
    entry, plain = live[id], _plain(id, value)
    text = f"{id} = {measured_text(entry, plain)}: {entry.verdict(plain)}"
    made = dict(getattr(by, "made", by) or {})
    content = {id: {"value": plain, "by": made}}
    _display(f"{text} ({entry.paper}, {entry.place})", CLAIM_MIME, content)


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
        run = {name: str(settings.get(name)) for name in ("profile", "device")}
        for id, kept in values.items():
            if id not in registry():
                raise ValueError(f"claims: {path} measures {id!r}, which is not in claims.toml")
            kept = kept if isinstance(kept, dict) else {"value": kept, "by": {}}  # before 2026-12
            found.append(Measured(id, kept["value"], kept["by"] or run, source))
    return found


def table(measurements: Iterable[Measured]) -> list[Row]:
    """One row for each measurement of each claim that has not ended, one for a claim without."""
    rows, measurements = [], list(measurements)
    for entry in (one for one in registry().values() if not one.ended):
        mine = [m for m in measurements if m.id == entry.id]
        rows += [Row(entry, _expected(entry))] if not mine else []
        for m in mine:
            kind, where = m.by.get("evidence", entry.evidence), f"{m.source}: {described(m.by)}"
            try:
                value, verdict = measured_text(entry, m.value), entry.verdict(m.value)
            except ValueError:  # a run from before the claim's axes were named
                value, verdict = _text(m.value), OLDER
            rows.append(Row(entry, _expected(entry), value, kind, verdict, where))
    return rows


def counts(rows: Iterable[Row]) -> list[tuple]:
    """How many measurements of each kind of evidence have each verdict: a row for each kind.

    >>> counts([Row(registry()["2svae-eq8-slope"], "", "1.0", "toy", "holds")])[1]
    ('toy', 1, 0, 0)
    """
    found = Counter((row.evidence, row.verdict) for row in rows)
    return [(kind, *(found[kind, verdict] for verdict in VERDICTS)) for kind in EVIDENCE]


def counted(rows: Sequence[Row]) -> str:
    """The counts in lines, for a terminal.

    >>> print(counted([Row(registry()["2svae-eq8-slope"], "", "1.0", "toy", "holds")]))
                  holds     fails undecided
    identity          0         0         0
    toy               1         0         0
    scaled            0         0         0
    paper             0         0         0
    """
    lines = [" " * 9 + "".join(f"{word:>10}" for word in VERDICTS)]
    lines += [f"{kind:9}" + "".join(f"{n:10}" for n in found) for kind, *found in counts(rows)]
    others = Counter(row.verdict for row in rows if row.verdict not in VERDICTS)
    return "\n".join(lines + [f"{word}: {number}" for word, number in others.items()])


def measured_text(entry: Claim, value: Any) -> str:
    """A measurement in words: of trainings their mean with its interval.

    >>> measured_text(registry()["2svae-tab1-second-stage-digits"], [0.5, 0.7, 0.6])
    '0.6 [0.352, 0.848], 3 trainings'
    """
    cases = entry.cases(value)
    if "trainings" not in entry.over:
        values = [case[0] for case in cases]
        shown = ", ".join(map(_text, values[:6]))
        if len(values) > 6:
            shown = f"{_text(min(values))} to {_text(max(values))}, {len(values)} cases"
        return shown
    number = f", {len(cases[0])} training" + "s" * (len(cases[0]) > 1)
    if entry.test == "holds":
        return "; ".join(f"{sum(map(bool, runs))} of {len(runs)}" for runs in cases) + " trainings"
    return "; ".join(map(_mean, cases)) + number


def _mean(runs: list[float]) -> str:
    center = f"{sum(runs) / len(runs):.3g}"
    if len(runs) < 2:
        return center
    low, high = interval(runs)
    return f"{center} [{low:.3g}, {high:.3g}]"


def _expected(entry: Claim) -> str:
    words = {
        "close": f"{entry.bound:g} ± {100 * entry.tolerance:g} %" if entry.tolerance else "",
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
