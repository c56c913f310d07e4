"""Likelihood and reconstruction error over a whole data set, in chunks; bits per dimension."""

from inspect import signature
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion.contracts import as_float, exact
from companion.models.base import SAMPLES, Model, evaluating
from companion.networks.preprocess import bits_per_dimension, dequantise

POINTS = 4096  # codes that an estimate decodes at once


class Fit(NamedTuple):
    """How well a model describes data, averaged over samples."""

    nll: float  # nats per sample, of the kind that ``kind`` says
    reconstruction: float  # mean of ‖x̂ − x‖², summed over the data's numbers
    kind: str
    num_samples: int


@torch.no_grad()
def evaluate(
    model: Model, x: Tensor, condition: Tensor | None = None, chunk: int = 256, **options
) -> Fit:
    """Mean negative log-likelihood and reconstruction error in eval mode.

    Args:
        model: any model of the contract.
        x: ``(n, *data)``, floating point, or uint8 images.
        condition: ``(n, …)`` or nothing.
        chunk: samples whose Jacobians are held at once.
        options: of the model's ``log_prob``, as ``num_samples`` of a VAE's.

    Returns:
        A :class:`Fit`.

    Raises:
        ValueError: when there are no samples.

    >>> from companion.models import MLAE
    >>> from companion.networks import MLP
    >>> rng = torch.manual_seed(0)
    >>> evaluate(MLAE(MLP(2, 1), MLP(1, 2), (2,), 1), torch.zeros(3, 2)).num_samples
    3
    """
    if len(x) == 0:
        raise ValueError("evaluate: expected at least one sample, got none")
    nll, error, kind = 0.0, 0.0, ""
    dtype = next(model.parameters()).dtype
    with evaluating(model):
        for start in range(0, len(x), chunk):
            part = as_float(x[start : start + chunk], dtype)
            c = None if condition is None else condition[start : start + chunk]
            log_prob = model.log_prob(part, c, **options)
            x_hat = model.decode(model.encode(part, c), c)
            nll, kind = nll - float(exact(log_prob.value).sum()), log_prob.kind
            error += float(exact(x_hat - part).square().sum())
    return Fit(nll / len(x), error / len(x), kind, len(x))


class Bits(NamedTuple):
    """Bits per dimension of some images: the mean over images and repeated estimates."""

    bits: float
    error: float | None  # standard error of that mean over the repetitions; none of a single one
    kind: str  # what kind of number each estimate is
    num_images: int
    repetitions: int

    def __str__(self) -> str:
        error = "" if self.error is None else f" ± {self.error:.4f}"
        times = f"{self.repetitions} × ({self.kind})"
        return f"{self.bits:.4f}{error} bits per dimension of {self.num_images:,} images: {times}"


@torch.no_grad()
def bits_of(
    model: Model,
    x: Tensor,
    condition: Tensor | None = None,
    *,
    repetitions: int = 20,
    num_samples: int = SAMPLES,
    levels: int = 256,
    seed: int = 0,
) -> Bits | None:
    """Bits per dimension of images under a model that has a density of pixels; else nothing.

    Each repetition dequantises the images anew and estimates log p(x) anew, by ``num_samples``
    importance samples where it is not exact; the logarithms are averaged, and each is low on
    average. A density on the manifold of the reconstructions is none of pixels.

    Args:
        model: any model of the contract.
        x: ``(n, *data)``, uint8 images, or such numbers over ``levels`` − 1.
        condition: ``(n, …)`` or nothing.
        repetitions: of the estimate, the paper's 20.
        num_samples: of one estimate, the paper's 128; alike for models that are compared.
        levels: how many values one number takes.
        seed: of the noise and of the importance samples.

    Source: AEF App. D.4, D.6.

    >>> from companion.models import VAE
    >>> from companion.networks import MLP
    >>> _ = torch.manual_seed(0)
    >>> vae, x = VAE(MLP((1, 2, 2), 4), MLP(2, (1, 2, 2)), (1, 2, 2), 2), torch.zeros(3, 1, 2, 2)
    >>> found = bits_of(vae, x, repetitions=2)
    >>> found.num_images, found.repetitions, found.kind.partition(", low")[0]
    (3, 2, 'importance-sampled, 128 codes from the posterior')
    """
    taken = signature(model.log_prob).parameters.values()
    if not any(p.name == "num_samples" or p.kind is p.VAR_KEYWORD for p in taken):
        return None  # exact, but on a manifold
    chance = Generator(next(model.parameters()).device).manual_seed(seed)
    with evaluating(model):
        found = [
            _bits(model, x, condition, num_samples, levels, chance) for _ in range(repetitions)
        ]
    means, kinds = zip(*found, strict=True)
    error = stdev(means) / repetitions**0.5 if repetitions > 1 else None
    return Bits(fmean(means), error, kinds[0], len(x), repetitions)


def _bits(
    model: Model, x: Tensor, condition: Tensor | None, num_samples: int, levels: int,
    chance: Generator,
) -> tuple[float, str]:  # fmt: skip
    """One estimate for each image: their mean in bits, and what kind of number it is."""
    like, total, kind = next(model.parameters()), 0.0, ""
    own = getattr(model, "options", {}).get("levels")  # of a model that dequantises for itself
    size = max(1, POINTS // num_samples)
    for start in range(0, len(x), size):
        part = as_float(x[start : start + size].to(like.device), like.dtype)
        c = None if condition is None else condition[start : start + size].to(like.device)
        if own is None:
            u = torch.rand(part.shape, generator=chance, device=like.device, dtype=like.dtype)
            part = dequantise(part, u, levels)
        value, kind = model.log_prob(part, c, num_samples=num_samples, generator=chance)
        total += float(exact(bits_per_dimension(value, model.data_shape, own or levels)).sum())
    return total / len(x), kind + ", of data dequantised once" * (own is None)
