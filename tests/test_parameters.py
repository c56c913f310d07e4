"""The guard lets good parameters through, and says what is wrong with the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.lab import parameters
from companion.lab.parameters import (
    PROFILES,
    assigned,
    between,
    folder,
    guard,
    of_notebook,
    one_of,
    positive,
    whole_between,
)

GOOD = {
    positive: (1, 0.5, 1e-300),
    whole_between(0, 7): (0, 7),
    between(-1, 2): (-1, 0.5, 2),
    one_of("a", "b"): ("a", "b"),
    one_of(1, 2): (1, 2),
    one_of(False, True): (False, True),
    folder: ("", "here", "far/away"),
    parameters.seed_number: (0, 2**31 - 1),
    parameters.device_name: ("auto", "cpu"),
}
BAD = {
    positive: (0, -1, "1", None, True, float("nan"), float("inf"), 1j),
    whole_between(0, 7): (-1, 0.5, 8, True, "3", 10**400),
    between(-1, 2): (-1.1, 3, None, True, 10**400),
    one_of("a", "b"): ("c", 1, None, ["a"]),
    one_of(1, 2): (3, True, "1", 1.5),
    one_of(False, True): (0, 1, "True", 1.0),
    folder: (5, None, __file__, f"{__file__}/below"),
    parameters.seed_number: (-1, 2**31, "0", None),
    parameters.device_name: ("gpu", 0, None, ["cpu"]),
}


@pytest.mark.parametrize("rule, value", [(r, v) for r, values in GOOD.items() for v in values])
def test_good_values_pass(rule, value):
    assert guard({"x": value}, x=rule) == (value,)


@pytest.mark.parametrize("rule, value", [(r, v) for r, values in BAD.items() for v in values])
def test_bad_values_are_named_with_what_was_expected(rule, value):
    with pytest.raises(ValueError) as error:
        guard({"x": value}, x=rule)
    assert str(error.value) == f"parameters: x must be {rule.expected}, got {value!r}"


@pytest.mark.parametrize("rule", [one_of(1, 2), whole_between(0, 3)])
def test_a_whole_number_with_a_point_is_refused_with_the_cure(rule):
    with pytest.raises(ValueError, match=r"got 2\.0; write 2$"):
        guard({"x": 2.0}, x=rule)


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_every_positive_number_is_positive(value):
    assert positive.check(value) and not positive.check(-value)


def test_a_tuple_is_a_choice():
    assert guard({"profile": "full"}, profile=PROFILES).profile == "full"
    with pytest.raises(ValueError, match="one of 'quick', 'standard', 'full', got 'fast'"):
        guard({"profile": "fast"}, profile=PROFILES)


def test_a_rule_without_its_parameter_is_an_error_of_the_notebook():
    with pytest.raises(ValueError, match="sets no 'beta'"):
        guard({}, beta=positive)


def test_unknown_names_are_refused_with_a_hint():
    notebook = {"beta": 1.0, "In": ["", "beta = 1.0", "# Parameters\nbeta = 2\nbetta = 5\n"]}
    with pytest.raises(ValueError) as error:
        guard(notebook, beta=positive)
    assert str(error.value) == (
        "parameters: unknown parameter 'betta'; this notebook has beta (did you mean 'beta'?)"
    )


def test_running_the_guard_again_is_harmless():
    wrong, right = "# Parameters\nbetta = 5\n", "# Parameters\nbeta = 5\n"
    notebook = {"beta": 5, "In": ["", wrong, "guard(...)", right, "guard(...)", "guard(...)"]}
    assert guard(notebook, beta=positive) == guard(notebook, beta=positive) == (5,)


@pytest.mark.parametrize(
    "source, found",
    [
        ("beta = 1e-3  # = 1/(2σ²)\nsmall = 0.05  # a comment", {"beta": 1e-3, "small": 0.05}),
        ('runs = (\n    ""  # where\n)\nn: int = 3', {"runs": "", "n": 3}),
        ("a = b = -2\nc = 1 / 20\nd = f(2)", {"a": -2, "b": -2, "c": "1 / 20", "d": "f(2)"}),
        ("a = 1\na += 1\nif a:\n    e = 2\nb: int\nx.y = 3\nimport os", {"a": 1}),
    ],
)
def test_a_cells_names_are_read_as_python_reads_them(source, found):
    assert assigned(source) == found


def test_what_was_injected_stands_over_the_defaults():
    cells = [("parameters", "beta = 10.0\nseed = 0"), ("injected-parameters", "beta = 5\n")]
    cells = [{"metadata": {"tags": [tag]}, "source": source} for tag, source in cells]
    assert of_notebook({"cells": [*cells, {"metadata": {}, "source": "no = Python"}]}) == {
        "beta": 5,
        "seed": 0,
    }
