"""``companion doctor``: what is here, what is missing, and one line that mends it."""

import platform
import sys
from collections.abc import Container
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from companion import __version__
from companion.cli.places import CHECKOUT, WORKING_COPY, installed

Finding = tuple[str, str, str]  # "ok", "note" or "MISSING"; what; the cure


def findings() -> list[Finding]:
    """Everything that ``companion doctor`` looks at."""
    return [*_packages(), _gallery(), _kernel(), _device(), *_programs(), _data(), *working_copy()]


def _packages() -> list[Finding]:
    """Python and the packages of the students' install, beside their bounds and pins."""
    from packaging.requirements import Requirement

    here = ("ok", f"python {platform.python_version()}, companion {__version__}", "")
    if not installed("mlae-companion"):
        return [here, ("MISSING", "companion is not installed", "pip install -e .")]
    needs = map(Requirement, metadata.requires("mlae-companion"))
    core = [need for need in needs if need.marker is None]
    return [here, *(_package(need.name, need.specifier, _pins()) for need in core)]


def _package(name: str, bounds: Container[str], pins: dict[str, str]) -> Finding:
    """One package beside its lower bound and its pin."""
    version = installed(name)
    pin = pins.get(name.lower(), version)
    cure = f"pip install {name}=={pin}"
    if version is None:
        return "MISSING", f"{name} is not installed", cure.removesuffix("==None")
    if version not in bounds:
        return "MISSING", f"{name} {version} is not {bounds}", cure
    if version.partition("+")[0] != pin.partition("+")[0]:
        return "note", f"{name} {version}, tested with {pin}", cure
    return "ok", f"{name} {version}", ""


def _pins() -> dict[str, str]:
    """The exact versions of the checkout's constraints, by lower-case name."""
    file = CHECKOUT / "constraints.txt"
    lines = file.read_text("utf-8").lower().splitlines() if file.is_file() else []
    return dict(line.split("==") for line in lines if "==" in line)


def _gallery() -> Finding:
    """Whether Python finds the pictures that the notebooks import, and not another ``figures``."""
    found = find_spec("figures")
    place = CHECKOUT / "figures"
    if found is None or not place.is_dir():
        cure = "pip install -e . in a clone, where the notebooks lie too"
        return "MISSING", "the notebooks' pictures (figures) are not installed", cure
    if Path(found.origin or "").parent != place:
        where = found.origin or ", ".join(found.submodule_search_locations or ())
        return "MISSING", f"figures is another module, {where}", "rename that, or work elsewhere"
    return "ok", f"pictures in {place}", ""


def _kernel() -> Finding:
    """Whether Jupyter's ``python3`` is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    cure = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return "MISSING", "no Jupyter kernel named python3", cure
    if program.startswith("python") or Path(program).resolve() == Path(sys.executable).resolve():
        return "ok", "kernel python3", ""
    return "note", f"kernel python3 runs another Python, {program}", cure


def _device() -> Finding:
    """Where models train."""
    try:
        import torch
    except ImportError as error:
        return "MISSING", f"torch does not import: {error}", "pip install --force-reinstall torch"
    if torch.cuda.is_available():
        return "ok", f"device cuda, {torch.cuda.get_device_name()}", ""
    if torch.backends.mps.is_available():
        return "ok", "device mps", ""
    return "ok", f"device cpu, {torch.get_num_threads()} threads", ""


def _programs() -> list[Finding]:
    """A C++ compiler, for ``torch.compile``, and a browser, for its tests; neither is needed."""
    compiler = ("c++", "g++", "clang++", "cl")
    browser = ("chromium", "chromium-browser", "google-chrome")
    return [
        _program(compiler, "no C++ compiler, models run uncompiled", "apt install g++"),
        _program(browser, "no Chromium, the browser tests are skipped", "apt install chromium"),
    ]


def _program(names: tuple[str, ...], missing: str, cure: str) -> Finding:
    found = next(filter(None, map(which, names)), None)
    return ("ok", found, "") if found else ("note", missing, cure)


def _data() -> Finding:
    """Which data sets are there, whole or in part; the notebooks' defaults need none."""
    from companion.cli.datasets import files
    from companion.data.fetch import data_directory, places

    try:
        place, there = data_directory(), []
    except OSError as error:
        return "note", str(error), "export COMPANION_DATA=FOLDER"
    for name, needed in files().items():
        here = sum(bool(places(file)) for file in needed)
        there += [f"{name} ({here} of {len(needed)} files)"] * (here > 0)
    if there:
        return "ok", f"data in {place}: {', '.join(there)}", ""
    cure = "companion data says which files go where"
    return "note", f"no data in {place} yet; quick runs need none", cure


def working_copy() -> list[Finding]:
    """The user's notebooks, if `companion lab` has made them."""
    from companion.cli.jupyterlab import edited

    folder = WORKING_COPY.expanduser()
    if not folder.is_dir():
        return []
    return [("ok", f"notebooks in {folder}, {len(edited(folder))} edited", "")]
