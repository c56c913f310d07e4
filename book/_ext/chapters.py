"""The map of the course, once for all: cards in the book, tables in README.md and notebook 00.

`python book/_ext/chapters.py` writes the two tables anew, each between its head and the first line
that is no row. Titles and questions are the notebooks' own, minutes follow from their length.
"""

import html
import io
import re
import tomllib
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.atomic import write

ROOT = Path(__file__).resolve().parents[2]
HEAD = "| | notebook | what you move | study |"
WORDS = 100  # that one reads in a minute
EXERCISE, CELL, STEP = 10, 0.5, 15  # minutes; to STEP they are rounded
THUMB = 320, 180


@dataclass(frozen=True)
class Chapter:
    """One notebook, as the map shows it."""

    number: str
    stem: str
    title: str
    question: str
    minutes: int  # of a careful reader
    moves: str
    source: str
    needs: list[str]


def chapters() -> list[Chapter]:
    """All of them, in order."""
    more = tomllib.loads((ROOT / "book" / "chapters.toml").read_text("utf-8"))
    return [
        Chapter(path.name[:2], path.stem, *told(path), **more[path.name[:2]])
        for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
    ]


def told(path: Path) -> tuple[str, str, int]:
    """Title, question and minutes of a notebook."""
    cells = jupytext.read(path).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    title = re.search(r"# \d\d · (.*)", prose)[1]
    question = re.search(r"\*\*Question\.\*\* (.*?)\n\n", prose, re.DOTALL)[1]
    read = [line for line in prose.splitlines() if not line.startswith("|")]  # this map is one
    minutes = len(" ".join(read).split()) / WORDS + EXERCISE * prose.count("<summary>Solution")
    minutes += CELL * sum(cell.cell_type == "code" for cell in cells)
    return title, " ".join(question.split()), STEP * max(1, round(minutes / STEP))


def table(folder: str) -> list[str]:
    """The map as lines of Markdown, with links to the notebooks of a folder."""
    rows = [
        f"| {c.number} | [{c.title}]({folder}{c.stem}.ipynb) | {c.moves} | {c.minutes} min |"
        for c in chapters()
    ]
    return [HEAD, "|---|---|---|---|", *rows]


MAPS = (("README.md", "notebooks/", ""), ("notebooks/00_start_here.py", "", "# "))


def renewed(name: str, folder: str, prefix: str) -> str:
    """A file's text with the map as it is now in the place of the one that it has."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    start = lines.index(prefix + HEAD)
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith(f"{prefix}|"))
    lines[start:end] = [prefix + row for row in table(folder)]
    return "\n".join(lines) + "\n"


class Cards(SphinxDirective):
    """The directive ``chapters``: a card for each, with its first picture."""

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.srcdir) / "_static" / "thumbs"
        folder.mkdir(exist_ok=True)
        cards = [card(chapter, folder) for chapter in chapters()]
        return [nodes.raw("", f'<ul class="chapters">{"".join(cards)}</ul>', format="html")]


def card(chapter: Chapter, folder: Path) -> str:
    """One card; its picture goes into a folder."""
    write(folder / f"{chapter.number}.png", thumb(chapter.stem))
    needs = f"after {', '.join(chapter.needs)}" if chapter.needs else "needs nothing"
    words = html.escape(chapter.question.replace("*", ""))
    size = f'width="{THUMB[0]}" height="{THUMB[1]}"'
    return f"""<li><a href="notebooks/{chapter.stem}.html">
<img src="_static/thumbs/{chapter.number}.png" alt="" {size} loading="lazy">
<strong>{chapter.number} · {html.escape(chapter.title)}</strong></a>
<p>{words}</p>
<p class="chapter-facts">You move {html.escape(chapter.moves)} · {chapter.minutes} min · {needs} ·
{html.escape(chapter.source)}</p></li>"""


def thumb(stem: str) -> bytes:
    """The upper left part of a notebook's first picture, in the size of a card."""
    made = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
    outputs = [out for cell in made.cells for out in cell.get("outputs", ())]
    png = next(out.data["image/png"] for out in outputs if "image/png" in out.get("data", {}))
    picture = Image.open(io.BytesIO(b64decode(png))).convert("RGB")
    height = min(picture.height, picture.width * THUMB[1] // THUMB[0])
    part = picture.crop((0, 0, height * THUMB[0] // THUMB[1], height))
    part.resize((2 * THUMB[0], 2 * THUMB[1])).save(buffer := io.BytesIO(), format="png")
    return buffer.getvalue()


def setup(app: Sphinx) -> dict:
    app.add_directive("chapters", Cards)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    for place in MAPS:
        write(ROOT / place[0], renewed(*place))
