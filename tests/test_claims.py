"""What a notebook records comes out again as it went in; no claim is measured without a run."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nbformat import read
from scipy.stats import ttest_1samp

from companion.cli import main
from companion.lab import claims, provenance, verdicts
from figures.explorables import BY_NAME, LONG, mnist, sinusoid

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
ENTRY = '[a]\npaper = "MLAE"\nplace = "eq. 1"\nsays = "so"\nmeasures = "this"\n'
ENTRY += 'evidence = "toy"\nwhy = "so"\n'


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
        assert wanted <= set(verdicts.registry())
        found = {
            id
            for o in cell.get("outputs", ())
            for id in o.get("data", {}).get(claims.CLAIM_MIME, ())
        }
        assert found <= wanted  # none typed in
        registry = verdicts.registry()  # what takes a paper's own data waits for them
        assert all(registry[id].evidence == "paper" for id in wanted - found)
        assert not found or cell.execution_count


def test_no_result_can_be_written_into_the_registry():
    with pytest.raises(ValueError, match="claim a: .*unexpected keyword argument 'measured'"):
        verdicts.parse(ENTRY + 'test = "holds"\nmeasured = 1.0\n')


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('test = "near"', "claim a: test must be one of 'close', 'below', .*, got 'near'"),
        ('test = "close"\nbound = 1.0', "test 'close' takes bound and tolerance, got"),
        ('test = "holds"\nbound = 1.0', "test 'holds' takes neither bound nor tolerance, got"),
        ('test = "holds"\nover = "seeds"', "over must be one of .*'trainings'.*, got 'seeds'"),
    ],
)
def test_a_claim_says_how_it_is_tested(entry, message):
    with pytest.raises(ValueError, match=message):
        verdicts.parse(ENTRY + entry)
    with pytest.raises(ValueError, match="claim a: .*missing 1 required .*'test'"):
        verdicts.parse(ENTRY)


def test_a_claim_says_what_evidence_it_is_and_why_its_bound():
    bare = '[a]\npaper = "MLAE"\nplace = "eq. 1"\nsays = "so"\nmeasures = "this"\ntest = "holds"\n'
    with pytest.raises(ValueError, match="claim a: evidence must be one of 'identity', .*, got ''"):
        verdicts.parse(bare)
    with pytest.raises(ValueError, match="claim a: why is missing"):
        verdicts.parse(bare + 'evidence = "toy"\n')
    assert verdicts.parse(bare + 'ended = "wrong"\n')["a"].ended == "wrong"


def entry(over="", **test):
    return verdicts.Claim(
        "a", "MLAE", "eq. 1", "so", "this", evidence="toy", why="so", over=over, **test
    )


@pytest.mark.parametrize(
    ("test", "good", "bad"),
    [
        ({"test": "close", "bound": -2.0, "tolerance": 0.1}, [-2.19, -1.81], -1.7),
        ({"test": "below", "bound": 1.0}, [1.0], 1.1),
        ({"test": "above", "bound": 1.0}, [1.0, 2], 0.9),
        ({"test": "holds"}, [True], False),
    ],
)
def test_one_number_is_exact_and_of_cases_all_have_to_hold(test, good, bad):
    assert [entry(**test).verdict(value) for value in good] == ["holds"] * len(good)
    assert entry(**test).verdict(bad) == "fails"
    cases = entry("cases", **test)
    assert cases.verdict(good) == "holds" and cases.verdict([*good, bad]) == "fails"


@pytest.mark.parametrize(
    ("runs", "word"),
    [
        ([0.9, 0.8, 0.5], "holds"),  # every training
        ([0.5, 0.5, 0.5, 0.5, 0.5, 1.02], "holds"),  # not every one, but the interval
        ([0.4, 1.3, 0.5], "undecided"),
        ([1.6, 1.5, 1.5, 1.6, 0.98], "fails"),  # the interval
        ([1.1, 5.0, 1.2], "fails"),  # none
        ([0.1, 0.1], "undecided"),  # too few
        ([0.1], "undecided"),
    ],
)
def test_trainings_decide_together(runs, word):
    one = entry("trainings", test="below", bound=1.0)
    assert one.verdict(runs) == word
    turned = entry("trainings", test="above", bound=-1.0)
    assert turned.verdict([-value for value in runs]) == word
    several = entry("cases, trainings", test="below", bound=1.0)
    assert several.verdict([[0.1, 0.2, 0.3], runs]) == word
    assert several.verdict([[2.0, 2.1, 2.2], runs]) == "fails"
    measures = entry("measures, trainings", test="below", bound=1.0)
    assert measures.verdict([runs, runs]) == word
    assert measures.verdict([[2.0, 2.1, 2.2], [0.1, 0.2, 0.3], runs]) == "undecided"


def test_the_interval_is_students():
    runs = [0.3, 0.5, 0.2, 0.9]
    expected = ttest_1samp(runs, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose(verdicts.interval(runs), expected)


@given(
    st.lists(st.floats(-5, 5), min_size=3, max_size=8),
    st.floats(-5, 5),
    st.sampled_from(["below", "above"]),
)
def test_no_verdict_turns_with_the_order_of_trainings_and_none_holds_against_all(runs, bound, test):
    one = entry("trainings", test=test, bound=bound)
    word = one.verdict(runs)
    assert word == one.verdict(runs[::-1])
    fits = [v <= bound if test == "below" else v >= bound for v in runs]
    assert word != "holds" if not any(fits) else word != "fails" or not all(fits)


@pytest.mark.parametrize(
    ("over", "value"), [("", [1.0]), ("trainings", 1.0), ("cases, trainings", [1.0, 2.0])]
)
def test_a_measurement_with_other_axes_is_refused(over, value):
    with pytest.raises(ValueError, match="claim a: a measurement is (a list over|one number)"):
        entry(over, test="below", bound=1.0).verdict(value)


def test_a_bound_that_changes_is_another_claim():
    """Each line once written stays: tests/claims.txt is only added to."""
    path = Path(__file__).parent / "claims.txt"
    known = [line.split() for line in path.read_text("utf-8").splitlines()]
    now = [
        [one.id, one.test, str(one.bound), str(one.tolerance)]
        for one in verdicts.registry().values()
    ]
    assert sorted(known) == sorted(now)


def test_an_unknown_or_ended_claim_is_refused(tmp_path):
    with pytest.raises(ValueError, match="claim: 'mlae-x' is not in claims.toml; there is .*mlae-"):
        claims.claim("mlae-x", 1.0)
    with pytest.raises(ValueError, match="claim: 'mlae-tab1-comparable' has ended"):
        claims.claim("mlae-tab1-comparable", [1.0])
    run = {"notebook": "02", "profile": "full", "device": "cuda", "claims": {"mlae-x": 1.0}}
    (tmp_path / "results.json").write_text(json.dumps(run))
    with pytest.raises(ValueError, match="measures 'mlae-x', which is not in claims.toml"):
        claims.measured([tmp_path / "results.json"])


def results(folder, **values):
    run = {"notebook": "04", "profile": "full", "device": "cuda", "claims": values}
    (folder / "results.json").write_text(json.dumps(run))


def test_the_table_names_what_made_each_measurement(tmp_path, capsys):
    results(tmp_path, **{"mlae-c-top-appears": {"value": 0.9, "by": {}}})
    assert main(["claims", str(tmp_path)]) == 0
    lines = capsys.readouterr().out
    assert "measured 0.9 in 04: cuda; full" in lines
    assert "in 04_linear_model: cpu; quick" in lines
    assert main(["claims", str(tmp_path / "nothing")]) == 2
    rows = claims.table([])
    assert {row.verdict for row in rows} == {"not yet measured"}
    live = {one.id for one in verdicts.registry().values() if not one.ended}
    assert {row.claim.id for row in rows} == live


def test_what_a_lattice_made_is_not_stamped_with_the_run_that_read_it(tmp_path):
    made = provenance.made("digits", seeds=(0, 1, 2), device="NVIDIA H200", evidence="paper")
    results(tmp_path, **{"mlae-tab5-resnet-ahead-of-autoencoder": {"value": [0.1], "by": made}})
    (row,) = (row for row in claims.table(claims.measured([tmp_path / "results.json"])) if row.by)
    assert row.by.startswith("04: digits; 3 trainings; NVIDIA H200; torch")
    assert "full" not in row.by and (row.evidence, row.verdict) == ("paper", "undecided")


def test_a_run_from_before_the_axes_were_named_is_kept_apart(tmp_path):
    results(tmp_path, **{"mlae-tab6-bn-hurts": 1.2})
    (row,) = (row for row in claims.table(claims.measured([tmp_path / "results.json"])) if row.by)
    assert row.verdict == claims.OLDER and claims.OLDER in claims.counted([row])


def test_a_study_says_what_made_it():
    made = sinusoid.STUDY.made
    assert made["trainings"] == len(sinusoid.STUDY.seeds) and made["device"] == "cpu"
    assert made["samples"] == [len(sinusoid.make_data(0.1, 0))]
    assert made["steps"] == [1500] and made["lattice"] == "sinusoid"


@pytest.mark.parametrize("name", [*BY_NAME, *(n for n in LONG if n != "batch_orthogonal")])
def test_every_lattice_says_what_made_it(name):
    """But for one whose training data are not always there."""
    made = (LONG[name] if name in LONG else BY_NAME[name].study).made
    about = provenance.described(made)
    assert made["lattice"] == name
    assert about.endswith(f"torch {made['versions']['torch']}") if "versions" in made else not about


def test_only_a_papers_own_setting_is_evidence_of_that_kind():
    whole, short = mnist.PAPER.made, mnist.SHORT.made
    assert (whole["evidence"], whole["samples"], whole["steps"]) == ("paper", 50_000, 50_000)
    assert "H200" in whole["device"]
    assert "evidence" not in short and short["samples"] == 8000


def test_every_claim_read_from_a_lattice_says_so():
    """No claim of trainings is stamped with nothing but the profile of a notebook."""
    for row in claims.table(claims.measured(NOTEBOOKS)):
        if row.by and "trainings" in row.claim.over:
            assert "training" in row.by.partition(": ")[2], row.claim.id
