"""The long trainings that ship as numbers: read, drawn, and made again on tiny settings."""

import numpy as np
import pytest

from companion import explorables
from companion.explorables import sinusoid, sinusoid_full


@pytest.fixture
def saved(monkeypatch):
    """What a build would have written into the package."""
    found = {}

    def save(name, arrays, about):
        found[name] = (arrays, about)

    monkeypatch.setattr(sinusoid_full, "save_lattice", save)
    return found


def test_they_are_named_but_not_rebuilt_with_the_others(monkeypatch):
    built = []
    for module in (*explorables.BY_NAME.values(), *explorables.LONG.values()):
        monkeypatch.setattr(module, "build", lambda name=module.NAME: built.append(name))
    explorables.rebuild()
    assert built == list(explorables.BY_NAME)
    explorables.rebuild("sinusoid_full")
    assert built[-1] == "sinusoid_full"
    with pytest.raises(ValueError, match="no explorable 'mnist'; there are .* sinusoid_full"):
        explorables.rebuild("mnist")


def test_the_diagram_has_all_of_the_papers_runs():
    arrays = sinusoid_full.lattice()
    assert {a.shape for a in arrays.values()} == {(3, 14, 20)}
    assert set(arrays) == set(sinusoid.METRICS)
    for noise in sinusoid_full.NOISES:
        onset = sinusoid_full.transitions(noise)
        assert ((onset >= 0.01) & (onset <= 100)).all() and np.ptp(onset) > 0
    # the slider's lattice, other seeds' trainings at other β, tells the same
    few, many = (np.median(m.transitions(0.1)) for m in (sinusoid, sinusoid_full))
    assert 0.25 < few / many < 4
    figure, words = sinusoid_full.phase_diagram()
    medians = [f"{np.median(sinusoid_full.transitions(s)):.2g}" for s in sinusoid_full.NOISES]
    assert len(figure.axes) == 3 and all(f"median β {m}" in words for m in medians)


def test_the_shift_is_the_ratio_of_medians_within_its_interval():
    found = sinusoid_full.shift(500)
    first, last = (np.median(sinusoid_full.transitions(s)) for s in (0.1, 0.3))
    assert found["factor"] == pytest.approx(last / first, rel=0.2)  # medians of logarithms
    assert found["low"] < found["factor"] < found["high"]
    assert sinusoid_full.shift(500) == found


def test_the_diagram_can_be_built_and_goes_on(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(sinusoid_full, "BETAS", (0.1, 10.0))
    monkeypatch.setattr(sinusoid_full, "NOISES", (0.1,))
    monkeypatch.setattr(sinusoid_full, "SEEDS", (0, 1))
    monkeypatch.setattr(sinusoid_full, "AT_ONCE", 3)
    monkeypatch.setattr(sinusoid, "NUM_TRAIN", 512)
    monkeypatch.setattr(sinusoid, "make_config", lambda s, make=sinusoid.make_config: make(s, 2))
    sinusoid_full.build(tmp_path / "runs", progress=False)
    arrays, about = saved.pop("sinusoid_full")
    assert arrays["alignment"].shape == (1, 2, 2) and about["seeds"] == 2
    sinusoid_full.build(tmp_path / "runs", progress=False)  # nothing is left to train
    assert np.array_equal(saved["sinusoid_full"][0]["nll"], arrays["nll"])
    alone = sinusoid.make_model(10.0, 1)
    sinusoid.fit(alone, sinusoid.make_data(0.1, 1), None, sinusoid.make_config(1), progress=False)
    result = sinusoid.measure(alone.eval(), 0.1)
    assert result.reconstruction == pytest.approx(arrays["reconstruction"][0, 1, 1], rel=1e-2)
