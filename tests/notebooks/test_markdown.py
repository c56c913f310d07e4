"""What Markdown would misread in the text of a notebook: formulas that become lists."""

import re
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = sorted([*FOLDER.glob("[0-9][0-9]_*.py"), *FOLDER.glob("assignments/[!_]*.py")])

CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.DOTALL)
# a list, a heading (also one that is underlined with = or -), a quotation, or the paragraph's end
BREAKS = re.compile(r"\s*(?:[-+*]\s|\d+[.)]\s|[=#>]|-+\s*$|$)")


def misread(text):
    """The lines of formulas that begin something else, and what holds a dollar sign of no pair."""
    text = CODE.sub("", text).replace(r"\$", "")
    lines = [line for formula in FORMULA.findall(text) for line in formula.splitlines()[1:]]
    stray = [line for line in FORMULA.sub("", text).splitlines() if "$" in line]
    return [line for line in lines if BREAKS.match(line)] + stray


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_formulas_stay_formulas(source):
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "markdown":
            assert misread(cell.source) == [], cell.source.partition("\n")[0]


def test_what_is_misread_is_found():
    assert misread("$$a\n  {}+ b$$ and $c$ and `$d` for \\$5\n```\n$e\n```") == []
    assert misread("$-a\n+ b$") == ["+ b$"]
    assert misread("$$a\n= b$$") == ["= b$$"]
    assert misread("- first $a\n- second") == ["- first $a"]
