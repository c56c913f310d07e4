"""Directives for the papers' claims: their counts, the tables, and those that have ended."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.lab import claims
from companion.lab.verdicts import EVIDENCE, VERDICTS, registry

COLUMNS = {"claim": 30, "measured": 34, "verdict": 10, "made by": 26}


def setup(app: Sphinx) -> dict:
    app.add_directive("claims", ClaimsTable)
    app.add_directive("claim-counts", ClaimCounts)
    app.add_directive("ended-claims", EndedClaims)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class Measured(SphinxDirective):
    """What the committed notebooks measured."""

    def rows(self) -> list[claims.Row]:
        paths = sorted(Path(self.config.companion_notebooks).glob("[0-9][0-9]_*.ipynb"))
        for path in paths:
            self.env.note_dependency(str(path))
        return claims.table(claims.measured(paths))


class ClaimsTable(Measured):
    """A table of all claims of one paper, given by its short name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        rows = [
            (
                [one.place, one.says],
                [f"{row.expected}; {one.why}.", f"Measured: {row.value}." if row.value else ""],
                [row.verdict, f"({row.evidence})" if row.evidence else ""],
                [row.by.replace("_", " ")],
            )
            for row in self.rows()
            if (one := row.claim).paper == self.arguments[0]
        ]
        return [table(COLUMNS, rows)]


class ClaimCounts(Measured):
    """How many measurements of each kind of evidence have each verdict."""

    def run(self) -> list[nodes.Node]:
        rows = [
            ([f"{kind}: {EVIDENCE[kind]}"], *([str(number)] for number in numbers))
            for kind, *numbers in claims.counts(self.rows())
        ]
        return [table({"evidence": 52} | dict.fromkeys(VERDICTS, 16), rows)]


class EndedClaims(SphinxDirective):
    """Claims that are no longer measured, and what became of each."""

    def run(self) -> list[nodes.Node]:
        ended = [one for one in registry().values() if one.ended]
        rows = [([one.id], [f"{one.paper}, {one.place}", one.says], [one.ended]) for one in ended]
        return [table({"claim": 22, "said": 34, "what became of it": 44}, rows)]


def table(columns: dict[str, int], rows: list[tuple[list[str], ...]]) -> nodes.table:
    """A table whose cells are paragraphs; empty ones are left out."""

    def row(cells: tuple[list[str], ...]) -> nodes.row:
        filled = ([nodes.paragraph("", words) for words in cell if words] for cell in cells)
        return nodes.row("", *(nodes.entry("", *paragraphs) for paragraphs in filled))

    widths = (nodes.colspec(colwidth=width) for width in columns.values())
    group = nodes.tgroup("", *widths, cols=len(columns))
    group += nodes.thead("", row(tuple([name] for name in columns)))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group)
