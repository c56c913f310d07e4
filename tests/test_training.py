"""The loop: it learns, it is reproducible, it stops well; and the sweep takes the same steps."""

import copy
import csv
import gc
import shutil
import sys
import warnings
import weakref

import pytest
import torch
from torch import nn

from companion.data.toy import Sinusoid
from companion.models import MLAE, VAE, linear
from companion.models.base import evaluating
from companion.networks import MLP, batch_norm
from companion.passes import PassError
from companion.training import (
    CheckpointError,
    NonFiniteLossError,
    Stream,
    TrainConfig,
    fit,
    load_weights,
)
from companion.training.loop import validate
from companion.training.replay import Replay
from companion.training.sweeps import grid, runs_at_once, sweep

sweeping = sys.modules["companion.training.sweeps"]  # the module; the name is its function's


def line(n=512, seed=0):
    """Points near a line in the plane."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.randn(n, 1, generator=generator)
    return torch.cat([t, 0.5 * t], 1) + 0.05 * torch.randn(n, 2, generator=generator)


def make(beta=10.0, seed=0, **options):
    torch.manual_seed(seed)
    return MLAE(MLP(2, 1, [16]), MLP(1, 2, [16]), (2,), 1, beta=beta, **options)


def config(**changes):
    return TrainConfig(
        **({"epochs": 4, "batch_size": 64, "device": "cpu", "learning_rate": 5e-3} | changes)
    )


def quiet_fit(model, *args, **kwargs):
    return fit(model, *args, progress=False, **kwargs)


def same_state(a, b):
    return all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("schedule", ["one-cycle", "plateau", "steps", "constant"])
def test_it_learns(schedule):
    model = make()
    log = quiet_fit(model, line(), line(seed=1), config(epochs=10, schedule=schedule, clip=1.0))
    rows = log.rows
    assert [row["epoch"] for row in rows] == list(range(1, 11))
    assert rows[-1]["valid_reconstruction"] < 0.2 * rows[0]["valid_reconstruction"]


def test_the_seed_decides_everything_but_the_weights():
    first, second, third = make(), make(), make()
    for model, seed in ((first, 0), (second, 0), (third, 1)):
        quiet_fit(model, line(), None, config(seed=seed, noise=0.1))
    assert same_state(first, second) and not same_state(first, third)


def test_the_logged_nll_is_exact():
    model, x = make(), line(seed=1)
    log = quiet_fit(model, line(), x, config(epochs=1, validate_on=40))
    expected = -model.log_prob(x[:40]).value.mean()
    assert log.rows[-1]["valid_nll"] == pytest.approx(float(expected.detach()), rel=1e-5)


def test_the_validation_loss_is_that_of_all_samples():
    """Of more than one chunk and of more than get an exact NLL, at equal chance in all epochs."""
    model, x = make(), line(seed=1).repeat(5, 1)[:600]
    log = quiet_fit(model, line(), x, config(epochs=1, validate_on=40))
    draws = torch.Generator().manual_seed(config().seed)
    parts = [model.loss(part, **model.draw(part, draws)).loss for part in x.tensor_split(3)]
    assert log.rows[-1]["valid_loss"] == pytest.approx(torch.cat(parts).mean().item(), rel=1e-5)
    some = quiet_fit(make(), line(), x[:40], config(epochs=1))
    assert some.rows[-1]["valid_loss"] != log.rows[-1]["valid_loss"]


def test_the_defect_and_the_cosine_can_be_logged():
    log = quiet_fit(make(), line(), line(seed=1), config(epochs=8, log_defect=True))
    defect, cosine = log.column("defect_identity"), log.column("gradient_cosine")
    assert defect[-1] < defect[0] and cosine[-1] > cosine[0]


def test_the_log_is_a_csv_file(tmp_path):
    log = quiet_fit(make(), line(), None, config(), directory=tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == pytest.approx(log.column("loss"))
    kept = {path.name for path in (tmp_path / "run").iterdir()} - {"tensorboard"}
    assert kept == {"best.pt", "checkpoint.pt", "log.csv", ".lock"}


def test_a_callback_stops_the_run():
    log = quiet_fit(make(), line(), None, config(epochs=9), callback=lambda row: row["epoch"] == 2)
    assert log.stopped and len(log.rows) == 2


class Explodes(MLAE):
    """Turns non-finite at one given step."""

    def advance(self, progress, epoch):
        self.broken = epoch == 2
        return super().advance(progress, epoch)

    def loss(self, x, condition=None, generator=None, **draws):
        terms = super().loss(x, condition, generator, **draws)
        return terms._replace(loss=terms.loss * float("nan")) if self.broken else terms


def test_a_non_finite_loss_stops_with_the_last_good_state():
    torch.manual_seed(0)
    model = Explodes(MLP(2, 1, [16]), MLP(1, 2, [16]), (2,), 1)
    with pytest.raises(
        NonFiniteLossError, match="not finite in epoch 3.*smaller learning_rate"
    ) as caught:
        quiet_fit(model, line(), None, config())
    assert len(caught.value.history.rows) == 2
    assert all(torch.isfinite(p).all() for p in model.parameters())
    # the state is that after epoch 2: a run stopped there is the same
    torch.manual_seed(0)
    other = Explodes(MLP(2, 1, [16]), MLP(1, 2, [16]), (2,), 1)
    quiet_fit(other, line(), None, config(), callback=lambda row: row["epoch"] == 2)
    assert same_state(model, other)


def test_a_gradient_that_breaks_last_leaves_no_broken_state():
    """The loss of the epoch is finite, the weights after its last step are not."""
    model = make()
    steps = [0]

    def poison(grad):
        steps[0] += 1
        return grad * float("nan") if steps[0] == 16 else grad  # the last of two epochs of 8

    model.encoder.body[0].weight.register_hook(poison)
    with pytest.raises(NonFiniteLossError) as caught:
        quiet_fit(model, line(), None, config())
    assert len(caught.value.history.rows) == 1
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_training_is_done_in_training_mode():
    model = make().eval()
    quiet_fit(model, line(), line(seed=1), config(epochs=1))
    assert model.training
    with evaluating(model):
        assert not model.encoder.training
    assert model.encoder.training


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions(precision):
    model = make()
    log = quiet_fit(model, line(), line(seed=1), config(epochs=3, precision=precision))
    assert log.rows[-1]["loss"] < log.rows[0]["loss"]
    assert next(model.parameters()).dtype == (torch.float64 if "64" in precision else torch.float32)


def test_bf16_follows_float32():
    """Eight bits of mantissa: each epoch's loss within 2 %, the weights stay float32."""
    logs = [
        quiet_fit(make(), line(), None, config(epochs=6, precision=precision)).column("loss")
        for precision in ("32-true", "bf16-mixed")
    ]
    assert logs[0] != logs[1] and logs[1] == pytest.approx(logs[0], rel=0.02)


def test_bad_validation_data_are_refused_before_training():
    with pytest.raises(ValueError, match="fit, validation: training data must be"):
        quiet_fit(make(), line(), torch.zeros(5, 3))


def test_images_of_bytes_are_scaled():
    x = torch.randint(0, 256, (128, 1, 2, 2), dtype=torch.uint8)
    torch.manual_seed(0)
    model = MLAE(MLP((1, 2, 2), 1, [8]), MLP(1, (1, 2, 2), [8]), (1, 2, 2), 1)
    step = next(Stream(model, x, None, config()).epoch())
    assert step.x.dtype == torch.float32 and step.x.min() >= 0 and step.x.max() <= 1
    quiet_fit(model, x, x, config(epochs=1))


def test_some_images_are_mirrored():
    x = torch.arange(64 * 4.0).view(64, 1, 1, 4)
    torch.manual_seed(0)
    model = MLAE(MLP((1, 1, 4), 1, [8]), MLP(1, (1, 1, 4), [8]), (1, 1, 4), 1)
    seen = next(Stream(model, x, x.flatten(1), config(flip=True)).epoch())
    original, mirrored = (
        (seen.x == seen.condition.view_as(seen.x).flip(dims)).all(-1).flatten()
        for dims in ([], [-1])
    )
    assert (original ^ mirrored).all() and 16 < mirrored.sum() < 48


def test_a_run_stops_when_nothing_gets_better():
    def worse_after_two(row):
        row["score"] = abs(row["epoch"] - 2)

    options = {"epochs": 9, "monitor": "score", "early_stop": 3}
    log = quiet_fit(make(), line(), None, config(**options), callback=worse_after_two)
    assert log.stopped and len(log.rows) == 5


def test_epochs_without_the_monitored_number_are_passed_over(tmp_path):
    """Not compared by another one: a training loss may be far below any validation loss."""
    x, far = line(), line() + 3
    options = {"epochs": 5, "validate_every": 2}
    log = quiet_fit(make(), x, far, config(**options), directory=tmp_path)
    validated = [row for row in log.rows if "valid_loss" in row]
    assert [row["epoch"] for row in validated] == [2, 4, 5]  # the last one always
    assert min(log.column("loss")) < min(row["valid_loss"] for row in validated)
    best = min(validated, key=lambda row: row["valid_loss"])
    assert load_weights(make(), tmp_path / "best.pt")["row"]["epoch"] == best["epoch"]
    slow = quiet_fit(make(), x, far, config(**options, schedule="plateau", patience=0))
    assert len(slow.rows) == 5


def test_steps_halve_the_learning_rate():
    log = quiet_fit(make(), line(), None, config(schedule="steps", halve_every=2))
    assert log.column("learning_rate") == [5e-3, 2.5e-3, 2.5e-3, 1.25e-3]


def test_conditions_travel_with_their_samples():
    x = torch.arange(256.0).view(-1, 1).expand(-1, 2).contiguous()
    stream = Stream(make(), x, x[:, :1], config())
    for step in stream.epoch():
        assert torch.equal(step.x[:, :1], step.condition)


def test_a_beta_schedule_moves_with_the_run():
    seen = []
    model = make(beta=linear(1.0, 10.0))
    quiet_fit(
        model, line(), None, config(epochs=3), callback=lambda row: seen.append(float(model.beta))
    )
    assert seen == sorted(seen) and seen[-1] > 9.0


def test_compiled_and_eager_agree(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda f, **_: _compile(f))
    compiled, eager = make(), make()
    quiet_fit(compiled, line(), None, config(epochs=2, compile=True))
    monkeypatch.undo()
    quiet_fit(eager, line(), None, config(epochs=2))
    for p, q in zip(compiled.parameters(), eager.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_really_compiled_and_eager_agree():
    """Through Inductor's own kernels, each epoch's loss within 1e-4."""
    logs = [
        quiet_fit(make(), line(), None, config(epochs=2, compile=compiled)).column("loss")
        for compiled in (True, False)
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)


_real_compile = torch.compile


def _compile(function):
    return _real_compile(function, backend="aot_eager")  # no C++ compiler needed


def test_without_a_compiler_it_trains_eagerly_and_says_so(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match="torch.compile does not work here"):
        log = quiet_fit(make(), line(), None, config(epochs=1, compile=True))
    assert len(log.rows) == 1


def lies(loss):
    """A compiler that loses the surrogate, as torch's does with a network's own jvp."""

    def wrong(*args, **kwargs):
        terms = loss(*args, **kwargs)
        return terms._replace(surrogate=0 * terms.surrogate)

    return wrong


def loses_a_gradient(loss):
    def wrong(*args, **kwargs):
        terms = loss(*args, **kwargs)
        return terms._replace(loss=terms.prior + (terms.loss - terms.prior).detach())

    return wrong


@pytest.mark.parametrize(
    ("compiler", "name"), [(lies, "surrogate"), (loses_a_gradient, "the gradient")]
)
def test_a_compiler_that_lies_is_not_used_and_its_trial_leaves_no_trace(
    compiler, name, monkeypatch
):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(2, 8), batch_norm(8, image=False), nn.Tanh(), nn.Linear(8, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the batch that BatchNorm couples
        model = MLAE(encoder, MLP(1, 2, [16]), (2,), 1)
    twin = copy.deepcopy(model)
    quiet_fit(twin, line(), None, config(epochs=1))
    monkeypatch.setattr(torch, "compile", compiler)
    with pytest.warns(UserWarning, match=f"ArithmeticError: {name} differs"):
        quiet_fit(model, line(), None, config(epochs=1, compile=True))
    assert same_state(model, twin)


class Gumbel(MLP):
    def forward(self, z, condition=None):
        return nn.functional.gumbel_softmax(super().forward(z))


def test_what_validation_cannot_do_fails_before_the_first_step(tmp_path):
    torch.manual_seed(0)
    model = MLAE(MLP(2, 1, [16]), Gumbel(1, 2, [16]), (2,), 1)
    before = copy.deepcopy(model)
    with pytest.raises(PassError, match="decoder: draws random numbers"):
        quiet_fit(model, line(), line(seed=1), config(), directory=tmp_path / "run")
    assert same_state(model, before) and not (tmp_path / "run").exists()


def test_validation_does_not_move_the_training():
    plain, validated = make(), make()
    quiet_fit(plain, line(), None, config(epochs=2))
    quiet_fit(validated, line(), line(seed=1), config(epochs=2, log_defect=True))
    assert same_state(plain, validated)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(8, 3), r"must be \(n, 2\) with n > 0, got \(8, 3\)"),
        (torch.zeros(0, 2), "with n > 0"),
        (torch.tensor([[0.0, float("nan")], [0.0, 0.0]]), "1 rows with NaN or infinity"),
        (torch.zeros(8, 2, dtype=torch.int64), "floating point or uint8, got torch.int64"),
    ],
)
def test_bad_data_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        quiet_fit(make(), data)


PART = {"fraction": 0.25, "kind": "batch-orthogonal"}
OPTIONS = [{}, {"side": "decoder", "num_probes": 1}, PART, {"at": "manifold"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_sweep_is_the_same_as_one_by_one(options):
    points = grid(beta=[0.1, 10.0], noise=[0.0, 0.2], seed=[0, 1])
    data = [line(seed=p["seed"]).double() for p in points]
    configs = [
        config(epochs=3, clip=0.5, weight_decay=1e-3, noise=p["noise"], seed=p["seed"])
        for p in points
    ]
    one_by_one = [make(p["beta"], p["seed"], **options).double() for p in points]
    logs = [quiet_fit(m, x, None, c) for m, x, c in zip(one_by_one, data, configs, strict=True)]
    together = [make(p["beta"], p["seed"], **options).double() for p in points]
    stacked_logs = sweep(together, data, configs, progress=False)
    for a, b, log, stacked_log in zip(one_by_one, together, logs, stacked_logs, strict=True):
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
            assert (p - q).abs().max() < 1e-5
        assert stacked_log.column("loss") == pytest.approx(log.column("loss"), abs=1e-5)


def test_a_sweep_moves_schedules():
    models = [make(beta=linear(1.0, end)) for end in (2.0, 20.0)]
    sweep(models, [line()] * 2, [config()] * 2, progress=False)
    assert float(models[0].beta) < 2.0 < 10.0 < float(models[1].beta)


def test_a_sweep_refuses_what_it_cannot_stack():
    with pytest.raises(ValueError, match="got 1 models, 2 data sets, 1 configs"):
        sweep([make()], [line()] * 2, [config()])
    with pytest.raises(ValueError, match="configs may differ in seed and noise only, run 1"):
        sweep([make(), make()], [line()] * 2, [config(), config(epochs=5)])
    with pytest.raises(ValueError, match="all data sets must have one shape"):
        sweep([make(), make()], [line(), line(64)], [config()] * 2)
    with pytest.raises(ValueError, match="plateau differs between runs"):
        sweep([make()], [line()], [config(schedule="plateau")])


def test_a_sweep_takes_conditions():
    def conditional(seed):
        torch.manual_seed(seed)
        return MLAE(MLP(2, 1, [16], 1), MLP(1, 2, [16], 1), (2,), 1).double()

    x = [line(seed=s).double() for s in (0, 1)]
    c = [t[:, :1].sign() for t in x]
    configs = [config(epochs=2, seed=s) for s in (0, 1)]
    alone, together = [conditional(s) for s in (0, 1)], [conditional(s) for s in (0, 1)]
    for model, data, condition, one in zip(alone, x, c, configs, strict=True):
        quiet_fit(model, data, None, one, condition=condition)
    sweep(together, x, configs, conditions=c, progress=False)
    for a, b in zip(alone, together, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert (p - q).abs().max() < 1e-5


def test_a_sweep_refuses_models_of_another_kind():
    with pytest.raises(ValueError, match="run 1 has other networks or options than run 0"):
        sweep([make(), make(side="decoder")], [line()] * 2, [config()] * 2, progress=False)
    with pytest.raises(ValueError, match="compile and precision are for fit only"):
        sweep([make()], [line()], [config(precision="64-true")])
    with pytest.raises(ValueError, match="sweep: early_stop differs between runs"):
        sweep([make()], [line()], [config(early_stop=2)])


@pytest.mark.parametrize("schedule", ["one-cycle", "steps", "constant"])
def test_a_sweep_moves_its_rate_as_fit_does(schedule):
    settings = config(epochs=4, schedule=schedule, halve_every=2)
    alone = quiet_fit(make(), line(), None, settings)
    (log,) = sweep([make()], [line()], [settings], progress=False)
    assert log.column("learning_rate") == alone.column("learning_rate")
    assert log.column("loss") == pytest.approx(alone.column("loss"), rel=1e-4)


def test_a_sweep_refuses_shared_parameters():
    models = [make(), make(seed=1)]
    for model in models:
        model.decoder.body[2] = model.encoder.body[0]  # used in two places
    with pytest.raises(ValueError, match="MLAE shares 'encoder.body.0.weight' with 'decoder"):
        sweep(models, [line()] * 2, [config()] * 2, progress=False)


def sweep_of(count=5, epochs=4, dropout=None, **options):
    models = [make(beta, seed) for seed, beta in enumerate([0.1, 1.0, 10.0, 3.0, 0.3][:count])]
    for model in models if dropout else ():
        model.encoder.body.insert(1, nn.Dropout(dropout))  # chance that only torch's state knows
    data = [line(seed=seed) for seed in range(count)]
    configs = [config(epochs=epochs, seed=seed) for seed in range(count)]
    return models, sweep(models, data, configs, progress=False, **options)


def states(models):
    return [t.clone() for model in models for t in model.state_dict().values()]


def test_a_sweep_in_stacks_is_the_same():
    together, logs = sweep_of()
    seen = []
    stacked, stacked_logs = sweep_of(at_once=2, callback=lambda row: seen.append(row["runs"]))
    for a, b in zip(states(together), states(stacked), strict=True):
        assert (a - b).abs().max() < 1e-5
    assert [log.column("loss") for log in stacked_logs] == [
        pytest.approx(log.column("loss"), abs=1e-5) for log in logs
    ]
    assert sorted(set(seen)) == [(0, 1), (2, 3), (4, 4)]


@pytest.mark.parametrize("killed_after", [1, 3, 5, 8])
def test_a_killed_sweep_goes_on_to_the_same_weights(tmp_path, monkeypatch, killed_after):
    monkeypatch.setattr("companion.training.sweeps.SECONDS", 0.0)
    straight, logs = sweep_of(at_once=2, dropout=0.1)
    epochs = iter(range(1, 100))

    def kill(row):
        if next(epochs) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep_of(at_once=2, directory=tmp_path, callback=kill, dropout=0.1)
    kept = {"directory": tmp_path, "resume": True, "dropout": 0.1}
    resumed, resumed_logs = sweep_of(**kept)  # in stacks of two, as begun
    assert all(map(torch.equal, states(straight), states(resumed)))
    for a, b in zip(logs, resumed_logs, strict=True):
        assert a.column("loss") == b.column("loss") and len(a.rows) == len(b.rows) == 4
    again, _ = sweep_of(**kept, callback=pytest.fail)
    assert all(map(torch.equal, states(straight), states(again)))
    assert [path.suffix for path in tmp_path.glob("[!.]*")] == [".pt"] * 3


def test_a_sweep_keeps_what_is_there_and_knows_it_from_another(tmp_path):
    sweep_of(2, directory=tmp_path)
    with pytest.raises(FileExistsError, match="pass resume=True"):
        sweep_of(2, directory=tmp_path)
    with pytest.raises(CheckpointError, match="another run: epochs is 4, here 6"):
        sweep_of(2, epochs=6, directory=tmp_path, resume=True)
    models = [make(7.0, 0), make(1.0, 1)]
    data, configs = [line(seed=s) for s in (0, 1)], [config(epochs=4, seed=s) for s in (0, 1)]
    with pytest.raises(CheckpointError, match="beta is 0.1, here 7.0"):
        sweep(models, data, configs, directory=tmp_path, resume=True, progress=False)


def test_a_callback_stops_all_stacks(tmp_path):
    models, logs = sweep_of(at_once=2, directory=tmp_path, callback=lambda row: row["epoch"] == 2)
    assert [len(log.rows) for log in logs] == [2, 2, 0, 0, 0]
    assert all(log.stopped for log in logs)


def test_a_sweep_stacks_as_many_as_memory_takes(monkeypatch):
    model, x, cpu = make(), line(), torch.device("cpu")
    one = runs_at_once(model, x, config(), cpu)
    monkeypatch.setattr("companion.training.counter.free", lambda device: 0)
    assert runs_at_once(model, x, config(), cpu) == 1 < one
    need = []
    for batch in (64, 256):
        monkeypatch.setattr("companion.training.counter.free", lambda device: 10**9)
        need.append(runs_at_once(model, x, config(batch_size=batch), cpu))
    assert need[0] > 1.5 * need[1]  # activations count
    with pytest.raises(ValueError, match="at_once must be at least 1, got 0"):
        sweep_of(2, at_once=0)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@needs_cuda
def test_cuda_trains_samples_and_evaluates():
    model = make()
    quiet_fit(model, line(), line(seed=1), config(epochs=2, device="cuda"))
    assert model.sample(4, generator=torch.Generator().manual_seed(0)).is_cuda
    sweep([make(), make(seed=1)], [line()] * 2, [config(device="cuda")] * 2, progress=False)


@pytest.fixture
def recordings(monkeypatch):
    """The recordings that fit and sweep make."""
    made = []

    class Spy(Replay):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    for module in ("companion.training.loop", "companion.training.sweeps"):
        monkeypatch.setattr(f"{module}.Replay", Spy)
    return made


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(
    ("changes", "rel"),
    [({"compile": True}, 1e-4), ({"replay": False}, 1e-4), ({"precision": "bf16-mixed"}, 0.02)],
    ids=str,
)
def test_every_way_to_compute_on_cuda_gives_the_same_training(recordings, changes, rel):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "fit: ")  # no way falls back
        logs = [
            quiet_fit(make(), line(), None, config(device="cuda", **more)).column("loss")
            for more in ({}, changes)
        ]
    assert logs[1] == pytest.approx(logs[0], rel=rel)
    assert len(recordings) == 1 + changes.get("replay", True)
    assert all(one.graph is not None for one in recordings)


@pytest.mark.gpu
@needs_cuda
def test_a_sweep_on_cuda_takes_the_steps_of_each_alone(recordings):
    models, alone = [make(), make(seed=1)], [make(), make(seed=1)]
    sweep(models, [line()] * 2, [config(device="cuda")] * 2, progress=False)
    assert len(recordings) == 1 and recordings[0].graph is not None
    for model, single in zip(models, alone, strict=True):
        quiet_fit(single, line(), None, config(device="cuda"))
        for ours, theirs in zip(model.parameters(), single.parameters(), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_stack_of_a_sweep_is_gone_before_the_next_comes(monkeypatch):
    alive, most = weakref.WeakSet(), []
    stack = sweeping._Stack

    class Watched(stack):
        def __init__(self, *args):
            most.append(len(alive))
            super().__init__(*args)
            alive.add(self)

    monkeypatch.setattr(sweeping, "_Stack", Watched)
    gc.disable()
    try:
        sweep(
            [make(seed=s) for s in range(3)],
            [line()] * 3,
            [config(epochs=1)] * 3,
            at_once=1,
            progress=False,
        )
    finally:
        gc.enable()
    assert most == [0, 0, 0]


def test_a_sweep_names_the_runs_that_diverge():
    broken = make()
    nn.init.constant_(broken.encoder.body[0].weight, float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"runs \[1\]"):
        sweep([make(), broken], [line()] * 2, [config(epochs=1)] * 2, progress=False)


@pytest.mark.parametrize("beta", [1.0, 10.0])
def test_the_default_monitor_keeps_weights_that_have_learned(tmp_path, beta):
    """By the NLL on the manifold an early epoch's would be kept, where the map has collapsed."""
    x, changes = Sinusoid().sample(1024, torch.Generator().manual_seed(0)), {"learning_rate": 3e-3}
    few = config(epochs=8, batch_size=64, early_stop=7, **changes)
    log = quiet_fit(make(beta), x, x[:64], few, directory=tmp_path)
    kept = load_weights(make(beta), tmp_path / "best.pt")["row"]
    errors = log.column("valid_reconstruction")
    by_nll = min(log.rows, key=lambda row: row["valid_nll"])
    assert by_nll["valid_reconstruction"] > 2 * errors[-1] and by_nll["epoch"] < kept["epoch"]
    assert kept["valid_reconstruction"] < 1.5 * min(errors) and len(log.rows) == 8
    assert kept["valid_loss"] == min(log.column("valid_loss"))


def test_validating_draws_the_same_and_moves_no_chance():
    model, x = make(), line()[:64]
    model.encoder.body.insert(1, nn.Dropout(0.5))
    model.train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    rows = [validate(model, x, config()) for _ in range(2)]
    assert rows[0] == rows[1] and torch.equal(torch.get_rng_state(), before) and model.training
    draws = model.draw(x, torch.Generator().manual_seed(config().seed))
    expected = model.eval().loss(x, **draws).loss.mean()
    assert rows[0]["valid_loss"] == pytest.approx(float(expected.detach()), rel=1e-5)


def test_a_likelihood_on_the_manifold_is_no_good_monitor():
    with pytest.warns(
        UserWarning, match="monitor valid_nll of MLAE .* where the map has collapsed"
    ):
        quiet_fit(make(), line(), line()[:8], config(epochs=1, monitor="valid_nll"))
    vae = VAE(MLP(2, 2, [4]), MLP(1, 2, [4]), (2,), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate(vae, line()[:8], config(monitor="valid_nll"))
