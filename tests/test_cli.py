"""The commands, on a notebook of three cells: what they write, and what they leave behind."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from packaging.specifiers import SpecifierSet

from companion import cli
from companion.cli import health, places

ROOT = Path(__file__).resolve().parents[1]
CELLS = (
    'profile = "quick"\nseed = 0\ndevice = "cpu"\nbeta = 10.0',
    "from companion.parameters import PROFILES, device_name, guard, positive, whole\n"
    "guard(globals(), profile=PROFILES, seed=whole, device=device_name, beta=positive)",
    "from companion.claims import record\nrecord(double=2 * beta, seed=seed)",
)


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A folder with notebook 02, where the commands and their kernels find it."""
    cells = [new_markdown_cell("With $\\beta$:"), *map(new_code_cell, CELLS)]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(
        new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "02_toy.ipynb"
    )
    monkeypatch.setenv("COMPANION_NOTEBOOKS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return folder


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_run_keeps_notebook_page_and_numbers(notebooks, tmp_path, capsys):
    assert cli.main(["run", "02", "-p", "beta", "5", "--seed", "3"]) == 0
    target = tmp_path / "runs" / "02_toy-quick"
    assert everything(target) == ["02_toy.html", "02_toy.ipynb", "results.json"]
    assert capsys.readouterr().out.strip() == str(target)
    results = json.loads((target / "results.json").read_text())
    assert results["numbers"] == {"double": 10, "seed": 3}
    assert results["parameters"] == {"profile": "quick", "seed": 3, "device": "cpu", "beta": 5}
    assert (results["profile"], results["device"]) == ("quick", "cpu")
    assert results["versions"]["torch"] and results["seconds"] > 0
    page = (target / "02_toy.html").read_text("utf-8")
    assert "double = 10" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//(?!www\.mathjax\.org)|@import""", page)
    assert everything(tmp_path) == [  # and no scratch folder
        "notebooks",
        "notebooks/02_toy.ipynb",
        "runs",
        "runs/02_toy-quick",
        *(f"runs/02_toy-quick/{name}" for name in everything(target)),
    ]


def test_a_bad_value_ends_in_one_paragraph_and_no_file(notebooks, tmp_path, capsys):
    before = everything(tmp_path)
    assert cli.main(["run", "2", "-p", "beta", "-1", "-o", "deep/er"]) == 1
    assert everything(tmp_path) == before
    message = capsys.readouterr().err.strip()
    assert message.endswith("ValueError: parameters: beta must be a positive number, got -1")
    assert message.startswith("companion run: 02_toy stopped at In [3]") and "\n" not in message


def test_an_unknown_name_is_refused_before_anything_runs(notebooks, tmp_path):
    before = everything(tmp_path)
    command = [sys.executable, "-m", "companion", "run", "02", "-p", "betta", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (
        "companion run: 02_toy: unknown parameter 'betta'; "
        "this notebook has profile, seed, device, beta (did you mean 'beta'?)"
    )
    assert everything(tmp_path) == before


def test_plain_papermill_refuses_it_too(notebooks, tmp_path):
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar"]
    files = [str(notebooks / "02_toy.ipynb"), str(tmp_path / "out.ipynb")]
    command = [*papermill, *files, "-p", "betta", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "unknown parameter 'betta'; this notebook has" in done.stderr


@pytest.mark.parametrize("name", ["77", "toy", "02_to_"])
def test_a_notebook_that_is_not_there(notebooks, name, capsys):
    assert cli.main(["run", name]) == 2
    assert f"{name!r} is not in" in capsys.readouterr().err


def test_other_commands_refuse_what_they_do_not_know(notebooks, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", "02", "--prfile", "quick"])
    assert "unrecognized arguments: --prfile" in capsys.readouterr().err


def test_figure_runs_the_scripts(notebooks, tmp_path, capsys):
    (tmp_path / "figures").mkdir()
    for name in ("fig03_one", "tab01_two", "helper"):
        (tmp_path / "figures" / f"{name}.py").write_text(f"print('{name} ran as', __name__)")
    assert cli.main(["figure", "tab01"]) == 0
    assert capsys.readouterr().out == "tab01_two\ntab01_two ran as __main__\n"
    assert cli.main(["figure"]) == 0
    assert "fig03_one ran" in capsys.readouterr().out
    assert cli.main(["figure", "fig04_one"]) == 2
    assert "there is fig03_one" in capsys.readouterr().err


@pytest.mark.parametrize("line, code", [("toy: within", 0), ("toy: OUTSIDE", 1)])
def test_rebuild_fails_where_a_point_lies_outside(monkeypatch, capsys, line, code):
    calls = []
    rebuild = lambda name, check: calls.append((name, check)) or [line]  # noqa: E731
    monkeypatch.setattr("companion.explorables.rebuild", rebuild)
    assert cli.main(["rebuild", "toy", "--check"]) == code
    assert calls == [("toy", True)] and capsys.readouterr().out == line + "\n"


def test_doctor_finds_this_environment_usable(capsys):
    assert cli.main(["doctor"]) == 0
    report = capsys.readouterr().out
    assert "kernel python3" in report and re.search(r"^ok +torch \d", report, re.M)


def test_data_lists_every_set_with_its_files_and_sums(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    (tmp_path / "celeba" / "crop140-64").mkdir(parents=True)
    (tmp_path / "celeba" / "crop140-64" / "about.json").touch()
    (tmp_path / "celeba" / "img_align_celeba.zip").write_bytes(b"damaged")
    assert cli.main(["data"]) == 0
    report = capsys.readouterr().out
    assert f"Files go into {tmp_path}" in report
    assert re.search(
        r"^celeba: by hand from https:.*CelebA.html; decoded as crop140-64$", report, re.M
    )
    assert re.search(r"^    here +celeba/img_align_celeba.zip, sha256 46fb89", report, re.M)
    assert re.search(r"^power, hepmass, miniboone: downloaded when needed$", report, re.M)
    assert re.search(r"^    missing +cifar10/cifar-10-binary.tar.gz, sha256 c4a38c", report, re.M)
    assert cli.main(["data", "--check"]) == 1
    assert re.search(r"^    WRONG +celeba/img_align_celeba.zip", capsys.readouterr().out, re.M)
    assert "celeba (1 of 1 files)" in health._data()[1]


def test_data_prepares_a_set_or_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    assert cli.main(["data", "prepare", "digits"]) == 0
    assert "1,297 train; 200 valid; 300 test" in capsys.readouterr().out
    assert cli.main(["data", "prepare", "wine"]) == 0 and "train; " in capsys.readouterr().out
    assert cli.main(["data", "prepare", "celeba", "--offline"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("companion data: fetch: put the file img_align_celeba.zip")
    assert cli.main(["data", "prepare", "celeba", "--crop", "3"]) == 1
    assert "crop of celeba must be one of (140, 128), got 3" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_doctor_tells_missing_from_merely_different():
    here, bounds = places.installed("numpy"), SpecifierSet(">=1")
    assert health._package("numpy", bounds, {"numpy": here})[0] == "ok"
    assert health._package("numpy", bounds, {"numpy": "0.1"}) == (
        "note",
        f"numpy {here}, tested with 0.1",
        "pip install numpy==0.1",
    )
    assert health._package("numpy", SpecifierSet(">=999"), {})[0] == "MISSING"
    missing = health._package("no-such-thing", bounds, {})
    assert missing == ("MISSING", "no-such-thing is not installed", "pip install no-such-thing")


def test_the_command_starts_without_the_heavy_packages():
    code = "import sys, companion.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"torch", "numpy", "papermill", "matplotlib"} & set(loaded.split())
