"""Runs that are interrupted: they go on bit for bit, and a bad file never costs a good one."""

import copy
import io
import json
import os
import random
import shutil
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

from companion import atomic
from companion.models import MLAE, VAE, Autoencoder, linear
from companion.networks import MLP
from companion.training import (
    CheckpointError,
    Stream,
    TrainConfig,
    fit,
    load_weights,
    make_optimizer,
    make_scheduler,
    memory_budget,
    sweep,
)
from companion.training.checkpoint import LOCK
from companion.training.identity import identity
from companion.training.run import Run

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
    refused(stopped, "has version 99, this package reads version 1 to 2")
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
def test_a_full_disk_leaves_the_last_good_checkpoint(stopped, monkeypatch):
    path = stopped / "checkpoint.pt"
    before = path.read_bytes()

    def full(_):
        link = stopped / "checkpoint.pt.full.partial"
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/full")
        return "full"

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "token_hex", full)
        with pytest.raises(CheckpointError, match="No space left on device.*the one before is unt"):
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
    assert load_weights(weights, tmp_path / "checkpoint.pt")["streams"][0]["done"] == 19
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
    assert not list(tmp_path.rglob("*.partial"))  # what a kill left is gone


def options_of(name, **changes):
    """A model of two options each time the same, but for what is changed."""
    torch.manual_seed(0)
    nets = MLP(2, 1, [4]), MLP(1, 2, [4])
    if name == "mlae":
        return MLAE(*nets, (2,), 1, **({"beta": 10.0} | changes))
    if name == "autoencoder":
        return Autoencoder(*nets, (2,), 1, **changes)
    heads = MLP(2, 2, [4])
    return VAE(heads, nets[1], (2,), 1, **({"decoder_variance": 0.5} | changes))


OTHERS = {
    "beta": ("mlae", {"beta": 0.01}, r"beta is 10.0, here 0.01"),
    "probes": ("mlae", {"kind": "gaussian"}, r"model.options.kind is \w+, here gaussian"),
    "schedule": ("mlae", {"beta": linear(10.0, 20.0)}, r"model.schedule is 10.0, here 10 to"),
    "gamma": ("vae", {"decoder_variance": 0.25}, r"decoder_variance is 0.5, here 0.25"),
    "floor": ("vae", {"floor": 1e-3}, r"model.floor is 1e-06, here 0.001"),
    "samples": ("vae", {"num_samples": 2}, r"model.num_samples is 1, here 2"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_with_other_options_is_refused_by_name(tmp_path, other):
    """Else it would report the first run's numbers under its own labels."""
    name, changes, message = OTHERS[other]
    kept = {"directory": tmp_path, "resume": True, "progress": False}
    fit(options_of(name), make_data(64), None, config(epochs=1), **kept)
    model = options_of(name, **changes)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(CheckpointError, match="belongs to another run: .*" + message):
        fit(model, make_data(64), None, config(epochs=1), **kept)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_another_model_start_or_set_of_data_is_refused(tmp_path):
    kept = {"directory": tmp_path, "resume": True, "progress": False}
    x, few = make_data(256), config(epochs=1)
    c = torch.zeros(256, 1)

    def again(model, match, x=x, **data):
        with pytest.raises(CheckpointError, match=match):
            fit(model, x, config=few, **kept, **data)

    fit(options_of("mlae"), x, x[:8], few, **kept)
    again(options_of("autoencoder"), "of another architecture: beta is", valid=x[:8])
    again(options_of("mlae"), r"validation is \[8, 2\], here None")
    again(options_of("mlae"), "validation_sum is", valid=x[8:16].flip(0))
    again(options_of("mlae"), r"condition is None, here \[256, 1\]", valid=x[:8], condition=c)
    other = x.clone()
    other[200] += 1  # beyond the first rows
    again(options_of("mlae"), "another run: data_sum is", x=other, valid=x[:8])
    stranger = options_of("mlae")
    torch.nn.init.ones_(stranger.encoder.body[0].weight)
    again(stranger, "another run: weights_crc is .* the same seed", valid=x[:8])
    still = options_of("mlae")
    still.encoder.requires_grad_(False)
    again(still, "frozen is missing, here encoder", valid=x[:8])


def test_a_checkpoint_of_an_earlier_version_goes_on_with_a_warning(stopped):
    path = stopped / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    known = ("data", "data_type", "data_crc", "device", *config().decisive)
    state["settings"] = {name: state["settings"][name] for name in known}
    torch.save(state, path)
    refused(stopped, "epochs is 4, here 9", epochs=9)
    with pytest.warns(UserWarning, match="did not keep the model's options"):
        model, _ = train(stopped)
    assert load_weights(make_model(), path)["epoch"] == 4 and model is not None


def test_two_runs_do_not_share_a_folder(tmp_path):
    """The second is told at once, whatever process it is in; a killed one holds nothing."""
    code = (
        "import sys, time; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(600)"
    )
    call = [sys.executable, "-c", code, str(tmp_path / LOCK)]
    child = subprocess.Popen(call, stdout=subprocess.PIPE)
    x, few = make_data(64), config(epochs=1)
    try:
        assert child.stdout.readline().strip() == b"held"
        with pytest.raises(CheckpointError, match="another run is writing to"):
            fit(make_model(), x, None, few, directory=tmp_path, progress=False)
        with pytest.raises(CheckpointError, match="another run is writing to"):
            sweep([make_model()], [x], [few], directory=tmp_path, progress=False)
    finally:
        child.kill(), child.wait()
    fit(make_model(), x, None, few, directory=tmp_path, progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write to"):
        fit(make_model(), x, None, few, directory=tmp_path / "file" / "run", progress=False)


def parts_of(state, path=()):
    """The places of all values in a state of dicts and lists."""
    items = state.items() if isinstance(state, dict) else enumerate(state)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list) and "settings" not in path:
            yield from parts_of(value, (*path, key))


def mutations(state):
    """Every value left out, of another kind, or of another shape."""
    for place in parts_of(state):
        in_rows = place[0] == "rows" and len(place) > 1
        one_of_many = any(isinstance(key, int) and key > 1 for key in place)
        if in_rows or one_of_many or place[0] == "settings":
            continue
        *above, last = place
        for how in ("gone", "text", "none", "shape"):
            broken = copy.deepcopy(state | {"settings": None}) | {"settings": state["settings"]}
            owner = broken
            for key in above:
                owner = owner[key]
            old = owner[last]
            if how == "gone":
                del owner[last]
            elif how == "shape" and isinstance(old, torch.Tensor):
                owner[last] = torch.cat([old.reshape(-1), old.reshape(-1)[:1]])
            elif how in ("text", "none") and type(old) not in (str, type(None)):
                owner[last] = "text" if how == "text" else None
            else:
                continue
            free = above[:1] == ["sums"] or above == ["optimizer", "state"]  # may lack any
            if not (free and how == "gone"):
                yield f"{'.'.join(map(str, place))} {how}", broken


@pytest.mark.parametrize("kind", ["fit", "sweep"])
def test_no_broken_checkpoint_is_used_in_part(tmp_path, kind):
    """Each mutation is refused by name, and model, optimiser, stream and chance are as before."""
    x, few = make_data(64), config(epochs=2, batch_size=16)
    if kind == "fit":
        train_on = {"directory": tmp_path, "progress": False}
        fit(options_of("vae", learn_variance=True), x, x[:8], few, **train_on)
        path, model = tmp_path / "checkpoint.pt", options_of("vae", learn_variance=True)
        optimizer = make_optimizer(model.parameters(), few)
        stream = Stream(model, x, None, few)
        scheduler = make_scheduler(optimizer, few, stream)
        sets = {"data": x, "condition": None, "validation": x[:8], "valid_condition": None}
        loaded = Run(model, optimizer, scheduler, [stream], few, identity(model, few, sets))
    else:
        models = [options_of("mlae") for _ in range(2)]
        sweep(models, [x, x], [few] * 2, directory=tmp_path, progress=False)
        path, cpu = next(tmp_path.glob("*.pt")), torch.device("cpu")
        fresh = [options_of("mlae") for _ in range(2)]
        given = fresh, [x, x], [few] * 2, None, cpu
        _, loaded = sys.modules["companion.training.sweeps"]._begun(*given, is_kept=True)
    whole = torch.load(path, weights_only=True)

    def standing():
        state = loaded.state_dict() | {"seconds": 0.0, "settings": None}
        buffer = io.BytesIO()
        torch.save(copy.deepcopy(state), buffer)
        return buffer.getvalue(), torch.get_rng_state().tolist()

    before, survivors, count = standing(), [], 0
    for name, broken in mutations(whole):
        torch.save(broken, path)
        count += 1
        try:
            loaded.load(path)
            survivors.append(name)
        except CheckpointError:
            pass
    for place in ({"done": 10**6}, {"position": -1}, {"order": torch.zeros(5056).byte()}):
        broken = copy.deepcopy(whole)
        broken["streams"][-1].update(place)
        torch.save(broken, path)
        with pytest.raises(CheckpointError):
            loaded.load(path)
    assert not survivors and count > 100 and standing() == before
    torch.save(whole, path)
    loaded.load(path)
    assert loaded.epoch == 2


def test_the_best_weights_are_no_run_and_a_log_is_no_weights(stopped):
    (stopped / "best.pt").replace(stopped / "checkpoint.pt")
    refused(stopped, "holds no run to go on with; is it best.pt?")
    for junk in ({}, {"model": None}, {"model": [1]}, {"model": {"weight": "text"}}):
        torch.save({"version": 1} | junk, stopped / "junk.pt")
        with pytest.raises(CheckpointError, match=r"junk.pt is of another architecture"):
            load_weights(make_model(), stopped / "junk.pt")


OLD = Path(__file__).with_name("checkpoints")  # a run's and a sweep's, of version 1


def exact_model(beta=10.0):
    """Weights that no machine rounds otherwise."""
    torch.manual_seed(0)
    model = MLAE(MLP(2, 1, [4]), MLP(1, 2, [4]), (2,), 1, beta=beta)
    for number, weight in enumerate(model.parameters()):
        numbers = torch.arange(weight.numel()) * 7 + number
        weight.data = (numbers % 16 - 8).reshape(weight.shape).float() / 8
    return model


EXACT = (torch.arange(48) * 5 % 32 - 16).reshape(24, 2).float() / 16
OLD_CONFIG = {"epochs": 4, "batch_size": 8, "checkpoint_every": 1, "device": "cpu", "noise": 0.125}


def train_as_old(kind, folder, stop_after=None):
    """One run, or a sweep of two, as the old files have them; perhaps stopped after some steps."""
    models, steps = [exact_model(beta) for beta in (10.0, 0.5)], []

    def stop(*_):
        steps.append(1)
        if len(steps) == stop_after:
            raise KeyboardInterrupt

    options = {"directory": folder, "resume": True, "progress": False}
    config = TrainConfig(**OLD_CONFIG)
    if kind == "sweep":
        logs = sweep(models, [EXACT] * 2, [config] * 2, callback=stop, **options)
        return models, logs
    handle = models[0].decoder.register_forward_hook(stop)
    log = fit(models[0], EXACT, EXACT[:4], config, **options)
    handle.remove()
    return models[:1], [log]


@pytest.mark.parametrize(("kind", "name"), [("fit", "checkpoint"), ("sweep", "runs-0000-0001")])
def test_a_file_of_an_earlier_form_goes_on(tmp_path, kind, name):
    """They were written within the third epoch of a run, and after the second of a sweep."""
    whole, logs = train_as_old(kind, tmp_path / "whole")
    (tmp_path / "old").mkdir()
    shutil.copy(OLD / f"{name}.pt", tmp_path / "old")
    again, logs_again = train_as_old(kind, tmp_path / "old")
    assert torch.load(tmp_path / "old" / f"{name}.pt", weights_only=True)["epoch"] == 4
    for a, b in zip(whole, again, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert (p - q).abs().max() < 1e-5
    for a, b in zip(logs, logs_again, strict=True):
        assert b.column("loss") == pytest.approx(a.column("loss"), rel=1e-5)
