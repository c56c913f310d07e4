"""Parameter counts: what the papers print, beside what their networks hold here."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from companion.experiments import papers
from companion.experiments.assemble import MODELS
from companion.experiments.experiment import Experiment
from companion.experiments.presets import PRESETS
from companion.networks import build, count

# counts in millions as printed, by place and network, for each data set
TABLES = {
    ("MLAE Table 7", "CONVNET"): {"mnist": "17.2", "cifar10": "39.4", "celeba": "33.5"},
    ("MLAE Table 8", "RESNET"): {"mnist": "0.73", "cifar10": "4.7", "celeba": "29.6"},
    ("MLAE Table 9", "CONVNET_PLUS"): {"mnist": "3.3", "celeba": "34.3"},
}
# the same by place and preset, for each latent size
SIZES = {
    ("AEF Table 3", "vae-mnist-flows"): {2: "2.37", 4: "2.42", 8: "2.52", 16: "2.71", 32: "3.12"},
    ("AEF Table 3", "aef-mnist-center"): {2: "2.37", 4: "2.42", 8: "2.52", 16: "2.71", 32: "3.12"},
    ("AEF Table 3", "aef-mnist"): {2: "2.37", 4: "2.42", 8: "2.53", 16: "2.73", 32: "3.15"},
    ("AEF Table 4", "vae-celeba-hq-32-flows"): {64: "2.80", 128: "4.07", 256: "8.32"},
    ("AEF Table 4", "aef-celeba-hq-32"): {64: "2.99", 128: "4.46", 256: "9.11"},
    ("AEF Table 5", "vae-celeba-hq-flows"): {128: "4.34", 256: "9.40", 512: "28.0"},
    ("AEF Table 5", "aef-celeba-hq"): {128: "5.91", 256: "12.5", 512: "34.3"},
}
# the second stage's share of all parameters, which 2SVAE says is less than 5 %
SHARE, SECOND = (
    0.05,
    ("two-stage-mnist-infogan", "two-stage-cifar10-infogan", "two-stage-celeba-infogan"),
)
# of counts that are not met, why
WHY = {
    "RESNET, celeba": "the layers of its column hold no more",
    "vae-mnist-flows, 16": "a count grows by the same number with each latent: see 8 and 32",
    "aef-mnist-center, 16": "a count grows by the same number with each latent: see 8 and 32",
    **dict.fromkeys(SECOND, "three layers of 1024 beside the networks of Table 1"),
}
NOTES = {
    "CONVNET_PLUS, mnist": "without a row of the decoder, whose images would end at 56 pixels",
}


class Printed(NamedTuple):
    """One count of a paper's, and ours."""

    place: str
    what: str
    printed: str
    ours: str
    how: str  # "rounded", "cut", or "not met"
    note: str


def printed() -> Iterator[Printed]:
    """Every count that the five papers print, beside ours; RIF and SFVAE print none.

    >>> next(printed())
    Printed(place='MLAE Table 7', what='CONVNET, mnist', printed='17.2 M', ours='17.216 M', \
how='rounded', note='')
    """
    for (place, name), counts in TABLES.items():
        for data, text in counts.items():
            with torch.device("meta"):
                encoder, decoder, *_ = build(getattr(papers, name)[data])
            yield _row(place, f"{name}, {data}", text, count(encoder, decoder))
    for (place, name), counts in SIZES.items():
        for latent_dim, text in counts.items():
            yield _row(place, f"{name}, {latent_dim}", text, preset_parameters(name, latent_dim))
    for name in SECOND:
        share = second_share(name)
        how = "met" if share < SHARE else "not met"
        yield Printed(
            "2SVAE App. D", f"{name}, second stage", f"< {SHARE:.0%}", f"{share:.1%}", how,
            WHY.get(name, ""),
        )  # fmt: skip


def _row(place: str, what: str, text: str, ours: int) -> Printed:
    how = agreement(text, ours)
    note = WHY[what] if how == "not met" else NOTES.get(what, "")
    return Printed(place, what, f"{text} M", f"{ours / 1e6:.3f} M", how, note)


def agreement(text: str, ours: int) -> str:
    """Whether a count in millions is ours to its last digit: ``rounded``, ``cut`` or ``not met``.

    >>> agreement("4.7", 4_720_000), agreement("4.7", 4_780_000), agreement("4.7", 4_810_000)
    ('rounded', 'cut', 'not met')
    """
    unit = 10 ** (6 - len(text.partition(".")[2]))  # of the last digit
    value = round(float(text) * 1e6)
    if abs(ours - value) * 2 <= unit:
        return "rounded"
    return "cut" if value <= ours < value + unit else "not met"


def preset_parameters(name: str, latent_dim: int) -> int:
    """What a preset's model holds with so many latents.

    >>> preset_parameters("aef-mnist", 2)
    2372633
    """
    preset = PRESETS[name]
    table = preset.resized(latent_dim) if preset.resized else preset.table
    networks = build(table, latent_dim, norm=preset.norm, heads=preset.heads)
    return count(MODELS[preset.family](*networks, **preset.options))


def second_share(name: str) -> float:
    """Which share of a two-stage preset's parameters is the second stage's."""
    preset = PRESETS[name]
    experiment = Experiment(name, preset, preset.data, "full")
    both, _ = experiment.second(experiment.build(preset.table.data_shape))
    return count(both.second) / count(both)
