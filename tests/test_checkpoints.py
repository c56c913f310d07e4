"""Runs that are interrupted: they go on bit for bit, and a bad file never costs a good one."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import data
from resume_child import make_data, make_model, run
from test_models import MODELS

from companion.training import CheckpointError, TrainConfig, fit, load_weights, memory_budget

CHILD = Path(__file__).with_name("resume_child.py")


def config(**changes):
    return TrainConfig(**({"epochs": 4, "batch_size": 64, "device": "cpu", "noise": 0.1} | changes))


def train(directory, model=None, stop_at=None, **changes):
    """A run that may be interrupted in the middle of its step number ``stop_at``."""
    model, x, steps = model or make_model(), make_data(), [0]

    def interrupt(*_):
        steps[0] += 1
        if steps[0] == stop_at:
            raise KeyboardInterrupt

    handle = model.decoder.register_forward_hook(interrupt)
    options = {"directory": directory, "resume": True, "progress": False}
    try:
        log = fit(model, x, x[:32], config(**changes), **options)
    except KeyboardInterrupt:
        return None, None
    finally:
        handle.remove()
    return model, log


def same(a, b):
    return all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def without_seconds(log):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in log.rows]


@pytest.mark.parametrize("schedule", ["one-cycle", "plateau", "steps"])
@pytest.mark.parametrize("checkpoint_every", [None, 1, 3])
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, schedule, checkpoint_every):
    options = {"schedule": schedule, "checkpoint_every": checkpoint_every, "patience": 0}
    whole, whole_log = train(tmp_path / "whole", **options)
    for stop_at in (5, 12, 3):
        train(tmp_path / "cut", stop_at=stop_at, **options)
    cut, log = train(tmp_path / "cut", **options)
    assert same(whole, cut) and without_seconds(log) == without_seconds(whole_log)
    assert [p.name for p in tmp_path.rglob("*.partial")] == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_an_interrupted_run_on_cuda_goes_on(tmp_path):
    """With the same chance after the checkpoint; sums on a GPU round as the stream has it."""
    settings = config(device="cuda", checkpoint_every=1)

    def run(folder, stop_at=None):
        model, steps = make_model(), []
        advance = model.advance

        def interrupt(*args):  # replayed steps run no other Python of the model
            steps.append(1)
            if len(steps) == stop_at:
                raise KeyboardInterrupt
            return advance(*args)

        model.advance, x = interrupt, make_data()
        options = {"directory": tmp_path / folder, "resume": True, "progress": False}
        return fit(model, x, x[:32], settings, **options), len(steps)

    whole, count = run("whole")
    for stop_at in (2, 6):  # before its recording, and among replayed steps
        with pytest.raises(KeyboardInterrupt):
            run("cut", stop_at)
    cut, rest = run("cut")
    assert rest == count - 1 - 5
    assert cut.column("loss") == pytest.approx(whole.column("loss"), rel=1e-3)


@pytest.mark.filterwarnings("ignore:layer")
@pytest.mark.parametrize("name", MODELS)
def test_every_model_goes_on_bit_for_bit(tmp_path, name):
    make, condition_dim = MODELS[name]
    x = data(make().data_shape, batch=24).float().sigmoid()
    condition = data((condition_dim,), batch=24, seed=4).float() if condition_dim else None
    settings = config(epochs=3, batch_size=8, noise=0.0)

    def train(directory, callback=None):
        torch.manual_seed(0)
        model = make()
        options = {"condition": condition, "directory": tmp_path / directory, "resume": True}
        fit(model, x, None, settings, progress=False, callback=callback, **options)
        return model

    def interrupt(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("cut", interrupt)
    assert same(whole, train("cut"))


def test_a_run_that_ended_comes_back_as_it_ended(tmp_path):
    first, log = train(tmp_path)
    (tmp_path / "log.csv").unlink()
    again, log_again = train(tmp_path)
    assert same(first, again) and log_again.rows == log.rows and (tmp_path / "log.csv").exists()
    once_more, log_again = train(tmp_path, model=again)  # the model as the run left it
    assert same(first, once_more) and log_again.rows == log.rows


def test_a_stopped_run_stays_stopped(tmp_path):
    options = {"directory": tmp_path, "resume": True, "progress": False}
    for callback in (lambda row: row["epoch"] == 2, None):
        log = fit(make_model(), make_data(), None, config(), callback=callback, **options)
        assert log.stopped and len(log.rows) == 2


def test_the_best_weights_are_kept_by_any_logged_number(tmp_path):
    values, seen = iter([3.0, 1.0, 2.0, 1.5]), []
    model = make_model()

    def callback(row):
        row["score"] = torch.tensor(next(values))
        seen.append({name: t.clone() for name, t in model.state_dict().items()})

    options = {"directory": tmp_path, "progress": False, "callback": callback}
    fit(model, make_data(), None, config(monitor="score"), **options)
    best = make_model(seed=1)
    assert load_weights(best, tmp_path / "best.pt")["row"]["score"] == 1.0
    assert all(torch.equal(t, seen[1][name]) for name, t in best.state_dict().items())
    assert load_weights(best, tmp_path / "checkpoint.pt")["epoch"] == 4 and same(best, model)


def test_tensorboard_gets_the_same_numbers_if_it_is_there(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, directory, purge_step):
            written.append((directory.name, purge_step))

        def add_scalar(self, name, value, epoch):
            written.append((name, value, epoch))

        def close(self):
            written.append("closed")

    module = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    _, log = train(tmp_path, epochs=2)
    assert written[0] == ("tensorboard", 1) and written[-1] == "closed"
    assert ("loss", log.rows[1]["loss"], 2) in written
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if not installed
    assert train(tmp_path / "without", epochs=1)[1].rows


def test_starting_over_needs_another_directory(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(FileExistsError, match=r"checkpoint.pt is there already; pass resume=True"):
        fit(make_model(), make_data(), None, config(), directory=tmp_path, progress=False)


def refused(directory, match, model=None, data=None, **changes):
    """Going on must fail, and must leave model and file as they were."""
    path, model = directory / "checkpoint.pt", model or make_model(seed=3)
    before = path.read_bytes(), {n: t.clone() for n, t in model.state_dict().items()}
    x = make_data() if data is None else data
    options = {"directory": directory, "resume": True, "progress": False}
    with pytest.raises(CheckpointError, match=match):
        fit(model, x, None, config(**changes), **options)
    assert path.read_bytes() == before[0]
    assert all(torch.equal(t, before[1][n]) for n, t in model.state_dict().items())


@pytest.fixture
def stopped(tmp_path):
    train(tmp_path, stop_at=20)
    return tmp_path


def test_another_run_is_refused(stopped):
    refused(stopped, "another run: epochs is 4, here 9", epochs=9)
    refused(
        stopped, "another run: learning_rate is 0.001, here 0.1; seed", learning_rate=0.1, seed=1
    )
    refused(stopped, r"another run: data is \[512, 2\], here \[256, 2\]", data=make_data(256))
    refused(stopped, "another run: data_crc", data=make_data().flip(0))


def test_what_only_changes_where_and_how_fast_is_no_other_run(stopped):
    train(stopped, checkpoint_every=2)


def test_another_architecture_is_refused(stopped):
    other = make_model()
    other.decoder.body[0] = torch.nn.Linear(1, 16)
    refused(stopped, r"another architecture: decoder.body.0.weight is \(32, 1\), here", other)
    other.decoder.body[0] = torch.nn.Identity()
    refused(stopped, r"decoder.body.0.weight is \(32, 1\), here missing", other)


def test_another_version_is_refused(stopped):
    path = stopped / "checkpoint.pt"
    torch.save(torch.load(path, weights_only=True) | {"version": 99}, path)
    refused(stopped, "has version 99, this package reads version 1")
    torch.save([1, 2], path)
    refused(stopped, "has version None")


class Hostile:
    """Unpickling it would write a file."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("content", ["empty", "cut", "text", "code", "flipped"])
def test_an_unreadable_file_is_named(stopped, content, monkeypatch):
    monkeypatch.chdir(stopped)
    path = stopped / "checkpoint.pt"
    good = path.read_bytes()
    if content == "code":
        torch.save({"version": 1, "model": Hostile()}, path)
    else:
        weight = load_weights(make_model(), path)["optimizer"]["state"][0]["exp_avg"]
        at = good.index(weight.numpy().tobytes())
        flipped = good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :]
        bad = {"empty": b"", "cut": good[:-100], "text": b"hello", "flipped": flipped}
        path.write_bytes(bad[content])
    refused(stopped, r"checkpoint.pt is no readable checkpoint \(.*\); move it away to start over")
    assert not (stopped / "ran").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to write to")
def test_a_full_disk_leaves_the_last_good_checkpoint(stopped):
    path = stopped / "checkpoint.pt"
    before = path.read_bytes()
    (stopped / "checkpoint.pt.partial").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match="No space left on device.*the one before is untouch"):
        train(stopped)
    assert path.read_bytes() == before
    whole, _ = train(stopped / "whole")
    assert same(train(stopped)[0], whole)  # the disk has room again


def test_a_diverged_run_keeps_its_last_good_checkpoint(tmp_path):
    model, steps = make_model(), [0]

    def poison(grad):
        steps[0] += 1
        return grad * float("nan") if steps[0] == 20 else grad

    model.encoder.body[0].weight.register_hook(poison)
    with pytest.raises(RuntimeError, match="not finite in epoch 3"):
        train(tmp_path, model=model, checkpoint_every=1)
    weights = make_model()
    assert load_weights(weights, tmp_path / "checkpoint.pt")["stream"]["done"] == 19
    assert all(p.isfinite().all() for p in weights.parameters())


def test_a_checkpoint_holds_plain_values_only(stopped):
    kinds = set()

    def walk(value):
        if isinstance(value, dict):
            for key, item in value.items():
                kinds.add(type(key)), walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)
        else:
            kinds.add(type(value))

    walk(torch.load(stopped / "checkpoint.pt", weights_only=True))
    assert kinds <= {str, int, float, bool, type(None), torch.Tensor}


def test_the_memory_budget_counts_what_stays():
    model = make_model()
    number = sum(p.numel() for p in model.parameters())
    budget = memory_budget(model, torch.zeros(100, 2), None)
    state = sum(t.numel() for t in model.state_dict().values())
    assert budget.parameters == budget.safeguard == 4 * state and budget.gradients == 4 * number
    assert budget.optimizer == 8 * number and budget.data == 800 and budget.total == sum(budget)


def killed_and_resumed(directory, kills, settings, seed=0):
    """Start the run, kill it after a random time, and again; then let it end."""
    chance, died = random.Random(seed), 0
    command = [sys.executable, str(CHILD), str(directory), json.dumps(settings)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    for kill in range(kills + 1):
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        if kill < kills:
            checkpoint, start = directory / "checkpoint.pt", time.monotonic()
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
            while child.poll() is None and time.monotonic() - start < 60:
                now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
                if now != before:  # it goes on: now it may die at any moment
                    time.sleep(chance.uniform(0, 0.15))
                    break
                time.sleep(0.001)
            child.kill()
        child.communicate()
        died += child.returncode == -9
    return died


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.kills)])
def test_killed_at_any_moment_it_ends_in_the_same_weights(tmp_path, kills):
    settings = {"epochs": 20 * kills, "checkpoint_every": 5, "schedule": "plateau"}
    whole, log = run(str(tmp_path / "whole"), **settings)
    died = killed_and_resumed(tmp_path / "cut", kills, settings)
    cut, cut_log = run(str(tmp_path / "cut"), **settings)  # had ended: only reads
    assert died == kills
    assert same(whole, cut) and without_seconds(cut_log) == without_seconds(log)
