"""The repository itself: what is installed, what lies where, and how the code is written."""

import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
OWN_NAME = PROJECT["project"]["name"]
BRIEF = "jupyterlab torch ipywidgets matplotlib plotly numpy jupytext nbval papermill".split()
TREE = (
    "README.md environment.yml pyproject.toml constraints.txt jupytext.toml Makefile LICENSE "
    "CONTRIBUTING.md .ci .gitignore .gitattributes companion notebooks figures book tests tools"
).split()
# where this was written, and where packages come from: neither is a reader's concern
PLACES = re.compile(rb"(?<![\w.-])/(?:root|work)/|pypi\.org|pythonhosted\.org|download\.pytorch")


def requirements(lines):
    """Requirements by name, without the references of one extra to others."""
    needs = [Requirement(line) for line in lines]
    return {canonicalize_name(need.name): need.specifier for need in needs if need.name != OWN_NAME}


CORE = requirements(PROJECT["project"]["dependencies"])
EXTRAS = {
    name: requirements(lines) for name, lines in PROJECT["project"]["optional-dependencies"].items()
}


def pins():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def tracked():
    """The files that git has, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git clone")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_conda_and_pip_install_the_same():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    conda = [entry for entry in entries if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    assert conda[:2] == ["python=3.11", "pip"] and pip[-1] == "-e ."
    lines = [line.replace("pytorch-cpu", "torch") for line in conda[2:]] + pip[:-1]
    assert requirements(lines) == CORE


def test_the_students_install_has_what_the_brief_names():
    assert set(BRIEF) <= set(CORE)


def test_every_requirement_has_a_lower_bound_that_its_pin_meets():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins())
    pinned = {canonicalize_name(name): v for name, _, v in (p.partition("==") for p in pins())}
    for name, bounds in [pair for group in (CORE, *EXTRAS.values()) for pair in group.items()]:
        assert str(bounds).startswith(">="), name
        assert pinned[name] in bounds, f"{name}: {pinned[name]} is not {bounds}"


def test_the_development_install_has_all_extras_but_the_papers_features():
    own = [line for line in PROJECT["project"]["optional-dependencies"]["dev"] if OWN_NAME in line]
    assert [Requirement(line).extras for line in own] == [set(EXTRAS) - {"dev", "inception"}]


def test_the_top_of_the_tree():
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} == set(TREE)


def test_files_are_small():
    large = [str(path) for path in tracked() if path.stat().st_size > 1_000_000]
    assert not large


def test_no_file_names_a_place_of_its_making():
    found = {str(p.relative_to(ROOT)): PLACES.findall(p.read_bytes()) for p in tracked()}
    assert not {name: places for name, places in found.items() if places}


def test_contributing_fits_one_screen():
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 50


def test_modules_fit_their_room():
    modules = [*ROOT.glob("companion/**/*.py"), *ROOT.glob("figures/**/*.py")]
    sizes = {p: len(p.read_text("utf-8").splitlines()) for p in modules}
    assert sizes and not {str(path): size for path, size in sizes.items() if size > 400}


def test_no_two_modules_have_one_name():
    """Nor a room and a module; the script of a figure is none."""
    rooms = [ROOT / "companion", ROOT / "figures" / "explorables"]
    names = Counter(p.stem for room in rooms for p in room.rglob("*.py"))
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= {"__init__", "__main__", "base"}


def test_every_module_has_its_place_in_the_reading_order():
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    built = {path.parent.name for path in ROOT.glob("companion/*/__init__.py")}
    built |= {path.stem for path in ROOT.glob("companion/*.py")} - {"__init__", "__main__"}
    assert built == {layer for layer in layers if not layer.startswith("(")}


def test_the_reference_has_every_module_once():
    """book/api.md, but for the command line, whose reference is ``companion --help``."""
    rooms = [ROOT / room for room in ("companion", "figures/explorables")]
    files = [p for room in rooms for p in room.rglob("*.py") if p.stem.strip("_") == p.stem]
    files += [ROOT / "figures" / "draw.py", ROOT / "figures" / "surfaces.py"]
    ours = [p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for p in files]
    text = (ROOT / "book" / "api.md").read_text("utf-8")
    blocks = " ".join(re.findall(r"```{modules}\n(.*?)```", text, re.DOTALL)).split()
    listed = [name for name in blocks if name != "companion.training"]
    assert sorted(listed) == sorted(m for m in ours if not m.startswith("companion.cli."))
