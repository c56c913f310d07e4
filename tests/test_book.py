"""The book builds without a network, a warning or a kernel, and its sliders work from a file."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from helpers import judge

from companion.lab import claims
from companion.lab.verdicts import EVIDENCE, registry

ROOT = Path(__file__).resolve().parents[1]
BOOK, NOTEBOOKS = ROOT / "book", ROOT / "notebooks"
CHAPTERS = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.py"))
OURS = "explorable.js", "explorable.css", "lattice.js"
EXPLORABLE = "application/vnd.companion.explorable+json"
PLOTLY = "application/vnd.plotly.v1+json"

pytestmark = [pytest.mark.book, pytest.mark.slow]


def build(source, target, tmp, *options):
    """Run Sphinx with a python3 kernel that only leaves a mark; the finished process."""
    kernel = tmp / "share" / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    mark = f"open({str(tmp / 'a_kernel_ran')!r}, 'w')"
    spec = {"argv": [sys.executable, "-c", mark], "display_name": "none", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-b", "html", *options]
        + [str(source), str(target)],
        env=os.environ | nowhere | {"JUPYTER_PATH": str(tmp / "share")},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def tmp(tmp_path_factory):
    return tmp_path_factory.mktemp("book")


@pytest.fixture(scope="module")
def book(tmp):
    """The built book's folder."""
    pytest.importorskip("myst_nb", reason="the book needs the extra [book]")
    target = tmp / "html"
    made = build(BOOK, target, tmp, "-D", f"nb_execution_cache_path={tmp / 'cache'}")
    assert made.returncode == 0, made.stderr[-4000:]
    assert "WARNING" not in made.stderr, made.stderr
    return target


class Page(HTMLParser):
    """The tags of a page, each as ``(name, attributes)``."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], path.read_text("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def pages(book):
    """Every page by its address; the theme's own templates lie among the static files."""
    paths = [p.relative_to(book).as_posix() for p in sorted(book.rglob("*.html"))]
    return {path: Page(book / path) for path in paths if not path.startswith("_static/")}


def test_every_notebook_is_a_chapter_with_its_pictures(book):
    for name in CHAPTERS:
        page = Page(book / "notebooks" / f"{name}.html")
        made = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        outputs = [o.data for c in made.cells for o in c.get("outputs", ()) if "data" in o]
        shown = [image for image in page.all("img") if "logo" not in image.get("class", "")]
        assert len(shown) == sum("image/png" in data for data in outputs)
        panels = [f for f in page.all("figure") if f.get("class") == "explorable"]
        assert len(panels) == sum(EXPLORABLE in data for data in outputs)


def test_no_kernel_ran(book, tmp):
    assert not (tmp / "a_kernel_ran").exists()


def test_pictures_have_the_words_that_came_with_them(book):
    for name, page in pages(book).items():
        for image in page.all("img"):
            assert len(image.get("alt", "")) > 10, f"{name}: {image}"
    for name in CHAPTERS:
        made = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        alts = {image["alt"] for image in Page(book / "notebooks" / f"{name}.html").all("img")}
        told = [o.metadata for c in made.cells for o in c.get("outputs", ()) if "data" in o]
        assert {m["image/png"]["alt"] for m in told if "image/png" in m} == alts


def test_nothing_is_fetched_from_a_network(book):
    for name, page in pages(book).items():
        loaded = [tag["src"] for _, tag in page.tags if tag.get("src")]
        loaded += [tag["href"] for tag in page.all("link") if tag.get("href")]
        assert not [url for url in loaded if re.match(r"(\w+:)?//", url)], name
        assert "@import" not in page.text and "cdn" not in page.text.lower(), name
        assert not re.search(r"fetch\(\s*[\"'`]http", page.text), name
    for path in [p for p in book.rglob("*") if p.name in OURS]:
        text = path.read_text("utf-8")
        assert not re.search(r"https?://|@import|fetch\(|XMLHttpRequest|import\(", text), path.name
    for path in (book / "_static").glob("**/*.css"):
        found = re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//\S+", path.read_text("utf-8"))
        assert not found, path.name


def test_the_files_that_pages_load_exist(book):
    for name, page in pages(book).items():
        folder = (book / name).parent
        loaded = [tag["src"] for _, tag in page.tags if tag.get("src")]
        loaded += [tag["href"] for tag in page.all("link") if tag.get("rel") == "stylesheet"]
        for url in loaded:
            assert (folder / url.partition("?")[0]).exists(), f"{name}: {url}"


def test_the_map_links_exactly_the_chapters_that_exist(book):
    text = (book / "index.html").read_text("utf-8")
    rows = re.findall(r"<tr[^>]*><td><p>(\d\d)</p></td>\s*<td><p>(.*?)</p></td>", text, re.DOTALL)
    assert [number for number, _ in rows] == [f"{n:02}" for n in range(14)]
    linked = {number for number, title in rows if "<a " in title}
    assert linked == {name[:2] for name in CHAPTERS}
    assert all(("planned" in title) == (number not in linked) for number, title in rows)


def test_the_reproduction_table_holds_what_the_notebooks_measured(book):
    text = unescape((book / "reproduction.html").read_text("utf-8")).replace("’", "'")
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    rows = claims.table(claims.measured(paths))
    for row in rows:
        assert row.claim.says in text and row.value in text and row.verdict in text
        assert row.claim.why in text
    ended = [one for one in registry().values() if one.ended]
    assert all(one.id in text for one in ended)
    papers = {one.paper for one in registry().values()}
    assert text.count("<tr") == len(rows) + len(ended) + len(EVIDENCE) + len(papers) + 2  # heads


def test_what_turns_in_jupyterlab_turns_on_the_page(book):
    """Each Plotly figure has its place, below the picture that readers without scripts see."""
    for name in CHAPTERS:
        page = Page(book / "notebooks" / f"{name}.html")
        made = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        outputs = [o.data for c in made.cells for o in c.get("outputs", ()) if "data" in o]
        ids = [div["id"] for div in page.all("div") if div.get("id", "").startswith("turn-")]
        assert len(ids) == sum(PLOTLY in data for data in outputs)
        for id in ids:
            script = book / "_static" / "turnables" / f"{id}.js"
            assert script.read_text("utf-8").startswith(f'Plotly.newPlot("{id}", [')


def test_every_slider_position_has_a_picture_and_words(book):
    for script in (book / "_static" / "explorables").glob("*/lattice.js"):
        lattice = json.loads(re.search(r"\] = (\{.*\});", script.read_text("utf-8"), re.DOTALL)[1])
        sizes = [len(control["texts"]) for control in lattice["controls"]]
        positions = {"-".join(map(str, at)) for at in grid(sizes)}
        assert set(lattice["alt"]) == positions
        assert {path.stem for path in script.parent.glob("*.png")} == positions
        assert len(set(lattice["alt"].values())) > len(positions) / 2


def grid(sizes):
    return [()] if not sizes else [(*a, b) for a in grid(sizes[:-1]) for b in range(sizes[-1])]


def test_the_panel_shows_what_the_explorable_renders():
    """The picture on the page is the picture of the widget, but for its palette."""
    import io

    import numpy as np
    from PIL import Image

    from companion.lab.frame import png
    from figures.explorables import BY_NAME

    for name, explorable in BY_NAME.items():
        path = BOOK / "_static" / "explorables" / name / "0-0-0.png"
        if not path.exists():
            continue
        first = {key: control.values[0] for key, control in explorable.controls.items()}
        figure, _ = explorable.render(0, **first)
        live = Image.open(io.BytesIO(png(figure))).convert("RGB")
        away = np.abs(np.asarray(live, float) - np.asarray(Image.open(path).convert("RGB"), float))
        assert away.mean() < 2


@pytest.mark.parametrize("harm", ["other code", "no outputs"])
def test_a_stale_notebook_stops_the_build(tmp_path, harm):
    pytest.importorskip("myst_nb", reason="the book needs the extra [book]")
    folder, source = tmp_path / "notebooks", tmp_path / "book"
    folder.mkdir()
    for made in sorted(NOTEBOOKS.glob(f"{CHAPTERS[0]}.*")):
        shutil.copy(made, folder)
    shutil.copytree(BOOK, source, ignore=shutil.ignore_patterns("_build", "notebooks", "_static"))
    if harm == "other code":
        with (folder / f"{CHAPTERS[0]}.py").open("a", encoding="utf-8") as file:
            file.write("\n# %%\n1 + 1\n")
    else:
        (folder / f"{CHAPTERS[0]}.ipynb").unlink()
    made = build(source, tmp_path / "html", tmp_path, "-D", f"companion_notebooks={folder}")
    assert made.returncode != 0
    assert f"make notebooks NB={CHAPTERS[0][:2]}" in made.stderr
    assert not (tmp_path / "a_kernel_ran").exists()


# In a browser


MEASURE = """() => {
  window.times = [];
  const picture = document.querySelector("figure.explorable img");
  document.addEventListener("input", (event) => {
    const began = event.timeStamp;
    picture.addEventListener("load", () => picture.decode().then(() =>
      window.times.push(performance.now() - began)), { once: true });
  }, true);
}"""
STATE = """() => {
  const figure = document.querySelector("figure.explorable");
  const { src, alt, naturalWidth } = figure.querySelector("img");
  return [src, alt, figure.querySelector("figcaption p").textContent, naturalWidth];
}"""


@pytest.fixture
def opened(book, browser):
    """The page of the sinusoid, from its file, with every other address refused."""
    context = browser.new_context(offline=True, viewport={"width": 1300, "height": 900})
    asked, errors = [], []
    context.route(re.compile("^(?!file:|data:|blob:)"), lambda r: asked.append(r) or r.abort())
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(error))
    page.goto((book / "notebooks" / "02_noisy_sinusoid.html").as_uri())
    yield page
    assert not asked and not errors
    context.close()


@pytest.mark.browser
def test_the_slider_answers_to_the_keyboard(opened):
    opened.evaluate(MEASURE)
    seen = [opened.evaluate(STATE)]
    slider = opened.get_by_label(re.compile("^β"))
    slider.focus()
    ends = int(slider.get_attribute("max"))
    for key in ["Home", *["ArrowRight"] * ends, *["ArrowLeft"] * ends]:
        moved, told = len(seen), slider.get_attribute("aria-valuetext")
        opened.keyboard.press(key)
        opened.wait_for_function(f"window.times.length >= {moved}")
        seen.append(opened.evaluate(STATE))
        assert slider.get_attribute("aria-valuetext") != told
    for (src, alt, _, _), now in zip(seen, seen[1:], strict=False):
        assert now[0] != src and now[1] != alt
    assert all(alt == caption and width > 0 for _, alt, caption, width in seen)
    times = sorted(opened.evaluate("window.times"))
    p95 = times[int(0.95 * (len(times) - 1))]
    print(f"\nslider to picture: median {times[len(times) // 2]:.1f} ms, p95 {p95:.1f} ms")
    assert len(times) >= 20
    judge(p95, 40)


@pytest.mark.browser
def test_presets_seeds_and_noise_move_the_picture(opened):
    before = opened.evaluate(STATE)
    opened.get_by_role("button", name=re.compile("likelihood alone")).click()
    assert "β = 0.01," in opened.evaluate(STATE)[1] != before[1]
    opened.get_by_label("seed").press("End")
    assert opened.evaluate(STATE)[0].endswith("-4.png")
    opened.get_by_label(re.compile("noise")).press("End")
    assert "σ = 0.3" in opened.evaluate(STATE)[2]


@pytest.mark.browser
def test_no_page_asks_for_a_network(book, opened):
    for name in pages(book):
        opened.goto(
            (book / name).as_uri(), wait_until="load"
        )  # the fixture looks at what was asked


@pytest.mark.browser
def test_without_scripts_a_picture_with_words_is_left(book, browser):
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto((book / "notebooks" / "02_noisy_sinusoid.html").as_uri())
    picture = page.locator("figure.explorable img")
    assert picture.is_visible() and len(picture.get_attribute("alt")) > 10
    assert "need JavaScript" in page.locator("figure.explorable noscript").inner_text()
    context.close()


@pytest.mark.browser
def test_a_held_control_has_no_slider(book, browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((book / "notebooks" / "00_start_here.html").as_uri())
    held = page.locator("figure.explorable").get_attribute("data-held").split()
    there = page.locator("figure.explorable input").evaluate_all(
        "all => all.map((input) => input.dataset.control)"
    )
    assert held and "beta" in there and not set(held) & set(there)
    context.close()
