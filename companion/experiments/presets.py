"""The papers' own settings, each with its place; what a paper leaves open is said in the note."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from companion.experiments import papers
from companion.experiments.assemble import WITH_SCALES
from companion.models.weight_schedules import Schedule, linear
from companion.networks.table import Table
from companion.training.config import TrainConfig


@dataclass(frozen=True)
class Preset:
    """One experiment of a paper.

    Args:
        source: paper, section or table.
        family: which model, one of ``companion.experiments.assemble.MODELS``.
        data: name of the data set.
        table: the networks.
        config: how it is trained; where ``iterations`` is given, its ``epochs`` do not count and
            its ``early_stop`` is in iterations, as :meth:`config_for` knows.
        iterations: optimiser steps, where the paper counts those.
        norm: what stands where the table says BN.
        conditional: whether the networks are told the class.
        options: of the model's constructor.
        search: values that the paper chooses from by validation.
        select: by which number it chooses.
        second: of a two-stage model: hidden widths of the second stage, and how it is trained.
        note: what the paper leaves open, and what stands here instead.
        limit: training samples, where the paper takes fewer than there are.
        best: whether the weights with the smallest monitored number are judged, or the last.
        resized: the networks for another latent size, where their widths follow it.
        held_out: share of the training files that validates, where it is not the benchmark's.
    """

    source: str
    family: str
    data: str
    table: Table
    config: TrainConfig
    iterations: int | None = None
    norm: str = "batch"
    conditional: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    search: Mapping[str, tuple] = field(default_factory=dict)
    select: str = ""
    second: tuple[tuple[int, ...], TrainConfig] | None = None
    note: str = ""
    limit: int | None = None
    best: bool = False
    resized: Callable[[int], Table] | None = None
    held_out: float | None = None

    @property
    def heads(self) -> int:
        """Numbers that the encoder gives for each latent dimension, as ``build`` takes them."""
        return 2 if self.family in WITH_SCALES else 1

    def config_for(self, samples: int) -> TrainConfig:
        """The settings with the paper's count of iterations turned into epochs of the data.

        >>> PRESETS["aef-mnist"].config_for(54_000).epochs  # 421 batches of 128 an epoch
        238
        """
        if self.iterations is None:
            return self.config
        per_epoch = max(samples // self.config.batch_size, 1)
        stop = self.config.early_stop  # in iterations too
        epochs = ceil(self.iterations / per_epoch)
        return replace(
            self.config, epochs=epochs, early_stop=stop and max(1, round(stop / per_epoch))
        )


BETA_K = {"beta": (5.0, 10.0, 15.0, 20.0, 25.0), "num_probes": (1, 2)}
# Pythae's pipeline halves the rate, and keeps weights, by the loss on validation data.
PYTHAE = TrainConfig(
    epochs=100, batch_size=100, learning_rate=1e-4, schedule="plateau", patience=10
)
PYTHAE_CELEBA = replace(PYTHAE, epochs=50, learning_rate=1e-3)
BEST = {
    "mnist": replace(PYTHAE, epochs=2000, batch_size=512),
    "celeba": replace(PYTHAE_CELEBA, epochs=200, batch_size=256),
}


def _benchmark() -> dict[str, Preset]:
    """MLAE's runs in the benchmark of Chadebec et al.: Tables 2 and 5."""
    presets = {}
    for net, tables in (("convnet", papers.CONVNET), ("resnet", papers.RESNET)):
        for data, table in tables.items():
            presets[f"mlae-{data}-{net}"] = Preset(
                "MLAE App. E.4, Tables 5 and 7" + (", 8" if net == "resnet" else ""),
                "mlae",
                data,
                table,
                PYTHAE_CELEBA if data == "celeba" else PYTHAE,
                options={"beta": 10.0},
                search=BETA_K,
                select="validation FID",
                best=True,
            )
    return presets


# The paper increases "the reconstruction weight" from "a factor 1" at the first epoch to 10 at the
# last, and names no weight that the factor would multiply: the factor is the weight. It ends at the
# β = 10 of the other rows. Table 6 has ConvNet worse with it, and Fig. 9 has ConvNet better with a
# larger β: so it is smaller on the way, not larger.
BY_EPOCH = linear(1.0, 10.0)
RISING = (
    "β is read as the printed factor itself, 1 to 10, not as a multiple of a β that is not "
    "given; losses of different β do not compare, so the error is watched and the last weights stay"
)


def _ablation() -> dict[str, Preset]:
    """MLAE's best models and what Table 6 takes away from them, one row each."""
    # name, data sets that have the row, architecture, norm, β by epoch, weight decay
    rows = [
        ("best", ("mnist",), "convnet-plus", "none", True, 1e-4),
        ("decay", ("mnist", "celeba"), "convnet-plus", "none", False, 1e-4),
        ("bn", ("mnist", "celeba"), "convnet-plus", "batch", False, 0.0),
        ("plain", ("mnist", "celeba"), "convnet-plus", "none", False, 0.0),
        ("plain", ("mnist", "celeba"), "convnet", "none", False, 0.0),
        ("bn", ("mnist", "celeba"), "convnet", "batch", False, 0.0),
        ("decay", ("celeba",), "convnet", "none", False, 1e-4),
        ("beta", ("mnist",), "convnet", "none", True, 0.0),
    ]
    tables = {"convnet": papers.CONVNET, "convnet-plus": papers.CONVNET_PLUS}
    return {
        f"mlae-{data}-{net}-{name}": Preset(
            "MLAE App. E.4, Tables 6 and 9",
            "mlae",
            data,
            tables[net][data],
            replace(
                BEST[data],
                weight_decay=decay,
                monitor="valid_reconstruction" if by_epoch else "valid_loss",
            ),
            norm=norm,
            options={"beta": BY_EPOCH if by_epoch else 10.0},
            note=f"{RISING if by_epoch else 'β is not given: 10'}; K, learning rate as E.4",
            best=not by_epoch,
        )
        for name, sets, net, norm, by_epoch, decay in rows
        for data in sets
    }


def _tabular() -> dict[str, Preset]:
    """MLAE's tables; sizes, latents and epochs as Table 4, read with steps and batch."""
    sizes = {
        "power": (6, 3, 3),
        "gas": (8, 2, 6),
        "hepmass": (21, 10, 17),
        "miniboone": (43, 21, 170),
    }
    config = TrainConfig(batch_size=512, learning_rate=3e-4, noise=0.01, weight_decay=1e-4)
    return {
        f"mlae-{data}": Preset(
            "MLAE App. E.3, Table 4",
            "mlae",
            data,
            papers.mlae_tabular(dim, latent),
            replace(config, epochs=epochs),
            options={"beta": 10.0, "num_probes": 1},
            note="the printed epochs are garbled",
        )
        for data, (dim, latent, epochs) in sizes.items()
    }


def growing(nu: float) -> Schedule:
    """RIF's weights μ and μ_in at iteration i of 100,000: 1 + i^ν/1000 (§4.2).

    >>> growing(1.0)(0.5, 0)
    51.0
    """
    return lambda progress, epoch: 1 + (progress * 100_000) ** nu / 1000


def _relaxed() -> dict[str, Preset]:
    """Relaxed injective flows with objectives (9) and (10), μ growing with the iteration.

    On CIFAR-10 with a standard normal prior the paper takes the finite differences of its eq. 8.
    """
    config = TrainConfig(batch_size=128, learning_rate=1e-3, schedule="constant")
    presets = {
        f"relaxed-{data}-{objective}": Preset(
            f"RIF §4 and App. A, objective ({number})",
            "relaxed",
            data,
            table,
            config,
            iterations=100_000,
            options={"objective": objective, "mu": growing(1.0), "mu_in": growing(1.0), "eta": 0.1},
            search={
                "nu": (1.0, 1.3),
                "prior_weight": (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
            },
            select="FID of GMM(10) samples",
            note="decoders as near as the printed ones can be built",
        )
        for data, table in papers.RIF.items()
        for objective, number in (("log", 9), ("scale", 10))
    }
    log = presets["relaxed-cifar10-log"]
    differences = {"how": "difference", "epsilon": 0.01, "kind": "gaussian", "prior_weight": 0.5}
    presets["relaxed-cifar10-differences"] = replace(
        log,
        source="RIF §2.2, eq. 8, objective (9) with p(z) = N(0, 1)",
        options={**log.options, **differences},
        search={"nu": log.search["nu"]},
    )
    return presets


# of AEF's models, by what their presets' names begin and end with: the family, its options, where
AEF_MODELS = {
    ("aef", ""): ("aef", {"core": "linear"}, "Tables 1 and 3, Fig. 5"),
    ("aef", "-center"): ("aef", {"core": "center"}, "Table 3, Fig. 5"),
    ("aef", "-corner"): ("aef", {"core": "corner"}, "Table 3, Fig. 5"),
    ("aef", "-random"): ("aef", {"core": "random"}, "§3.2"),
    ("vae", "-flows"): ("vae-flows", {}, "Tables 1 and 3, Fig. 5"),
}
ESTIMATED = 32  # validation images whose log p(x) is estimated after each epoch: 128 passes each
AEF_NOTE = "as in the authors' code: a constant rate, "


def _aef() -> dict[str, Preset]:
    """Autoencoders within flows, and their VAE, on the three sets of 28×28 images."""
    config = TrainConfig(
        batch_size=128, learning_rate=1e-3, schedule="constant", validate_on=ESTIMATED
    )
    note = AEF_NOTE + "strides of 2 in the networks"
    return {
        f"{begin}-{data}{end}": Preset(
            f"AEF App. D, {place}", family, data, papers.AEF["mnist"], config, 100_000,
            options=options, search={"latent_dim": (2, 4, 8, 16, 32)},
            select="validation bits", held_out=0.1, best=True,
            note=note + "; the paper measures no random core" * (end == "-random"),
        )
        for data in ("mnist", "fashion-mnist", "kmnist")
        for (begin, end), (family, options, place) in AEF_MODELS.items()
    }  # fmt: skip


def _aef_colour() -> dict[str, Preset]:
    """AEF's linear model, and the VAE, on colour images; Table 7 is the first set's."""
    config = TrainConfig(
        batch_size=64, learning_rate=1e-4, schedule="constant", clip=200.0, early_stop=20_000,
        flip=True, validate_on=ESTIMATED,
    )  # fmt: skip
    note = AEF_NOTE + "as many channels as latents"
    rows = {
        "celeba-hq-32": (32, 1_000_000, config, (64, 128, 256), "Tables 1, 4, 6 and 7"),
        "celeba-hq": (
            64, 1_000_000, replace(config, batch_size=16), (64, 128, 256), "Tables 1, 5 and 6",
        ),
        "imagenet32": (
            32, 2_000_000, replace(config, batch_size=16, early_stop=100_000, flip=False),
            (128, 256), "Tables 1, 4 and 6",
        ),
    }  # fmt: skip
    more = {
        "celeba-hq": "; Table 5 counts 128, 256 and 512 latents, Table 1 measures 64, 128 and 256",
        "imagenet32": "; App. D.4 holds 10 % out, the authors' code 1 %",
    }
    return {
        f"{begin}-{data}{end}": Preset(
            f"AEF App. D, {place}", family, data, papers.AEF[str(size)], settings, iterations,
            options=options, search={"latent_dim": latents}, select="validation bits", best=True,
            note=note + more.get(data, ""), resized=partial(papers.aef_bottleneck, size),
            held_out=0.1 if data == "imagenet32" else None,
        )
        for data, (size, iterations, settings, latents, place) in rows.items()
        for (begin, end), (family, options, _) in AEF_MODELS.items()
        if end in ("", "-flows")
    }  # fmt: skip


def _two_stage() -> dict[str, Preset]:
    """The learned decoder variance and the second stage, on both of the paper's networks."""
    rows = {"mnist": (400, 150, 800, 300), "cifar10": (1000, 300, 2000, 600)}
    rows |= {"fashion-mnist": rows["mnist"], "celeba": (120, 48, 300, 120)}
    base = TrainConfig(batch_size=100, learning_rate=1e-4, schedule="steps", weight_decay=5e-4)
    presets = {}
    for data, (first, halve, second, halve_second) in rows.items():
        for net, tables, width in (
            ("infogan", papers.INFOGAN, 1024),
            ("resnet", papers.SCALE_BLOCKS, 2048),
        ):
            presets[f"two-stage-{data}-{net}"] = Preset(
                "2SVAE App. D, " + ("Table 1" if net == "infogan" else "Figs 1 and 12"),
                "two-stage",
                data,
                tables[data.removeprefix("fashion-")],
                replace(base, epochs=first, halve_every=halve),
                options={"learn_variance": True},
                second=(3 * (width,), replace(base, epochs=second, halve_every=halve_second)),
            )
    return presets


def _taylor() -> dict[str, Preset]:
    """The VAE without sampling, with the paper's gradient: through all tangents, without chance."""
    options = {"decoder_variance": 0.5, "taylor_weight": 0.5, "tangents": "all"}
    slow = TrainConfig(batch_size=64, learning_rate=1e-4, schedule="constant")
    all_at_once = replace(slow, batch_size=1000, learning_rate=1e-3, epochs=1000)
    wide = papers.SFVAE["mnist"]._replace(latent_dim=200)
    note = "the batch size is not given: 64, as in the runtime comparison"
    return {
        "taylor-celeba": Preset(
            "SFVAE App. B, §4", "taylor", "celeba", papers.SFVAE["celeba"], slow, 1_000_000,
            options=options, search={"latent_dim": (12, 16, 24, 32, 48, 64)},
        ),
        "taylor-chairs": Preset(
            "SFVAE App. B, §4", "taylor", "chairs", papers.SFVAE["celeba"], slow, 1_000_000,
            options=options, search={"latent_dim": (8, 12, 16, 24, 32)}, note=note,
        ),
        "taylor-mnist": Preset(
            "SFVAE App. B", "taylor", "mnist", papers.SFVAE["mnist"], slow, 50_000,
            options=options, note=note,
        ),
        "taylor-mnist-collapse": Preset(
            "SFVAE Table 4", "taylor", "mnist", wide, all_at_once, options=options,
            note="a fixed subset of 1,000 images in one batch", limit=1000,
        ),
        **{
            f"taylor-{data}-tanh": Preset(
                "SFVAE Table 3", "taylor", data, papers.SFVAE["mnist-tanh"],
                replace(slow, batch_size=20), 1_000_000, options=options,
                note="the count of iterations and the latent size are not given: 1,000,000 and 50",
            )
            for data in ("mnist", "omniglot")
        },
    }  # fmt: skip


PRESETS: dict[str, Preset] = {
    **_benchmark(),
    **_ablation(),
    "mlae-mnist-conditional": Preset(
        "MLAE App. E.2, Figs 7 and 8",
        "mlae",
        "mnist",
        papers.convnet_plus_mnist(width=4),
        replace(BEST["mnist"], epochs=400),
        norm="none",
        conditional=True,
        options={"beta": 10.0},
        search={"beta": (0.1, 1.0, 10.0, 100.0)},
        note="batch size and learning rate are not given: as the best model of E.4",
        best=True,
    ),
    **_tabular(),
    "mlae-sinusoid": Preset(
        "MLAE App. E.1, Figs 3 and 6",
        "mlae",
        "sinusoid",
        papers.SINUSOID,
        TrainConfig(epochs=50, batch_size=256, learning_rate=1e-3),
        options={"beta": 10.0},
        search={"beta": tuple(float(f"{10 ** (k * 4 / 13 - 2):.4g}") for k in range(14))},
        note="batch, schedule and sample count are not given: 256, one-cycle, 10,000; the 14 "
        "values of β are in the authors' notebook",
    ),
    **_relaxed(),
    **_aef(),
    **_aef_colour(),
    **_two_stage(),
    **_taylor(),
}


def second_of(data: str) -> tuple[tuple[int, ...], TrainConfig]:
    """Hidden widths and training of 2SVAE's second stage on some data; of other data MNIST's.

    >>> hidden, config = second_of("cifar10")
    >>> hidden, config.epochs, second_of("power")[1].epochs
    ((1024, 1024, 1024), 2000, 800)
    """
    return PRESETS.get(f"two-stage-{data}-infogan", PRESETS["two-stage-mnist-infogan"]).second


def listing() -> str:
    """All presets with their place in the papers, a line each.

    >>> print(listing().splitlines()[0])
    mlae-mnist-convnet             MLAE App. E.4, Tables 5 and 7
    """
    return "\n".join(f"{name:<30} {preset.source}" for name, preset in PRESETS.items())
