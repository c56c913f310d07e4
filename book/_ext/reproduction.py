"""Directives for the papers' claims: their counts, the tables, and those that have ended."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.lab import claims
from companion.lab.verdicts import EVIDENCE, VERDICTS, registry

HEAD, WIDTHS = ("claim", "measured", "verdict", "made by"), (30, 34, 10, 26)


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
                row.by.replace("_", " "),
            )
            for row in self.rows()
            if (one := row.claim).paper == self.arguments[0]
        ]
        return [table(HEAD, WIDTHS, rows)]


class ClaimCounts(Measured):
    """How many measurements of each kind of evidence have each verdict."""

    def run(self) -> list[nodes.Node]:
        rows = [
            (f"{kind}: {EVIDENCE[kind]}", *map(str, numbers))
            for kind, *numbers in claims.counts(self.rows())
        ]
        return [table(("evidence", *VERDICTS), (52, 16, 16, 16), rows)]


class EndedClaims(SphinxDirective):
    """Claims that are no longer measured, and what became of each."""

    def run(self) -> list[nodes.Node]:
        ended = [one for one in registry().values() if one.ended]
        rows = [(one.id, [f"{one.paper}, {one.place}", one.says], one.ended) for one in ended]
        return [table(("claim", "said", "what became of it"), (22, 34, 44), rows)]


Cell = str | list[str]  # words, or several paragraphs of them


def table(head: tuple, widths: tuple, rows: list[tuple[Cell, ...]]) -> nodes.table:
    """A table whose cells are paragraphs; empty ones are left out."""

    def entry(cell: Cell) -> nodes.entry:
        paragraphs = [cell] if isinstance(cell, str) else [words for words in cell if words]
        return nodes.entry("", *(nodes.paragraph("", words) for words in paragraphs))

    def row(cells: tuple[Cell, ...]) -> nodes.row:
        return nodes.row("", *map(entry, cells))

    group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in widths), cols=len(widths))
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group)
