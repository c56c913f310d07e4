"""Hand a problem set out, grade what comes back, and return it: nbgrader in three calls.

A course is a folder in nbgrader's layout (``source``, ``release``, ``submitted``, ``autograded``,
``feedback``, ``gradebook.db``), so that nbgrader's own commands and its Formgrader work in it too.
"""

import csv
import os
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nbformat

from companion.atomic import writing

try:
    from nbgrader.api import Gradebook
    from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.utils import capture_log, is_grade
    from traitlets.config import Config
except ImportError as error:
    raise ImportError(
        "companion.course.grading needs nbgrader, which is in the extra `course`: "
        "pip install -e '.[course]' -c constraints.txt"
    ) from error

# nbgrader takes any line on stderr for a failed check, also a warning in a right answer; and its
# 30 s for a cell are short where the first one imports torch on a busy machine.
GRADER = Config(
    IgnorePattern={"enabled": True, "pattern": "."},
    Execute={"timeout": 120, "extra_arguments": ["--log-level=ERROR"]},
)


def release(source: Path, course: Path) -> Path:
    """Make the students' version: no solutions, no hidden checks; solved cells are stubs.

    Args:
        source: the notebook ``psN.ipynb`` with solutions and hidden checks.
        course: the course's folder; made where there is none.

    Returns:
        The notebook to hand out.

    Raises:
        ValueError: with nbgrader's words, when it refuses the source.
    """
    name = source.stem
    held = course / "source" / name / source.name
    held.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, held)
    problem = _convert(GenerateAssignment, course, name)
    if problem:
        raise ValueError(f"release: {name}: {problem}")
    return _released(course, name)


class Graded(NamedTuple):
    """What became of one submission."""

    student: str
    points: dict[str, float | None]  # by cell; None waits for a person
    problem: str = ""  # why it was not graded; it has no points then


def grade(name: str, submissions: Path, course: Path) -> list[Graded]:
    """Collect submissions, look whether all cells are there once, run them, keep the points.

    A submission with faults is reported and not collected, so that an earlier one of the same
    student stands; the others are graded all the same. **Students' code runs with your
    rights**: README.md shows how to do this in a container.

    Args:
        name: of the problem set, such as ``ps1``.
        submissions: a folder with ``STUDENT.ipynb`` or ``STUDENT/any_name.ipynb`` for each student.
        course: the folder that it was released in.

    Returns:
        One result for each submission, in the order of the students' names.

    Raises:
        ValueError: when the set was not released here, or there is no submission.
    """
    cells = _cells(_released(course, name))
    results = []
    for student, files in _submissions(submissions).items():
        problem = "; ".join(faults(files, cells)) or _autograde(name, student, files[0], course)
        points = {} if problem else _points(name, course)[student]
        ordered = {cell: points[cell] for cell, _ in cells if cell in points}
        results.append(Graded(student, ordered, problem))
    return results


def feedback(name: str, course: Path) -> Path:
    """Write each student's page with points, comments and *hidden checks*, and a table of points.

    Returns:
        ``points-NAME.csv``, one row for each student and one column for each graded cell; a cell
        that still waits for a person is empty. (nbgrader's own export counts it as zero.)

    Raises:
        ValueError: when nothing has been graded, or with nbgrader's words.
    """
    released = _released(course, name)
    points = _points(name, course)
    if not points:
        raise ValueError(f"feedback: no submission of {name} has been graded in {course}")
    problem = _convert(GenerateFeedback, course, name)
    if problem:
        raise ValueError(f"feedback: {name}: {problem}")
    most = {i: float(c.metadata.nbgrader.points) for i, c in _cells(released) if is_grade(c)}
    table = course / f"points-{name}.csv"
    with writing(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", *most, "total", "of", "waiting"])
        for student, row in sorted(points.items()):
            known = [value for value in row.values() if value is not None]
            waiting = len(row) - len(known)
            writer.writerow([student, *map(row.get, most), sum(known), sum(most.values()), waiting])
    return table


def faults(files: list[Path], cells: list[tuple[str, nbformat.NotebookNode]]) -> list[str]:
    """Why a submission cannot be graded: not one notebook, cells that are missing or there twice.

    nbgrader would drop all copies of a cell but the last one and blame its metadata.

    Args:
        files: what a student handed in.
        cells: the released cells by their nbgrader name.
    """
    if len(files) > 1:
        return [f"expected one notebook, got {', '.join(path.name for path in files)}"]
    try:
        found = Counter(name for name, _ in _cells(files[0]))
    except Exception as error:  # whatever a file that is no notebook makes nbformat raise
        return [f"{files[0].name} is no notebook ({type(error).__name__}: {str(error)[:80]})"]
    if not found:
        return [f"{files[0].name} has none of the cells that were handed out"]
    problems = []
    for name, cell in cells:
        called = f"the cell {name!r} (it begins {cell.source.partition(chr(10))[0]!r})"
        if found[name] == 0:
            problems.append(f"{called} is missing: put it back from the released notebook")
        elif found[name] > 1:
            problems.append(f"{called} is there {found[name]} times: all but one must go")
    return problems


def _released(course: Path, name: str) -> Path:
    path = course / "release" / name / f"{name}.ipynb"
    if not path.is_file():
        raise ValueError(f"{name} has not been released in {course}: there is no {path}")
    return path


def _submissions(folder: Path) -> dict[str, list[Path]]:
    """All notebooks below a folder by their student, who is the first part of their path."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            student = path.relative_to(folder).parts[0].removesuffix(".ipynb")
            student = re.sub(r"[][*?]", "_", student)  # which nbgrader takes for a pattern
            found.setdefault(student, []).append(path)
    if not found:
        raise ValueError(f"grade: no notebook in {folder}")
    return found


def _cells(notebook: Path) -> list[tuple[str, nbformat.NotebookNode]]:
    """The cells that nbgrader knows, by their name, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    named = [(cell.metadata.get("nbgrader", {}).get("grade_id"), cell) for cell in cells]
    return [(name, cell) for name, cell in named if name]


def _autograde(name: str, student: str, notebook: Path, course: Path) -> str:
    """Collect and run one submission; what went wrong, or nothing."""
    collected = course / "submitted" / student / name
    collected.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(notebook, collected / f"{name}.ipynb")
    return _convert(Autograde, course, name, student)


def _convert(converter: type, course: Path, name: str, student: str = "*") -> str:
    """Run a step of nbgrader; what it complains about, or nothing."""
    place = CourseDirectory(root=str(course.resolve()), assignment_id=name, student_id=student)
    with _prepared():
        done = capture_log(converter(coursedir=place, force=True, config=GRADER))
    if done["success"]:
        return ""
    if done["error"].rstrip().endswith("KeyboardInterrupt"):  # which nbgrader catches too
        raise KeyboardInterrupt
    told = done.get("log", "") + done["error"]  # the cause, then what it led to
    cause = re.search(r"^ *([\w.]*(?:Error|Exception)\b.*)$", told, re.M)
    return cause[1] if cause else told.strip()


def _points(name: str, course: Path) -> dict[str, dict[str, float | None]]:
    """Points by student and cell; None for what a person has yet to grade."""
    place = CourseDirectory(root=str(course.resolve()))
    with _prepared(), Gradebook(place.db_url) as book:
        return {
            one.student.id: {
                grade.name: None if grade.needs_manual_grade else grade.score
                for notebook in one.notebooks
                for grade in notebook.grades
            }
            for one in book.assignment_submissions(name)
        }


@contextmanager
def _prepared() -> Iterator[None]:
    """What nbgrader needs around it: it calls ``alembic`` by name, and its queries warn."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="nbgrader")
            yield
    finally:
        os.environ["PATH"] = before
