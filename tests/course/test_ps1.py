"""Problem set 1: the reference passes, and each likely mistake is told what is off."""

import re
from pathlib import Path

import jupytext
import pytest
import torch

from companion.course.check import Hint

SOURCE = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "ps1.py"
CELLS = {
    cell.metadata["nbgrader"]["grade_id"]: cell.source
    for cell in jupytext.read(SOURCE).cells
    if cell.cell_type == "code" and "nbgrader" in cell.metadata
}
GIVEN = ("setup", "curve", "circle")

MISTAKES = [  # question, what stands there, what a student might write, what they read
    ("density", "- 0.5 * torch.logdet", "+ 0.5 * torch.logdet", "stretched means thinner"),
    ("density", " - 0.5 * torch.logdet(J.mT @ J)", "", "stretched means thinner"),
    ("density", "+ math.log(2 * math.pi)", "", "with its constant"),
    ("density", ".sum(1)", ".sum(1, keepdim=True)", "expected the shape (4001,), got"),
    ("density", "return normal -", "normal -", "does the function return its result"),
    ("density", "torch.logdet(J.mT @ J)", "J.square().sum((1, 2)).log()", "a surface in space"),
    ("density", ".sum(1)", "[:, 0]", "a surface in space"),
    ("encoders", "torch.atan2(x[:, 1:], x[:, :1])", "torch.atan(x[:, 1:] / x[:, :1])", "left half"),
    ("encoders", "x[:, :1])", "x[:, :1]) + x.norm(dim=1, keepdim=True) - 2", "straight: a step"),
    ("encoders", " + x.norm(dim=1, keepdim=True) - 2", "", "slanted: this one projects"),
    ("encoders", "keepdim=True) - 2", "keepdim=True)", "slanted: decode and encode"),
    ("directions", "+ beta * lost", "- beta * lost", "the loss must grow with beta times"),
    ("directions", "beta * lost", "beta * kept", "which is the lost variance"),
    ("directions", "0.5 + 0.5 * math", "0.5 * math", "its first term is ½"),
    ("directions", "/ (2 * (large - small))", "/ (large - small)", "at the tie"),
    ("directions", "1 / (2 * large), tie, 1 / (2 * small)", "1 / (2 * small), tie, 1 / (2 * large)",
     "on both sides of the tie"),
    ("directions", "return 1 / (2 * large)", "return 1 / large", "appears: at s = large"),
    ("directions", "1 / (2 * small)", "1 / small", "vanishes: at s = small"),
    ("probes", '"ki,ij,kj->k"', '"ki,ij,kj->kj"', "expected the shape (20000,)"),
    ("probes", "v, A, v)", "v, A + 1, v)", "the mean over many probes"),
    ("probes", " - S.diagonal().square().sum()", "", "each v² is 1"),
    ("probes", "return 2 * ", "return 1 * ", "how often is each pair"),
    ("probes", "S = (A + A.mT) / 2", "S = A", "does not see the skew part"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def precision():
    yield
    torch.set_default_dtype(torch.float32)  # the set's first cell changes it


def answered(question, solution):
    """Run what is given, a solution, and the question's checks."""
    names = {}
    for text in (*map(CELLS.get, GIVEN), solution):
        exec(text, names)
    for part in ("visible", "hidden"):
        exec(CELLS[f"{question}-{part}"], names)


@pytest.mark.parametrize("question", ["density", "encoders", "directions", "probes"])
def test_the_reference_passes(question, capsys):
    answered(question, CELLS[question])
    assert "the visible checks hold" in capsys.readouterr().out


@pytest.mark.parametrize("question, right, wrong, words", MISTAKES)
def test_a_mistake_gets_a_hint(question, right, wrong, words):
    assert right in CELLS[question]
    with pytest.raises(Hint, match=re.escape(words)):
        answered(question, CELLS[question].replace(right, wrong, 1))


def test_it_needs_the_package_alone():
    """A grader's machine has neither the notebooks nor their pictures."""
    assert not re.search(r"^(from|import) (figures|book|tools)\b", SOURCE.read_text("utf-8"), re.M)
