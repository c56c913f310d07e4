"""Every line of the errata page runs, and each entry says where, what, and what to use instead."""

import doctest
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "book" / "errata.md").read_text("utf-8")
BODY, RIGHT = PAGE.split("## What looked wrong, and is right")
ENTRIES = dict(re.findall(r"^### (.+?)\n(.+?)(?=^##|\Z)", BODY, re.M | re.S))
BLOCKS = re.findall(r"^```pycon\n(.+?)^```", PAGE, re.M | re.S)


def test_each_entry_names_its_paper_and_a_cure():
    assert len(ENTRIES) >= 20
    for title, text in ENTRIES.items():
        named = re.match(r"(MLAE|AEF|RIF|2SVAE|SFVAE|Pythae)\b", title) or "MLAE" in text
        assert named and ("*Instead*" in text or "{doc}" in text), title


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_example_shows_what_it_says(number):
    example = doctest.DocTestParser().get_doctest(BLOCKS[number], {}, f"errata {number}", None, 0)
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert not said, "".join(said)
