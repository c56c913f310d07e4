"""Exact likelihood and reconstruction error over a whole data set, in chunks."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.contracts import as_float, exact
from companion.models.base import Model, evaluating


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
