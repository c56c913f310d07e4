"""The long trainings that ship as numbers: read, drawn, and made again on tiny settings."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from companion.experiments.assemble import parameters
from companion.experiments.experiment import SCALES, Data, Experiment
from companion.experiments.presets import PRESETS
from companion.lab import explorable as lab
from companion.lab.study import Study
from companion.training import TrainConfig, fit
from figures import explorables
from figures.explorables import batch_orthogonal, mnist, sinusoid, sinusoid_full


@pytest.fixture
def saved(monkeypatch):
    """What a build would have written into the package."""
    found = {}

    def save(name, arrays, about):
        found[name] = (arrays, about)

    monkeypatch.setattr(lab, "save_lattice", save)
    return found


def test_they_are_named_but_not_rebuilt_with_the_others(monkeypatch):
    built = []
    for kind in (lab.Computed, Study, mnist.Comparison):
        monkeypatch.setattr(kind, "build", lambda *its: built.append((its[0].name, its[1])))
    explorables.rebuild()
    assert built == [(name, None) for name in explorables.BY_NAME]
    explorables.rebuild("mnist_full")
    assert built[-1] == ("mnist_full", Path("runs/mnist_full"))
    with pytest.raises(ValueError, match="no explorable 'mnist'; there are .* mnist_full"):
        explorables.rebuild("mnist")


def test_the_diagram_has_all_of_the_papers_runs():
    arrays = sinusoid_full.STUDY.arrays
    assert {a.shape for a in arrays.values()} == {(3, 14, 20)}
    assert set(arrays) == set(sinusoid.METRICS)
    for noise in sinusoid_full.NOISES:
        onset = sinusoid_full.transitions(noise)
        assert ((onset >= 0.01) & (onset <= 100)).all() and np.ptp(onset) > 0
    # the slider's lattice, other seeds' trainings at other β, tells the same
    few, many = (np.median(m.transitions(0.1)) for m in (sinusoid, sinusoid_full))
    assert 0.25 < few / many < 4
    picture = sinusoid_full.phase_diagram()
    medians = [f"{np.median(sinusoid_full.transitions(s)):.2g}" for s in sinusoid_full.NOISES]
    assert len(picture.panels) == 3 and all(f"median β {m}" in picture.says for m in medians)


def test_the_shift_is_the_ratio_of_medians_within_its_interval():
    found = sinusoid_full.shift(500)
    first, last = (np.median(sinusoid_full.transitions(s)) for s in (0.1, 0.3))
    assert found["factor"] == pytest.approx(last / first, rel=0.2)  # medians of logarithms
    assert found["low"] < found["factor"] < found["high"]
    assert sinusoid_full.shift(500) == found


def test_the_diagram_can_be_built_and_goes_on(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(sinusoid, "NUM_TRAIN", 512)
    controls = {"beta": lab.Control("β", (0.1, 10.0), 0.1), "noise": lab.Control("σ", (0.1,), 0.1)}
    config = lambda seed: sinusoid.make_config(seed, 2)  # noqa: E731
    study = replace(sinusoid_full.STUDY, controls=controls, seeds=(0, 1), config=config)
    study.build(tmp_path / "runs")
    arrays, about = saved.pop("sinusoid_full")
    assert arrays["alignment"].shape == (1, 2, 2) and about["seeds"] == [0, 1]
    study.build(tmp_path / "runs")  # nothing is left to train
    assert np.array_equal(saved["sinusoid_full"][0]["nll"], arrays["nll"])
    alone = sinusoid.make_model(10.0, 1)
    fit(alone, sinusoid.make_data(0.1, 1), None, config(1), progress=False)
    result = sinusoid.measure(alone.eval(), 0.1)
    assert result.reconstruction == pytest.approx(arrays["reconstruction"][0, 1, 1], rel=1e-2)


def test_mnist_shows_three_models_and_their_spread():
    about = json.loads(json.dumps(mnist.SHORT.about))
    assert "10,000" in about["data"] or "test" in about["data"]
    normal = mnist.SHORT.runs("N")
    assert list(normal) == about["models"] and all(len(v) == 3 for v in normal.values())
    picture = mnist.short_picture()
    [[panel]] = picture.panels
    assert panel.x.scale == "log" and picture.says.count("GMM(10)") == 3
    for name, values in normal.items():
        assert f"{name}: N {values.mean():.0f}" in picture.says


@pytest.fixture
def tiny(monkeypatch):
    """Noise in the shape of MNIST, and scores of few samples."""
    x = (255 * torch.rand(80, 1, 28, 28)).byte()
    y = torch.arange(80) % 10
    monkeypatch.setitem(SCALES, "full", SCALES["full"]._replace(num_samples=20, steps=2))
    return Data(x[:40], x[40:60], x[60:], (y[:40], y[40:60], y[60:]), "noise")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:layer")
def test_mnist_can_be_trained_again_and_goes_on(saved, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist.Comparison, "load", lambda *_: tiny)
    train = mnist.SHORT.train | {"epochs": 1, "batch_size": 20, "validate_every": 1}
    study = replace(mnist.SHORT, seeds=(0, 1), train=train)
    study.build(tmp_path)
    arrays, about = saved.pop("mnist_full")
    expected = parameters(study.make("MLAE, β = 10", 0).build((1, 28, 28)))["all"]
    assert arrays["N"].shape == (3, 2) and about["parameters"][0] == expected
    assert arrays["flat"][0, 0] == pytest.approx(28 * 28 / 12, rel=0.2)  # of uniform noise
    monkeypatch.setattr(mnist, "features_for", lambda *_: pytest.fail("scored twice"))
    study.build(tmp_path)
    assert np.array_equal(saved["mnist_full"][0]["N"], arrays["N"])


def test_all_of_mnist_shows_digits_and_says_where_they_were_made():
    about = mnist.PAPER.about
    assert about["models"] == list(mnist.PAPER.models) and len(about["device"]) == 3
    shape = (3, mnist.SHOWN, 1, 28, 28)
    assert mnist.PAPER.arrays["samples"].shape == shape
    ink = mnist.PAPER.arrays["samples"].mean((1, 2, 3, 4)) / 255
    assert (ink[:2] > 0.08).all() and ink[2] < 0.05  # the autoencoder's are nearly empty
    picture = mnist.paper_picture()
    assert [len(column) for column in picture.panels] == [3, 1]
    assert f"N {mnist.PAPER.runs('N')['autoencoder'][0]:.0f}" in picture.says


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:layer")
def test_all_of_mnist_can_be_trained_again_and_goes_on(saved, tiny, tmp_path, monkeypatch):
    preset = PRESETS[mnist.PAPER.preset]
    short = replace(preset, config=replace(preset.config, epochs=1, batch_size=20))
    monkeypatch.setitem(PRESETS, mnist.PAPER.preset, short)
    monkeypatch.setattr(mnist.Comparison, "load", lambda *_: tiny)
    brief = property(lambda its: (3 * (1024,), TrainConfig(epochs=1)))
    monkeypatch.setattr(Experiment, "second_stage", brief)
    mnist.PAPER.build(tmp_path)
    arrays, about = saved.pop("mnist_gpu")
    assert about["second_stage"] == 3 * [1024]
    assert arrays["N"].shape == (3,) and arrays["samples"].dtype == np.uint8
    assert about["data"] == "noise" and all(arrays["seconds"] > 0)
    monkeypatch.setattr(mnist, "score_experiment", lambda *_, **__: pytest.fail("scored twice"))
    mnist.PAPER.build(tmp_path)
    assert all(np.array_equal(saved["mnist_gpu"][0][k], v) for k, v in arrays.items())


def test_probes_orthogonal_across_the_batch_are_compared_over_eight_seeds():
    shape = (3, 2, 3, 8)  # setting, kind, fraction, seed
    arrays = batch_orthogonal.STUDY.arrays
    assert {arrays[m].shape for m in batch_orthogonal.METRICS} == {shape}
    assert arrays["noise"].shape == (3, 2, 2, 8)
    picture = batch_orthogonal.picture()
    assert len(picture.panels) == 4
    for setting in batch_orthogonal.SETTINGS:
        ratios = batch_orthogonal.noise_ratio(setting)
        assert (ratios < 1).all() and (ratios[0] < ratios[1]).all()  # new networks gain most
        assert (batch_orthogonal.excess(setting, "sphere")[0] == 0).all()
        mean, half = batch_orthogonal.interval(batch_orthogonal.excess(setting, "sphere"))
        found = f"{setting}, independent: +0.00 ± 0.00, {mean[1]:+.2f} ± {half[1]:.2f}"
        assert found in picture.says


def test_the_comparison_of_probes_can_be_made_again_and_goes_on(saved, tmp_path, monkeypatch):
    x, valid = batch_orthogonal.load("digits")
    few = {k: v._replace(epochs=1) for k, v in batch_orthogonal.SETTINGS.items() if "8×8" in k}
    values = {"SETTINGS": few, "DRAWS": 2, "load": lambda name: (x[:256], valid[:20])}
    for name, value in values.items():
        monkeypatch.setattr(batch_orthogonal, name, value)
    axes = dict(batch_orthogonal.STUDY.controls)
    axes["setting"] = lab.Control("networks and data", tuple(few), "8×8 digits, d = 8")
    axes["fraction"] = lab.Control("share", (1.0, 0.5), 1.0)
    study = replace(batch_orthogonal.STUDY, controls=axes, seeds=(0,))
    study.build(tmp_path / "runs")
    arrays, about = saved.pop("batch_orthogonal")
    assert arrays["nll"].shape == (2, 2, 2, 1) and arrays["noise"].shape == (2, 2, 2, 1)
    assert about["controls"]["kind"] == list(batch_orthogonal.KINDS)
    study.build(tmp_path / "runs")
    assert np.array_equal(saved["batch_orthogonal"][0]["nll"], arrays["nll"])


def test_a_retrained_number_is_compared_with_the_band():
    bands = {c: mnist.SHORT.runs(c)["autoencoder"] for c in mnist.SHORT.columns}
    result = SimpleNamespace(**dict.fromkeys(bands, 1e9))
    assert all(line.endswith("OUTSIDE") for line in lab.compare(result, bands))
