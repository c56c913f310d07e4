"""What a run costs: counts against torch's own and against arithmetic, and the book's record."""

import importlib.util
import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from companion.experiments.presets import PRESETS
from companion.experiments.sizes import SIZES
from companion.models import MLAE, Autoencoder
from companion.networks import MLP, ConvDecoder, ConvEncoder
from companion.training.counter import Counter, step_cost

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
SPEC = importlib.util.spec_from_file_location("tools_costs", ROOT / "tools" / "costs.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


def mlp(model, **options):
    return model(MLP(784, 16, [512, 512]), MLP(16, 784, [512, 512]), (784,), 16, **options)


def test_the_counter_agrees_with_torchs():
    shape = (3, 16, 16)
    nets = {"channels": (4, 8), "norm": "batch"}
    model = Autoencoder(ConvEncoder(shape, 5, **nets), ConvDecoder(5, shape, **nets), shape, 5)
    x = torch.rand(6, *shape)
    with FlopCounterMode(display=False) as theirs:
        model.loss(x).loss.mean().backward()
    model.zero_grad()
    assert step_cost(model, 6).flop == theirs.get_total_flops() > 0


def test_one_pass_costs_what_the_products_say():
    """10 passes of one network to 6 (FACTS), but neither product goes back to the data."""
    plain, one_pass = (step_cost(mlp(model), 64).flop for model in (Autoencoder, MLAE))
    assert step_cost(mlp(MLAE), 128).flop == 2 * one_pass  # the batch scales both
    first, second, last = (2 * 64 * size for size in (784 * 512, 512 * 512, 512 * 16))
    products = first + second + last  # a pass of one network
    assert plain == 6 * products - first
    assert one_pass == 10 * products - 2 * first - last  # no gradient of data, nor of probes


def test_memory_is_counted_as_it_comes_and_goes():
    with Counter() as counter:
        one = torch.zeros(1000, dtype=torch.uint8)
        two = one.double()
        view = two.view(10, 100)  # no memory of its own
        del one
        three = torch.zeros(500, dtype=torch.uint8)
    assert (counter.peak, counter.live) == (9000, 8500)
    assert view.shape == (10, 100) and len(three) == 500


def test_no_numbers_and_numbers_take_the_same_memory():
    x, peaks = torch.rand(32, 784), []
    for device in ("cpu", "meta"):
        model = mlp(Autoencoder).to(device)
        with Counter() as counter:
            model.loss(x.to(device)).loss.mean().backward()
        peaks.append(counter.peak - (device == "meta") * x.nbytes)
        del model
    assert peaks[0] == pytest.approx(peaks[1], rel=0.05)
    weights = sum(p.nbytes for p in mlp(Autoencoder).parameters())
    assert peaks[0] > weights  # gradients alone are as large


def test_a_step_takes_time_and_samples_come(monkeypatch):
    model = Autoencoder(nn.Linear(64, 8), nn.Linear(8, 64), (64,), 8)
    found = tool.measured_step(model, 64, steps=4)
    assert found.seconds > 0 and found.peak == 0
    assert tool.measured_sampling(model, 100) > 0
    clock = count(step=2.0)  # each look at it takes two seconds
    monkeypatch.setattr(tool, "perf_counter", lambda: next(clock))
    steps = []
    handle = model.decoder.register_forward_hook(lambda *_: steps.append(1))
    assert tool.measured_step(model, 64, steps=50, limit=1.0).seconds == 2.0
    handle.remove()
    assert len(steps) == 3  # two that warm up, and one at least


def test_sizes_are_those_of_the_presets():
    assert set(SIZES) == {preset.data for preset in PRESETS.values()}
    with pytest.raises(ValueError, match="data must be one of mnist"):
        tool.run_cost("x", replace(PRESETS["mlae-power"], data="x"))


@pytest.mark.filterwarnings("ignore:layer")
def test_the_books_record_is_what_is_counted():
    found = json.loads((BOOK / "costs.json").read_text("utf-8"))
    assert list(found["runs"]) == list(PRESETS)
    for name in (
        "mlae-gas",
        "mlae-mnist-resnet",
        "relaxed-mnist-log",
        "aef-mnist",
        "two-stage-mnist-infogan",
        "taylor-mnist-collapse",
    ):
        cost = tool.run_cost(name, PRESETS[name])._asdict()
        assert found["runs"][name] == pytest.approx(cost, rel=0.01), name
    two = PRESETS["two-stage-mnist-infogan"]
    assert found["runs"]["two-stage-mnist-infogan"]["steps"] == 500 * (
        two.config.epochs + two.second[1].epochs
    )
    assert found["runs"]["taylor-mnist-collapse"]["steps"] == 1000  # one batch an epoch


def test_what_a_gpu_measured_goes_when_the_count_changes():
    before, now = ({"a": {"flop": 1.0}, "b": {"flop": n}} for n in (2.0, 3.0))
    measured = {"a": {"hours": 1.0}, "b": {"hours": 2.0}}
    assert tool.still_valid(measured, before, now | {"c": {"flop": 1.0}}) == {"a": {"hours": 1.0}}


def test_the_books_hours_are_work_over_rate(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(BOOK / "_ext"))
    monkeypatch.delitem(sys.modules, "costs", raising=False)
    import costs

    run = {"steps": 1000, "flop": 3.6e16, "resident": 2e9, "peak": 5e8}
    rates = {"mlae": {"flop_per_second": 1e12}, "tables": {"flop_per_second": 1e11}}
    gpu = {"milliseconds": [14.4], "hours": 0.004, "samples_per_second": 1e5}
    assert costs.row("mlae-mnist", run, rates, gpu)[1:] == (
        "1,000", "36", "2.00", "0.50", "100,000", "14", "10", "< 0.01", "< 0.01",
    )  # fmt: skip
    assert costs.row("mlae-gas", run, rates, gpu)[7] == "100"
    every = costs.recorded()
    measured = every["gpu"]["runs"]
    assert all(
        costs.row(name, run, every["rates"], measured.get(name))
        for name, run in every["runs"].items()
    )
    assert costs.row("vae-mnist-flows", run, {"aef": rates["mlae"]}, None)[5:] == (
        "–", "–", "10", "–", "–",
    )  # fmt: skip
    assert every["gpu"]["about"]["device"] in costs.sentence(every)
    benches = (json.loads((costs.BENCHMARKS / f"{n}.json").read_text()) for n in ("cpu", "h200"))
    shown = costs.compared(*benches)
    missing = [[label for label, *both in shown if both[i] == "–"] for i in (0, 1)]
    assert len(shown) == len(costs.RATIOS) and missing[1] == [
        "compiled, surrogate on an eighth, probes across the batch",
        "MLAE step / the authors' public way",
        "15 sinusoids one by one / as a sweep",
    ]
    assert all("replayed" in name or "networks" in name for name in missing[0])


def test_the_gpus_record_fits_the_counts():
    """Hours are steps times milliseconds; rates and bytes are what such a machine has."""
    found = json.loads((BOOK / "costs.json").read_text("utf-8"))
    measured = [name for name in PRESETS if name in found["gpu"]["runs"]]
    assert list(found["gpu"]["runs"]) == measured  # the rest has changed since a GPU was there
    for name, run in found["gpu"]["runs"].items():
        counted, many = found["runs"][name], run["milliseconds"]
        least, most = (counted["steps"] * ms / 3.6e6 for ms in (min(many), max(many)))
        assert least * 0.999 <= run["hours"] <= most * 1.001
        assert 1e10 < counted["flop"] / (3600 * run["hours"]) < 1e15
        assert run["samples_per_second"] > 100
        if run["peak"] > 5e8:  # where libraries' own work space counts for little
            assert 0.25 < run["peak"] / (counted["resident"] + counted["peak"]) < 1.3, name
