"""Exact likelihood and reconstruction error over a whole data set, in chunks."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.models.base import Model


class Fit(NamedTuple):
    """How well a model describes data, averaged over samples."""

    nll: float  # nats per sample, of the kind that ``kind`` says
    reconstruction: float  # mean of ‖x̂ − x‖², summed over the data's numbers
    kind: str
    num_samples: int


@torch.no_grad()
def evaluate(model: Model, x: Tensor, condition: Tensor | None = None, chunk: int = 256) -> Fit:
    """Mean negative log-likelihood and reconstruction error in eval mode.

    Args:
        model: any model of the contract.
        x: ``(n, *data)``.
        condition: ``(n, …)`` or nothing.
        chunk: samples whose Jacobians are held at once.

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
    training = model.training
    model.eval()
    nll, error, kind = 0.0, 0.0, ""
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk]
        c = None if condition is None else condition[start : start + chunk]
        log_prob = model.log_prob(part, c)
        x_hat = model.decode(model.encode(part, c), c)
        nll, kind = nll - float(log_prob.value.double().sum()), log_prob.kind
        error += float((x_hat - part).double().square().sum())
    model.train(training)
    return Fit(nll / len(x), error / len(x), kind, len(x))
