"""RIF's bounds: the log-volume of a decoder from above, by how far it stretches random directions.

With J the Jacobian of a decoder at z, s₁ … s_d its singular values and u uniform on the unit
sphere,

    Σ log sᵢ  ≤  E (d/2) log‖Ju‖²  ≤  (d/2) log(‖J‖²_F/d)  ≤  ‖J‖²_F/(2λ) + (d/2)(log λ − 1)
    log-volume   eq. 7                eq. 5                  eq. 4

so that log p(z) minus any of them is a lower bound of log p(x) on the manifold. The first two signs
turn into equality where all sᵢ are equal, the last one at λ = ‖J‖²_F/d; eq. 4 meets the log-volume
only where every sᵢ² is λ. The first sign holds for each probe with E[vvᵀ] = 1 and ‖v‖² = d; for
unit vectors it is Hadamard's inequality.
"""

from math import log, prod
from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor

from companion import probes as _probes
from companion.contracts import Map, bind
from companion.passes import jvp, over, vjp

How = Literal["forward", "backward", "difference"]


class Stretch(NamedTuple):
    """A reconstruction and how far the decoder stretches each probe."""

    x_hat: Tensor  # (batch, *data)
    stretch: Tensor  # (probe, batch) ‖Jv‖/‖v‖, whose mean square is ‖J‖²_F/latent


def stretch(
    decode: Map,
    z: Tensor,
    probes: Tensor,
    condition: Tensor | None = None,
    how: How = "forward",
    epsilon: float = 0.01,
) -> Stretch:
    """Decode, and measure how far the decoder stretches each probe.

    ==============  =====================================  =========  ==========================
    how              ‖·‖/‖v‖ of                            v in       source in RIF
    ==============  =====================================  =========  ==========================
    ``forward``      J v                                   latents    eq. 7
    ``difference``   (g(z + εv) − g(z))/ε                  latents    eq. 8
    ``backward``     Jᵀv · √(data/latent)                  data       footnote 2
    ==============  =====================================  =========  ==========================

    Each has ‖J‖²_F/latent as its mean square, ``difference`` up to O(ε). Dividing by ‖v‖ leaves
    the gradient of eq. 7 as it is and takes the length of Gaussian probes out of its value.

    Args:
        decode: ``(batch, latent) -> (batch, *data)``, each sample on its own.
        z: ``(batch, latent)``.
        probes: ``(probe, batch, latent)``, or ``(probe, batch, *data)`` for ``backward``.
        condition: second argument of the decoder, or nothing.
        how: see the table.
        epsilon: the step of ``difference``.

    Returns:
        A :class:`Stretch`; both parts can be differentiated.

    Raises:
        ValueError: for an unknown ``how``, a step that is not positive, probes of another shape.

    >>> A = torch.diag(torch.tensor([3.0, 4.0]))
    >>> v = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    >>> stretch(lambda z: z @ A, torch.zeros(1, 2), v).stretch.flatten()
    tensor([3., 4.])
    """
    check(how, epsilon)
    bound = bind(decode, condition, "bounds.stretch: the decoder")
    x_hat, pushed = _push(bound, z, probes, how, epsilon)
    norms = pushed.flatten(2).norm(dim=-1) / probes.flatten(2).norm(dim=-1)  # (probe, batch)
    if how == "backward":
        norms = norms * (prod(x_hat.shape[1:]) / z.shape[1]) ** 0.5
    return Stretch(x_hat, norms)


def _push(
    decode: Map, z: Tensor, probes: Tensor, how: str, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The reconstruction and J v, Jᵀv or a difference quotient for each probe."""
    if how == "backward":
        x_hat, pull = vjp(decode, z, "decoder")
        _check_probes(probes, x_hat)
        return x_hat, _each(pull, probes)
    _check_probes(probes, z)
    if how == "difference":
        x_hat = decode(z)
        return x_hat, _each(lambda v: (decode(z + epsilon * v) - x_hat) / epsilon, probes)
    if len(probes) == 1:
        x_hat, pushed = jvp(decode, z, probes[0], name="decoder")
        return x_hat, pushed.unsqueeze(0)
    x_hat, pushed = over(lambda v: jvp(decode, z, v, name="decoder"), probes, name="decoder")
    return x_hat[0], pushed  # the value does not depend on the probe


def _each(function: Map, probes: Tensor) -> Tensor:
    if len(probes) == 1:
        return function(probes[0]).unsqueeze(0)
    return over(function, probes, name="decoder")


def draw(
    how: How,
    x: Tensor,
    latent_dim: int,
    num_probes: int = 1,
    kind: _probes.Kind = "sphere",
    generator: Generator | None = None,
) -> Tensor:
    """Probes for :func:`stretch` at the codes of a batch: in data space for ``backward``.

    >>> draw("forward", torch.zeros(5, 3), 2, num_probes=4).shape
    torch.Size([4, 5, 2])
    """
    like = x if how == "backward" else x.new_empty(len(x), latent_dim)
    return _probes.sample(kind, num_probes, like, generator, call="bounds.draw")


def frobenius(stretch: Tensor, latent_dim: int, scale: float | Tensor = 1.0) -> Tensor:
    """‖J‖²_F/(2λ) + (d/2)(log λ − 1), an upper bound of the log-volume for every λ: ``(batch,)``.

    Random probes estimate it without bias.

    Args:
        stretch: of :func:`stretch`, ``(probe, batch)``.
        latent_dim: d.
        scale: λ, a number or ``(batch,)``.

    Source: RIF eq. 4.

    >>> frobenius(torch.full((2, 1), 3.0), latent_dim=2, scale=9.0)  # 2 log 3
    tensor([2.1972])
    """
    scale = torch.as_tensor(scale, dtype=stretch.dtype, device=stretch.device)
    return latent_dim / 2 * (stretch.square().mean(0) / scale + scale.log() - 1)


def log_frobenius(stretch: Tensor, latent_dim: int) -> Tensor:
    """(d/2) log(‖J‖²_F/d), the smallest of eq. 4's bounds over λ: ``(batch,)``.

    Random probes estimate ‖J‖²_F inside the logarithm, which biases it toward eq. 7.

    Source: RIF eq. 5.

    >>> log_frobenius(torch.tensor([[3.0], [4.0]]), latent_dim=2)  # log 12.5
    tensor([2.5257])
    """
    return latent_dim / 2 * stretch.square().mean(0).log()


def log_stretch(stretch: Tensor, latent_dim: int) -> Tensor:
    """(d/2) log(‖Jv‖²/‖v‖²), its mean over probes: ``(batch,)``.

    Between the log-volume and eq. 5 in expectation, so a bound that is tighter than the one it
    estimates. The paper's Gaussian v without the division shifts it by (d/2) E log‖v‖², and the
    probes of ``backward`` by :func:`backward_shift`.

    Source: RIF eq. 7.

    >>> log_stretch(torch.tensor([[3.0], [4.0]]), latent_dim=2)  # log 12: Hadamard's inequality
    tensor([2.4849])
    """
    return latent_dim * stretch.log().mean(0)


def backward_shift(data_dim: int, latent_dim: int) -> float:
    """What data-space probes take from eq. 7: (d/2)(ψ(D/2) − ψ(d/2) − log(D/d)) ≥ 0.

    A uniform direction in data space has only a Beta(d/2, (D−d)/2) share of its squared length in
    the manifold's tangent space. That share is independent of the direction there and its mean is
    right, but its logarithm's is too small: without this correction the ‖Jᵀv‖² variant of eq. 7 can
    fall below the log-volume. It is constant, so training does not notice.

    >>> round(backward_shift(64, 4), 4)
    0.5093
    """
    digamma = torch.digamma(torch.tensor([data_dim / 2, latent_dim / 2], dtype=torch.float64))
    return latent_dim / 2 * (float(digamma[0] - digamma[1]) - log(data_dim / latent_dim))


def check(how: str, epsilon: float) -> None:
    """Refuse an unknown way to stretch and a step that is not positive."""
    if how not in get_args(How):
        raise ValueError(
            f"bounds.stretch: how must be {' or '.join(map(repr, get_args(How)))}, got {how!r}"
        )
    if not epsilon > 0:
        raise ValueError(f"bounds.stretch: epsilon must be positive, got {epsilon}")


def _check_probes(probes: Tensor, like: Tensor) -> None:
    if probes.shape[1:] != like.shape:
        raise ValueError(
            f"bounds.stretch: probes must be (probe, {', '.join(map(str, like.shape))}), got "
            f"{tuple(probes.shape)}"
        )
