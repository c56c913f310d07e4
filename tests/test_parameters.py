"""The guard lets good parameters through, and says what is wrong with the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import parameters
from companion.parameters import PROFILES, between, guard, non_negative, one_of, positive, whole

GOOD = {
    positive: (1, 0.5, 1e-300),
    non_negative: (0, 0.0, 3),
    whole: (0, 7),
    between(-1, 2): (-1, 0.5, 2),
    parameters.unit_interval: (0, 0.5, 1),
    one_of("a", "b"): ("a", "b"),
    parameters.device_name: ("auto", "cpu"),
}
BAD = {
    positive: (0, -1, "1", None, True, float("nan"), float("inf")),
    non_negative: (-1e-9, False, "0"),
    whole: (-1, 0.5, 1.0, True, "3"),
    between(-1, 2): (-1.1, 3, None),
    parameters.unit_interval: (-0.1, 1.1, True),
    one_of("a", "b"): ("c", 1, None, ["a"]),
    parameters.device_name: ("gpu", 0, None),
}


@pytest.mark.parametrize("rule, value", [(r, v) for r, values in GOOD.items() for v in values])
def test_good_values_pass(rule, value):
    assert guard({"x": value}, x=rule) == (value,)


@pytest.mark.parametrize("rule, value", [(r, v) for r, values in BAD.items() for v in values])
def test_bad_values_are_named_with_what_was_expected(rule, value):
    with pytest.raises(ValueError) as error:
        guard({"x": value}, x=rule)
    assert str(error.value) == f"parameters: x must be {rule.expected}, got {value!r}"


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
