"""The models of `companion train`: what each is made of, besides the networks of a table."""

import torch
from torch import nn

from companion.models import (
    AEF,
    MLAE,
    VAE,
    AggregateVAE,
    Autoencoder,
    FlowVAE,
    Model,
    RectangularFlow,
    RelaxedFlow,
    TaylorVAE,
    VampPrior,
    core_mask,
)
from companion.models.aef import PLACES
from companion.networks import MLP, EncoderDecoder, InjectiveFlow, flows
from companion.networks.preprocess import ActNorm, Logit, Preprocess
from companion.networks.table import BN, CODE, RELU, SIGMOID, Table, conv, conv_t, linear

Shape = tuple[int, ...]


def beta_tc_vae(*networks, weight: float = 3.0, **options) -> Model:
    """A VAE that pays for the total correlation of its codes, β − 1 = ``weight`` times.

    Takes what :class:`companion.models.VAE` takes. Source: Chen et al. (2018).

    >>> beta_tc_vae(nn.Linear(3, 4), nn.Linear(2, 3), (3,), 2, decoder_variance=0.1).weight
    tensor(3.)
    """
    return AggregateVAE(VAE(*networks, **options), "total_correlation", weight)


def info_vae(*networks, weight: float = 10.0, **options) -> Model:
    """A VAE that pays for the distance of its codes from the prior, ``weight`` times the MMD².

    Takes what :class:`companion.models.VAE` takes. Source: Zhao et al. (2019), with α = 0.

    >>> info_vae(nn.Linear(3, 4), nn.Linear(2, 3), (3,), 2).options["penalty"]
    'mmd'
    """
    return AggregateVAE(VAE(*networks, **options), "mmd", weight)


def vamp(
    encoder: nn.Module,
    decoder: nn.Module,
    data_shape: Shape,
    latent_dim: int,
    pseudo_inputs: int = 50,
    **options,
) -> Model:
    """A VAE whose prior is the mean of its posteriors at learned inputs, which start at data.

    Takes what :class:`companion.models.VAE` takes. Source: Tomczak and Welling (2018).

    >>> vamp(nn.Linear(3, 4), nn.Linear(2, 3), (3,), 2, pseudo_inputs=5).prior.pseudo_inputs.shape
    torch.Size([5, 3])
    """
    prior = VampPrior(encoder, torch.rand(pseudo_inputs, *data_shape), latent_dim)
    return VAE(encoder, decoder, data_shape, latent_dim, prior=prior, **options)


def within_flows(
    encoder: nn.Module,
    decoder: nn.Module,
    data_shape: Shape,
    latent_dim: int,
    core: str = "linear",
    core_flow: bool = True,
    prior_flow: bool = True,
    **options,
) -> Model:
    """An autoencoder within flows with all that it has beside its networks: AEF App. D.1 to D.4.

    Args:
        encoder: as :class:`companion.models.AEF` takes it.
        decoder: the same; of images its numbers are logits.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        core: ``linear``, learned features of the data, or which numbers of the data are the core,
            ``center``, ``corner`` or ``random``.
        core_flow: whether the core is encoded by an inverse autoregressive flow; Table 7 goes
            without.
        prior_flow: whether the prior is a masked autoregressive flow.
        options: of :class:`companion.models.AEF`.

    Raises:
        ValueError: for an unknown core.

    >>> model = within_flows(nn.Linear(4, 4), nn.Linear(2, 4), (4,), 2, core="corner")
    >>> model.partition, within_flows(nn.Linear(4, 4), nn.Linear(2, 4), (4,), 2).partition
    (True, False)
    """
    if core not in CORES:
        raise ValueError(f"aef: core must be one of {', '.join(CORES)}, got {core!r}")
    chosen = MLP(data_shape, latent_dim, ())
    if core != "linear":
        chosen = core_mask(data_shape, latent_dim, core)
    inner, prior = _flows(latent_dim, core_flow, prior_flow)
    options = _pixels(data_shape) | options
    return AEF(encoder, decoder, data_shape, latent_dim, chosen, inner, prior, **options)


def vae_with_flows(
    encoder: nn.Module,
    decoder: nn.Module,
    data_shape: Shape,
    latent_dim: int,
    posterior_flow: bool = True,
    prior_flow: bool = True,
    **options,
) -> Model:
    """The VAE that :func:`within_flows` is compared with: of the same parts (AEF §5, App. D).

    Args:
        encoder: as :class:`companion.models.FlowVAE` takes it.
        decoder: the same; of images its numbers are logits.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        posterior_flow: whether an inverse autoregressive flow follows the posterior.
        prior_flow: whether the prior is a masked autoregressive flow.
        options: of :class:`companion.models.FlowVAE`.

    >>> vae_with_flows(nn.Linear(4, 4), nn.Linear(2, 4), (4,), 2, prior_flow=False).prior
    """
    flow, prior = _flows(latent_dim, posterior_flow, prior_flow)
    options = _pixels(data_shape) | options
    return FlowVAE(encoder, decoder, data_shape, latent_dim, flow, prior, **options)


def _flows(latent_dim: int, inner: bool, prior: bool) -> tuple:
    """AEF App. D.2: four steps each, whose networks are two residual blocks of 256."""
    return (
        flows.iaf(latent_dim, residual=True) if inner else None,
        flows.maf(latent_dim, residual=True) if prior else None,
    )


def _pixels(data_shape: Shape) -> dict[str, object]:
    """A scale for each number; of images logits, ActNorm and dequantising: AEF App. D.1 to D.4."""
    made: dict[str, object] = {"per_pixel": True}
    if len(data_shape) == 3:
        margin = 1e-6 if data_shape[0] == 1 else 0.05
        made |= {"preprocess": Preprocess(Logit(margin), ActNorm(data_shape)), "levels": 256}
    return made


CORES = ("linear", *PLACES)
MODELS = {
    "mlae": MLAE,
    "rectangular": RectangularFlow,
    "relaxed": RelaxedFlow,
    "aef": within_flows,
    "vae-flows": vae_with_flows,
    "two-stage": VAE,  # its first stage
    "taylor": TaylorVAE,
    "vae": VAE,
    "beta-tc-vae": beta_tc_vae,
    "info-vae": info_vae,
    "vamp": vamp,
    "autoencoder": Autoencoder,
}
VAES = ("two-stage", "vae", "beta-tc-vae", "info-vae", "vamp")  # with a decoder variance to learn
WITHIN_FLOWS = ("aef", "vae-flows")  # whose decoders' numbers are logits, and best weights count
WITH_SCALES = (*VAES, "taylor", *WITHIN_FLOWS)  # whose encoders give a scale beside each mean


def small(data_shape: Shape, latent_dim: int, width: int, squashed: bool) -> Table:
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


def unsquashed(table: Table) -> Table:
    """The same networks without a sigmoid at the end.

    >>> [SIGMOID in unsquashed(small((1, 8, 8), 4, 16, last)).decoder[-1] for last in (True, False)]
    [False, False]
    """
    *rows, last = table.decoder
    return table._replace(decoder=[*rows, tuple(step for step in last if step != SIGMOID)])


def couplings(data_shape: Shape, latent_dim: int, is_small: bool) -> tuple:
    """The networks of a rectangular flow over tables: couplings, padding, a prior of couplings.

    Source: Caterini et al. (2021), whom MLAE Table 1 quotes: ten RealNVP blocks with four layers of
    128, and five with two of 32.

    >>> network, prior, *sizes = couplings((4,), 1, is_small=True)
    >>> prior, sizes  # of one number there is nothing to couple
    (None, [(4,), 1])
    """
    sizes = ((4, [64, 64]), (3, [32])) if is_small else ((10, [128] * 4), (5, [32, 32]))
    outer, prior = (
        flows.realnvp(dim, transforms=n, hidden=hidden, activation=nn.SiLU) if dim > 1 else None
        for dim, (n, hidden) in zip((data_shape[0], latent_dim), sizes, strict=True)
    )
    return InjectiveFlow(outer, latent_dim), prior, data_shape, latent_dim


def unconstrained(
    encoder: nn.Module, decoder: nn.Module, data_shape: Shape, latent_dim: int
) -> tuple:
    """Any two networks under the loss of a rectangular flow: no layer of them is invertible.

    >>> unconstrained(nn.Linear(4, 2), nn.Linear(2, 4), (4,), 2)[1:]
    (None, (4,), 2)
    """
    return EncoderDecoder(encoder, decoder), None, data_shape, latent_dim


def parameters(model: nn.Module) -> dict[str, int]:
    """Numbers that are learned, by the model's parts and in all.

    >>> parameters(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    {'0': 8, 'all': 8}
    """
    parts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    return {n: k for n, k in parts.items() if k} | {
        "all": sum(p.numel() for p in model.parameters())
    }
