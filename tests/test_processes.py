"""Several processes take the steps of one: shares of the same batches with the same chance."""

import copy
import csv
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch
from helpers import data
from lightning_fabric import Fabric
from processes_child import OPTIONS, run
from test_models import MODELS
from torch import nn

from companion.models import MLAE, Autoencoder
from companion.networks import MLP, batch_norm
from companion.training import Stream, TrainConfig, fit, load_weights, processes
from companion.training.loop import warn_of_shares

CHILD = Path(__file__).with_name("processes_child.py")


def make(**options):
    torch.manual_seed(0)
    extra = ("noise_levels" in options) + ("beta_range" in options)
    return MLAE(MLP(4, 2, [8], extra), MLP(2, 4, [8], extra), (4,), 2, **options)


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("options", [*OPTIONS.values(), {"num_probes": 2, "kind": "rademacher"}])
def test_the_shares_together_are_the_whole_step(world, options):
    x, config = torch.randn(24, 4), TrainConfig(batch_size=8, noise=0.5, device="cpu")
    whole = Stream(make(**options), x, x[:, :1], config)
    shares = [Stream(make(**options), x, x[:, :1], config, r, world) for r in range(world)]
    for step, *parts in zip(whole.epoch(), *(s.epoch() for s in shares), strict=True):
        assert torch.equal(step.x, torch.cat([p.x for p in parts]))
        assert torch.equal(step.condition, torch.cat([p.condition for p in parts]))
        for name, drawn in step.draws.items():
            axis = int(name == "probes")  # K comes first there
            assert torch.equal(drawn, torch.cat([p.draws[name] for p in parts], axis))


@pytest.mark.filterwarnings("ignore:layer")
@pytest.mark.parametrize("name", [name for name in MODELS if "quarter" not in name])
def test_every_model_can_be_shared_or_says_that_it_compares_samples(name):
    """The losses of a batch are those of its shares, sample by sample."""
    model, condition_dim = MODELS[name][0]().double(), MODELS[name][1]
    x = data(model.data_shape, batch=12).sigmoid()
    condition = data((condition_dim,), batch=12, seed=4) if condition_dim else None
    settings = TrainConfig(batch_size=12, device="cpu")

    def loss(rank=0, world=1):
        step = next(Stream(model, x, condition, settings, rank, world).epoch())
        return model.loss(step.x, step.condition, **step.draws).loss

    shares = torch.cat([loss(rank, 3) for rank in range(3)])
    assert torch.allclose(loss(), shares, atol=1e-9) != model.compares_samples


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_sweep_trains_where_a_run_does(device):
    there = Fabric(accelerator=device, devices=1).device
    assert processes.device_of(TrainConfig(device=device)) == there


def test_what_depends_on_the_number_of_processes_is_said():
    with pytest.warns(UserWarning, match="loss of Autoencoder compares samples within each"):
        warn_of_shares(Autoencoder(MLP(4, 2), MLP(2, 4), (4,), 2, mmd=1.0))
    with pytest.warns(UserWarning, match="normalises over the batch"):
        model = MLAE(nn.Sequential(MLP(4, 2), batch_norm(2, image=False)), MLP(2, 4), (4,), 2)
    with pytest.warns(UserWarning, match="layer 'encoder.1' normalises within each process's"):
        warn_of_shares(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_shares(make())


def test_what_cannot_be_shared_is_refused():
    x = torch.randn(24, 4)
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 processes, got 7"):
        Stream(make(), x, None, TrainConfig(batch_size=7), 0, 2)
    with pytest.raises(
        ValueError, match=r"this model's chance 'probes' \(1, 4, 2\) does not come sample"
    ):
        Stream(make(fraction=0.5), x, None, TrainConfig(batch_size=8), 0, 2)


NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def environment(monkeypatch):
    """Sets what torchrun and its like set, and unsets the rest."""

    def put(text):
        for name in (*NAMES, "GROUP_RANK", "SLURM_NTASKS", "SLURM_PROCID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in (pair.split("=") for pair in text.split()):
            monkeypatch.setenv(name, value)

    monkeypatch.setattr(processes.os, "cpu_count", lambda: 4)
    monkeypatch.delattr(sys, "ps1", raising=False)
    # a worker of pytest-xdist is no program of its own
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
    return put


MEET = "MASTER_ADDR=127.0.0.1 MASTER_PORT=29500"


@pytest.mark.parametrize(
    ("text", "settings", "rank"),
    [
        ("", {}, 0),
        ("WORLD_SIZE=1 RANK=0 LOCAL_RANK=0", {}, 0),
        ("", {"devices": 4}, 0),
        (f"WORLD_SIZE=2 RANK=1 LOCAL_RANK=1 {MEET}", {"devices": 2}, 1),  # torchrun
        (f"WORLD_SIZE=2 LOCAL_RANK=1 NODE_RANK=0 {MEET}", {"devices": 2}, 1),  # Fabric
        (f"WORLD_SIZE=4 LOCAL_RANK=0 NODE_RANK=1 {MEET}", {"devices": 2, "nodes": 2}, 2),
        ("SLURM_NTASKS=4 SLURM_PROCID=3", {"devices": 2, "nodes": 2}, 3),
    ],
)
def test_an_environment_that_fits_is_taken(environment, text, settings, rank):
    environment(text)
    config = TrainConfig(device="cpu", **settings)
    processes.check_processes(config)
    assert processes.rank(config) == rank


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("WORLD_SIZE=4", {}, "WORLD_SIZE=4 does not fit devices=1 .* unset WORLD_SIZE$"),
        ("WORLD_SIZE=2 RANK=1", {}, "WORLD_SIZE=2, RANK=1 does not fit"),
        ("RANK=1", {}, "RANK=1 does not fit"),
        ("WORLD_SIZE=two", {}, "WORLD_SIZE must be a whole number, got 'two'"),
        ("WORLD_SIZE=4", {"devices": 2}, "WORLD_SIZE=4 does not fit devices=2"),
        ("RANK=0", {"devices": 2}, "RANK=0 does not fit"),
        ("LOCAL_RANK=0", {"devices": 2}, "LOCAL_RANK=0 does not fit"),
        ("WORLD_SIZE=2 LOCAL_RANK=0", {"devices": 2}, "WORLD_SIZE=2, LOCAL_RANK=0 does not fit"),
        ("", {"devices": 256}, "devices must be at most 4, the cores of this machine, got 256"),
        ("", {"nodes": 2}, "nodes=2 needs torchrun on each machine: torchrun --nnodes=2"),
    ],
)
def test_processes_that_would_not_meet_are_refused(environment, text, settings, message):
    environment(text)
    config = TrainConfig(device="cpu", **settings)
    with pytest.raises(ValueError, match=message):
        fit(make(), torch.randn(24, 4), config=config, progress=False)


def test_a_notebook_is_told_how_to_take_two_devices(environment, monkeypatch):
    environment("")
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)
    with pytest.raises(ValueError, match="a notebook or a prompt is none: put the training into"):
        processes.check_processes(TrainConfig(device="cpu", devices=2))


def ended(code):
    raise SystemExit(code)


def test_a_process_ends_with_the_one_that_started_it(monkeypatch):
    monkeypatch.setattr(processes.os, "_exit", ended)
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    parent.kill()  # nobody has asked how it ended: where there are zombies, it is one
    with pytest.raises(SystemExit):
        processes._follow(parent.pid)
    parent.communicate()
    with pytest.raises(SystemExit):
        processes._follow(parent.pid)


def test_a_wait_for_others_is_said_and_ends(monkeypatch, capsys):
    monkeypatch.setattr(processes.os, "_exit", ended)
    monkeypatch.setattr(processes, "NOTICE", 0.01)
    monkeypatch.setattr(processes, "PATIENCE", 0.02)
    with pytest.raises(SystemExit):
        processes._wait(threading.Event())
    words = capsys.readouterr().err
    assert "waiting for the other processes at" in words and "did not come to" in words
    met = threading.Event()
    met.set()
    processes._wait(met)
    assert capsys.readouterr().err == ""


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def interrupt(row):
    if row["epoch"] == 3:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_two_processes_give_the_curves_of_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):  # the two go on where one was cut off
        run(str(tmp_path / "two" / "plain"), "plain", 1, interrupt)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    arguments = [str(CHILD), str(tmp_path / "two"), "2", '{"checkpoint_every": 3}']
    subprocess.run([*launch, *arguments], env=environment, check=True, timeout=120)
    for name in OPTIONS:
        model, log = run(str(tmp_path / "one" / name), name, 1)
        two = rows(tmp_path / "two" / name / "log.csv")
        assert len(two) == len(log.rows) == (4 if name == "soft" else 5)
        for ours, theirs in zip(log.rows, two, strict=True):
            for column in theirs.keys() - {"seconds"}:
                assert float(theirs[column]) == pytest.approx(ours[column], rel=1e-4, abs=1e-4)
        together = copy.deepcopy(model)
        load_weights(together, tmp_path / "two" / name / "checkpoint.pt")
        for p, q in zip(model.parameters(), together.parameters(), strict=True):
            assert torch.allclose(p, q, atol=1e-4)
