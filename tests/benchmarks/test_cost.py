"""DESIGN.md §8: what a step costs, as ratios within one run. Networks 784-512-512-d, batch 512.

Runs with `make bench`, not with the tests. The two sides of a ratio take turns, step by step, so
that whatever else the machine does hits both; the ratio is that of their medians.
"""

import subprocess
import sys
import time
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

BATCH, DIM = 512, 784
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device")])]  # fmt: skip


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
    table(f"{device}, 1 thread: MLAE step / autoencoder step, eager", full / plain, 2.2)
    table(f"{device}: the same, compiled / compiled", compiled_full / compiled_plain, 2.0, 1.75)
    table(f"{device}: eager, on half of the batch", half / plain)
    table(f"{device}: eager, on a quarter of the batch", quarter / plain)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("fraction", "must", "goal"), [(0.5, None, None), (0.25, 1.5, 1.25)])
def test_a_compiled_step_on_a_fraction(benchmark, table, device, fraction, must, goal):
    steps = Steps(device=device, compiled=True)
    work = [steps.plain, lambda: steps.mlae(fraction)]
    plain, part = measured(benchmark, lambda: medians(*work, device=device))
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
    table(f"{device}: the ratio at d = 256 / the ratio at d = 2", ratios[256] / ratios[2], 1.2, 1.1)


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
    table(f"{device}: one pass, the ratio at d = 128 / at d = 2", one_pass, 1.2, 1.1)
    table(f"{device}: conjugate gradients, the same", conjugate, 3.0, at_least=True)
    gain = ratios[128][1] / ratios[128][0]
    table(f"{device}: conjugate-gradient step / one-pass step at d = 128", gain, 3.0, at_least=True)


def test_a_sweep_over_one_by_one(benchmark, table):
    torch.set_num_threads(2)
    points = grid(beta=[0.01, 0.1, 10.0], noise=[0.1], seed=range(5))
    data = [sinusoid.make_data(p["noise"], p["seed"]) for p in points]
    configs = [sinusoid.make_config(p["seed"], epochs=4) for p in points]

    def models():
        return [sinusoid.make_model(p["beta"], p["seed"]) for p in points]

    def alone():
        for model, x, config in zip(models(), data, configs, strict=True):
            fit(model, x, None, config, progress=False)

    def together():
        sweep(models(), data, configs, progress=False)

    one_by_one, stacked = measured(benchmark, lambda: medians(alone, together, rounds=3))
    ratio = one_by_one / stacked
    table("2 threads: 15 sinusoid models one by one / as a sweep", ratio, 2.0, 3.0, at_least=True)


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
    goal = 1.4 if latent == 16 and device == "cuda" else None
    name = f"{device}, {latent} latents"
    table(
        f"{name}: Taylor step / VAE step (the count of products: {count:g})",
        full / plain,
        must,
        goal,
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
