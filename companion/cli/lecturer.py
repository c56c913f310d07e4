"""``companion course``: the lecturer's three steps, each one call of the grading."""

import argparse

from companion.cli.places import Problem, find, notebooks_folder


def run(arguments: argparse.Namespace) -> int:
    """Release, grade or give back, and say what was made; 1 when a submission is not graded."""
    name, course = arguments.set, arguments.course
    try:
        from companion.course import grading

        if arguments.step == "release":
            source = find(notebooks_folder() / "assignments", name, "[!_]*.ipynb")
            print(grading.release(source, course))
        elif arguments.step == "grade":
            results = grading.grade(name, arguments.submissions, course)
            print(*map(_line, results), sep="\n")
            return int(any(one.problem for one in results))
        else:
            print(grading.feedback(name, course))
            pages = course / "feedback"
            print(f"{pages}: the pages show the hidden checks; return them after the deadline")
    except (ImportError, ValueError) as error:
        raise Problem(str(error)) from error
    return 0


def _line(one) -> str:
    """A student's points by cell, those that wait for a person as a question mark."""
    if one.problem:
        return f"{one.student}: NOT GRADED: {one.problem}"
    points = (f"{cell} {'?' if p is None else f'{p:g}'}" for cell, p in one.points.items())
    return f"{one.student}: {', '.join(points)}"
