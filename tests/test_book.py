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
from helpers import alike, judge

from companion.lab import claims
from companion.lab.panel import points, unpack
from companion.lab.verdicts import EVIDENCE, registry
from figures.explorables import BY_NAME

ROOT = Path(__file__).resolve().parents[1]
BOOK, NOTEBOOKS = ROOT / "book", ROOT / "notebooks"
CHAPTERS = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.py"))
OURS = "values.js", "picture.js", "panel.js", "page.js", "panel.css"
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
        panels = [f for f in page.all("figure") if f.get("class") == "companion-panel"]
        assert len(panels) == sum(EXPLORABLE in data for data in outputs)


def test_no_kernel_ran(book, tmp):
    assert not (tmp / "a_kernel_ran").exists()


def test_pictures_have_the_words_that_came_with_them(book):
    for name, page in pages(book).items():
        for image in page.all("img"):
            if "_static/thumbs/" in image["src"]:  # in a link that says the chapter's name
                continue
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
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")  # a name only
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


def test_the_landing_page_has_a_slider_and_a_card_for_each_chapter(book):
    page = Page(book / "index.html")
    links = [tag["href"] for tag in page.all("a") if tag.get("href", "").startswith("notebooks/")]
    assert {f"notebooks/{name}.html" for name in CHAPTERS} <= set(links)
    assert [tag["data-name"] for tag in page.all("figure") if "data-name" in tag] == ["sinusoid"]
    text = (book / "index.html").read_text("utf-8")
    assert text.count("min · ") == len(CHAPTERS) and "planned" not in text.lower()


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


def store(path):
    """The pictures of an explorable by the positions of its sliders, as the page unpacks them."""
    text = path.read_text("utf-8")
    return unpack(json.loads(re.search(r"\] = (\{.*\});", text, re.DOTALL)[1]))


def test_every_slider_position_has_a_picture_and_words(book):
    shown = sorted((book / "_static" / "explorables").glob("*.js"))
    assert {path.stem for path in shown} == set(BY_NAME)
    for path in shown:
        pictures = store(path)
        assert set(pictures) == set(points(BY_NAME[path.stem]))
        assert len({picture["says"] for picture in pictures.values()}) > len(pictures) / 2


def test_the_page_shows_what_the_explorable_renders(book):
    """The numbers on the page, those of the panel in JupyterLab and those in print are the same."""
    for name, explorable in BY_NAME.items():
        pictures = store(book / "_static" / "explorables" / f"{name}.js")
        for at in (next(iter(pictures)), list(pictures)[-1]):
            seed, values = points(explorable)[at]
            now = json.loads(json.dumps(explorable.render(seed, **values).data()))
            assert alike(now["says"], pictures[at]["says"])
            marks = [[m["kind"] for p in c for m in p["marks"]] for c in now["columns"]]
            assert marks == [
                [m["kind"] for p in c for m in p["marks"]] for c in pictures[at]["columns"]
            ]


def test_all_pictures_weigh_little(book):
    """DESIGN §8: numbers, not pictures; 8 MB for all explorables."""
    sizes = [path.stat().st_size for path in (book / "_static" / "explorables").glob("*.js")]
    assert sum(sizes) < 8e6


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


PANEL = "figure.companion-panel"
MEASURE = """() => {
  window.times = [];
  const picture = document.querySelector("figure.companion-panel .companion-picture");
  let began = null;
  document.addEventListener("input", (event) => (began ??= event.timeStamp), true);
  new MutationObserver(() => requestAnimationFrame(() => {
    if (began !== null) window.times.push(performance.now() - began);
    began = null;
  })).observe(picture, { childList: true });
}"""
STATE = """() => {
  const figure = document.querySelector("figure.companion-panel");
  const picture = figure.querySelector(".companion-picture");
  const { width, height } = picture.getBoundingClientRect();
  const caption = figure.querySelector("p[aria-live]").textContent;
  return [picture.innerHTML, picture.getAttribute("aria-label"), caption, width * height];
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
    page.locator(PANEL).scroll_into_view_if_needed()
    page.locator(f"{PANEL}[data-loaded]").wait_for()
    page.get_by_role("button", name="just show me").first.click()
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
    from playwright.sync_api import expect  # here: most tests need no browser

    words = opened.locator(f"{PANEL} p[aria-live]")
    opened.get_by_role("button", name=re.compile("likelihood alone")).click()
    expect(words).to_contain_text("β = 0.01,")
    before = opened.evaluate(STATE)
    opened.get_by_label("seed").press("End")
    opened.wait_for_function(f"({STATE})()[0] !== {json.dumps(before[0])}")
    opened.get_by_role("slider", name=re.compile("noise")).press("End")
    expect(words).to_contain_text("σ = 0.3")


@pytest.mark.browser
def test_sliders_wait_for_a_prediction_which_is_kept(book, browser):
    """Predict, commit, move: nothing that answers is shown before."""
    from playwright.sync_api import expect

    context = browser.new_context(offline=True)
    page = context.new_page()
    address = (book / "notebooks" / "02_noisy_sinusoid.html").as_uri()
    page.goto(address)
    panel = page.locator(PANEL).first
    slider = panel.get_by_role("slider", name=re.compile("^β"))
    expect(slider).to_be_disabled()
    assert panel.locator("svg.companion-plot").count() == 1
    assert panel.locator("p[aria-live]").inner_text() == ""
    panel.get_by_label("where along the curve").check()
    panel.get_by_role("button", name="this is my prediction").click()
    expect(slider).to_be_enabled()
    expect(slider).to_be_focused()
    expect(panel.locator("p[role=status]").first).to_contain_text("It is otherwise. At β = 0.01")
    assert panel.locator("svg.companion-plot").count() == 2
    page.goto(address)
    expect(slider).to_be_enabled()
    assert panel.get_by_label("where along the curve").is_checked()
    context.close()


@pytest.mark.browser
def test_values_are_told_and_numbers_stand_behind(opened):
    from playwright.sync_api import expect

    box = opened.locator(f"{PANEL} .companion-shell svg").first.bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(opened.locator(f"{PANEL} .companion-tip").first).to_contain_text("x₁: ")
    opened.get_by_text("the numbers").click()
    assert opened.locator(f"{PANEL} .companion-numbers tbody tr").count() > 100


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_a_panel_fits_and_its_letters_can_be_read(book, browser, screenshot, width, theme):
    context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto((book / "notebooks" / "02_noisy_sinusoid.html").as_uri())
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.locator(PANEL).scroll_into_view_if_needed()
    page.locator(f"{PANEL}[data-loaded]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    fits = """all => all.every((one) => one.getBoundingClientRect().right <=
      document.querySelector("figure.companion-panel").getBoundingClientRect().right)"""
    assert page.locator(f"{PANEL} svg text").evaluate_all(fits)
    sizes = "all => all.map((one) => parseFloat(getComputedStyle(one).fontSize))"
    assert min(page.locator(f"{PANEL} svg text").evaluate_all(sizes)) >= 11
    hit = """all => all.filter((one) => one.offsetParent).map((one) =>
      (one.closest("label") ?? one).getBoundingClientRect().height)"""
    assert min(page.locator(f"{PANEL} :is(button, input, summary)").evaluate_all(hit)) >= 44
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=PANEL).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert not serious, [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in serious]
    screenshot(page, f"page-02-{width}-{theme}")
    context.close()


@pytest.mark.browser
def test_no_page_asks_for_a_network_or_is_wider_than_a_phone(book, opened):
    opened.set_viewport_size({"width": 360, "height": 800})
    wide = {}
    for name in pages(book):
        opened.goto((book / name).as_uri(), wait_until="load")  # the fixture sees what was asked
        width = opened.evaluate("document.documentElement.scrollWidth")
        wide |= {name: width} if width > 360 else {}
    assert not wide


@pytest.mark.browser
def test_without_scripts_a_picture_with_words_is_left(book, browser):
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto((book / "notebooks" / "02_noisy_sinusoid.html").as_uri())
    picture = page.locator(f"{PANEL} img")
    assert picture.is_visible() and len(picture.get_attribute("alt")) > 10
    assert "need JavaScript" in page.locator(f"{PANEL} noscript").inner_text()
    context.close()


@pytest.mark.browser
def test_a_held_control_has_no_slider(book, browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((book / "notebooks" / "00_start_here.html").as_uri())
    held = page.locator(PANEL).get_attribute("data-held").split()
    there = page.locator(f"{PANEL} input").evaluate_all(
        "all => all.map((input) => input.dataset.control)"
    )
    assert held and "beta" in there and not set(held) & set(there)
    context.close()
