"""Invertible maps of a vector, thin over zuko: priors, posteriors and core encoders of any model.

Every flow is an autoregressive one of zuko, y_i = T(x_i; θ_i(x_{<i}, h)), with T affine or a
rational-quadratic spline; a coupling is the case of two groups, whose inverse takes two passes.
"""

from collections.abc import Sequence
from math import log, pi
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.transforms import MonotonicRQSTransform

from companion.contracts import check_condition


class Mapped(NamedTuple):
    """A point's image and log|det| of the Jacobian that took it there."""

    value: Tensor  # (batch, dim)
    log_det: Tensor  # (batch,)


class Flow(nn.Module):
    """Steps between a data side and a standard normal side, exact in both directions.

    ``forward`` is the direction that costs one pass of each network, ``inverse`` the other. As a
    density, the flow has log p(x) = log N(z; 0, 1) + log|det dz/dx|.

    Args:
        dim: size of one point.
        steps: modules whose ``forward(condition)`` is a zuko transform, first one first.
        generates: whether ``forward`` goes from the normal to the data, as in an inverse
            autoregressive flow, and not from the data to the normal.

    Source: Papamakarios et al., *Masked Autoregressive Flow for Density Estimation*, 2017; Kingma
    et al., *Improved Variational Inference with Inverse Autoregressive Flow*, 2016.

    >>> _ = torch.manual_seed(0)
    >>> flow, x = maf(3), torch.randn(5, 3)
    >>> z, log_det = flow(x)
    >>> torch.allclose(flow.inverse(z).value, x, atol=1e-4), flow.log_prob(x).shape
    (True, torch.Size([5]))
    """

    def __init__(self, dim: int, steps: Sequence[nn.Module], generates: bool = False):
        super().__init__()
        self.dim, self.steps, self.generates = dim, nn.ModuleList(steps), generates

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Mapped:
        """One pass of each network: ``(batch, dim) -> (batch, dim), (batch,)``."""
        _check(x, condition)
        log_det = x.new_zeros(len(x))
        for step in self.steps:
            x, change = step(condition).call_and_ladj(x)
            log_det = log_det + change
        return Mapped(x, log_det)

    def inverse(self, y: Tensor, condition: Tensor | None = None) -> Mapped:
        """Back again, with the log-determinant of the way back."""
        _check(y, condition)
        log_det = y.new_zeros(len(y))
        for step in reversed(self.steps):
            transform = step(condition)
            x = transform.inv(y)
            log_det = log_det - transform.log_abs_det_jacobian(x, y)
            y = x
        return Mapped(y, log_det)

    def normalise(self, x: Tensor, condition: Tensor | None = None) -> Mapped:
        """From the data side to the normal side, whichever direction that is."""
        return self.inverse(x, condition) if self.generates else self(x, condition)

    def generate(self, z: Tensor, condition: Tensor | None = None) -> Mapped:
        """From the normal side to the data side."""
        return self(z, condition) if self.generates else self.inverse(z, condition)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """log p(x) in nats, exact: ``(batch, dim) -> (batch,)``."""
        z, log_det = self.normalise(x, condition)
        return log_det - 0.5 * (z.square().sum(-1) + self.dim * log(2 * pi))

    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        temperature: float = 1.0,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Draw ``(n, dim)`` from N(0, temperature²·1) through the flow, on the generator's chance.

        The normal is drawn on the generator's device and moved to the flow's.
        """
        parameter = next(self.parameters())
        where = parameter.device if generator is None else generator.device
        options = {"generator": generator, "device": where, "dtype": parameter.dtype}
        z = temperature * torch.randn(n, self.dim, **options).to(parameter.device)
        return self.generate(z, condition).value


def _check(x: Tensor, condition: Tensor | None) -> None:
    if condition is not None:  # zuko would broadcast
        check_condition(condition, len(x), "Flow", flat=True)


def maf(
    dim: int,
    condition_dim: int = 0,
    transforms: int = 4,
    hidden: Sequence[int] = (256, 256),
    generates: bool = False,
    **options,
) -> Flow:
    """A masked autoregressive flow: densities in one pass, samples in ``dim`` (AEF App. D.2).

    The paper puts an ActNorm layer between the steps; here each affine step is one already.

    Args:
        dim: size of one point.
        condition_dim: size of the condition; 0 for none.
        transforms: autoregressive steps, whose order alternates (the paper's K = 4).
        hidden: widths of each step's masked network.
        generates: see :class:`Flow`.
        options: of zuko's ``MaskedAutoregressiveTransform``.

    Raises:
        ValueError: when a size or a count is not positive.
    """
    for name, value in (("dim", dim), ("transforms", transforms), *(("hidden", h) for h in hidden)):
        if value < 1:
            raise ValueError(f"flow: {name} must be positive, got {value}")
    options = {"context": condition_dim, "hidden_features": tuple(hidden), **options}
    orders = [torch.arange(dim), torch.arange(dim).flip(0)]
    steps = [
        MaskedAutoregressiveTransform(dim, order=orders[i % 2], **options)
        for i in range(transforms)
    ]
    return Flow(dim, steps, generates)


def iaf(dim: int, condition_dim: int = 0, **options) -> Flow:
    """An inverse autoregressive flow: samples in one pass, densities in ``dim``.

    Its ``forward(noise, condition)`` is what a posterior or a core encoder needs. Arguments are
    those of :func:`maf`.

    >>> _ = torch.manual_seed(0)
    >>> z, log_det = iaf(2, condition_dim=3)(torch.randn(5, 2), torch.randn(5, 3))
    """
    return maf(dim, condition_dim, generates=True, **options)


def realnvp(dim: int, condition_dim: int = 0, **options) -> Flow:
    """Affine couplings: two groups of coordinates, both directions cheap. Arguments as for `maf`.

    Source: Dinh et al., *Density Estimation Using Real NVP*, 2017.

    >>> _ = torch.manual_seed(0)
    >>> realnvp(4, transforms=2).sample(3, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 4])
    """
    return maf(dim, condition_dim, passes=2, **options)


def spline_coupling(dim: int, condition_dim: int = 0, bins: int = 8, **options) -> Flow:
    """Couplings by monotonic rational-quadratic splines on [−5, 5], the identity outside.

    Other arguments as for :func:`maf`.

    Source: Durkan et al., *Neural Spline Flows*, 2019.

    >>> _ = torch.manual_seed(0)
    >>> spline_coupling(4, transforms=2)(torch.randn(3, 4)).log_det.shape
    torch.Size([3])
    """
    spline = {"univariate": MonotonicRQSTransform, "shapes": [(bins,), (bins,), (bins - 1,)]}
    return maf(dim, condition_dim, passes=2, **spline, **options)
