"""The contract of every model: what `fit`, `sweep` and the evaluation may ask of it."""

import warnings
from collections.abc import Callable
from math import log, pi

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from companion.contracts import LogProb, Terms

Schedule = Callable[[float, int], float]  # (share of the training done, epoch) -> value


class Model(nn.Module):
    """A generative autoencoder with a standard normal prior over its codes. Abstract.

    A subclass gives ``encode``, ``decode``, ``loss`` and ``log_prob``; ``draw`` when its loss needs
    chance, ``advance`` when something is scheduled. Hyper-parameters that a sweep may vary are
    buffers, so that models which differ only in them train stacked.

    Args:
        data_shape: shape of one sample.
        latent_dim: size of one code.
    """

    def __init__(self, data_shape: tuple[int, ...], latent_dim: int):
        super().__init__()
        self.data_shape, self.latent_dim = tuple(data_shape), latent_dim

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """``(batch, *data) -> (batch, latent)``."""
        raise NotImplementedError

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """``(batch, latent) -> (batch, *data)``."""
        raise NotImplementedError

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """All chance that one ``loss`` on this batch needs, drawn outside of compiled code."""
        return {}

    def loss(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        generator: Generator | None = None,
        **draws,
    ) -> Terms:
        """Named per-sample terms ``(batch,)``, among them ``loss``."""
        raise NotImplementedError

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Log-density in nats ``(batch,)``, with the kind of number it is."""
        raise NotImplementedError

    def sample(
        self,
        n: int,
        condition: Tensor | None = None,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Decode ``n`` codes z ~ N(0, temperature²·1): ``(n, *data)``."""
        if temperature < 0:
            raise ValueError(f"sample: temperature must not be negative, got {temperature}")
        parameter = next(self.parameters())
        z = torch.randn(
            n, self.latent_dim, generator=generator, device=parameter.device, dtype=parameter.dtype
        )
        return self.decode(z * temperature, condition)

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        """Move scheduled hyper-parameters; returns the buffers that changed, by name."""
        return {}


def standard_normal_nll(z: Tensor) -> Tensor:
    """−log N(z; 0, 1) = ½‖z‖² + (latent/2) log 2π, in nats: ``(batch,)``.

    >>> standard_normal_nll(torch.zeros(1, 2))
    tensor([1.8379])
    """
    return 0.5 * z.square().sum(-1) + 0.5 * z.shape[-1] * log(2 * pi)


def check_batch_coupling(module: nn.Module) -> bool:
    """Whether a network couples the samples of a batch while it trains, as BatchNorm does.

    Such layers change what a Jacobian means (samples depend on each other), so this warns once.
    Their counter of batches cannot be updated inside ``torch.func``: a layer that keeps one is
    refused.

    Raises:
        ValueError: naming the layer whose ``num_batches_tracked`` is not ``None``, and the cure.

    >>> check_batch_coupling(nn.Linear(2, 1))
    False
    """
    coupled = [
        (name, layer) for name, layer in module.named_modules() if isinstance(layer, _BatchNorm)
    ]
    for name, layer in coupled:
        if layer.num_batches_tracked is not None:
            raise ValueError(
                f"layer '{name}' ({type(layer).__name__}) counts batches in place, which "
                "torch.func forbids; set layer.num_batches_tracked = None with a fixed momentum, "
                "or build it with companion.networks.batch_norm"
            )
    if coupled:
        warnings.warn(
            f"layer '{coupled[0][0]}' normalises over the batch: in training mode a sample's "
            "Jacobian then depends on the other samples; use zero-mean probes (all kinds but "
            "basis) and evaluate in eval mode",
            stacklevel=3,
        )
    return bool(coupled)


def constant(value: float) -> Schedule:
    """A hyper-parameter that stays.

    >>> constant(5.0)(0.3, 2)
    5.0
    """
    return lambda progress, epoch: value


def linear(start: float, end: float) -> Schedule:
    """A hyper-parameter that goes evenly from start to end (MLAE App. E.4, change d1).

    >>> linear(1.0, 10.0)(0.5, 7)
    5.5
    """
    return lambda progress, epoch: start + (end - start) * progress


def by_epoch(values: dict[int, float]) -> Schedule:
    """A hyper-parameter that jumps at given epochs; the first key must be 0.

    Raises:
        ValueError: when epoch 0 has no value.

    >>> by_epoch({0: 1.0, 10: 5.0})(0.9, 9)
    1.0
    """
    if 0 not in values:
        raise ValueError(f"by_epoch: epoch 0 needs a value, got epochs {sorted(values)}")
    return lambda progress, epoch: values[max(e for e in values if e <= epoch)]
