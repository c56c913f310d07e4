"""The numbers that a notebook records, and how they are found again in the executed file."""

import sys
from collections.abc import Mapping
from math import isfinite
from typing import Any

MIME = "application/vnd.companion.results+json"


def record(**numbers: Any) -> None:
    """Show ``name = value`` and carry the numbers along with the cell's output.

    Args:
        numbers: Numbers, strings, or lists of them; tensors and arrays of any size become lists.

    Raises:
        ValueError: If a number is not finite; such a thing is a failure to report, not a result.
        TypeError: If a value is none of these.

    >>> record(w2=0.25, spectrum=[3.0, 1.0])
    w2 = 0.25
    spectrum = [3, 1]
    >>> record(nll=float("nan"))
    Traceback (most recent call last):
    ValueError: record: nll must be finite, got nan
    """
    plain = {name: _plain(name, value) for name, value in numbers.items()}
    text = "\n".join(f"{name} = {_text(value)}" for name, value in plain.items())
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
        from IPython.display import display  # only here: plain scripts need no IPython

        display({"text/plain": text, MIME: plain}, raw=True)
    else:
        print(text)


def collect(notebook: Mapping) -> dict[str, Any]:
    """Gather everything that ``record`` left in the outputs of an executed notebook.

    Args:
        notebook: The notebook, as ``nbformat.read`` gives it.

    Returns:
        The numbers by name, in the order of the cells.

    Raises:
        ValueError: If one name was recorded twice with different values.

    >>> output = {"output_type": "display_data", "data": {MIME: {"w2": 0.25}}}
    >>> collect({"cells": [{"cell_type": "code", "outputs": [output]}]})
    {'w2': 0.25}
    """
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
    numbers: dict[str, Any] = {}
    for output in outputs:
        for name, value in output.get("data", {}).get(MIME, {}).items():
            if numbers.setdefault(name, value) != value:
                raise ValueError(
                    f"collect: {name} was recorded twice, as {numbers[name]} and as {value}"
                )
    return numbers


def _plain(name: str, value: Any) -> Any:
    """A value as JSON can hold it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if not isinstance(value, str | int | float):
        raise TypeError(f"record: {name} must be a number or a string, got {type(value).__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"record: {name} must be finite, got {value}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
