"""The benchmark's lattice: what is compared is comparable, and a point can be made again."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from companion.evaluation import evaluate
from companion.evaluation.features import DIGITS_LEARNED
from companion.experiments.experiment import choose
from companion.models import TwoStageVAE, VampPrior
from figures.explorables import benchmark, compared_models
from figures.explorables.compared_models import COMPARED

ROOT = Path(__file__).parents[1]
EVERY = [benchmark.keys_of(name)[0] for name in COMPARED]


@pytest.mark.parametrize("key", EVERY)
def test_every_contender_gets_the_same_networks(key):
    """Of the decoder's numbers none differs; an encoder may have two heads."""
    model = compared_models.make_model(key, 0)
    sizes = sorted(p.shape for p in model.parameters() if p.dim() == 2)
    encoder, decoder = compared_models.pair()
    plain = [p.shape for p in (*encoder.parameters(), *decoder.parameters()) if p.dim() == 2]
    two_heads = [(16, 128) if shape == (8, 128) else shape for shape in plain]
    assert all(any(sizes.count(s) >= kind.count(s) for kind in (plain, two_heads)) for s in sizes)
    assert model.latent_dim == compared_models.LATENT and model.data_shape == compared_models.SHAPE


def test_a_seed_gives_the_same_weights():
    one, two, other = (compared_models.make_model("mlae 10", s).encoder for s in (1, 1, 2))
    first, second, third = (next(iter(net.parameters())) for net in (one, two, other))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_no_held_out_digit_is_trained_on():
    x, held_out, (y, labels) = compared_models.data()
    assert (len(x), len(held_out), len(y), len(labels)) == (1297, 500, 1297, 500)
    assert not (torch.cdist(held_out.flatten(1), x.flatten(1)) == 0).any()
    assert DIGITS_LEARNED + len(held_out) <= len(x)


def test_the_two_controls_hold_the_same_prices():
    assert np.allclose(0.5 / np.array(benchmark.GAMMAS[::-1]), benchmark.BETAS)
    assert benchmark.keys_of("vae")[0] == "vae 5" and benchmark.keys_of("mlae")[0] == "mlae 0.1"
    assert len(benchmark.KEYS) == len(set(benchmark.KEYS))
    assert compared_models.make_model("mlae 100", 0).beta == 100


@pytest.mark.parametrize("key", ["learned", "vamp", "aef", "two-step", "rectangular 10"])
def test_training_gives_a_model_that_can_be_judged(key, monkeypatch):
    monkeypatch.setattr(compared_models.make_config, "__defaults__", (1,))
    monkeypatch.setattr(compared_models, "data", small)
    (model,) = benchmark.RUNS.train([{"key": key, "seed": 0}], progress=False)
    result = compared_models.measure(model, 0)
    assert all(np.isfinite(getattr(result, name)) for name in compared_models.METRICS)
    assert evaluate(model, compared_models.data().held_out[:2]).kind == benchmark_kind(key)
    assert isinstance(model, TwoStageVAE) == (key == "learned")
    assert compared_models.pictures(model, 0).shape == (2, compared_models.SHOWN, 8, 8)


FULL = compared_models.data()


def small():
    return FULL._replace(train=FULL.train[:256], held_out=FULL.held_out[:200])


def benchmark_kind(key):
    return benchmark.STUDY.about["kinds"][key.partition(" ")[0]]


def test_a_learned_prior_is_sampled_from_in_the_own_column(monkeypatch):
    monkeypatch.setattr(compared_models, "fit", lambda *_, **__: None)
    model = compared_models.make_model("vamp", 0)
    assert isinstance(model.prior, VampPrior)
    for name, one in COMPARED.items():
        key = benchmark.key_at(name, 10.0, 0.05)
        model = compared_models.finish(compared_models.make_model(key, 0), 0)
        prior = getattr(model, "prior", None)
        assert (prior is None) == (one.prior == "N(0, 1)"), name


def test_real_digits_are_nearer_than_any_sample():
    real = float(benchmark.STUDY.arrays["real"])
    assert real == pytest.approx(compared_models.real(), rel=0.05)
    for name in compared_models.SAMPLERS:
        assert benchmark.STUDY.arrays[name].min() > real


def test_a_dearer_error_is_a_smaller_error():
    for name in ("mlae", "vae", "taylor", "relaxed"):
        error = [benchmark.runs(key, "error").mean() for key in benchmark.keys_of(name)]
        assert error[0] > error[2]


def test_the_table_has_a_row_for_each_and_the_means():
    lines = benchmark.table(10.0, 0.05).splitlines()
    assert len(lines) == 1 + len(COMPARED)
    row = next(line for line in lines if line.startswith("MLAE, β = 10"))
    assert f"{benchmark.runs('mlae 10', 'mixture').mean():.1f} ±" in row
    assert sum("†" in line for line in lines) == 3


def test_the_description_has_the_numbers_of_the_picture():
    picture = benchmark.EXPLORABLE.render(0, beta=10.0, gamma=0.05)
    own = benchmark.runs("mlae 10", "own").mean()
    assert f"MLAE, β = 10 {own:.1f} and" in picture.says
    _, [right] = picture.panels
    drawn = next(mark for mark in right.marks if mark.label == benchmark.LABELS[0])
    assert drawn.x[0] == pytest.approx(own)


def test_a_point_between_two_is_refused():
    with pytest.raises(ValueError, match="beta = 7 is not on the lattice, but 10 is"):
        benchmark.EXPLORABLE.render(0, beta=7.0, gamma=0.05)


def test_a_plain_step_is_the_unit_of_time():
    assert benchmark.cost("ae", "step") == 1.0
    assert 1.0 < benchmark.cost("mlae", "step") < benchmark.cost("taylor", "step")


def test_the_fastest_epoch_counts(monkeypatch):
    """An epoch of 1,297 digits has ten whole batches of 128; the first warms up."""
    clocks = iter([[5.0, 8.0, 10.0], [5.0, 6.0, 7.5]])
    epochs = lambda *_, **__: SimpleNamespace(rows=[{"seconds": s} for s in next(clocks)])  # noqa: E731
    monkeypatch.setattr(compared_models, "fit", epochs)
    assert compared_models.step_seconds(("ae",), rounds=2, epochs=3) == {"ae": pytest.approx(0.1)}


@pytest.mark.slow
def test_a_point_can_be_trained_again():
    assert not [line for line in benchmark.STUDY.check() if line.endswith("OUTSIDE")]


def test_what_the_notebook_trains_at_full_can_be_built():
    """Its cell of models and options, of which quick runs the first two only."""
    source = (ROOT / "notebooks" / "13_all_models.py").read_text("utf-8")
    (cell,) = (part for part in source.split("# %%") if "\nentries = {  # model" in part)
    names = {"beta": 10.0, "gamma": 0.05, "profile": "full"}
    exec(cell, names)
    assert {"MLAE", "AEF", "VampPrior", "rectangular"} <= set(names["entries"])
    for family, options in names["entries"].values():
        experiment = choose("mnist", family, "mlae-mnist-convnet", options=options)
        assert experiment.build((1, 8, 8)).eval().sample(3).shape == (3, 1, 8, 8)


def test_the_rows_without_names_are_the_main_models():
    keys = benchmark.mixed_up()
    assert {key.partition(" ")[0] for key in keys} == set(benchmark.MAIN) and len(keys) == 9
    [[panel]] = benchmark.unnamed().panels
    assert panel.y.names == tuple("123456789")
    shown = panel.marks[0].images.reshape(9, benchmark.SHOWN, 8, 8)
    for row, key in zip(shown, keys, strict=True):
        assert np.allclose(row, benchmark.RUNS.at("samples", key=key)[0])
