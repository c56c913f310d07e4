"""The directive ``counts``: the papers' parameter counts beside those of the networks here."""

from docutils import nodes
from reproduction import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.experiments import counts

HEAD = "place", "network", "printed", "ours", "met", "note"
WIDTHS = 16, 30, 9, 9, 10, 44


def setup(app: Sphinx) -> dict:
    app.add_directive("counts", CountsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class CountsTable(SphinxDirective):
    """Every count that the papers print."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(counts.__file__)
        return [table(HEAD, WIDTHS, [tuple(row) for row in counts.printed()])]
