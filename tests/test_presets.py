"""The papers' settings: they can be built, and say what the papers say."""

import pytest
import torch
from zuko.nn import Residual

from companion.experiments.assemble import WITHIN_FLOWS
from companion.experiments.experiment import choose
from companion.experiments.presets import PRESETS, listing
from companion.experiments.sizes import unread
from companion.models import AEF, MLAE, VAE, FlowVAE, RelaxedFlow, TaylorVAE
from companion.networks import build

NETWORKS = {(repr(p.table), p.norm, p.conditional): name for name, p in PRESETS.items()}


@pytest.mark.parametrize("name", NETWORKS.values())
def test_the_networks_of_every_preset_can_be_built(name):
    preset = PRESETS[name]
    with torch.device("meta"):
        encoder, decoder, shape, latent = build(
            preset.table, norm=preset.norm, condition_dim=10 * preset.conditional
        )
    c = torch.zeros(2, 10, device="meta") if preset.conditional else None
    z = encoder(torch.zeros(2, *shape, device="meta"), c)
    assert z.shape == (2, latent) and decoder(z, c).shape == (2, *shape)


def test_every_preset_names_its_paper():
    papers = {preset.source.split()[0] for preset in PRESETS.values()}
    assert papers == {"MLAE", "RIF", "AEF", "2SVAE", "SFVAE"}


@pytest.mark.filterwarnings("ignore:layer")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("mlae-mnist-convnet-plus-best", MLAE),
        ("mlae-gas", MLAE),
        ("relaxed-mnist-log", RelaxedFlow),
        ("two-stage-mnist-infogan", VAE),
        ("taylor-mnist", TaylorVAE),
    ],
)
def test_the_options_are_the_models(name, model):
    preset = PRESETS[name]
    built = model(*build(preset.table, norm=preset.norm, heads=preset.heads), **preset.options)
    x = torch.rand(2, *built.data_shape)
    assert built.loss(x).loss.isfinite().all()


def test_iterations_become_epochs():
    hq = PRESETS["aef-celeba-hq"].config_for(24_183)  # 1,511 batches of 16
    assert (hq.epochs, hq.early_stop, hq.clip, hq.flip) == (662, 13, 200.0, True)
    assert PRESETS["relaxed-mnist-log"].config_for(50_000).epochs == 257
    assert PRESETS["taylor-mnist-collapse"].config_for(1000).epochs == 1000


def test_what_the_papers_print():
    benchmark, celeba = (PRESETS[f"mlae-{d}-convnet"].config for d in ("cifar10", "celeba"))
    assert (benchmark.epochs, benchmark.batch_size, benchmark.learning_rate) == (100, 100, 1e-4)
    assert (celeba.epochs, celeba.learning_rate, celeba.patience) == (50, 1e-3, 10)
    assert len(PRESETS["mlae-mnist-resnet"].search["beta"]) == 5
    best = PRESETS["mlae-mnist-convnet-plus-best"]
    assert (best.config.epochs, best.config.batch_size, best.config.weight_decay) == (
        2000,
        512,
        1e-4,
    )
    start, end = (best.options["beta"](progress, 0) for progress in (0.0, 1.0))
    assert best.norm == "none" and (start, end) == (1.0, 10.0)
    growing = PRESETS["relaxed-celeba-scale"].options["mu"]
    assert growing(0.0, 0) == 1.0 and growing(1.0, 0) == 101.0
    first = PRESETS["two-stage-celeba-resnet"]
    assert (first.config.epochs, first.config.halve_every) == (120, 48)
    assert first.second[0] == (2048, 2048, 2048) and first.second[1].epochs == 300
    assert [n for n in PRESETS if n.startswith("mlae") and "-decay" in n] == [
        "mlae-mnist-convnet-plus-decay", "mlae-celeba-convnet-plus-decay",
        "mlae-celeba-convnet-decay",
    ]  # fmt: skip


def test_the_validation_loss_halves_the_rate_and_chooses_weights_as_in_pythae():
    """Where β rises losses of two epochs do not compare: the error is watched, the last stay."""
    pipeline = {n: p for n, p in PRESETS.items() if n.startswith(("mlae-mnist", "mlae-c"))}
    assert all(p.config.schedule == "plateau" for p in pipeline.values())
    rising = [name for name, preset in pipeline.items() if callable(preset.options["beta"])]
    assert rising == ["mlae-mnist-convnet-plus-best", "mlae-mnist-convnet-beta"]
    for name, preset in pipeline.items():
        watched = "valid_reconstruction" if name in rising else "valid_loss"
        assert (preset.config.monitor, preset.best) == (watched, name not in rising)
        assert ("printed factor itself" in preset.note) == (name in rising)
    others = [n for n, p in PRESETS.items() if p.best and n not in pipeline]
    assert others == [n for n, p in PRESETS.items() if p.family in WITHIN_FLOWS]
    assert "valid_nll" not in {p.config.monitor for p in PRESETS.values()}


def test_aefs_models_have_presets_each():
    """Tables 1 and 7 are the linear model's, and it is the default."""
    found = {n: PRESETS[n] for n in PRESETS if n.startswith(("aef-mnist", "vae-mnist"))}
    assert list(found) == [
        "aef-mnist", "aef-mnist-center", "aef-mnist-corner", "aef-mnist-random", "vae-mnist-flows",
    ]  # fmt: skip
    assert choose("mnist", "aef").name == "aef-mnist"
    assert "Table" in found["aef-mnist"].source and found["aef-mnist"].options["core"] == "linear"
    for name in found:
        built = choose("mnist", name=name).build((1, 8, 8))
        parts = [n for n, _ in built.named_children()]
        assert ("expand" in parts) == (name == "aef-mnist")
        assert isinstance(built, FlowVAE if name.startswith("vae") else AEF)
        assert built.options["levels"] == 256 and built.raw_scale.numel() > 1
        steps = [*built.core_encoder.steps, *built.prior.steps]
        blocks = [sum(isinstance(m, Residual) for m in step.modules()) for step in steps]
        assert blocks == 8 * [2]  # App. D.2
    assert choose("mnist", "aef", options={"prior_flow": False}).build((1, 8, 8)).prior is None
    with pytest.raises(ValueError, match="core must be one of linear, center, corner, random"):
        choose("mnist", "aef", options={"core": "middle"}).build((1, 8, 8))


def test_aef_validates_on_a_tenth_and_its_networks_follow_the_latent_size():
    sizes = [len(part) for part in unread(choose("mnist", "aef", profile="full"))[:3]]
    assert sizes == [54_000, 6000, 10_000]
    assert [len(unread(choose("mnist", profile="full"))[i]) for i in (0, 1)] == [50_000, 10_000]
    wide = choose("celeba-hq-32", "aef", profile="full", latent_dim=64)
    assert wide._table((3, 32, 32))[0].encoder[0][0].label == "Conv(64, 3, 1)"
    assert [v["latent_dim"] for v, _ in choose("imagenet32", "aef").candidates()] == [128, 256]


def test_the_listing_names_the_place_of_each():
    lines = listing().splitlines()
    assert len(lines) == len(PRESETS)
    assert all(preset.source in line for preset, line in zip(PRESETS.values(), lines, strict=True))


def test_rifs_finite_differences_are_a_preset():
    """RIF eq. 8: (g(z + εv) − g(z))/ε with ε = 0.01 and a Gaussian v."""
    experiment = choose("cifar10", name="relaxed-cifar10-differences")
    model = experiment.build((3, 32, 32)).eval()
    x, v = torch.rand(2, 3, 32, 32), torch.randn(1, 2, model.latent_dim)
    z, d = model.encode(x), model.latent_dim
    with torch.no_grad():
        difference = (model.decode(z + 0.01 * v[0]) - model.decode(z)) / 0.01
    r = difference.flatten(1).norm(dim=1) / v[0].norm(dim=1)
    bound = model.loss(x, probes=v).bound
    assert torch.allclose(bound, d * r.clamp(min=0.1).log(), rtol=1e-4)
    assert (model.kind, float(model.prior_weight)) == ("gaussian", 0.5)
    assert [values for values, _ in experiment.candidates()] == [{"nu": 1.0}, {"nu": 1.3}]


def test_nothing_is_random_in_sfvaes_gradient():
    """Its collapse is of full batches "where no stochastic effects are present" (Table 4)."""
    for name, preset in PRESETS.items():
        if preset.family == "taylor":
            assert preset.options["tangents"] == "all", name
    model = choose("mnist", name="taylor-mnist-collapse").build((1, 8, 8))
    x, found = torch.rand(3, 1, 8, 8), []
    for seed in (0, 1):
        model.zero_grad()
        model.loss(x, generator=torch.Generator().manual_seed(seed)).loss.sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.equal(*found)
