"""A preset at a profile: its data, its models and its settings, scaled down where asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from math import prod
from pathlib import Path
from reprlib import repr as shown
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from companion.choices import unknown
from companion.data import images, own, tabular
from companion.data.toy import Sinusoid
from companion.experiments.assemble import (
    MODELS,
    VAES,
    WITHIN_FLOWS,
    couplings,
    small,
    unconstrained,
    unsquashed,
)
from companion.experiments.papers import mlae_tabular
from companion.experiments.presets import PRESETS, Preset, growing, second_of
from companion.models import Model, TwoStageVAE, second_stage
from companion.models.base import evaluating
from companion.networks import build
from companion.networks.table import BN, SIGMOID, Table
from companion.training.config import TrainConfig, check_fields
from companion.training.loop import check_monitor
from companion.training.run import History

# sets that are always there, and the benchmark whose presets they borrow
EMBEDDED = {"digits": "mnist", "synthetic-faces": "celeba", "sinusoid": "sinusoid"}
EMBEDDED |= {"breast-cancer": "miniboone", "wine": "hepmass", "diabetes": "power"}
KNOWN = {one.data: one.data for one in PRESETS.values()} | EMBEDDED
QUICK = {"mnist": "digits", "fashion-mnist": "digits", "kmnist": "digits", "omniglot": "digits"}
QUICK |= dict.fromkeys(tabular.BENCHMARK, "breast-cancer")


class Scale(NamedTuple):
    """How far a profile takes the papers' settings down."""

    width: int | None  # channels of small networks, or the papers'
    epochs: int | None
    batch_size: int | None
    limit: int | None  # training samples
    num_samples: int  # of each sampler, and test images whose density is estimated, at most
    steps: int  # of the classifier whose features judge
    repetitions: int  # of an estimate of log p(x) (AEF App. D.6), alike for all models


SCALES = {
    "quick": Scale(16, 20, 64, 1500, 500, 500, 2),
    "standard": Scale(32, 10, 256, 20_000, 2000, 800, 2),
    "full": Scale(None, None, None, None, 10_000, 5000, 20),
}
TABLE_EPOCHS = 60  # of a small table at quick, whose epoch is a few steps
SECOND_EPOCHS = 100  # of a small second stage


class Data(NamedTuple):
    """What a run trains on, chooses by and is judged on."""

    train: Tensor  # (n, *data)
    valid: Tensor
    test: Tensor
    classes: tuple[Tensor | None, ...]  # of the three, each (n,) or none
    note: str

    @property
    def conditions(self) -> tuple[Tensor | None, ...]:
        """The classes as the networks see them, one-hot."""
        return tuple(None if y is None else images.one_hot(y) for y in self.classes)


@dataclass(frozen=True)
class Experiment:
    """Everything that is decided before anything is loaded or built.

    Args:
        name: of the preset.
        preset: the paper's settings, of another model or data set where those are borrowed.
        data: name of the set that is used, or path of an own one (:mod:`companion.data.own`).
        profile: ``quick``, ``standard`` or ``full``.
        seed: of weights, data order and splits.
        latent_dim: instead of the preset's.
        train: settings of :class:`TrainConfig` that differ.
        options: options of the model that differ.
        temperature: of the codes when samples are judged.
        size: pixels to which own images are cropped and scaled.

    Raises:
        ValueError: naming the field whose value is of another type than annotated, or out of range;
            and the setting in ``train`` that is unknown or wrong.
    """

    name: str
    preset: Preset
    data: str
    profile: Literal["quick", "standard", "full"] = "quick"
    seed: int = 0
    latent_dim: int | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    size: int | None = None

    def __post_init__(self):
        check_fields(self)
        known = {one.name: one for one in fields(TrainConfig)}
        for name in self.train:
            if name not in known:
                raise ValueError(f"train: {unknown(name, known, 'this table')}")
        replace(self.preset.config, **self.train)  # its values, now

    @property
    def scale(self) -> Scale:
        """What the profile says."""
        return SCALES[self.profile]

    @property
    def limit(self) -> int | None:
        """At most so many training samples, by the profile or by the paper."""
        return min(filter(None, (self.scale.limit, self.preset.limit)), default=None)

    @property
    def is_own(self) -> bool:
        """Whether the data are the user's own."""
        return self.data not in KNOWN

    @property
    def is_small(self) -> bool:
        """Whether the networks are scaled down from the paper's."""
        return self.scale.width is not None and len(self.preset.table.data_shape) == 3

    @property
    def takes_best(self) -> bool:
        """Whether the weights with the smallest monitored number are judged, or the last.

        As the papers do: those of the best validation loss in Pythae's pipeline (MLAE App. E.4) and
        in AEF (App. D.5). Where a weight is scheduled, losses of different epochs do not compare;
        and a likelihood on the manifold never chooses, which is best where a map has collapsed.
        """
        return self.preset.best

    @property
    def monitor(self) -> str:
        """The number that is watched in training: of the preset, or as the settings say."""
        return self.train.get("monitor", self.preset.config.monitor)

    def judged(self, history: History) -> dict[str, float]:
        """The log's line of the epoch whose weights are judged."""
        rows = [row for row in history.rows if self.monitor in row]
        if not (self.takes_best and rows):
            return history.rows[-1]
        return min(rows, key=lambda row: row[self.monitor])

    @property
    def second_stage(self) -> tuple[tuple[int, ...], TrainConfig]:
        """Hidden widths and training of a VAE on codes: 2SVAE's for these data, or small ones."""
        if self.scale.width is not None:
            return 3 * (8 * self.scale.width,), TrainConfig(epochs=SECOND_EPOCHS)
        return self.preset.second or second_of(self.preset.data)

    def candidates(self) -> list[tuple[dict[str, float], "Experiment"]]:
        """Every setting that the paper searches, with the experiment that has it.

        >>> [values for values, _ in choose("mnist").candidates()][:2]
        [{'beta': 5.0, 'num_probes': 1}, {'beta': 5.0, 'num_probes': 2}]
        """
        names, axes = self.preset.search.keys(), self.preset.search.values()
        settings = [dict(zip(names, values, strict=True)) for values in product(*axes)]
        return [(values, self._varied(dict(values))) for values in settings]

    def _varied(self, values: dict[str, float]) -> "Experiment":
        latent_dim = values.pop("latent_dim", self.latent_dim)
        if "nu" in values:  # RIF's exponent of both weights' growth
            grown = growing(values.pop("nu"))
            values |= {"mu": grown, "mu_in": grown}
        return replace(self, latent_dim=latent_dim, options={**self.options, **values})

    def load(self, download: bool = True, test_files_only: bool = False) -> Data:
        """Read the data, at most as many as the profile says.

        Raises:
            companion.data.fetch.DataNotFoundError: saying which file to put where.
        """
        if self.data == "sinusoid":
            return self._toy()
        if self.is_own:
            *parts, note = own.load(self.data, self.seed, self.size)
            cut = f"; at most the first {self.limit:,} to train on" if self.limit else ""
            return Data(parts[0][: self.limit], *parts[1:], (None,) * 3, note + cut)
        if self.data in tabular.NAMES:
            table = tabular.load(self.data, download=download)
            parts = [table.train[: self.limit], table.valid, table.test]
            return Data(*parts, (None,) * 3, table.note)
        limits, name = (self.limit, *2 * (self.scale.limit,)), self.data.removesuffix("-32")
        options = {"download": download, "seed": self.seed, "test_files_only": test_files_only}
        if name != self.data or name == "synthetic-faces" and self.is_small:
            options["size"] = 32
        if self.preset.data == self.data and not test_files_only:
            options["held_out"] = self.preset.held_out
        splits = images.load(name, **options)
        pairs = list(zip(splits[1:4], limits, strict=True))
        parts = [part.x[:limit] for part, limit in pairs]
        classes = [None if part.y is None else part.y[:limit] for part, limit in pairs]
        cut = f"; at most the first {self.limit:,} to train on" if self.limit else ""
        return Data(*parts, tuple(classes), splits.note + cut)

    def _toy(self) -> Data:
        generator, toy = torch.Generator().manual_seed(1000 + self.seed), Sinusoid(0.1)
        sizes = min(10_000, self.limit or 10_000), 1000, 1000
        parts = [toy.sample(n, generator) for n in sizes]
        return Data(*parts, (None,) * 3, "noisy sinusoid, σ = 0.1")

    def config(self, samples: int) -> TrainConfig:
        """How the (first) model is trained on so many samples."""
        return self._scaled(self.preset.config_for(samples))

    def _scaled(self, config: TrainConfig) -> TrainConfig:
        scale = self.scale
        if scale.epochs is not None:
            is_table = len(self.preset.table.data_shape) == 1
            epochs = TABLE_EPOCHS if is_table and self.profile == "quick" else scale.epochs
            config = replace(
                config, epochs=epochs, batch_size=scale.batch_size, learning_rate=1e-3,
                early_stop=None, halve_every=max(1, epochs // 3),
            )  # fmt: skip
        return replace(config, **{"seed": self.seed, **self.train})

    def build(self, data_shape: tuple[int, ...]) -> Model:
        """The model, with weights of the seed; of a two-stage model the first stage.

        Raises:
            ValueError: for an option that the model does not have.
        """
        preset, family = self.preset, self.preset.family
        table, latent_dim = self._table(data_shape)
        uses_norm = any(BN in row for row in (*preset.table.encoder, *preset.table.decoder))
        alone = family in ("rectangular", "taylor")  # no sample may see its batch
        norm = preset.norm if uses_norm and not alone else "none"
        condition_dim = images.NUM_CLASSES if preset.conditional else 0
        options = {**preset.options, **self.options}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if family == "rectangular" and len(data_shape) == 1:
                is_small = self.scale.width is not None
                return self._made(couplings(data_shape, latent_dim, is_small), options)
            networks = build(table, latent_dim, condition_dim, norm, preset.heads)
            if family == "rectangular":
                networks = unconstrained(*networks)
            return self._made(networks, options)

    def _made(self, networks: tuple, options: dict) -> Model:
        """The model, once its options have worked; some of them only its loss sees."""
        try:
            model = MODELS[self.preset.family](*networks, **options)
            c = torch.zeros(2, images.NUM_CLASSES) if self.preset.conditional else None
            with evaluating(model):
                terms = model.loss(torch.rand(2, *model.data_shape), c)._asdict()
        except Exception as error:  # of many kinds, as options may be anything
            if not (self.options or isinstance(error, TypeError)):
                raise
            given = f" {shown(dict(self.options))}" if self.options else ""
            raise ValueError(f"options{given}: {error}") from error
        check_monitor(replace(self.preset.config, **self.train), terms)
        return model

    def second(self, first: Model) -> tuple[TwoStageVAE, TrainConfig] | None:
        """The second stage over a trained first one, and how it is trained."""
        if self.preset.family != "two-stage":
            return None
        hidden, config = self.second_stage
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + 1)
            second = second_stage(first.latent_dim, hidden)
        return TwoStageVAE(first, second), replace(config, **{"seed": self.seed, **self.train})

    def _table(self, data_shape: tuple[int, ...]) -> tuple[Table, int]:
        """The preset's networks for data of this shape, small ones where the profile asks."""
        table, latent_dim = self.preset.table, self.latent_dim
        if latent_dim is not None and latent_dim > prod(data_shape):
            raise ValueError(
                f"experiment: latent_dim must be at most the {prod(data_shape)} numbers of a "
                f"sample, got {latent_dim}"
            )
        if tuple(data_shape) == table.data_shape and latent_dim is None and not self.is_small:
            return table, table.latent_dim
        if len(data_shape) == 1:
            share = table.latent_dim / table.data_shape[0]
            latent_dim = latent_dim or max(1, round(share * data_shape[0]))
            return mlae_tabular(data_shape[0], latent_dim), latent_dim
        if self.is_small:
            if any(side % 4 for side in data_shape[1:]):
                raise ValueError(
                    f"experiment: the sides of images must be multiples of 4, {self.data} has "
                    f"{tuple(data_shape)}; --size crops and scales your own"
                )
            latent_dim = latent_dim or min(table.latent_dim, 8)
            return small(data_shape, latent_dim, self.scale.width, _squashed(table)), latent_dim
        if tuple(data_shape) != table.data_shape:
            raise ValueError(
                f"experiment: {self.name} takes data of shape {table.data_shape}, {self.data} has "
                f"{tuple(data_shape)}; the networks are scaled to it at quick and standard only"
            )
        if latent_dim is not None and self.preset.resized is not None:
            table = self.preset.resized(latent_dim)
        return table, latent_dim or table.latent_dim


def choose(
    data: str, family: str | None = None, name: str | None = None, profile: str = "quick", **given
) -> Experiment:
    """The experiment of a data set, a model or a preset, at a profile.

    A model that no paper has a preset of for these data borrows the networks and the training of
    the data's first preset. At ``quick`` a set that is always there stands in for the real one.

    Args:
        data: a data set of the presets, one that is always there, or the path of a CSV file or of
            a folder of images.
        family: one of ``MODELS``; by default the preset's.
        name: of a preset; by default the first of data and family.
        profile: ``quick``, ``standard`` or ``full``.
        given: the other arguments of :class:`Experiment`.

    Raises:
        ValueError: for an unknown set, model, preset or profile, or two that do not fit.

    >>> choose("mnist").name, choose("mnist").data, choose("mnist", profile="full").data
    ('mlae-mnist-convnet', 'digits', 'mnist')
    >>> choose("power", "relaxed").preset.source
    'MLAE App. E.3, Table 4, its networks and training; the model is relaxed'
    """
    known, is_own = KNOWN, isinstance(data, str) and data not in KNOWN and own.is_own(data)
    if is_own:
        known = {**KNOWN, data: _lender(data, given.get("size"))}
    elif given.get("size") is not None:
        raise ValueError(f"size is for images of your own, and {shown(data)} are none")
    for what, value, among in (
        ("data", data, known),
        ("model", family, MODELS),
        ("preset", name, PRESETS),
        ("profile", profile, SCALES),
    ):
        left_out = value is None and what in ("model", "preset")
        if not left_out and not (isinstance(value, str) and value in among):
            raise ValueError(f"{what} must be one of {', '.join(among)}, got {shown(value)}")
    lender = known[data]
    fitting = [n for n, p in PRESETS.items() if p.data == lender]
    if name is not None and name not in fitting:
        raise ValueError(f"preset must be one of {', '.join(fitting)} for {data}, got {name!r}")
    alike = [n for n in fitting if family in (None, PRESETS[n].family)]
    name = name or (alike or fitting)[0]
    preset = PRESETS[name]
    if family not in (None, preset.family):
        source = f"{preset.source}, its networks and training; the model is {family}"
        options = {"learn_variance": True} if family in VAES else {}
        changes = {"options": options, "second": None, "search": {}, "select": ""}
        within_flows = family in WITHIN_FLOWS
        changes["best"] = within_flows or (
            preset.best and family != "two-stage"
        )  # it keeps the last
        if within_flows:
            changes["table"] = unsquashed(preset.table)
        preset = replace(preset, family=family, source=source, **changes)
    if profile != "full" and preset.options.get("learn_variance"):  # log γ moves by a rate a step
        note = "a short run starts at a decoder variance of 0.02"
        options = {"decoder_variance": 0.02, **preset.options}
        preset = replace(preset, options=options, note="; ".join(filter(None, (preset.note, note))))
    if is_own and preset.conditional:
        raise ValueError(f"preset {name} is told the classes of its data, and {data} has none")
    stand_in = data if is_own or data in EMBEDDED else QUICK.get(data, "synthetic-faces")
    return Experiment(name, preset, stand_in if profile == "quick" else data, profile, **given)


def _lender(path: str, size: int | None) -> str:
    """The benchmark whose presets an own set borrows: the one whose data are most like it."""
    if not Path(path).is_dir():
        return "miniboone"
    channels, width = own.image_shape(path)
    return "mnist" if channels == 1 else "celeba" if (size or width) == 64 else "cifar10"


def _squashed(table: Table) -> bool:
    return SIGMOID in table.decoder[-1]
