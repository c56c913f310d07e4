"""What a notebook records comes out again as it went in; no claim is measured without a run."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nbformat import read

from companion.cli import main
from companion.lab import claims

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
ENTRY = '[a]\npaper = "MLAE"\nplace = "eq. 1"\nsays = "so"\nmeasures = "this"\n'


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


def asked(source):
    return re.findall(r'\bclaim\(\s*"([^"]+)"', source)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_ids_resolve_and_each_record_comes_from_an_executed_cell(path):
    for cell in read(path, 4).cells:
        wanted = set(asked(cell.source)) if cell.cell_type == "code" else set()
        assert wanted <= set(claims.registry())
        found = {
            id
            for o in cell.get("outputs", ())
            for id in o.get("data", {}).get(claims.CLAIM_MIME, ())
        }
        assert found == wanted  # neither left out nor typed in
        assert not found or cell.execution_count


def test_no_result_can_be_written_into_the_registry():
    with pytest.raises(ValueError, match="claim a: .*unexpected keyword argument 'measured'"):
        claims.parse(ENTRY + 'test = "holds"\nmeasured = 1.0\n')


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('test = "near"', "claim a: test must be close, below, above, holds, got 'near'"),
        ('test = "close"\nbound = 1.0', "test 'close' takes bound and tolerance, got"),
        ('test = "holds"\nbound = 1.0', "test 'holds' takes neither bound nor tolerance, got"),
    ],
)
def test_a_claim_says_how_it_is_tested(entry, message):
    with pytest.raises(ValueError, match=message):
        claims.parse(ENTRY + entry)
    with pytest.raises(ValueError, match="claim a: .*missing 1 required .*'test'"):
        claims.parse(ENTRY)


@pytest.mark.parametrize(
    ("test", "good", "bad"),
    [
        ({"test": "close", "bound": -2.0, "tolerance": 0.1}, [-2.19, -1.81], -1.7),
        ({"test": "below", "bound": 1.0}, 1.0, [0.5, 1.1]),
        ({"test": "above", "bound": 1.0}, 1.0, [2, 0.9]),
        ({"test": "holds"}, [True, True], 1.0),
    ],
)
def test_verdicts(test, good, bad):
    entry = claims.Claim("a", "MLAE", "eq. 1", "so", "this", **test)
    assert entry.reproduced(good) and not entry.reproduced(bad)
    assert not entry.reproduced([])


def test_an_unknown_id_is_refused(tmp_path):
    with pytest.raises(ValueError, match="claim: 'mlae-x' is not in claims.toml; there is mlae-"):
        claims.claim("mlae-x", 1.0)
    run = {"notebook": "02", "profile": "full", "device": "cuda", "claims": {"mlae-x": 1.0}}
    (tmp_path / "results.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match="measures 'mlae-x', which is not in claims.toml"):
        claims.measured([tmp_path / "results.json"])


def test_the_table_names_profile_and_device_of_each_run(tmp_path, capsys):
    run = {
        "notebook": "04",
        "profile": "full",
        "device": "cuda",
        "claims": {"mlae-c-free-decoder": 0.4},
    }
    (tmp_path / "results.json").write_text(json.dumps(run))
    assert main(["claims", str(tmp_path)]) == 0
    lines = capsys.readouterr().out
    assert "measured 0.4 in 04, full, cuda" in lines
    assert "in 04_linear_model, quick, cpu" in lines
    assert main(["claims", str(tmp_path / "nothing")]) == 2
    rows = {row[0]: row[5] for row in claims.table([])}
    assert set(rows.values()) == {"not yet measured"} and set(rows) == set(claims.registry())
