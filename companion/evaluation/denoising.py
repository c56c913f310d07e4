"""How well a model removes noise by encoding and decoding, judged in a space of features."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.contracts import Map


class Denoising(NamedTuple):
    """Mean squared errors of one reconstruction of noisy images against the clean ones."""

    sigma: float  # standard deviation of the noise, before clipping
    features: float  # mean squared difference of feature activations, reconstruction to clean
    features_of_noisy: float  # the same for the noisy image itself: doing nothing
    pixels: float  # mean squared difference of pixels, reconstruction to clean
    num_samples: int


def add_noise(x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """x + σε, clipped to [0, 1], so that the noise is Gaussian no more (AEF App. D.4).

    Raises:
        ValueError: for a negative σ.

    >>> add_noise(torch.tensor([0.2, 0.9]), torch.tensor([1.0, 1.0]), 0.5)
    tensor([0.7000, 1.0000])
    """
    if not sigma >= 0:
        raise ValueError(f"add_noise: sigma must not be negative, got {sigma}")
    return (x + sigma * noise).clamp(0, 1)


@torch.no_grad()
def denoising_error(
    reconstruct: Map, x: Tensor, noise: Tensor, sigma: float, features: Map
) -> Denoising:
    """Compare reconstructions of noisy images with the clean ones.

    Args:
        reconstruct: ``(batch, *data) -> (batch, *data)``, say encoding and decoding; its output is
            clipped as its input is.
        x: ``(batch, *data)`` clean images in [0, 1].
        noise: ``(batch, *data)`` from N(0, 1).
        sigma: of the noise.
        features: ``(batch, *data) -> (batch, feature)``, say those of a
            classifier; the paper takes Inception's.

    Source: AEF App. B, Table 2.

    >>> x, noise = torch.rand(5, 4), torch.randn(5, 4)
    >>> found = denoising_error(lambda y: y, x, noise, 0.1, lambda y: y)
    >>> found.features == found.features_of_noisy == found.pixels
    True
    """
    noisy = add_noise(x, noise, sigma)
    x_hat = reconstruct(noisy).clamp(0, 1)
    wanted = features(x)
    errors = [(features(y) - wanted).square().mean() for y in (x_hat, noisy)]
    errors.append((x_hat - x).square().mean())
    return Denoising(sigma, *map(float, errors), len(x))
