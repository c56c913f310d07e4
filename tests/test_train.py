"""`companion train` on tiny settings: what it keeps, how it goes on, and what it refuses."""

import csv
import json
import random
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from companion import cli
from companion.contracts import as_float
from companion.evaluation import score_samples
from companion.experiments import features_for, fit_experiment, plan, score_experiment, selection
from companion.experiments.assemble import MODELS, parameters
from companion.experiments.experiment import SCALES, choose
from companion.experiments.presets import PRESETS
from companion.experiments.selection import COLUMNS, score_bits
from companion.experiments.train import _gpu
from companion.lab import claims
from companion.models.base import batch_norms
from companion.training import TrainConfig, loop

TINY = """
[train]
epochs = 2
batch_size = 512
validate_on = 8
"""
QUICKLY = {"epochs": 2, "batch_size": 512, "validate_on": 8, "device": "cpu"}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder to work in, with a file of tiny settings, where samples are few."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "data"))
    scale = SCALES["quick"]._replace(width=2, num_samples=30, steps=5)
    monkeypatch.setitem(SCALES, "quick", scale)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


def train(*arguments, config="tiny.toml"):
    return cli.main(["train", *arguments, "--config", config, "--device", "cpu"])


def test_the_list_has_every_preset_with_its_source(capsys):
    assert cli.main(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)


def test_a_run_keeps_settings_weights_and_results(tiny, capsys):
    assert train("mnist", "-o", "run") == 0
    printed = capsys.readouterr().out
    assert "scaled down, NOT the paper's" in printed and "GMM(10)" in printed
    results = json.loads((tiny / "run" / "results.json").read_text())
    names = [score["sampler"] for score in results["generation"]["scores"]]
    assert names == ["N", "gaussian", "GMM(10)", "small second stage", "Rec", "real"]
    assert all(
        s["frechet"] > 0 and s["num_reference"] == 300 for s in results["generation"]["scores"]
    )
    assert results["last_epoch"]["epoch"] == 2 and 0 < results["generation"]["accuracy"] < 1
    assert {path.name for path in (tiny / "run").iterdir()} >= {
        "best.pt",
        "checkpoint.pt",
        "log.csv",
    }
    assert claims.measured([tiny / "run" / "results.json"]) == claims.measured([])
    settings = json.loads((tiny / "run" / "settings.json").read_text())
    assert settings["preset"] == "mlae-mnist-convnet" and settings["train"]["epochs"] == 2
    again = train("mnist", "-o", "again", config="run/settings.json")  # they are a config, too
    assert again == 0
    twice = [torch.load(tiny / name / "best.pt")["model"] for name in ("run", "again")]
    assert all(torch.equal(twice[0][name], twice[1][name]) for name in twice[0])


IMAGES = ("rectangular", "aef", "vae-flows", "beta-tc-vae", "info-vae", "vamp")  # others elsewhere


@pytest.mark.parametrize(
    "data, family", [("wine", f) for f in MODELS] + [("mnist", f) for f in IMAGES]
)
def test_every_model_trains(tiny, data, family, capsys):
    assert train(data, "--model", family, "-o", "run") == 0
    results = json.loads((tiny / "run" / "results.json").read_text())
    own = ("aef", "vae-flows", "vamp", *["rectangular"] * (data == "wine"))
    first = results["generation"]["scores"][0]["sampler"]
    assert first == ("prior" if family in own else "N")
    table = results["generation"]["features"] == "the data themselves"
    assert table == (data == "wine")
    printed = capsys.readouterr().out
    if data == "wine" or family == "rectangular":  # a table, or a density on a manifold
        assert "bits" not in results and "bits per dimension" not in printed
    else:
        found = results["bits"]
        assert found["repetitions"] == 2 and found["num_images"] == 30 and 0 < found["bits"] < 100
        assert "128" in found["kind"] and f"{found['bits']:.4f}" in printed


def test_what_a_model_has_beside_the_networks(tiny):
    """Pseudo-inputs start at data; AEF's decoder gives logits, and no batch is seen by all."""
    x = as_float(choose("mnist").load().train)
    shape = tuple(x.shape[1:])
    model = choose("mnist", "vamp").build(shape)
    model.prepare(x)
    assert torch.equal(model.prior.pseudo_inputs, x[:50])
    for family, sigmoids in (("aef", 0), ("rectangular", 1), ("vamp", 1)):
        model = choose("mnist", family, "mlae-mnist-convnet").build(shape)
        assert sum(isinstance(m, nn.Sigmoid) for m in model.modules()) == sigmoids
        assert bool(batch_norms(model)) == (family != "rectangular")


@pytest.mark.parametrize("data, epoch", [("mnist", 2), ("wine", 4)])
def test_the_validation_loss_chooses_as_the_papers_pipeline_does(
    tiny, monkeypatch, data, epoch, capsys
):
    """It is least in epoch 2, where the likelihood is worst; of wine's preset the last count."""
    measured, losses = loop.validate, iter([9.0, 3.0, 2.0, 8.0, 8.0])  # the first of a trial

    def validate(*arguments):
        row = measured(*arguments) | {"valid_loss": next(losses)}
        return row | {"valid_nll": -row["valid_loss"]}

    monkeypatch.setattr(loop, "validate", validate)
    short = "[train]\nepochs = 4\nbatch_size = 512\npatience = 0\nvalidate_on = 8\n"
    (tiny / "tiny.toml").write_text(short)
    assert train(data, "-o", "run") == 0
    results = json.loads((tiny / "run" / "results.json").read_text())
    weights = "with the smallest valid_loss" if data == "mnist" else "last"
    assert results["weights"] == weights and results["judged_epoch"]["epoch"] == epoch
    assert f"weights that are judged: {weights}" in capsys.readouterr().out
    log = csv.DictReader((tiny / "run" / "log.csv").read_text().splitlines())
    rates = [float(line["learning_rate"]) for line in log]
    assert (rates[3] == rates[2] / 2 == rates[0] / 2) == (data == "mnist")


def test_weights_of_the_smallest_validation_loss_are_judged(tmp_path, monkeypatch):
    losses, measured = iter([9.0, 3.0, 8.0]), loop.validate
    row = lambda *arguments: measured(*arguments) | {"valid_loss": next(losses)}  # noqa: E731
    monkeypatch.setattr(loop, "validate", row)
    few = choose("mnist", train=QUICKLY)
    model, history = fit_experiment(few, few.load(), tmp_path, progress=False)
    best, last = (torch.load(tmp_path / name)["model"] for name in ("best.pt", "checkpoint.pt"))
    ours = model.state_dict()
    assert all(torch.equal(ours[name], best[name]) for name in best)
    assert not all(torch.equal(ours[name], last[name]) for name in last)
    assert few.judged(history)["epoch"] == 1


def test_a_stopped_run_goes_on_to_the_same_weights(tiny, monkeypatch, capsys):
    assert train("wine", "-o", "whole") == 0
    fit = plan.fit

    def stopped(*arguments, **options):
        fit(*arguments, callback=lambda row: 1 / 0 if row["epoch"] == 2 else None, **options)

    monkeypatch.setattr(plan, "fit", stopped)
    assert train("wine", "-o", "part") == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setattr(plan, "fit", fit)
    assert not (tiny / "part" / "results.json").exists()
    assert train("wine", "-o", "part") == 1
    assert "holds a run; --resume goes on with it" in capsys.readouterr().err
    assert train("wine", "-o", "part", "--resume", "--seed", "3") == 1
    assert "part holds another run: seed is 0, here 3" in capsys.readouterr().err
    assert train("wine", "-o", "part", "--resume") == 0
    whole, part = (torch.load(tiny / name / "checkpoint.pt")["model"] for name in ("whole", "part"))
    assert all(torch.equal(whole[name], part[name]) for name in whole)


def few(monkeypatch, name, **search):
    """A preset with a small search."""
    monkeypatch.setitem(PRESETS, name, replace(PRESETS[name], search=search))


def test_a_search_chooses_by_validation_and_judges_the_best(tiny, monkeypatch, capsys):
    few(monkeypatch, "mlae-mnist-convnet", beta=(0.01, 10.0), num_probes=(1,))
    fit, trained = plan.fit, []
    with monkeypatch.context() as patch:
        patch.setattr(
            plan, "fit", lambda *a, **o: (trained.append(o["directory"]), fit(*a, **o))[1]
        )
        assert train("mnist", "--select", "-o", "run") == 0
    assert len(trained) == 2  # not the best again: of several processes but one knows it
    printed = capsys.readouterr().out
    assert printed.count("<- chosen") == 1 and "Fréchet distance of N samples" in printed
    results = json.loads((tiny / "run" / "results.json").read_text())
    found = results["selection"]
    assert [c["values"]["beta"] for c in found["candidates"]] == [0.01, 10.0]
    assert found["best"]["score"] == min(c["score"] for c in found["candidates"])
    names = ["beta=0.01,num_probes=1", "beta=10,num_probes=1"]
    for name, one in zip(names, found["candidates"], strict=True):
        kept = json.loads((tiny / "run" / name / "score.json").read_text())
        assert kept["score"] == one["score"] and kept["column"] == "N"
    # each is what a run with that option alone gives, judged on validation data
    experiment = choose("mnist", options={"beta": 0.01}, train=QUICKLY)
    data = experiment.load()
    model, _ = fit_experiment(experiment, data, tiny / "alone", progress=False)
    seen = features_for(experiment, data)
    table = score_experiment(experiment, data, model, seen, on="valid", only=("N",))
    assert [s.sampler for s in table.scores] == ["N"]
    assert table.scores[0].frechet == pytest.approx(found["candidates"][0]["score"], rel=1e-5)
    assert table.scores[0].num_reference == len(data.valid)


def test_a_stopped_search_goes_on_and_scores_once(tiny, monkeypatch, capsys):
    few(monkeypatch, "mlae-mnist-convnet", beta=(1.0, 10.0))
    scored = []

    def stop(*arguments, **options):
        scored.append(arguments)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score_samples(*arguments, **options)

    monkeypatch.setattr(selection, "score_samples", stop)
    assert train("mnist", "--select", "-o", "run") == 130
    assert not (tiny / "run" / "results.json").exists()
    assert train("mnist", "--select", "--resume", "-o", "run") == 0
    assert len(scored) == 4  # two before, the second again, and the best against test data
    capsys.readouterr()
    assert train("wine", "--select", "-o", "other") == 2
    assert "mlae-hepmass has nothing to choose from" in capsys.readouterr().err
    assert not (tiny / "other").exists()


def test_aef_chooses_by_bits_of_validation_images(tiny, monkeypatch, capsys):
    few(monkeypatch, "aef-mnist", latent_dim=(2, 3))
    assert train("mnist", "--model", "aef", "--select", "-o", "run") == 0
    assert "validation bits to choose by (bits per dimension)" in capsys.readouterr().out
    found = json.loads((tiny / "run" / "results.json").read_text())
    scores = [one["score"] for one in found["selection"]["candidates"]]
    assert len(scores) == 2 and found["selection"]["best"]["score"] == min(scores)
    assert all(0 < score < 100 for score in scores) and found["bits"]["num_images"] == 30


def test_an_estimate_comes_after_the_proposal_is_tuned(tiny):
    one = choose("mnist", "aef", train=QUICKLY)
    data = one.load()
    model, _ = fit_experiment(one, data, tiny / "run", progress=False)
    before = float(model.proposal_scale)
    found = score_bits(one, data, model)
    assert float(model.proposal_scale) != before
    assert found == score_bits(one, data, model)  # the same chance
    assert score_bits(one, data, model, on="valid").bits != found.bits


def test_rif_chooses_by_the_mixture_and_aef_by_bits():
    relaxed = choose("mnist", "relaxed")
    (values, one), *_ = relaxed.candidates()
    assert values == {"nu": 1.0, "prior_weight": 0.0} and len(relaxed.candidates()) == 12
    assert one.options["mu"](1.0, 0) == 101.0 and "nu" not in one.options
    assert COLUMNS[relaxed.preset.select] == "GMM(10)"
    assert choose("mnist", "aef").preset.select == "validation bits"
    latents = [one.latent_dim for _, one in choose("mnist", "aef").candidates()]
    assert latents == [2, 4, 8, 16, 32]
    assert all(preset.select in COLUMNS for preset in PRESETS.values() if preset.select)
    assert choose("mnist", "vae").candidates() == [({}, choose("mnist", "vae"))]


def test_the_sinusoid_is_trained_as_the_paper_says(tiny, capsys):
    assert train("sinusoid", "-o", "run") == 0
    assert "MLAE App. E.1" in capsys.readouterr().out
    paper = choose("sinusoid", profile="full")
    data = paper.load()
    config, model = paper.config(len(data.train)), paper.build((2,))
    assert (config.epochs, config.learning_rate, model.latent_dim) == (50, 1e-3, 1)
    blocks = 4 * (2 * 256 + 256 + 256 * 2 + 2)  # one hidden layer of 256 each
    assert parameters(model)["all"] == 2 * blocks + (2 + 1) + (2 + 2)
    betas = [values["beta"] for values, _ in paper.candidates()]
    assert len(betas) == 14 and (betas[0], betas[-1]) == (0.01, 100.0)


def test_a_second_stage_is_the_papers_at_full_and_starts_at_a_tenth():
    """As a model's own stage, and as the column of another model's codes (2SVAE App. D)."""
    for data, family, hidden, epochs in (
        ("mnist", "two-stage", 3 * (1024,), 800),
        ("mnist", "mlae", 3 * (1024,), 800),
        ("cifar10", "autoencoder", 3 * (1024,), 2000),
        ("celeba", "mlae", 3 * (1024,), 300),
        ("power", "mlae", 3 * (1024,), 800),
    ):
        paper = choose(data, family, profile="full")
        assert (paper.second_stage[0], paper.second_stage[1].epochs) == (hidden, epochs)
    resnet = choose("mnist", name="two-stage-mnist-resnet", profile="full").second_stage
    assert resnet[0] == 3 * (2048,) and resnet[1].halve_every == 300
    for profile, shape in (("quick", (1, 8, 8)), ("full", (1, 28, 28))):
        one = choose("mnist", "two-stage", profile=profile, train={"batch_size": 50})
        model, config = one.second(one.build(shape))
        assert model.second.variance.item() == pytest.approx(0.1)
        assert config.batch_size == 50 and config.epochs == one.second_stage[1].epochs


def test_samples_from_a_second_stage_are_judged_by_the_experiments(monkeypatch):
    """Not by what its own training was changed to."""
    asked = {}
    monkeypatch.setattr(selection, "score_samples", lambda *_, **options: asked.update(options))
    for profile in ("quick", "full"):
        one = choose("mnist", profile=profile, train=QUICKLY)
        score_experiment(one, choose("mnist").load(), None, None)
        assert (asked["hidden"], asked["config"].epochs) == (
            (3 * (1024,), 800) if profile == "full" else (3 * (128,), 100)
        )
        assert asked["config"].device == "cpu"


def test_couplings_are_smaller_at_quick():
    one = choose("power", "rectangular", profile="full").build((6,))
    two = choose("power", "rectangular", profile="quick").build((6,))
    assert parameters(one)["all"] > 10 * parameters(two)["all"]


def test_what_cannot_be_is_refused_in_one_line(tiny, capsys):
    for arguments, message in (
        (["mnits"], "data must be one of mnist, cifar10, celeba"),
        (["mnist", "--preset", "best"], "preset must be one of mlae-mnist-convnet"),
        (["mnist", "--preset", "mlae-power"], "for mnist, got 'mlae-power'"),
        (["mnist", "--model", "gan"], "model must be one of mlae, rectangular"),
        ([], "which data set?"),
    ):
        assert train(*arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    (tiny / "odd.toml").write_text("epochs = 3")
    assert train("mnist", config="odd.toml") == 2
    error = capsys.readouterr().err
    assert "odd.toml: unknown parameter 'epochs'; this file has preset, model" in error
    (tiny / "odd.toml").write_text("[train]\nepoch = 3")
    assert train("mnist", config="odd.toml") == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err
    (tiny / "odd.toml").write_text("[options]\nbetta = 3")
    assert train("mnist", config="odd.toml") == 1 and "betta" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert cli.main(["train", "mnist", "--device", "cuda"]) == 2
        assert "no device 'cuda'" in capsys.readouterr().err
    assert not (tiny / "runs").exists()


ODD = ["3", True, None, [], {"a": 1}, -1, 1.5, 10**40, float("nan"), float("inf"), ""]
GIVEN = {"preset": "mlae-hepmass", "model": "mlae", "profile": "quick", "seed": 0, "size": None}
GIVEN |= {"latent_dim": 2, "temperature": 1.0, "train": {}, "options": {}}
OPTIONS = "beta num_probes kind side space fraction noise_levels beta_range".split()


def mutated():
    """Settings files with one odd value each, and some that are of another form."""
    files = [{**GIVEN, name: odd} for name in GIVEN for odd in ODD]
    files += [{**GIVEN, "train": {one.name: odd}} for one in fields(TrainConfig) for odd in ODD]
    files += [{**GIVEN, "options": {name: odd}} for name in OPTIONS for odd in ODD]
    few = random.Random(0).sample(files, 60)
    return [*few, [1], 3, None, {"sed": 1}, {"train": {"epoch": 3}}, {"train": {"monitor": "nil"}}]


def test_every_settings_file_is_taken_or_refused_in_one_line(tiny, capsys):
    taken, file = 0, tiny / "odd.json"
    for given in mutated():
        file.write_text(json.dumps(given))
        code = cli.main(["train", "wine", "--config", "odd.json", "--dry-run"])
        error = capsys.readouterr().err
        taken += code == 0
        assert (code == 0) == (error == ""), (given, error)
        assert code == 0 or error.startswith("companion train: "), (given, error)
        changed = [n for n in GIVEN if isinstance(given, dict) and given.get(n) != GIVEN[n]]
        named = {"preset", "model", "profile", *changed, *given.get("train", {})} if changed else ()
        assert code == 0 or not changed or any(name in error for name in named), (given, error)
        assert {path.name for path in tiny.iterdir()} == {"tiny.toml", "odd.json"}
    assert 0 < taken < 30


def test_a_run_that_fails_before_its_first_weights_leaves_nothing(tiny, monkeypatch, capsys):
    def refused(*arguments, **options):
        (tiny / "new" / "run" / "log.csv").touch()
        raise ValueError("fit: no")

    with monkeypatch.context() as patch:
        patch.setattr(plan, "fit", refused)
        assert train("wine", "-o", "new/run") == 1
    assert capsys.readouterr().err == "companion train: fit: no\n"
    assert [path.name for path in tiny.iterdir()] == ["tiny.toml"]
    (tiny / "mine").mkdir()
    (tiny / "mine" / "settings.json").write_text("{}")  # as a killed run may leave it
    assert train("wine", "-o", "mine", "--seed", "3") == 0


def test_a_device_in_the_file_counts(tiny, capsys):
    (tiny / "meta.json").write_text(json.dumps({"train": {"device": "cpu", "devices": 10**6}}))
    assert cli.main(["train", "wine", "--config", "meta.json"]) == 2
    assert "devices must be at most" in capsys.readouterr().err
    if not torch.cuda.is_available():
        (tiny / "meta.json").write_text(json.dumps({"train": {"device": "cuda"}}))
        assert cli.main(["train", "wine", "--config", "meta.json"]) == 2
        assert "this machine has no device 'cuda'" in capsys.readouterr().err


def test_missing_data_are_named_with_place_and_sum(tiny, capsys):
    assert train("mnist", "--profile", "standard", "--offline") == 1
    error = capsys.readouterr().err
    assert "put the file" in error and str(tiny / "data") in error and "md5" in error


def test_inception_is_asked_for_before_anything_is_trained(tiny, monkeypatch, capsys):
    def missing(download):
        raise ImportError("inception: needs torch-fidelity")

    monkeypatch.setattr("companion.evaluation.inception", missing)
    assert train("mnist", "--features", "inception", "-o", "run") == 1
    assert capsys.readouterr().err == "companion train: inception: needs torch-fidelity\n"
    assert not (tiny / "run").exists()


def test_a_dry_run_says_what_it_takes_and_writes_nothing(tiny, capsys):
    assert cli.main(["train", "celeba", "--profile", "full", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "all 33,545,923" in printed and "the paper's" in printed  # MLAE Table 7
    assert "memory without activations, " in printed and "162,770 samples" in printed
    assert '"epochs": 50' in printed and "NOT" not in printed
    two = ["train", "mnist", "--model", "two-stage", "--profile", "full", "--dry-run"]
    assert cli.main(two) == 0
    printed = capsys.readouterr().out
    assert "; second stage 4,528,321" in printed and printed.count("\ntraining: ") == 2
    assert "gradients 53.3 MB, optimizer 106.6 MB" in printed  # of a first stage that trains
    assert [path.name for path in tiny.iterdir()] == ["tiny.toml"]


def test_a_borrowed_preset_says_so():
    borrowed = choose("celeba", "vae", profile="full").preset
    assert "the model is vae" in borrowed.source and borrowed.heads == 2
    assert choose("synthetic-faces", profile="full").is_small is False
    counted = parameters(choose("mnist", profile="full").build((1, 28, 28)))
    assert round(counted["all"] / 1e6, 4) == 17.2156
    with pytest.raises(ValueError, match="networks are scaled to it at quick and standard only"):
        choose("digits", profile="full").build((1, 8, 8))


@pytest.mark.slow
def test_two_processes_write_once(tiny):
    (tiny / "tiny.toml").write_text(TINY.replace("512", "64"))
    command = [sys.executable, "-m", "companion", "train", "wine", "--config", "tiny.toml"]
    command += ["--device", "cpu", "--devices", "2", "-o", "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("codes from") == 1
    assert (tiny / "run" / "results.json").exists()


def test_results_name_the_gpu_and_what_it_held(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU, {device}")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 123)
    found = _gpu(torch.device("cuda:0"))
    assert found == {"gpu": {"name": "a GPU, cuda:0", "peak_bytes": 123}}
    assert _gpu(torch.device("cpu")) == {}
