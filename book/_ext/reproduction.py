"""The directive ``claims``: the papers' claims beside what the committed notebooks measured."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.lab import claims

HEAD = "place", "claim", "measured", "verdict", "where"
WIDTHS = 16, 40, 26, 10, 8


def setup(app: Sphinx) -> dict:
    app.add_directive("claims", ClaimsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class ClaimsTable(SphinxDirective):
    """A table of all claims of one paper, given by its short name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        folder = self.config.companion_notebooks
        paths = sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))
        for path in paths:
            self.env.note_dependency(str(path))
        rows = []
        for _, place, says, expected, value, verdict, where in claims.table(claims.measured(paths)):
            paper, _, place = place.partition(", ")
            if paper == self.arguments[0]:
                result = f"{expected}. {'Measured: ' + value if value else ''}"
                rows.append((place, says, result, verdict, where.replace("_", " ")))
        return [table(HEAD, WIDTHS, rows)] if rows else []


def table(head: tuple, widths: tuple, rows: list[tuple]) -> nodes.table:
    def row(cells: tuple) -> nodes.row:
        entries = [nodes.entry("", nodes.paragraph("", cell)) for cell in cells]
        return nodes.row("", *entries)

    group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in widths), cols=len(widths))
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group)
