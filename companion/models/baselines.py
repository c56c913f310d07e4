"""Autoencoders with one penalty or another: what RIF and MLAE are compared with."""

from math import prod
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from companion import probes
from companion.contracts import LogProb, Map
from companion.models.aggregate import KERNELS, mmd
from companion.models.base import Model, check_batch_coupling, manifold_log_prob
from companion.volume import bounds

PENALTIES = ("code", "decoder_l2", "decoder_jacobian", "encoder_jacobian", "mmd")


class AutoencoderTerms(NamedTuple):
    """Reconstruction error and weighted penalty, each ``(batch,)``."""

    reconstruction: Tensor  # ‖x̂ − x‖²
    penalty: Tensor  # the sum of all penalties, each times its weight
    loss: Tensor  # their sum


class Autoencoder(Model):
    """An autoencoder, L(x) = ‖x̂ − x‖² + Σ weight·penalty. The weights name it.

    ==========  ==========================================  =====================================
    name         weights                                     penalties, J the map's Jacobian
    ==========  ==========================================  =====================================
    AE           none
    AE+L2        ``decoder_l2``                              ‖θ_g‖² of the decoder's parameters
    AE+SN        none, decoder in ``spectral_norm``
    CAE          ``encoder_jacobian``                        ‖J_f(x)‖²_F
    RAE-L2       ``code``, ``decoder_l2``                    ½‖z‖², ‖θ_g‖²
    RAE-GP       ``code``, ``decoder_jacobian``              ½‖z‖², ‖J_g(z)‖²_F
    RAE-SN       ``code``, decoder in ``spectral_norm``      ½‖z‖²
    WAE          ``mmd``                                     MMD² of codes and N(0, 1)
    ==========  ==========================================  =====================================

    Jacobians' norms are estimated with one probe. Codes for sampling are fitted after training
    (:mod:`companion.latents`); ``sample`` and ``log_prob`` take them for standard normal, which
    only the WAE asks for.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, latent)``.
        decoder: network back.
        data_shape: shape of one sample.
        latent_dim: size of one code.
        kernel: of the MMD, ``imq`` or ``rbf``.
        weights: see the table; a sweep may vary those that are not zero.

    Raises:
        ValueError: for an unknown penalty or kernel, or a negative weight.

    Source: RIF §4; Ghosh et al. (2020), *From variational to deterministic autoencoders*; Rifai et
    al. (2011), *Contractive auto-encoders*; Tolstikhin et al. (2018), *Wasserstein auto-encoders*.

    >>> from companion.networks import MLP
    >>> _ = torch.manual_seed(0)
    >>> rae = Autoencoder(MLP(3, 2), MLP(2, 3), (3,), 2, code=0.1, decoder_jacobian=0.01)
    >>> rae.loss(torch.randn(5, 3)).penalty.shape
    torch.Size([5])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        kernel: str = "imq",
        **weights: float,
    ):
        super().__init__(data_shape, latent_dim)
        self.encoder, self.decoder = encoder, decoder
        self.options = {"kernel": kernel, "penalties": tuple(k for k in weights if weights[k] != 0)}
        for name, weight in weights.items():
            if name not in PENALTIES or not weight >= 0:
                raise ValueError(
                    f"Autoencoder: weights are {', '.join(PENALTIES)} and not negative, got "
                    f"{name}={weight}"
                )
            self.register_buffer(f"weight_{name}", torch.tensor(float(weight)))
        self.compares_samples = "mmd" in self.options["penalties"]
        if kernel not in KERNELS:
            raise ValueError(f"Autoencoder: kernel must be imq or rbf, got {kernel!r}")
        if {"decoder_jacobian", "encoder_jacobian"} & {*self.options["penalties"]}:
            check_batch_coupling(self)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        random = {"generator": generator, "device": x.device, "dtype": x.dtype}
        draws = {}
        if "decoder_jacobian" in self.options["penalties"]:
            draws["probes"] = bounds.draw("forward", x, self.latent_dim, generator=generator)
        if "encoder_jacobian" in self.options["penalties"]:
            draws["data_probes"] = probes.sample("sphere", 1, x, generator)
        if "mmd" in self.options["penalties"]:
            draws["prior"] = torch.randn(len(x), self.latent_dim, **random)
        return draws

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> AutoencoderTerms:
        """``draws`` as :meth:`draw` makes them."""
        encode, decode = self.bound("encoder", condition), self.bound("decoder", condition)
        z, encoder_norm = squared_norm(encode, x, draws.get("data_probes"))
        x_hat, decoder_norm = squared_norm(decode, z, draws.get("probes"))
        penalties = {
            "code": lambda: 0.5 * z.square().sum(-1),
            "decoder_l2": lambda: sum(p.square().sum() for p in self.decoder.parameters()),
            "decoder_jacobian": lambda: decoder_norm,
            "encoder_jacobian": lambda: encoder_norm,
            "mmd": lambda: mmd(z, draws["prior"], self.options["kernel"]),
        }
        penalty = x.new_zeros(len(x))
        for name in self.options["penalties"]:
            penalty = penalty + getattr(self, f"weight_{name}") * penalties[name]()
        reconstruction = (x_hat - x).square().flatten(1).sum(-1)
        return AutoencoderTerms(reconstruction, penalty, reconstruction + penalty)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Exact on the manifold, were the codes standard normal."""
        return manifold_log_prob(self, x, condition)


def squared_norm(function: Map, point: Tensor, probes: Tensor | None) -> tuple[Tensor, Tensor]:
    """A map's value and an unbiased estimate of its Jacobian's ‖J‖²_F: ``(batch,)``.

    Without probes the norm is zero and costs nothing.

    >>> value, norm = squared_norm(lambda x: 3 * x, torch.zeros(4, 2), torch.ones(1, 4, 2))
    >>> norm
    tensor([18., 18., 18., 18.])
    """
    if probes is None:
        return function(point), point.new_zeros(len(point))
    value, stretch = bounds.stretch(function, point, probes)
    return value, stretch.square().mean(0) * prod(point.shape[1:])


class DenoisingTerms(NamedTuple):
    """Its only term, ``(batch,)``."""

    loss: Tensor  # ‖g(f(x + σε)) − x‖², the noisy image clipped to [0, 1]


class DenoisingAutoencoder(Model):
    """An autoencoder that sees noise and is asked for the clean image.

    With σ = 0 on data that are noisy already it is the least-squares autoencoder of AEF App. B,
    which never sees a clean image.

    Args:
        encoder: network ``(batch, *data)[, condition] -> (batch, latent)``.
        decoder: network back.
        data_shape: shape of one sample, in [0, 1].
        latent_dim: size of one code.
        sigma: standard deviation of the noise, a buffer that a sweep may vary.

    Raises:
        ValueError: for a negative σ.

    Source: Vincent et al., *Extracting and Composing Robust Features with Denoising Autoencoders*,
    2008.

    >>> from companion.networks import MLP
    >>> _ = torch.manual_seed(0)
    >>> model = DenoisingAutoencoder(MLP(4, 2), MLP(2, 4), (4,), 2, sigma=0.5)
    >>> model.loss(torch.rand(3, 4)).loss.shape
    torch.Size([3])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data_shape: tuple[int, ...],
        latent_dim: int,
        sigma: float = 0.0,
    ):
        super().__init__(data_shape, latent_dim)
        if not sigma >= 0:
            raise ValueError(f"DenoisingAutoencoder: sigma must not be negative, got {sigma}")
        self.encoder, self.decoder = encoder, decoder
        self.register_buffer("sigma", torch.tensor(float(sigma)))

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        return {"noise": torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)}

    def objective(self, x: Tensor, condition: Tensor | None, noise: Tensor) -> DenoisingTerms:
        """``draws`` as :meth:`draw` makes them."""
        noisy = (x + self.sigma * noise).clamp(0, 1)
        x_hat = self.decode(self.encode(noisy, condition), condition)
        return DenoisingTerms((x_hat - x).square().flatten(1).sum(-1))

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Exact on the manifold, were the codes standard normal, which nothing asks for."""
        return manifold_log_prob(self, x, condition)
