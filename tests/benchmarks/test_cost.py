"""DESIGN.md §8: what a step costs, as ratios within one run. Networks 784-512-512-d, batch 512.

Runs with `make bench`, not with the tests. The two sides of a ratio take turns, step by step, so
that whatever else the machine does hits both; the ratio is that of their medians.
"""

import subprocess
import sys
import time
import warnings
from dataclasses import replace
from statistics import median

import literal
import pytest
import torch

from companion import probes, volume
from companion.explorables import sinusoid
from companion.models import VAE, TaylorVAE, mlae_loss, posterior_size, rectangular_loss
from companion.networks import MLP
from companion.sweep import grid, sweep
from companion.training import fit
from companion.training.experiment import Experiment
from companion.training.presets import PRESETS

BATCH, DIM = 512, 784
NEEDS_CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]


def on_cpu(must, device):
    """DESIGN.md's musts are a CPU's; a GPU has goals."""
    return must if device == "cpu" else None


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Steps:
    """Training steps of one pair of networks: a plain autoencoder's and MLAE's."""

    def __init__(self, latent=16, device="cpu", compiled=False):
        torch.manual_seed(0)
        self.encoder = MLP(DIM, latent, [512, 512]).to(device)
        self.decoder = MLP(latent, DIM, [512, 512]).to(device)
        self.parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.x, self.latent = torch.rand(BATCH, DIM, device=device), latent
        wrap = (lambda f: torch.compile(f, fullgraph=True)) if compiled else (lambda f: f)
        self.plain_loss, self.mlae_loss = wrap(self._plain), wrap(self._mlae)

    def _plain(self):
        return (self.decoder(self.encoder(self.x)) - self.x).square().sum(1).mean()

    def _mlae(self, probes, index):
        loss = mlae_loss(self.x, self.encoder, self.decoder, 10.0, probes=probes, index=index)
        return loss.loss.mean()

    def _step(self, loss):
        for p in self.parameters:
            p.grad = None
        loss.backward()

    def plain(self):
        self._step(self.plain_loss())

    def mlae(self, fraction=1.0, num_probes=1):
        m = volume.num_chosen(fraction, BATCH)
        index = volume.draw_index(fraction, BATCH, self.x.device) if m < BATCH else None
        like = self.x.new_empty(m, self.latent)
        self._step(self.mlae_loss(probes.sample("orthogonal", num_probes, like), index))

    def conjugate(self):
        out = rectangular_loss(self.x, self.encoder, self.decoder)
        self.rounds = float(out.iterations.mean())
        self._step(out.loss.mean())

    def literal(self, num_probes=1):
        self._step(literal.loss(self.x, self.encoder, self.decoder, 10.0, num_probes))


def medians(*steps, rounds=31, device="cpu", clock=time.perf_counter):
    """Median seconds of each step, taken in turns after two rounds of warming up."""
    seconds = [[] for _ in steps]
    for number in range(rounds + 2):
        for step, taken in zip(steps, seconds, strict=True):
            start = clock()
            step()
            if device == "cuda":
                torch.cuda.synchronize()
            if number >= 2:
                taken.append(clock() - start)
    return [median(taken) for taken in seconds]


def measured(benchmark, function):
    """Run once under pytest-benchmark and return the result."""
    return benchmark.pedantic(function, rounds=1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_over_a_plain_autoencoders(benchmark, table, device):
    eager, compiled = Steps(device=device), Steps(device=device, compiled=True)
    steps = [eager.plain, eager.mlae, lambda: eager.mlae(0.5), lambda: eager.mlae(0.25)]
    steps += [compiled.plain, compiled.mlae]
    times = measured(benchmark, lambda: medians(*steps, device=device))
    plain, full, half, quarter, compiled_plain, compiled_full = times
    table(
        f"{device}, 1 thread: MLAE step / autoencoder step, eager",
        full / plain,
        on_cpu(2.2, device),
    )
    compiled_ratio = compiled_full / compiled_plain
    table(f"{device}: the same, compiled / compiled", compiled_ratio, on_cpu(2.0, device), 1.75)
    table(f"{device}: eager, on half of the batch", half / plain)
    table(f"{device}: eager, on a quarter of the batch", quarter / plain)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("fraction", "must", "goal"), [(0.5, None, None), (0.25, 1.5, 1.25)])
def test_a_compiled_step_on_a_fraction(benchmark, table, device, fraction, must, goal):
    steps = Steps(device=device, compiled=True)
    work = [steps.plain, lambda: steps.mlae(fraction)]
    plain, part = measured(benchmark, lambda: medians(*work, device=device))
    must = on_cpu(must, device)
    table(f"{device}: compiled, on {fraction:g} of the batch", part / plain, must, goal)


def test_against_the_literal_way(benchmark, table):
    steps, ratios = Steps(), {}

    def run():
        for k in (1, 4, 16):
            ours, theirs = medians(
                lambda k=k: steps.mlae(num_probes=k), lambda k=k: steps.literal(k), rounds=11
            )
            ratios[k] = ours / theirs

    measured(benchmark, run)
    for k, must in ((1, 0.95), (4, ratios[1]), (16, ratios[4])):
        goal = 0.8 if k == 1 else None
        table(f"eager MLAE step / the authors' literal one, K = {k}", ratios[k], must, goal)


@pytest.mark.parametrize("device", DEVICES)
def test_the_latent_size_hardly_matters(benchmark, table, device):
    ratios = {}

    def run():
        for latent in (2, 16, 64, 256):
            steps = Steps(latent, device)
            plain, full = medians(steps.plain, steps.mlae, rounds=21, device=device)
            ratios[latent] = full / plain

    measured(benchmark, run)
    for latent in (2, 16, 64, 256):
        table(f"{device}: MLAE step / autoencoder step at d = {latent}", ratios[latent])
    growth, must = ratios[256] / ratios[2], on_cpu(1.2, device)
    table(f"{device}: the ratio at d = 256 / the ratio at d = 2", growth, must, 1.1)


@pytest.mark.parametrize("device", DEVICES)
def test_conjugate_gradients_grow_with_the_latent_size(benchmark, table, device):
    """Up to d rounds to a relative residual of 1e-4, on untrained networks; d as the issue asks."""
    ratios, rounds = {}, {}

    def run():
        for latent in (2, 8, 32, 128):
            steps = Steps(latent, device)
            work = [steps.plain, steps.mlae, steps.conjugate]
            plain, *both = medians(*work, rounds=7, device=device)
            ratios[latent], rounds[latent] = [seconds / plain for seconds in both], steps.rounds

    measured(benchmark, run)
    for latent, (one_pass, conjugate) in ratios.items():
        table(f"{device}: one pass / autoencoder step at d = {latent}, in turns", one_pass)
        table(f"{device}: conjugate gradients / autoencoder step at d = {latent}", conjugate)
        table(f"{device}: rounds of conjugate gradients at d = {latent}", rounds[latent])
    one_pass, conjugate = (ratios[128][i] / ratios[2][i] for i in range(2))
    much = {"must": on_cpu(3.0, device), "at_least": True}
    table(
        f"{device}: one pass, the ratio at d = 128 / at d = 2", one_pass, on_cpu(1.2, device), 1.1
    )
    table(f"{device}: conjugate gradients, the same", conjugate, **much)
    gain = ratios[128][1] / ratios[128][0]
    table(f"{device}: conjugate-gradient step / one-pass step at d = 128", gain, **much)


def sinusoids(points, device="cpu"):
    """What a sweep takes: models, data and settings of four epochs."""
    configs = [replace(sinusoid.make_config(p["seed"], epochs=4), device=device) for p in points]
    data = [sinusoid.make_data(p["noise"], p["seed"]) for p in points]
    return [sinusoid.make_model(p["beta"], p["seed"]) for p in points], data, configs


def one_by_one(points, device="cpu"):
    for model, x, config in zip(*sinusoids(points, device), strict=True):
        fit(model, x, None, config, progress=False)


def test_a_sweep_over_one_by_one(benchmark, table):
    torch.set_num_threads(2)
    points = grid(beta=[0.01, 0.1, 10.0], noise=[0.1], seed=range(5))
    work = (lambda: one_by_one(points), lambda: sweep(*sinusoids(points), progress=False))
    alone, stacked = measured(benchmark, lambda: medians(*work, rounds=3))
    ratio = alone / stacked
    table("2 threads: 15 sinusoid models one by one / as a sweep", ratio, 2.0, 3.0, at_least=True)


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("seeds", [5, 50])
def test_a_sweep_on_a_gpu(benchmark, table, device, seeds):
    """One by one only the first 15 are trained; their time is that of as many, scaled."""
    points = grid(beta=[0.01, 0.1, 10.0], noise=[0.1], seed=range(seeds))
    few, count = points[:15], len(points)
    work = (
        lambda: one_by_one(few, device),
        lambda: sweep(*sinusoids(points, device), progress=False),
    )
    alone, stacked = measured(benchmark, lambda: medians(*work, rounds=1, device=device))
    ratio = alone * count / len(few) / stacked
    name = f"{device}: {count} sinusoid models one by one / as a sweep"
    table(name, ratio, goal=50.0 if count > 50 else None)


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("name", ["mlae-mnist-convnet", "mlae-mnist-resnet", "mlae-celeba-convnet"])
def test_a_step_with_the_papers_networks(benchmark, table, device, name):
    """MLAE over an autoencoder on the same networks; then bf16 and compiled over eager float32."""
    preset = PRESETS[name]

    def step(family, precision=torch.float32, compiled=False):
        options = {"beta": 10.0} if family == "mlae" else {}
        given = replace(preset, family=family, options=options)
        model = Experiment(name, given, preset.data, "full").build(preset.table.data_shape)
        model.to(device).train()
        x = torch.rand(preset.config.batch_size, *model.data_shape, device=device)
        loss = torch.compile(model.loss) if compiled else model.loss

        def run():
            model.zero_grad()
            with torch.autocast(device, precision, enabled=precision != torch.float32):
                terms = loss(x, **model.draw(x))
            terms.loss.mean().backward()

        return run

    kinds = {"bf16": (torch.bfloat16, False)}
    if name == "mlae-mnist-convnet":  # a compilation takes longer than all the steps
        kinds |= {"compiled": (torch.float32, True), "compiled, bf16": (torch.bfloat16, True)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BatchNorm, as the paper's networks have it
        steps = [
            step("autoencoder"),
            step("mlae"),
            *(step("mlae", *kind) for kind in kinds.values()),
        ]
        times = measured(benchmark, lambda: medians(*steps, rounds=11, device=device))
    plain, full, *others = times
    table(f"{device}, {name}: MLAE step / autoencoder step, eager", full / plain, goal=1.75)
    for kind, seconds in zip(kinds, others, strict=True):
        table(f"{device}, {name}: {kind} / eager float32", seconds / full)


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("name", ["taylor-mnist", "taylor-celeba"])
def test_a_sampling_free_step_with_the_papers_networks(benchmark, table, device, name):
    preset = PRESETS[name]
    batch = preset.config.batch_size

    def step(family, compiled, **options):
        given = replace(preset, family=family, options=options)
        model = Experiment(name, given, preset.data, "full").build(preset.table.data_shape)
        model.to(device).train()
        x = torch.rand(batch, *model.data_shape, device=device)
        loss = torch.compile(model.loss) if compiled else model.loss

        def run():
            model.zero_grad()
            loss(x, **model.draw(x)).loss.mean().backward()

        return run

    kinds = [("vae", {}), ("taylor", {}), ("taylor", {"tangents": "two"})]
    steps = [step(kind, compiled, **more) for compiled in (False, True) for kind, more in kinds]
    times = measured(benchmark, lambda: medians(*steps, rounds=11, device=device))
    for how, (plain, *taylor) in (("eager", times[:3]), ("compiled", times[3:])):
        for tangents, seconds in zip(("all tangents", "two tangents"), taylor, strict=True):
            ratio = f"{device}, {name}, batch {batch}: Taylor step / VAE step, {how}, {tangents}"
            table(ratio, seconds / plain, goal=1.4)


def variational(latent, device):
    """A VAE's step and the sampling-free ones, on the papers' ReLU networks 784-512-512-latent."""
    x = torch.rand(BATCH, DIM, device=device)

    def step(kind, **options):
        torch.manual_seed(0)
        encoder = MLP(DIM, posterior_size(latent), [512, 512], activation="relu")
        decoder = MLP(latent, DIM, [512, 512], activation="relu")
        model = kind(encoder, decoder, (DIM,), latent, decoder_variance=0.5, **options).to(device)

        def run():
            model.zero_grad()
            model.loss(x).loss.mean().backward()

        return run

    exact = step(TaylorVAE, expectation="exact", tangents="one")
    return step(VAE), *(step(TaylorVAE, tangents=t) for t in ("all", "two", "one")), exact


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("latent", [4, 16, 32])
def test_a_sampling_free_step_over_a_vaes(benchmark, table, device, latent):
    steps = variational(latent, device)
    clock = time.process_time if device == "cpu" else time.perf_counter  # the steps are long
    times = measured(benchmark, lambda: medians(*steps, rounds=11, device=device, clock=clock))
    plain, full, two, one, exact = times
    count = 1 + latent / 2  # of matrix products
    must = 1.25 * count if latent == 16 and device == "cpu" else None
    name = f"{device}, {latent} latents"
    table(
        f"{name}: Taylor step / VAE step (the count of products: {count:g})",
        full / plain,
        must,
    )
    for kind, taken, of in (("two", two, 7), ("one", one, 4)):
        counted = 1 + (latent + of) / 6
        table(f"{name}: the same, tangents with graph: {kind} ({counted:.2f})", taken / plain)
    table(f"{name}: Taylor step, all tangents / one with graph", full / one)
    table(f"{name}: exact expectation from one tangent / VAE step (1.5)", exact / plain)


def test_the_import(benchmark, table):
    def seconds(code):
        clock = (
            f"import time, torch; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        )
        return float(subprocess.check_output([sys.executable, "-c", clock]))

    best = measured(benchmark, lambda: min(seconds("import companion") for _ in range(3)))
    table("seconds of `import companion` beyond `import torch`", best, 0.5, 0.2)
