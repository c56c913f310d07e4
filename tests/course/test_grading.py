"""A problem set end to end through nbgrader: hand out, three answers, points, hints, pages."""

import csv
import json
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest

from companion import cli

pytestmark = pytest.mark.slow  # the first that asks for the fixtures pays for all

ASSIGNMENTS = Path(__file__).resolve().parents[2] / "notebooks" / "assignments"
HAND, HINT = "hysteresis", "the loss must grow with beta times the reconstruction error"
WARNS = "    import warnings\n    warnings.warn('harmless', stacklevel=2)\n"


def by_name(notebook):
    """The cells that nbgrader knows."""
    cells = (cell for cell in notebook.cells if "nbgrader" in cell.metadata)
    return {cell.metadata.nbgrader.grade_id: cell for cell in cells}


def read(path):
    return nbformat.read(path, as_version=4)


def solved(released, source):
    """The released notebook with the reference's solutions filled in, as a student would."""
    answer = deepcopy(released)
    for name, cell in by_name(source).items():
        if cell.metadata.nbgrader.solution:
            by_name(answer)[name].source = cell.source
    return answer


def hand_in(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def source():
    return read(ASSIGNMENTS / "ps1.ipynb")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with ps1 released."""
    course = tmp_path_factory.mktemp("teaching") / "course"
    assert cli.main(["course", "release", "ps1", "--course", str(course)]) == 0
    return course


@pytest.fixture(scope="module")
def grading():
    """Imported here: nbgrader takes a second, also where these tests are not run."""
    from companion.course import grading

    return grading


@pytest.fixture(scope="module")
def released(course):
    return read(course / "release" / "ps1" / "ps1.ipynb")


@pytest.fixture(scope="module")
def graded(grading, course, released, source):
    """Graded: the reference, the stub, a wrong sign of β with a warning, and a dead kernel."""
    inbox = course.parent / "handed-in"
    reference = solved(released, source)
    hand_in(reference, inbox / "ada.ipynb")
    hand_in(released, inbox / "bob [1] müller" / "ps1 (1).ipynb")
    wrong = deepcopy(reference)
    cells = by_name(wrong)
    cells["directions"].source = cells["directions"].source.replace("+ beta", "- beta")
    cells["density"].source = cells["density"].source.replace("    J =", f"{WARNS}    J =")
    hand_in(wrong, inbox / "cleo" / "deep" / "ps1.ipynb")
    hand_in(wrong, inbox / "cleo" / ".ipynb_checkpoints" / "ps1.ipynb")
    cells["density"].source = "import os; os._exit(1)"
    hand_in(wrong, inbox / "dora.ipynb")
    *results, dora = grading.grade("ps1", inbox, course)
    assert [one.problem for one in results] == ["", "", ""]
    assert dora.problem.startswith("nbclient.exceptions.DeadKernelError") and not dora.points
    return {one.student: one.points for one in results}


def test_the_students_version_has_neither_solutions_nor_hidden_checks(released, source):
    text = json.dumps(released)
    assert "SOLUTION" not in text and "HIDDEN" not in text
    for name, cell in by_name(released).items():
        if cell.metadata.nbgrader.solution:
            stub = "YOUR ANSWER HERE" if cell.cell_type == "markdown" else "NotImplementedError()"
            assert stub in cell.source and cell.source != by_name(source)[name].source
        if name.endswith("-hidden"):
            assert len(cell.source.splitlines()) == 1
    assert not any(cell.get("outputs") for cell in released.cells)


def test_there_are_four_questions_for_the_machine_and_one_for_a_person(released):
    kinds = [cell.metadata.nbgrader for cell in by_name(released).values()]
    by_hand = [k for k in kinds if k.grade and k.solution]
    checked = [k for k in kinds if k.grade and not k.solution]
    assert [k.grade_id for k in by_hand] == [HAND] and len(checked) == 8
    assert sum(k.points for k in by_hand + checked) == 20


def test_the_reference_has_full_points_and_waits_for_a_person(graded):
    points = dict(graded["ada"])
    assert points.pop(HAND) is None
    assert set(points.values()) == {2.0} and len(points) == 8


def test_the_untouched_stub_has_none(graded):
    assert set(graded["bob _1_ müller"].values()) == {0.0}


def test_the_wrong_sign_costs_its_question_and_a_warning_costs_nothing(graded):
    lost = {name for name, value in graded["cleo"].items() if value == 0}
    assert lost == {"directions-visible", "directions-hidden"}


def test_the_wrong_sign_is_told_what_is_off(course, graded):
    cells = by_name(read(course / "autograded" / "cleo" / "ps1" / "ps1.ipynb"))
    (error,) = [o for o in cells["directions-visible"].outputs if o.output_type == "error"]
    assert error.ename == "Hint" and HINT in error.evalue
    assert error.traceback == [f"Hint: {error.evalue}"]


def test_pages_and_points_come_back(course, graded, capsys):
    assert cli.main(["course", "feedback", "ps1", "--course", str(course)]) == 0
    assert "after the deadline" in capsys.readouterr().out
    pages = sorted((course / "feedback").rglob("*.html"))
    assert [page.relative_to(course / "feedback").parts[0] for page in pages] == sorted(graded)
    page = (course / "feedback" / "cleo" / "ps1" / "ps1.html").read_text("utf-8")
    assert HINT in page and "BEGIN HIDDEN TESTS" in page
    rows = {row["student"]: row for row in csv.DictReader((course / "points-ps1.csv").open())}
    assert {student: float(row["total"]) for student, row in rows.items()} == {
        "ada": 16.0, "bob _1_ müller": 0.0, "cleo": 12.0, "dora": 0.0
    }  # fmt: skip
    assert rows["ada"][HAND] == "" and rows["ada"]["waiting"] == "1"
    assert rows["dora"]["waiting"] == "9"
    assert rows["cleo"]["directions-visible"] == "0.0" and rows["cleo"]["of"] == "20.0"


def test_a_persons_points_count(grading, course, graded):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        grade = book.find_grade(HAND, "ps1", "ps1", "ada")
        grade.manual_score, grade.needs_manual_grade = 3.0, False
        book.db.commit()
    table = grading.feedback("ps1", course)
    (row,) = [row for row in csv.DictReader(table.open()) if row["student"] == "ada"]
    assert (row[HAND], row["total"], row["waiting"]) == ("3.0", "19.0", "0")


def broken(released):
    """Submissions that nbgrader would misjudge, and what we say of each."""
    twice, gone = deepcopy(released), deepcopy(released)
    twice.cells.insert(5, deepcopy(by_name(twice)["probes"]))
    twice.cells[5].id = "pasted"
    gone.cells.remove(by_name(gone)["density-visible"])
    return {
        "twice": (twice, "'probes' (it begins 'def estimates(A, v):') is there 2 times"),
        "gone": (gone, "'density-visible' (it begins 'z = torch.linspace(-8, 8, 4001)"),
    }


@pytest.mark.parametrize("kind", ["twice", "gone"])
def test_a_copied_or_removed_cell_is_named_and_nothing_is_collected(
    kind, course, released, tmp_path, capsys
):
    notebook, words = broken(released)[kind]
    hand_in(notebook, tmp_path / f"{kind}.ipynb")
    assert cli.main(["course", "grade", "ps1", str(tmp_path), "--course", str(course)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{kind}: NOT GRADED: the cell {words}") and said.count("\n") == 1
    assert not (course / "submitted" / kind).exists()


def test_what_is_not_one_notebook_is_refused(grading, course, released, tmp_path):
    (tmp_path / "dan.ipynb").write_text("no JSON")
    hand_in(released, tmp_path / "eve" / "ps1.ipynb")
    hand_in(released, tmp_path / "eve" / "ps1 (1).ipynb")
    hand_in(nbformat.v4.new_notebook(), tmp_path / "fay.ipynb")
    dan, eve, fay = grading.grade("ps1", tmp_path, course)
    assert dan.problem.startswith("dan.ipynb is no notebook") and not dan.points
    assert fay.problem == "fay.ipynb has none of the cells that were handed out"
    assert eve.problem == "expected one notebook, got ps1 (1).ipynb, ps1.ipynb"


@pytest.mark.parametrize(
    "step, words",
    [
        (["release", "ps9"], "'ps9' is not in"),
        (["grade", "ps1", "nowhere"], "ps1 has not been released in"),
        (["feedback", "ps1"], "ps1 has not been released in"),
    ],
)
def test_errors_say_what_to_do(step, words, tmp_path, capsys):
    assert cli.main(["course", *step, "--course", str(tmp_path)]) != 0
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_submissions_and_nothing_graded(course, tmp_path, capsys):
    assert cli.main(["course", "grade", "ps1", str(tmp_path), "--course", str(course)]) == 1
    assert f"no notebook in {tmp_path}" in capsys.readouterr().err


def test_a_source_that_nbgrader_refuses_is_reported(grading, source, tmp_path):
    broken = deepcopy(source)
    by_name(broken)["density"].source += "\n### BEGIN SOLUTION"
    nbformat.write(broken, tmp_path / "ps2.ipynb")
    with pytest.raises(ValueError, match="no end solution statement"):
        grading.release(tmp_path / "ps2.ipynb", tmp_path / "course")


def test_without_nbgrader_the_command_names_the_extra(grading, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "nbgrader.api", None)
    monkeypatch.delitem(sys.modules, "companion.course.grading")
    monkeypatch.delattr("companion.course.grading")
    assert cli.main(["course", "release", "ps1", "--course", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "needs nbgrader" in message and "pip install -e '.[course]'" in message
