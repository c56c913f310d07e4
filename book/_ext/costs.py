"""The directives ``costs``, ``rates``, ``gpu`` and ``ratios``: what runs and steps cost."""

import json
from pathlib import Path
from statistics import median

from docutils import nodes
from reproduction import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

GPUS = 8
TABLES = "power", "gas", "hepmass", "miniboone", "sinusoid"
HEAD = (
    "preset", "steps", "PFLOP", "GB held", "GB on top", "samples a second, GPU", "ms a step, GPU",
    "hours, CPU", "hours, GPU", f"hours, {GPUS} GPUs",
)  # fmt: skip
BENCHMARKS = Path(__file__).parents[2] / "tests" / "benchmarks"
# what is compared, and which row of a CPU's and of a GPU's benchmark says how
RATIOS = (
    ("MLAE step / autoencoder step", "{0}, MLP, batch 512, 1 thread: MLAE / autoencoder, eager"),
    ("the same, both compiled", "{0}, MLP, batch 512, 1 thread: MLAE / autoencoder, compiled"),
    ("compiled, surrogate on an eighth, probes across the batch",
     "{0}, MLP, batch 512, 1 thread: the same, compiled, an eighth, batch-orthogonal"),
    ("MLAE step / the authors' public way",
     "{0}, MLP, batch 512, 1 thread: eager MLAE / the authors' public way, K = 1"),
    ("the same, both replayed", "{0}, replayed: MLAE step / autoencoder step"),
    ("the same, both compiled and replayed",
     "{0}, compiled and replayed: MLAE step / autoencoder step"),
    ("the first at d = 256 / at d = 2", "{0}: the ratio at d = 256 / the ratio at d = 2"),
    ("conjugate gradients / one pass at d = 128",
     "{0}: conjugate-gradient step / one-pass step at d = 128"),
    ("VAE without sampling / VAE, 16 latents",
     "{0}, 16 latents: Taylor step / VAE step (the count of products: 9)"),
    ("the same, SFVAE's MNIST networks, batch 64",
     "{0}, taylor-mnist, batch 64: Taylor step / VAE step, kernel by kernel, all tangents"),
    ("the same, replayed",
     "{0}, taylor-mnist, batch 64: Taylor step / VAE step, replayed, all tangents"),
    ("the same, SFVAE's CelebA networks, batch 64",
     "{0}, taylor-celeba, batch 64: Taylor step / VAE step, kernel by kernel, all tangents"),
    ("the same, replayed",
     "{0}, taylor-celeba, batch 64: Taylor step / VAE step, replayed, all tangents"),
    ("MLAE step, kernel by kernel / replayed",
     "{0}, replayed: MLAE step, kernel by kernel / replayed"),
    ("15 sinusoids one by one / as a sweep",
     "{0}, 2 threads: 15 sinusoid models one by one / as a sweep"),
    ("15 sinusoids one by one, replayed / as a sweep",
     "{0}: 15 sinusoid models one by one (five, scaled), replayed / as a sweep"),
)  # fmt: skip
WIDTHS = 27, 10, 8, 7, 7, 11, 9, 8, 8, 9


def setup(app: Sphinx) -> dict:
    app.add_directive("costs", CostsTable)
    app.add_directive("rates", RatesTable)
    app.add_directive("gpu", GPUNote)
    app.add_directive("ratios", RatiosTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def recorded() -> dict:
    return json.loads((Path(__file__).parents[1] / "costs.json").read_text("utf-8"))


def rate_of(name: str, rates: dict) -> float:
    """The measured rate that stands for a preset's: that of its family, or of small tables."""
    family = "aef" if name.startswith("vae") else next(f for f in rates if name.startswith(f))
    if name.removeprefix("mlae-") in TABLES:
        family = "tables"
    return rates[family]["flop_per_second"]


def row(name: str, run: dict, rates: dict, measured: dict | None) -> tuple[str, ...]:
    """One preset's line: counts, the CPU's hours as operations over a rate, the GPU's as measured.

    What has not been measured on a GPU since its networks changed has dashes.

    >>> run = {"steps": 1000, "flop": 3.6e16, "resident": 2e9, "peak": 5e8}
    >>> gpu = {"milliseconds": [2.5, 1.25], "hours": 0.4, "samples_per_second": 12_345.6}
    >>> row("aef-mnist", run, {"aef": {"flop_per_second": 1e12}}, gpu)[2:]
    ('36', '2.00', '0.50', '12,000', '2.5, 1.2', '10', '0.4', '0.05')
    """
    held = (f"{run[part] / 1e9:.2f}" for part in ("resident", "peak"))
    counted = name, f"{run['steps']:,}", two(run["flop"] / 1e15), *held
    alone = two(run["flop"] / rate_of(name, rates) / 3600)
    if measured is None:
        return (*counted, "–", "–", alone, "–", "–")
    steps = ", ".join(two(ms) for ms in measured["milliseconds"])
    speed, hours = two(measured["samples_per_second"]), measured["hours"]
    return (*counted, speed, steps, alone, two(hours), two(hours / GPUS))


def two(value: float) -> str:
    """Two digits that count.

    >>> two(1234.5), two(0.0123), two(0.00123)
    ('1,200', '0.012', '< 0.01')
    """
    if value < 0.01:
        return "< 0.01"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


class CostsTable(SphinxDirective):
    """The presets whose names begin with the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = recorded()
        self.env.note_dependency(str(Path(__file__).parents[1] / "costs.json"))
        rows = [
            row(name, run, found["rates"], found["gpu"]["runs"].get(name))
            for name, run in found["runs"].items()
            if name.startswith(self.arguments[0])
        ]
        return [table(HEAD, WIDTHS, rows)]


class RatesTable(SphinxDirective):
    """What was measured, where."""

    def run(self) -> list[nodes.Node]:
        found = recorded()
        about = found["about"]
        rows = [
            (one["preset"], str(one["batch"]), two(one["flop_per_second"] / 1e9), stands)
            for stands, one in found["rates"].items()
        ]
        where = "{device}, {machine}, {threads} thread, torch {torch}".format(**about)
        head = "preset", "batch", f"GFLOP a second ({where})", "stands for"
        return [table(head, (28, 8, 30, 14), rows)]


class GPUNote(SphinxDirective):
    """Which GPU it was, at what rates it ran, and whether the counted bytes were enough."""

    def run(self) -> list[nodes.Node]:
        return [nodes.paragraph(text=sentence(recorded()))]


def sentence(found: dict) -> str:
    """What the GPU's measurements say beside the counts, in words."""
    about, runs, counts = found["gpu"]["about"], found["gpu"]["runs"], found["runs"]
    alone = [name for name, run in runs.items() if len(run["milliseconds"]) == 1]
    rates = sorted(
        counts[name]["flop"] / counts[name]["steps"] / runs[name]["milliseconds"][0] / 1e9
        for name in alone
    )
    large = [name for name in runs if runs[name]["peak"] > 5e8]
    bytes_ = [
        runs[name]["peak"] / (counts[name]["resident"] + counts[name]["peak"]) for name in large
    ]
    return (
        f"{about['device']}, torch {about['torch']}, float32 (convolutions in "
        f"{about['convolutions']}, torch's own setting), {about['samples_at_once']} samples at "
        f"once. The rates of presets with one stage lie between {two(rates[0])} and "
        f"{two(rates[-1])} TFLOP a second, {two(median(rates))} in the middle: small "
        f"networks cannot fill a GPU. Of the {len(large)} presets that took more than half a "
        "gigabyte there, without the data, tensors took from "
        f"{min(bytes_):.0%} to {max(bytes_):.0%} of the bytes counted below, which hold the data "
        "but no work space of a library."
    )


class RatiosTable(SphinxDirective):
    """The benchmark's main rows, of a CPU and of a GPU."""

    def run(self) -> list[nodes.Node]:
        found = []
        for name in ("cpu", "h200"):
            path = BENCHMARKS / f"{name}.json"
            self.env.note_dependency(str(path))
            found.append(json.loads(path.read_text("utf-8")))
        heads = (f"{one['about']['device']}, torch {one['about']['torch']}" for one in found)
        return [table(("ratio", *heads), (44, 20, 20), compared(*found))]


def compared(cpu: dict, gpu: dict) -> list[tuple[str, str, str]]:
    """What both benchmarks say of each of the ratios; a dash where one says nothing.

    >>> cpu = {"rows": [{"quantity": RATIOS[1][1].format("cpu"), "measured": 1.764}]}
    >>> compared(cpu, {"rows": []})
    [('the same, both compiled', '1.76', '–')]
    """
    shown = []
    for label, row in RATIOS:
        both = []
        for bench, device in ((cpu, "cpu"), (gpu, "cuda")):
            rows = {one["quantity"]: one["measured"] for one in bench["rows"]}
            value = rows.get(row.format(device))
            both.append("–" if value is None else f"{value:.2f}")
        if both != ["–", "–"]:
            shown.append((label, *both))
    return shown
