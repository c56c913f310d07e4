"""A guard accepts what its notebook can run, to the last value, and refuses the next by name."""

import ast
import json
from math import inf, nan
from pathlib import Path

import pytest

from companion import cli
from companion.cli import execute
from companion.lab.parameters import PROFILES, of_notebook

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
MADE = {path.stem[:2]: path for path in sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))}
BOOKS = {number: json.loads(path.read_text("utf-8")) for number, path in MADE.items()}
NAMES = [(number, name) for number, book in BOOKS.items() for name in of_notebook(book)]

NO_NUMBER = ("1", None, True, nan, inf)
PRICE = (0.001, 1000, 1, 7.5), (0, 0.0009, 1000.1, -1, *NO_NUMBER)
WIDE = (1e-6, 1e6, 1, 0.5), (0, 9.9e-7, 1.1e6, -1, *NO_NUMBER)
FOLDERS = ("", "made/here"), (5, None, f"{__file__}/below")
# name, or number and name: what is accepted, the lowest and the highest first, and what is not
LIMITS = {
    "profile": (PROFILES, ("qick", None, 1)),
    "seed": ((0, 2**31 - 1), (-1, 2**31, 1.0, *NO_NUMBER)),
    "device": (("auto", "cpu"), ("gpu", None, 0)),
    "beta": PRICE,
    "gamma": PRICE,
    "directory": FOLDERS,
    "test_files_only": ((False, True), (0, 1, "True")),
    "01 stretch": ((0.1, 0.5), (0.09, 0.51, *NO_NUMBER)),
    "01 bend": ((0.1, 1), (0.09, 1.01, *NO_NUMBER)),
    "02 noise": ((0.01, 1), (0.009, 1.01, *NO_NUMBER)),
    "03 radius": ((0.001, 5), (0.0009, 5.01, *NO_NUMBER)),
    "04 beta": WIDE,
    "04 small": ((0.01, 0.5), (0.009, 0.51, *NO_NUMBER)),
    "05 num_probes": ((1, 8), (0, 1.0, 9, *NO_NUMBER)),
    "05 kind": (("gaussian", "rademacher", "sphere", "orthogonal"), ("basis", 0, None)),
    "06 num_probes": ((1, 2), (0, 2.0, 3, *NO_NUMBER)),
    "06 latent": ((2, 6, 4), (1, 7, 4.0, *NO_NUMBER)),
    "06 tolerance": ((1e-8, 0.9), (0, 0.91, *NO_NUMBER)),
    "07 scale": WIDE,
    "07 eta": WIDE,
    "07 mu": WIDE,
    "08 core": (("center", "corner", "random", "linear"), ("centre", None, 0)),
    "08 latent": ((2, 32, 8), (3, 2.0, *NO_NUMBER)),
    "09 gamma": WIDE,
    "10 gamma": ((0, 1, 0.5), (-0.1, 1.01, *NO_NUMBER)),
    "10 variance": ((0.0001, 1000), (0, 0.00009, 1001, *NO_NUMBER)),
    "11 num_probes": ((1, 8, 2, 4), (0, 3, 2.0, *NO_NUMBER)),
    "11 network": (("auto", "mlp", "convnet", "resnet", "convnet+"), ("cnn", None)),
    "11 dataset": (("auto", "digits", "mnist", "kmnist"), ("celeba", None)),
    "11 epochs": ((0, 100_000), (-1, 1.0, 100_001, *NO_NUMBER)),
    "12 dataset": (("auto", "synthetic-faces", "celeba"), ("mnist", None)),
    "12 compared_by": (("auto", "classifier", "inception"), ("fid", None, 0)),
    "13 compared_by": (("classifier", "inception"), ("auto", "fid", None, 0)),
    "13 datasets": (("auto", "mnist", "celeba mnist"), ("", "auto mnist", "digits", None, 5)),
    "13 num_seeds": ((0, 100), (-1, 1.0, 101, *NO_NUMBER)),
    "13 runs": FOLDERS,
}
every = pytest.mark.parametrize("number, name", NAMES, ids=" ".join)


def limits(number, name):
    return LIMITS.get(f"{number} {name}") or LIMITS[name]


def guard(number, name, value):
    """Run the parameters, one that is injected, and the guard: what it shows."""
    cells = [cell for cell in BOOKS[number]["cells"] if cell["cell_type"] == "code"]
    at = next(i for i, c in enumerate(cells) if "parameters" in c["metadata"].get("tags", ()))
    sources = ["".join(cell["source"]) for cell in cells]
    before = [s for source in sources[:at] for s in ast.parse(source).body]
    imports = [s for s in before if isinstance(s, ast.Import | ast.ImportFrom)]
    *lines, last = ast.parse(sources[at + 1]).body
    namespace = {"In": [f"# Parameters\n{name} = ..."]}
    exec(compile(ast.Module(imports, []), "imports", "exec"), namespace)
    exec(sources[at], namespace)
    namespace[name] = value
    exec(compile(ast.Module(lines, []), "guard", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "guard", "eval"), namespace)


@every
def test_every_parameter_can_be_set_to_each_end(number, name):
    for value in limits(number, name)[0]:
        shown = guard(number, name, value)._asdict()
        assert shown[name] is value and list(shown) == list(of_notebook(BOOKS[number]))


@every
def test_what_lies_beyond_is_refused_by_name(number, name):
    for value in limits(number, name)[1]:
        with pytest.raises(ValueError, match=f"^parameters: {name} must be .*, got "):
            guard(number, name, value)


@every
def test_the_command_line_knows_every_parameter(number, name, monkeypatch, tmp_path):
    """Without a kernel: what would be injected, and what results.json would hold."""
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_NOTEBOOKS", str(FOLDER))
    monkeypatch.setattr(execute, "_execute", lambda *them: seen.append(them[3:]) or 1 / 0)
    value = limits(number, name)[0][-1]
    cli.main(["run", number, "-p", name, str(value)])
    ((given, parameters),) = seen
    is_folder = LIMITS.get(f"{number} {name}", LIMITS.get(name)) is FOLDERS
    assert given == {name: str(tmp_path / value) if is_folder else value}
    assert parameters == of_notebook(BOOKS[number]) | given


@pytest.mark.nightly
@pytest.mark.parametrize("end", [0, 1], ids=["lowest", "highest"])
@pytest.mark.parametrize("number", BOOKS)
def test_a_notebook_runs_where_its_guard_ends(number, end, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_NOTEBOOKS", str(FOLDER))
    words = []
    for name in of_notebook(BOOKS[number]):
        value = limits(number, name)[0][end]
        if isinstance(value, int | float) and name not in (
            "epochs",
            "num_seeds",
            "test_files_only",
        ):
            words += ["-p", name, str(value)]
    assert cli.main(["run", number, *words]) == 0, capsys.readouterr().err
