"""The commands, on a notebook of three cells: what they write, and what they leave behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from packaging.specifiers import SpecifierSet

from companion import cli
from companion.cli import execute, health, places
from companion.lab.frame import figure, output

ROOT = Path(__file__).resolve().parents[1]
CELLS = (
    'profile = "quick"\nseed = 0\ndevice = "cpu"\nbeta = 10.0  # = 1/2σ²\ndirectory = ""',
    "from companion.lab.parameters import PROFILES, device_name, folder, guard\n"
    "from companion.lab.parameters import positive, seed_number\n"
    "guard(globals(), profile=PROFILES, seed=seed_number, device=device_name, beta=positive,\n"
    "      directory=folder)",
    "from companion.lab.claims import record\nrecord(double=2 * beta, seed=seed)",
)


def toy(*more):
    """Notebook 02 as text, with further cells at its end."""
    cells = [new_markdown_cell("With $\\beta$:"), *map(new_code_cell, CELLS + more)]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return nbformat.writes(new_notebook(cells=cells, metadata={"kernelspec": kernel}))


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A folder with notebook 02, where the commands and their kernels find it."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "02_toy.ipynb").write_text(toy(), "utf-8")
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
    given = {"profile": "quick", "seed": 3, "device": "cpu", "beta": 5, "directory": ""}
    assert results["parameters"] == given
    assert (results["profile"], results["device"]) == ("quick", "cpu")
    assert results["versions"]["torch"] and results["seconds"] > 0
    page = (target / "02_toy.html").read_text("utf-8")
    assert "double = 10" in page and "companion run 02: " in page and "beta = 5" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//(?!www\.mathjax\.org)|@import""", page)
    assert everything(tmp_path) == [  # and no scratch folder
        "notebooks",
        "notebooks/02_toy.ipynb",
        "runs",
        "runs/02_toy-quick",
        *(f"runs/02_toy-quick/{name}" for name in everything(target)),
    ]


def test_the_page_keeps_what_pictures_say():
    """Alt texts and sizes, which nbconvert's template loses."""
    data, metadata = output(figure(), "small β: noise")
    data["image/png"] = b64encode(data["image/png"]).decode()
    cell = new_code_cell("explore()")
    cell.outputs = [nbformat.v4.new_output("display_data", data, metadata=metadata)]
    page = execute._page(new_notebook(cells=[cell]), "toy", "companion run 02: beta = 5")
    assert 'alt="small β: noise"' in page
    assert 'width="412"' in page


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
        "this notebook has profile, seed, device, beta, directory (did you mean 'beta'?)"
    )
    assert everything(tmp_path) == before


def test_plain_papermill_refuses_it_too(notebooks, tmp_path):
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar"]
    files = [str(notebooks / "02_toy.ipynb"), str(tmp_path / "out.ipynb")]
    command = [*papermill, *files, "-p", "betta", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "unknown parameter 'betta'; this notebook has" in done.stderr


PLACE = """import os
record(place=directory, data=os.environ["COMPANION_DATA"])"""


def test_paths_are_those_of_the_caller_and_may_hold_anything(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a [b] {c}" / "notebooks"
    folder.mkdir(parents=True)
    (folder / "02_toy.ipynb").write_text(toy(PLACE), "utf-8-sig")  # with a BOM
    for name, value in {"HOME": tmp_path, "USERPROFILE": tmp_path, "PYTHONPATH": ROOT}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("COMPANION_NOTEBOOKS", "notebooks")
    monkeypatch.setenv("COMPANION_DATA", "some/data")
    monkeypatch.chdir(folder.parent)
    words = "-p directory runs/x[1] -p beta=1e-3 -o ~/out".split()
    assert cli.main(["run", "02", *words]) == 0, capsys.readouterr().err
    results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert results["parameters"]["beta"] == 1e-3
    expected = {"place": folder.parent / "runs" / "x[1]", "data": folder.parent / "some" / "data"}
    assert {name: Path(results["numbers"][name]) for name in expected} == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("how, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_leaves_nothing(notebooks, tmp_path, how, status):
    if signal.getsignal(how) == signal.SIG_IGN:  # what it starts would ignore it, too
        pytest.skip(f"{how.name} is ignored here, as in a background job")
    (notebooks / "02_toy.ipynb").write_text(
        toy("open('begun', 'w').close()\nimport time; time.sleep(600)"), "utf-8"
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "companion", "run", "02"], stderr=subprocess.PIPE, text=True
    )
    while not (notebooks / "begun").exists():
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.1)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(how)
    errors = run.communicate(timeout=60)[1]
    assert (run.returncode, len(errors.splitlines())) == (status, 1), errors
    assert children and not psutil.wait_procs(children, timeout=10)[1]
    assert everything(tmp_path) == ["notebooks", "notebooks/02_toy.ipynb", "notebooks/begun"]


@pytest.fixture
def unrun(notebooks, monkeypatch):
    """The commands with notebooks that cannot be run: what is refused is refused before."""
    monkeypatch.setattr(execute, "_execute", lambda *_: pytest.fail("it was run"))
    return notebooks


@pytest.mark.parametrize(
    "words, says",
    [
        ("-p beta", "-p beta: a value is missing: -p NAME=VALUE"),
        ("-p beta --seed 3", "-p beta: a value is missing: -p NAME=VALUE"),
        ("-p =3", "-p =3: a name is missing: -p NAME=VALUE"),
        ("-p beta 1 -p betta=3", "unknown parameter 'betta'"),
        ("-p profile qick", "profile must be one of quick, standard, full, got 'qick'"),
        ("-o file/below", "Not a directory"),
        ("-o file", "cannot write to"),
        ("-o taken", "02_toy.html is a folder; -o names another place"),
        (f"-o {300 * 'x'}", "cannot write to"),
        ("-o ~nobody-here/x", "~nobody-here/x"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_the_run(unrun, tmp_path, capsys, words, says):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "02_toy.html").mkdir(parents=True)
    before = everything(tmp_path)
    assert cli.main(["run", "02", *words.split()]) == 2
    message = capsys.readouterr().err
    assert message.startswith("companion run: ") and len(message.splitlines()) == 1
    assert says in message or (os.name == "nt" and "file" in words)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("words", ["-p beta -1e-3", "-p beta=-1e-3", "-pbeta=-1e-3"])
@pytest.mark.parametrize("more", ["", "-p seed 4", "--seed 4", "-p seed=4 --device cpu"])
def test_every_form_of_a_parameter_means_the_same(notebooks, monkeypatch, words, more):
    seen = []
    monkeypatch.setattr(execute, "_execute", lambda *them: seen.append(them[3]) or 1 / 0)
    assert cli.main(["run", *words.split(), "02", *more.split()]) == 1
    asked = {"beta": -1e-3}
    asked |= {"seed": 4} if more else {}
    asked |= {"device": "cpu"} if "device" in more else {}
    assert seen == [asked]


def test_a_readers_own_edit_of_the_parameters_is_read(unrun, capsys):
    path = unrun / "02_toy.ipynb"
    text = path.read_text("utf-8")
    path.write_text(text.replace("beta = 10.0 ", "beta = 1 / 20 "), "utf-8")
    assert execute._read(path, {"seed": 3})[1]["beta"] == "1 / 20"
    path.write_text(text.replace("beta = 10.0 ", "beta = = 3 "), "utf-8")
    assert cli.main(["run", "02"]) == 2
    assert "02_toy.ipynb: the parameters are no Python: invalid syntax" in capsys.readouterr().err


def test_all_files_are_exchanged_or_none(tmp_path, monkeypatch):
    old = {"a.html": "old page", "results.json": "old numbers"}
    for name, text in old.items():
        (tmp_path / name).write_text(text)

    def write():
        with execute._place(tmp_path, ["a.ipynb", *old]) as made:
            for name in ("a.ipynb", *old):
                (made / name).write_text("new")

    replace = os.replace
    in_use = lambda a, b: 1 / 0 if (a.parent.name, a.name) == ("made", "results.json") else None  # noqa: E731
    monkeypatch.setattr(os, "replace", lambda a, b: in_use(a, b) or replace(a, b))
    with pytest.raises(ZeroDivisionError):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == old
    monkeypatch.setattr(os, "replace", replace)
    write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a.ipynb", *old), "new"
    )


@pytest.mark.parametrize(
    "error", [RuntimeError("first\nsecond"), MemoryError(), KeyError("k"), OSError("disk")]
)
def test_what_nobody_foresaw_is_one_line_too(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setattr(health, "findings", fail)
    assert cli.main(["doctor"]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"companion doctor: {type(error).__name__}: ")
    assert message.endswith("COMPANION_DEBUG=1 shows the traceback)\n")
    assert ("please report it" in message) == (type(error) in (RuntimeError, KeyError))
    assert len(message.splitlines()) == 1
    monkeypatch.setenv("COMPANION_DEBUG", "1")
    with pytest.raises(type(error)):
        cli.main(["doctor"])


def companion(*words, **options):
    """The command as a process of its own."""
    python = [sys.executable, *options.pop("flags", ()), "-m", "companion"]
    return subprocess.run([*python, *words], capture_output=True, **options)


def test_a_console_without_greek_letters_gets_question_marks(notebooks):
    done = companion("claims", env=os.environ | {"PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, done.stderr) == (0, b"") and b"?" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes break in another way on Windows")
def test_a_reader_that_has_gone_is_no_error(notebooks):
    with subprocess.Popen(
        [sys.executable, "-m", "companion", "claims"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        run.stdout.close()
        assert (run.stderr.read(), run.wait()) == (b"", 141)


@pytest.mark.parametrize("words", [["--help"], ["claims"], ["data"]])
def test_every_command_works_without_docstrings(notebooks, words):
    done = companion(*words, flags=["-OO"])
    assert (done.returncode, done.stderr) == (0, b"")


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
    monkeypatch.setattr("figures.explorables.rebuild", rebuild)
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


def test_doctor_finds_a_module_that_hides_the_notebooks_pictures(tmp_path, monkeypatch):
    assert health._gallery()[0] == "ok"
    (tmp_path / "figures.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    state, what, cure = health._gallery()
    assert state == "MISSING" and what.endswith(str(tmp_path / "figures.py")) and "rename" in cure
    monkeypatch.setattr(health, "CHECKOUT", tmp_path)
    assert health._gallery()[2].startswith("pip install -e .")


def test_the_command_starts_without_the_heavy_packages():
    code = "import sys, companion.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"torch", "numpy", "papermill", "matplotlib"} & set(loaded.split())
