"""Checks: what passes, and the words that everything else gets."""

import subprocess
import sys

import pytest
import torch

from companion.course import check


@pytest.mark.parametrize(
    "answer", [2.0, 2, torch.tensor(2.0, requires_grad=True), torch.tensor(2.0).numpy()]
)
def test_any_number_will_do(answer):
    check.close(answer, 2.0, "two")


def test_a_pair_of_tensors_is_one_answer():
    check.close((torch.tensor(1.0), 2.0), torch.tensor([1.0, 2.0]), "pair")


@pytest.mark.parametrize(
    "answer, words",
    [
        (None, "does the function return its result"),
        ("two", "expected numbers, got str"),
        (torch.ones(2, 1), r"expected the shape \(2,\), got \(2, 1\)"),
        ([1.0, float("nan")], "must be finite, got nan"),
        ([1.0, 2.5], r"pair \(got 2.5, expected 2\)"),
    ],
)
def test_everything_else_gets_a_hint(answer, words):
    with pytest.raises(check.Hint, match=words):
        check.close(answer, [1.0, 2.0], "pair")


def test_the_tolerance_is_relative_to_large_numbers_and_absolute_for_small_ones():
    check.close(1e6 + 0.5, 1e6, "large")
    check.close(5e-7, 0.0, "small")
    with pytest.raises(check.Hint):
        check.close(5e-6, 0.0, "small")


def test_students_need_no_nbgrader():
    code = "import sys; sys.modules['nbgrader'] = None; import companion.course.check"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
