"""Explorables on a page without a kernel: a panel, and a script with the pictures of all points.

A script of the page (`page.js`) builds the panel from what stands in it, and fetches the other
pictures when the panel comes near.
"""

import hashlib
import html
import inspect
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import figures
from companion import lab, theory
from companion.atomic import write
from companion.lab.explorable import Explorable, lattice_sum
from companion.lab.frame import png
from companion.lab.panel import facts, key, pack, points
from companion.lab.paper import on_paper
from figures.explorables import BY_NAME

WORKERS = 2


class Slider(SphinxDirective):
    """The directive ``explorable``: a panel on a page that is no notebook."""

    required_arguments = 1
    option_spec = {"held": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        explorable = BY_NAME[self.arguments[0]]
        start = {name: control.start for name, control in explorable.controls.items()}
        seed, held = explorable.seeds[0], self.options.get("held", "").split()
        mark = {"name": explorable.name, "seed": seed, "start": start, "held": held}
        picture = explorable.render(seed, **start)
        made = b64encode(png(on_paper(picture))).decode()
        folder = Path(self.env.srcdir) / "_static" / "explorables"
        return [nodes.raw("", panel(mark, made, picture.says, folder, "_static"), format="html")]


def setup(app: Sphinx) -> dict:
    app.add_directive("explorable", Slider)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def panel(mark: dict, picture: str, alt: str, folder: Path, static: str = "../_static") -> str:
    """The HTML of an explorable at its start.

    Args:
        mark: its name, and the point and the held controls with which a notebook shows it.
        picture: the one there, a PNG in base64, for readers without JavaScript.
        alt: what it shows.
        folder: of the book's pictures; it gets this one.
        static: the way to the folder above it from the page.
    """
    explorable = BY_NAME[mark["name"]]
    at = key(explorable, mark["seed"], mark["start"])
    write(folder / f"{explorable.name}-{at}.png", b64decode(picture))
    start = {
        "facts": facts(explorable, mark["held"]),
        "at": [int(position) for position in at.split("-")],
        "first": explorable.render(mark["seed"], **mark["start"]).data(),
    }
    told = json.dumps(start, ensure_ascii=False).replace("</", "<\\/")
    title, alt = html.escape(explorable.title), html.escape(alt)
    root = f"{static}/{folder.name}"
    return f"""<figure class="companion-panel" data-name="{explorable.name}" data-root="{root}"
 aria-label="{title}: move the sliders">
<noscript><p>The sliders need JavaScript; this is the picture at which they start.</p>
<img src="{root}/{explorable.name}-{at}.png" alt="{alt}"><p>{alt}</p></noscript>
<script type="application/json">{told}</script>
</figure>"""


def draw_lattices(names: Iterable[str], folder: Path) -> None:
    """Write the pictures of some explorables, but for those in which nothing changed."""
    folder.mkdir(parents=True, exist_ok=True)
    # a Python of its own takes seconds to start: the same two draw all, if any is to be drawn
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for name in names:
            draw_lattice(name, folder, pool)


def draw_lattice(name: str, folder: Path, pool: Executor) -> None:
    """Write all pictures of an explorable as ``NAME.js``, unless nothing changed."""
    explorable, script = BY_NAME[name], folder / f"{name}.js"
    stamp = f"// {fingerprint(explorable)}\n"
    if script.exists() and script.read_text("utf-8").startswith(stamp):
        return
    found = points(explorable)
    jobs = [(name, *point) for point in found.values()]
    pictures = dict(zip(found, pool.map(draw, *zip(*jobs, strict=True), chunksize=8), strict=True))
    text = json.dumps(pack(pictures), ensure_ascii=False, separators=(",", ":"))
    write(script, f"{stamp}(window.companionStores ??= {{}})[{name!r}] = {text};\n")


def draw(name: str, seed: int, values: dict[str, float]) -> dict:
    """One picture, as data."""
    return BY_NAME[name].render(seed, **values).data()


def fingerprint(explorable: Explorable) -> str:
    """SHA-256 of all that decides what the pictures show."""
    rooms = [Path(folder) for package in (figures, lab, theory) for folder in package.__path__]
    files = [path for room in rooms for path in sorted(room.glob("*.py"))]
    files += [Path(inspect.getfile(explorable.draw)), Path(__file__)]
    texts = [path.read_text("utf-8") for path in files]
    return hashlib.sha256("".join([*texts, lattice_sum(explorable.name)]).encode()).hexdigest()
