"""DESIGN.md §8: what a step costs, as ratios within one run.

Networks 784-512-512-d, batch 512, one thread and K = 1, unless a row says otherwise.

Runs with `make bench`, not with the tests. The two sides of a ratio take turns, step by step, so
that whatever else the machine does hits both; the ratio is that of their medians.
"""

import subprocess
import sys
import time
from dataclasses import replace
from statistics import median

import literal
import pytest
import torch

from companion import probes, volume
from companion.experiments.experiment import Experiment
from companion.experiments.presets import PRESETS
from companion.models import (
    MLAE,
    VAE,
    Autoencoder,
    TaylorVAE,
    mlae_loss,
    posterior_size,
    rectangular_loss,
)
from companion.networks import MLP
from companion.training import fit, grid, sweep
from companion.training.replay import WARM_UP, Replay
from companion.training.stream import Step
from figures.explorables import sinusoid

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

    def _mlae(self, probes):
        options = {"probes": probes, "index": slice(probes.shape[1])}
        return mlae_loss(self.x, self.encoder, self.decoder, 10.0, **options).loss.mean()

    def _step(self, loss):
        for p in self.parameters:
            p.grad = None
        loss.backward()

    def plain(self):
        self._step(self.plain_loss())

    def mlae(self, fraction=1.0, num_probes=1, kind="orthogonal"):
        like = self.x.new_empty(volume.num_chosen(fraction, BATCH), self.latent)
        self._step(self.mlae_loss(probes.sample(kind, num_probes, like)))

    def eighth(self):
        self.mlae(1 / 8, kind="batch-orthogonal")

    def conjugate(self):
        out = rectangular_loss(self.x, self.encoder, self.decoder)
        self.rounds = float(out.iterations.mean())
        self._step(out.loss.mean())

    def literal(self, num_probes=1):
        self._step(literal.loss(self.x, self.encoder, self.decoder, 10.0, num_probes))


def medians(*steps, rounds=31, device="cpu", clock=time.perf_counter, warm=2 + WARM_UP):
    """Median seconds of each step, taken in turns after rounds of warming up, two on a CPU."""
    seconds, warm = [[] for _ in steps], 2 if device == "cpu" else warm
    for number in range(rounds + warm):
        for step, taken in zip(steps, seconds, strict=True):
            start = clock()
            step()
            if device == "cuda":
                torch.cuda.synchronize()
            if number >= warm:
                taken.append(clock() - start)
    return [median(taken) for taken in seconds]


def measured(benchmark, function):
    """Run once under pytest-benchmark and return the result."""
    return benchmark.pedantic(function, rounds=1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_over_a_plain_autoencoders(benchmark, table, device):
    eager, compiled = Steps(device=device), Steps(device=device, compiled=True)
    ways = {"eager": eager, "compiled": compiled}
    steps = [step for one in ways.values() for step in (one.plain, one.mlae, one.eighth)]
    times = measured(benchmark, lambda: medians(*steps, device=device))
    limits = {"eager": (1.95, 1.8), "compiled": (1.75, 1.65)}
    for i, way in enumerate(ways):
        plain, full, part = times[3 * i : 3 * i + 3]
        must, goal = limits[way]
        name = f"{device}, MLP, batch 512, 1 thread"
        table(f"{name}: MLAE / autoencoder, {way}", full / plain, on_cpu(must, device), goal)
        name += f": the same, {way}, an eighth, batch-orthogonal"
        table(name, part / plain, on_cpu(1.26, device), 1.15)


def one_step(model, x, replayed, compiled=False, precision=torch.float32):
    """A model's step without the optimiser's, with its chance, as `fit` takes it."""
    model.to(x.device).train()
    loss = torch.compile(model.loss) if compiled else model.loss

    def run(step):
        model.zero_grad()
        with torch.autocast(x.device.type, precision, enabled=precision != torch.float32):
            terms = loss(step.x, **step.draws)
        terms.loss.mean().backward()
        return terms

    parts = model.parameters(), model.buffers()
    gradients = Replay(run, *parts) if replayed else run
    return lambda: gradients(Step(x, None, model.draw(x)))


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_replayed_step_over_a_plain_autoencoders(benchmark, table, device, compiled):
    """As `fit` takes steps on one GPU: recorded once, all kernels started together."""
    x, shape = torch.rand(BATCH, DIM, device=device), ((DIM,), 16)

    def networks():
        torch.manual_seed(0)
        return MLP(DIM, 16, [512, 512]), MLP(16, DIM, [512, 512])

    models = [Autoencoder(*networks(), *shape)]
    models += [MLAE(*networks(), *shape, beta=10.0, fraction=f) for f in (1.0, 0.5, 0.25)]
    steps = [one_step(model, x, True, compiled) for model in models]
    steps.append(one_step(MLAE(*networks(), *shape, beta=10.0), x, False, compiled))
    times = measured(benchmark, lambda: medians(*steps, rounds=51, device=device))
    plain, full, half, quarter, unreplayed = times
    name = f"{device}, {'compiled and ' * compiled}replayed"
    table(f"{name}: MLAE step / autoencoder step", full / plain, goal=1.75)
    table(f"{name}: on half of the batch", half / plain)
    table(f"{name}: on a quarter of the batch", quarter / plain, goal=1.25)
    table(f"{name}: MLAE step, kernel by kernel / replayed", unreplayed / full)
    table(f"{name}: milliseconds of an MLAE step", 1000 * full)


def test_against_the_literal_way(benchmark, table):
    steps, ratios = Steps(), {}

    def run():
        for k in (1, 4, 16):
            work = [lambda k=k: steps.literal(k), lambda k=k: steps.mlae(num_probes=k)]
            theirs, ours, part = medians(*work, steps.eighth, rounds=11)
            ratios[k] = ours / theirs
            if k == 1:
                ratios["an eighth"] = part / theirs

    measured(benchmark, run)
    name = "cpu, MLP, batch 512, 1 thread: eager MLAE / the authors' public way"
    for k, must, goal in ((1, 0.87, 0.75), (4, ratios[1], None), (16, ratios[4], None)):
        table(f"{name}, K = {k}", ratios[k], must, goal)
    table(f"{name}, K = 1, an eighth", ratios["an eighth"], goal=0.55)


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


def sinusoids(points, device="cpu", **changes):
    """What a sweep takes: models, data and settings of four epochs."""
    configs = [sinusoid.make_config(p["seed"], epochs=4) for p in points]
    configs = [replace(config, device=device, **changes) for config in configs]
    data = [sinusoid.make_data(p["noise"], p["seed"]) for p in points]
    return [sinusoid.make_model(p["beta"], p["seed"]) for p in points], data, configs


def one_by_one(points, device="cpu", **changes):
    for model, x, config in zip(*sinusoids(points, device, **changes), strict=True):
        fit(model, x, None, config, progress=False)


def test_a_sweep_over_one_by_one(benchmark, table):
    torch.set_num_threads(2)
    points = grid(beta=[0.01, 0.1, 10.0], noise=[0.1], seed=range(5))
    work = (lambda: one_by_one(points), lambda: sweep(*sinusoids(points), progress=False))
    alone, stacked = measured(benchmark, lambda: medians(*work, rounds=3))
    ratio = alone / stacked
    table(
        "cpu, 2 threads: 15 sinusoid models one by one / as a sweep", ratio, 2.0, 3.0, at_least=True
    )


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("seeds", [5, 50])
def test_a_sweep_on_a_gpu(benchmark, table, device, seeds):
    """One by one only the first five are trained; the time of all is theirs, scaled."""
    points = grid(beta=[0.01, 0.1, 10.0], noise=[0.1], seed=range(seeds))
    few, count = points[:5], len(points)
    work = (
        lambda: one_by_one(few, device, replay=False),
        lambda: one_by_one(few, device),
        lambda: sweep(*sinusoids(points, device), progress=False),
    )
    *alone, stacked = measured(benchmark, lambda: medians(*work, rounds=1, warm=1, device=device))
    slow, fast = (seconds * count / len(few) / stacked for seconds in alone)
    name = f"{device}: {count} sinusoid models one by one (five, scaled)"
    table(f"{name}, kernel by kernel / as a sweep", slow, goal=50.0 if count > 50 else None)
    table(f"{name}, replayed / as a sweep", fast)


def of_preset(name, family, device, batch=None, **options):
    """A model on a preset's networks, and a batch, of the preset's size if of no other."""
    preset = replace(PRESETS[name], family=family, options=options)
    model = Experiment(name, preset, preset.data, "full").build(preset.table.data_shape)
    return model, torch.rand(batch or preset.config.batch_size, *model.data_shape, device=device)


@pytest.mark.filterwarnings("ignore:layer")  # BatchNorm, as the paper's networks have it
@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_with_the_papers_conv_net_on_a_cpu(benchmark, table, compiled):
    made = [
        of_preset("mlae-mnist-convnet", family, "cpu", 32, **options)
        for family, options in (("autoencoder", {}), ("mlae", {"beta": 10.0}))
    ]
    steps = [one_step(*pair, replayed=False, compiled=compiled) for pair in made]
    plain, full = measured(benchmark, lambda: medians(*steps, rounds=7))
    way = "compiled" if compiled else "eager"
    name = f"cpu, MLAE's ConvNet for MNIST, batch 32, 1 thread: MLAE / autoencoder, {way}"
    table(name, full / plain, 1.75, 1.6 if compiled else None)


@pytest.mark.filterwarnings("ignore:layer")  # BatchNorm, as the paper's networks have it
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("name", ["mlae-mnist-convnet", "mlae-mnist-resnet", "mlae-celeba-convnet"])
def test_a_step_with_the_papers_networks(benchmark, table, device, name):
    """MLAE over an autoencoder on the same networks; then what bf16 and compiling make of it."""
    kinds = {"kernel by kernel": (False,), "bf16": (True, False, torch.bfloat16)}
    if name == "mlae-mnist-convnet":  # a compilation takes longer than all the steps
        kinds |= {"compiled": (True, True), "compiled, bf16": (True, True, torch.bfloat16)}
    mlae, x = of_preset(name, "mlae", device, beta=10.0)
    steps = [one_step(of_preset(name, "autoencoder", device)[0], x, True), one_step(mlae, x, True)]
    for kind in kinds.values():
        steps.append(one_step(of_preset(name, "mlae", device, beta=10.0)[0], x, *kind))
    times = measured(benchmark, lambda: medians(*steps, rounds=11, device=device))
    plain, full, *others = times
    table(f"{device}, {name}: MLAE step / autoencoder step, replayed", full / plain, goal=1.75)
    table(f"{device}, {name}: milliseconds of an MLAE step", 1000 * full)
    for kind, seconds in zip(kinds, others, strict=True):
        table(f"{device}, {name}: {kind} / replayed float32", seconds / full)


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=NEEDS_CUDA)])
@pytest.mark.parametrize("name", ["taylor-mnist", "taylor-celeba"])
def test_a_sampling_free_step_with_the_papers_networks(benchmark, table, device, name):
    kinds = [("vae", {}), ("taylor", {}), ("taylor", {"tangents": "two"})]
    made = [of_preset(name, kind, device, **more) for kind, more in kinds]
    ways = {
        "kernel by kernel": (False,),
        "replayed": (True,),
        "compiled and replayed": (True, True),
    }
    steps = [one_step(model, x, *way) for way in ways.values() for model, x in made]
    times = measured(benchmark, lambda: medians(*steps, rounds=11, device=device))
    for i, way in enumerate(ways):
        plain, *taylor = times[3 * i : 3 * i + 3]
        for tangents, seconds in zip(("all tangents", "two tangents"), taylor, strict=True):
            ratio = f"{device}, {name}, batch {len(made[0][1])}: Taylor step / VAE step, {way}"
            table(f"{ratio}, {tangents}", seconds / plain, goal=1.4)


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


VOLUME = """
import torch
from companion import jacobians
from companion.networks import build
from companion.experiments.papers import CONVNET
torch.set_num_threads(1), torch.manual_seed(0)
decoder, z = build(CONVNET["celeba"])[1].eval(), torch.randn(8, 64)
with torch.no_grad():
    decoder(z[:1])

def peak():  # of this program alone: what getrusage tells begins with its parent's
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

before = peak()
jacobians.log_volume(decoder, z)
print((peak() - before) / 1e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the process's kilobytes as Linux does")
def test_the_memory_of_the_exact_volume(benchmark, table):
    """What the exact log-volume holds at most beyond the loaded process."""
    run = [sys.executable, "-W", "ignore", "-c", VOLUME]
    gigabytes = measured(benchmark, lambda: float(subprocess.check_output(run)))
    table("GB of the exact volume, CelebA's ConvNet, batch 8, 1 thread", gigabytes, 0.6, 0.3)


def test_the_import(benchmark, table):
    def seconds(code):
        clock = (
            f"import time, torch; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        )
        return float(subprocess.check_output([sys.executable, "-c", clock]))

    best = measured(benchmark, lambda: min(seconds("import companion") for _ in range(3)))
    table("seconds of `import companion` beyond `import torch`", best, 0.5, 0.2)
