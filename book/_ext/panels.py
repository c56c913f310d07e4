"""Explorables on a page without a kernel: a panel of HTML, and a picture for each lattice point.

``explorable.js`` adds the sliders to the panel; each of their positions shows one of the pictures.
"""

import hashlib
import html
import inspect
import io
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import matplotlib
from PIL import Image

from companion import theory
from companion.atomic import write
from companion.lab import explorable as lab
from companion.lab import study
from companion.lab.explorable import Explorable
from figures import plots
from figures.explorables import BY_NAME

WORKERS = 2


def panel(mark: dict, alt: str) -> str:
    """The HTML of an explorable at its start; ``explorable.js`` adds the sliders."""
    explorable: Explorable = BY_NAME[mark["name"]]
    at = point_key(explorable, mark["seed"], mark["start"])
    title, alt, held = html.escape(explorable.title), html.escape(alt), " ".join(mark["held"])
    return f"""<figure class="explorable" data-name="{explorable.name}" data-at="{at}"
 data-held="{held}" data-root="../_static/explorables" aria-label="{title}: move the sliders">
<noscript><p>The sliders need JavaScript; this is the picture at which they start.</p></noscript>
<img src="../_static/explorables/{explorable.name}/{at}.png" alt="{alt}" decoding="sync">
<figcaption><p aria-live="polite">{alt}</p></figcaption>
</figure>
<script src="../_static/explorables/{explorable.name}/lattice.js"></script>"""


def point_key(explorable: Explorable, seed: int, values: dict[str, float]) -> str:
    """A lattice point as positions on its sliders: controls in order, then the seed."""
    where = [c.values.index(values[name]) for name, c in explorable.controls.items()]
    return "-".join(map(str, [*where, explorable.seeds.index(seed)]))


def lattice_points(explorable: Explorable) -> dict[str, tuple[int, dict[str, float]]]:
    """Every ``(seed, values)`` by its key."""
    axes = product(*(c.values for c in explorable.controls.values()), explorable.seeds)
    points = [(seed, dict(zip(explorable.controls, v, strict=True))) for *v, seed in axes]
    return {point_key(explorable, *point): point for point in points}


def draw_lattices(names: Iterable[str], folder: Path) -> None:
    """Draw all pictures of some explorables, but for those in which nothing changed."""
    # a Python of its own takes seconds to start: the same two draw all, if any is to be drawn
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for name in names:
            draw_lattice(name, folder, pool)


def draw_lattice(name: str, folder: Path, pool: Executor) -> None:
    """Draw all pictures of an explorable and write its ``lattice.js``, unless nothing changed."""
    explorable, target = BY_NAME[name], folder / name
    script, stamp = target / "lattice.js", f"// {fingerprint(explorable)}\n"
    if script.exists() and script.read_text("utf-8").startswith(stamp):
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    points = lattice_points(explorable)
    jobs = [(name, *point, target / f"{key}.png") for key, point in points.items()]
    told = list(pool.map(draw, *zip(*jobs, strict=True), chunksize=4))
    alt = dict(zip(points, told, strict=True))
    facts = json.dumps(description(explorable, alt), ensure_ascii=False, indent=0)
    assign = f"(window.companionExplorables ??= {{}})[{name!r}] = {facts};\n"
    write(script, stamp + assign)  # last: it says that all pictures are there


def draw(name: str, seed: int, values: dict[str, float], path: Path) -> str:
    """One picture, in a palette of 128 colours, a third of the size; returns what it shows."""
    figure, alt = BY_NAME[name].render(seed, **values)
    picture = Image.open(io.BytesIO(plots.png(figure)))
    picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return alt


def description(explorable: Explorable, alt: dict[str, str]) -> dict:
    """What the sliders must know, positions instead of values, and each picture's words."""
    controls = [
        {"name": name, "label": c.label, "texts": c.texts}
        for name, c in explorable.controls.items()
    ]
    seeds = {"name": "seed", "label": "seed", "texts": [str(seed) for seed in explorable.seeds]}
    presets = {
        label: {name: explorable.controls[name].values.index(v) for name, v in setting.items()}
        for label, setting in explorable.presets.items()
    }
    parts = {"controls": [*controls, seeds], "presets": presets, "prompts": explorable.prompts}
    return {"title": explorable.title, **parts, "alt": alt}


def fingerprint(explorable: Explorable) -> str:
    """SHA-256 of all that decides what the pictures look like."""
    rooms = [Path(folder) for package in (plots, theory) for folder in package.__path__]
    files = [path for room in rooms for path in sorted(room.glob("*.py"))]
    files += [Path(inspect.getfile(one)) for one in (lab, study, explorable.draw)]
    texts = [path.read_text("utf-8") for path in files]
    texts += [lab.lattice_sum(explorable.name), matplotlib.__version__]
    texts += [inspect.getsource(f) for f in (draw, description, point_key)]
    return hashlib.sha256("".join(texts).encode()).hexdigest()
