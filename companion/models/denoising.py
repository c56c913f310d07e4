"""The denoising autoencoder: least squares between a clean image and a noisy one, rebuilt."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from companion.contracts import LogProb
from companion.models.base import Model, manifold_log_prob


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

    def loss(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        generator: Generator | None = None,
        **draws,
    ) -> DenoisingTerms:
        """``draws`` as :meth:`draw` makes them."""
        x = self.data(x)
        noise = draws["noise"] if "noise" in draws else self.draw(x, generator)["noise"]
        noisy = (x + self.sigma * noise).clamp(0, 1)
        x_hat = self.decode(self.encode(noisy, condition), condition)
        return DenoisingTerms((x_hat - x).square().flatten(1).sum(-1))

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Exact on the manifold, were the codes standard normal, which nothing asks for."""
        return manifold_log_prob(self, x, condition)
