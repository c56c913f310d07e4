"""The directive ``costs``: what the presets of one model cost, from counts and measured rates."""

import json
from pathlib import Path

from docutils import nodes
from reproduction import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ASSUMED = 1e13  # floating point operations per second; not measured
GPUS = 8
TABLES = "power", "gas", "hepmass", "miniboone", "sinusoid"
HEAD = (
    "preset", "steps", "PFLOP", "GB held", "GB on top", "hours here", "hours, one GPU",
    f"hours, {GPUS} GPUs",
)  # fmt: skip
WIDTHS = 28, 10, 9, 8, 9, 11, 12, 12


def setup(app: Sphinx) -> dict:
    app.add_directive("costs", CostsTable)
    app.add_directive("rates", RatesTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def recorded() -> dict:
    return json.loads((Path(__file__).parents[1] / "costs.json").read_text("utf-8"))


def rate_of(name: str, rates: dict) -> float:
    """The measured rate that stands for a preset's: that of its family, or of small tables."""
    family = next(family for family in rates if name.startswith(family))
    if name.removeprefix("mlae-") in TABLES:
        family = "tables"
    return rates[family]["flop_per_second"]


def row(name: str, run: dict, rates: dict) -> tuple[str, ...]:
    """One preset's line; hours are operations over a rate.

    >>> run = {"steps": 1000, "flop": 3.6e16, "resident": 2e9, "peak": 5e8}
    >>> row("aef-mnist", run, {"aef": {"flop_per_second": 1e12}})[2:]
    ('36', '2.00', '0.50', '10', '1', '0.12')
    """
    hours = [run["flop"] / speed / 3600 for speed in (rate_of(name, rates), ASSUMED)]
    held = (f"{run[part] / 1e9:.2f}" for part in ("resident", "peak"))
    shown = (two(h) for h in (*hours, hours[1] / GPUS))
    return name, f"{run['steps']:,}", two(run["flop"] / 1e15), *held, *shown


def two(value: float) -> str:
    """Two digits that count.

    >>> two(1234.5), two(0.0123), two(0.00123)
    ('1,200', '0.012', '< 0.01')
    """
    if value < 0.01:
        return "< 0.01"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


class CostsTable(SphinxDirective):
    """The presets whose names begin with the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = recorded()
        self.env.note_dependency(str(Path(__file__).parents[1] / "costs.json"))
        rows = [
            row(name, run, found["rates"])
            for name, run in found["runs"].items()
            if name.startswith(self.arguments[0])
        ]
        return [table(HEAD, WIDTHS, rows)]


class RatesTable(SphinxDirective):
    """What was measured, where."""

    def run(self) -> list[nodes.Node]:
        found = recorded()
        about = found["about"]
        rows = [
            (one["preset"], str(one["batch"]), two(one["flop_per_second"] / 1e9), stands)
            for stands, one in found["rates"].items()
        ]
        where = "{device}, {machine}, {threads} thread, torch {torch}".format(**about)
        head = "preset", "batch", f"GFLOP a second ({where})", "stands for"
        return [table(head, (28, 8, 30, 14), rows)]
