"""What a notebook records comes out again as it went in."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from companion import claims


def output(**numbers):
    return {"output_type": "display_data", "data": {claims.MIME: numbers}}


def test_tensors_and_arrays_become_numbers(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.get_ipython", SimpleNamespace)  # as if in a notebook
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    claims.record(a=torch.tensor(0.5), b=np.arange(2), c=(1, 2.0), d="text", e=torch.eye(1))
    assert shown[0][claims.MIME] == {"a": 0.5, "b": [0, 1], "c": [1, 2.0], "d": "text", "e": [[1]]}
    assert "IPython" in sys.modules and "a = 0.5\nb = [0, 1]" in shown[0]["text/plain"]


@pytest.mark.parametrize("value", [float("inf"), torch.tensor([1.0, float("nan")])])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="record: x must be finite"):
        claims.record(x=value)


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="record: x must be a number or a string, got object"):
        claims.record(x=object())


def test_collect_gathers_all_cells_and_refuses_a_contradiction():
    cells = [
        {"cell_type": "markdown", "source": ""},
        {"outputs": [output(a=1), {"output_type": "stream", "text": "a"}]},
        {"outputs": [output(b=[0.5], a=1)]},
    ]
    assert claims.collect({"cells": cells}) == {"a": 1, "b": [0.5]}
    with pytest.raises(ValueError, match="a was recorded twice, as 1 and as 2"):
        claims.collect({"cells": [*cells, {"outputs": [output(a=2)]}]})
