"""A preset at a profile: its data, its models and its settings, scaled down where asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from companion.data import images, tabular
from companion.data.toy import Sinusoid
from companion.models import (
    AEF,
    MLAE,
    VAE,
    Autoencoder,
    Model,
    RectangularFlow,
    RelaxedFlow,
    TaylorVAE,
    TwoStageVAE,
    core_mask,
    posterior_size,
)
from companion.models.base import evaluating
from companion.networks import MLP, InjectiveFlow, build, flows
from companion.networks.papers import mlae_tabular
from companion.networks.preprocess import ActNorm, Logit, Preprocess
from companion.networks.table import BN, CODE, RELU, SIGMOID, Table, conv, conv_t, linear
from companion.parameters import unknown
from companion.training.config import TrainConfig
from companion.training.presets import PRESETS, Preset, growing

MODELS = {
    "mlae": MLAE,
    "rectangular": RectangularFlow,  # of tables
    "relaxed": RelaxedFlow,
    "aef": AEF,
    "two-stage": VAE,  # its first stage
    "taylor": TaylorVAE,
    "vae": VAE,
    "autoencoder": Autoencoder,
}
# sets that are always there, and the benchmark whose presets they borrow
EMBEDDED = {"digits": "mnist", "synthetic-faces": "celeba", "sinusoid": "sinusoid"}
EMBEDDED |= {"breast-cancer": "miniboone", "wine": "hepmass", "diabetes": "power"}
QUICK = {"mnist": "digits", "fashion-mnist": "digits", "kmnist": "digits", "omniglot": "digits"}
QUICK |= dict.fromkeys(tabular.BENCHMARK, "breast-cancer")


class Scale(NamedTuple):
    """How far a profile takes the papers' settings down."""

    width: int | None  # channels of small networks, or the papers'
    epochs: int | None
    batch_size: int | None
    limit: int | None  # training samples
    num_samples: int  # of each sampler
    steps: int  # of the classifier whose features judge


SCALES = {
    "quick": Scale(16, 20, 64, 1500, 300, 300),
    "standard": Scale(32, 10, 256, 20_000, 2000, 800),
    "full": Scale(None, None, None, None, 10_000, 5000),
}
TABLE_EPOCHS = 60  # of a small table at quick, whose epoch is a few steps


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
        data: name of the set that is used.
        profile: ``quick``, ``standard`` or ``full``.
        seed: of weights, data order and splits.
        latent_dim: instead of the preset's.
        train: settings of :class:`TrainConfig` that differ.
        options: options of the model that differ.
        temperature: of the codes when samples are judged.
    """

    name: str
    preset: Preset
    data: str
    profile: str = "quick"
    seed: int = 0
    latent_dim: int | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0

    def __post_init__(self):
        known = {one.name: one for one in fields(TrainConfig)}
        for name in self.train:
            if name not in known:
                raise ValueError(f"train: {unknown(name, known).replace('notebook', 'table')}")

    @property
    def scale(self) -> Scale:
        """What the profile says."""
        return SCALES[self.profile]

    @property
    def limit(self) -> int | None:
        """At most so many training samples, by the profile or by the paper."""
        return min(filter(None, (self.scale.limit, self.preset.limit)), default=None)

    @property
    def is_small(self) -> bool:
        """Whether the networks are scaled down from the paper's."""
        return self.scale.width is not None and len(self.preset.table.data_shape) == 3

    @property
    def takes_best(self) -> bool:
        """Whether the weights of the best validation are judged (AEF App. D.5), or the last.

        Where a weight is scheduled, losses of different epochs do not compare; and the likelihood
        on the manifold of most other models is best where they have collapsed.
        """
        return self.preset.family == "aef"

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
        if self.data in tabular.NAMES:
            table = tabular.load(self.data, download=download)
            parts = [table.train[: self.limit], table.valid, table.test]
            return Data(*parts, (None,) * 3, table.note)
        limits, name = (self.limit, *2 * (self.scale.limit,)), self.data.removesuffix("-32")
        options = {"download": download, "seed": self.seed, "test_files_only": test_files_only}
        if name != self.data or name == "synthetic-faces" and self.is_small:
            options["size"] = 32
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
        norm = preset.norm if uses_norm and family != "taylor" else "none"
        condition_dim = images.NUM_CLASSES if preset.conditional else 0
        options = {**preset.options, **self.options}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if family == "rectangular":
                return self._made(_injective(data_shape, latent_dim, self.scale.width), options)
            networks = build(table, latent_dim, condition_dim, norm, preset.heads)
            if family == "aef":
                options = _flows(data_shape, latent_dim, options)
            return self._made(networks, options)

    def _made(self, networks: tuple, options: dict) -> Model:
        """The model, once its options have worked; some of them only its loss sees."""
        try:
            model = MODELS[self.preset.family](*networks, **options)
            c = torch.zeros(2, images.NUM_CLASSES) if self.preset.conditional else None
            with evaluating(model):
                model.loss(torch.rand(2, *model.data_shape), c)
        except TypeError as error:
            raise ValueError(f"options: {error}") from error
        return model

    def second(self, first: Model) -> tuple[TwoStageVAE, TrainConfig] | None:
        """The second stage over a trained first one, and how it is trained."""
        if self.preset.family != "two-stage":
            return None
        hidden, config = self.preset.second or ((1024,) * 3, self.preset.config)
        if self.scale.width is not None:
            hidden = (8 * self.scale.width,) * 3
        latent = first.latent_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + 1)
            networks = MLP(latent, posterior_size(latent), hidden), MLP(latent, latent, hidden)
            second = VAE(*networks, (latent,), latent, learn_variance=True)
        return TwoStageVAE(first, second), self._scaled(config)

    def _table(self, data_shape: tuple[int, ...]) -> tuple[Table, int]:
        """The preset's networks for data of this shape, small ones where the profile asks."""
        table, latent_dim = self.preset.table, self.latent_dim
        if tuple(data_shape) == table.data_shape and latent_dim is None and not self.is_small:
            return table, table.latent_dim
        if len(data_shape) == 1:
            share = table.latent_dim / table.data_shape[0]
            latent_dim = latent_dim or max(1, round(share * data_shape[0]))
            return mlae_tabular(data_shape[0], latent_dim), latent_dim
        if self.is_small:
            latent_dim = latent_dim or min(table.latent_dim, 8)
            return small(data_shape, latent_dim, self.scale.width, _squashed(table)), latent_dim
        if tuple(data_shape) != table.data_shape:
            raise ValueError(
                f"experiment: {self.name} takes data of shape {table.data_shape}, {self.data} has "
                f"{tuple(data_shape)}; the networks are scaled to it at quick and standard only"
            )
        return table, latent_dim or table.latent_dim


def choose(
    data: str, family: str | None = None, name: str | None = None, profile: str = "quick", **given
) -> Experiment:
    """The experiment of a data set, a model or a preset, at a profile.

    A model that no paper has a preset of for these data borrows the networks and the training of
    the data's first preset. At ``quick`` a set that is always there stands in for the real one.

    Args:
        data: a data set of the presets, or one that is always there.
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
    known = {one.data: one.data for one in PRESETS.values()} | EMBEDDED
    for what, value, among in (
        ("data", data, known),
        ("model", family, MODELS),
        ("preset", name, PRESETS),
        ("profile", profile, SCALES),
    ):
        if value is not None and value not in among:
            raise ValueError(f"{what} must be one of {', '.join(among)}, got {value!r}")
    lender = EMBEDDED.get(data, data)
    fitting = [n for n, p in PRESETS.items() if p.data == lender]
    if name is not None and name not in fitting:
        raise ValueError(f"preset must be one of {', '.join(fitting)} for {data}, got {name!r}")
    own = [n for n in fitting if family in (None, PRESETS[n].family)]
    name = name or (own or fitting)[0]
    preset = PRESETS[name]
    if family not in (None, preset.family):
        source = f"{preset.source}, its networks and training; the model is {family}"
        options = {"learn_variance": True} if MODELS[family] is VAE else {}
        own = {"options": options, "second": None, "search": {}, "select": ""}
        preset = replace(preset, family=family, source=source, **own)
    if profile != "full" and preset.options.get("learn_variance"):  # log γ moves by a rate a step
        note = "a short run starts at a decoder variance of 0.02"
        options = {"decoder_variance": 0.02, **preset.options}
        preset = replace(preset, options=options, note="; ".join(filter(None, (preset.note, note))))
    stand_in = data if data in EMBEDDED else QUICK.get(data, "synthetic-faces")
    return Experiment(name, preset, stand_in if profile == "quick" else data, profile, **given)


def small(data_shape: tuple[int, ...], latent_dim: int, width: int, squashed: bool) -> Table:
    """Two strided convolutions and a hidden layer each way, in place of a paper's networks.

    >>> from companion.networks import build, count
    >>> count(*build(small((1, 8, 8), 4, 16, True))[:2])
    51333
    """
    channels, height, breadth = data_shape
    last = (conv_t(channels, 4, 2), *[SIGMOID] * squashed)
    return Table(data_shape, latent_dim, [
        (conv(width, 4, 2), BN, RELU),
        (conv(2 * width, 4, 2), BN, RELU),
        (linear(8 * width), RELU),
        (CODE,),
    ], [
        (linear(8 * width), RELU),
        (linear(2 * width, height // 4, breadth // 4), BN, RELU),
        (conv_t(width, 4, 2), BN, RELU),
        last,
    ])  # fmt: skip


def _squashed(table: Table) -> bool:
    return SIGMOID in table.decoder[-1]


def _flows(data_shape: tuple[int, ...], latent_dim: int, options: dict) -> dict:
    """What AEF (center) has beside its networks: AEF App. D.1 to D.4."""
    made = {
        "core": core_mask(data_shape, latent_dim),
        "core_encoder": flows.iaf(latent_dim),
        "prior": flows.maf(latent_dim),
        "per_pixel": True,
    }
    if len(data_shape) == 3:
        margin = 1e-6 if data_shape[0] == 1 else 0.05
        made |= {"preprocess": Preprocess(Logit(margin), ActNorm(data_shape)), "levels": 256}
    return made | options


def _injective(data_shape: tuple[int, ...], latent_dim: int, width: int | None) -> tuple:
    """The networks of a rectangular flow: couplings around a padding, and a prior of couplings.

    Source: Caterini et al. (2021), whom MLAE Table 1 quotes: ten RealNVP blocks with four layers of
    128, and five with two of 32.
    """
    if len(data_shape) > 1:
        raise ValueError(
            f"rectangular: its couplings take tables, got data of shape {data_shape}; --model mlae "
            "has the same likelihood with any networks"
        )
    sizes = ((10, [128] * 4), (5, [32, 32])) if width is None else ((4, [64, 64]), (3, [32]))
    outer, prior = (
        flows.realnvp(dim, transforms=n, hidden=hidden, activation=nn.SiLU) if dim > 1 else None
        for dim, (n, hidden) in zip((data_shape[0], latent_dim), sizes, strict=True)
    )
    return InjectiveFlow(outer, latent_dim), prior, data_shape, latent_dim


def parameters(model: nn.Module) -> dict[str, int]:
    """Numbers that are learned, by the model's parts and in all."""
    parts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    return {n: k for n, k in parts.items() if k} | {
        "all": sum(p.numel() for p in model.parameters())
    }
