"""The gradient of a decoder's log-volume by conjugate gradients, as rectangular flows take it.

With J = g'(z) the gradient of ½ log det(JᵀJ) is ½ tr((JᵀJ)⁻¹ ∂(JᵀJ)) (MLAE eq. 5). A probe v with
E[vvᵀ] = I turns the trace into uᵀ ∂(JᵀJ) v / 2 with u = (JᵀJ)⁻¹v (eq. 6), and conjugate gradients
find u from products with J and Jᵀ alone: up to d rounds of them, where the one-pass surrogate
takes one.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from companion import probes as _probes
from companion.contracts import Map, bind
from companion.passes import jvp, over, vjp


class Conjugate(NamedTuple):
    """What the conjugate-gradient estimator gives, per sample; the worst probe's counts."""

    x_hat: Tensor  # (batch, *data)
    surrogate: Tensor  # (batch,) its gradient matters, its value is no log-determinant
    iterations: Tensor  # (batch,) products with JᵀJ
    residual: Tensor  # (batch,) ‖v − JᵀJu‖ / ‖v‖, as the recursion has it


class Solution(NamedTuple):
    """A linear system's solutions by conjugate gradients, one for each right-hand side."""

    x: Tensor  # (…, size)
    iterations: Tensor  # (…)
    residual: Tensor  # (…) ‖b − Ax‖ / ‖b‖, as the recursion has it


def conjugate(
    decode: Map,
    z: Tensor,
    condition: Tensor | None = None,
    num_probes: int = 1,
    kind: _probes.Kind = "orthogonal",
    tolerance: float = 1e-4,
    max_iterations: int | None = None,
    stop_early: bool = True,
    probes: Tensor | None = None,
    generator: Generator | None = None,
) -> Conjugate:
    """Decode, and attach the gradient of the decoder's log-volume, without any encoder.

    surrogate = (1/2K) Σₖ sg[uₖ]ᵀ JᵀJ vₖ, uₖ = (JᵀJ)⁻¹ vₖ by conjugate gradients, J = g'(z).

    Its gradient follows **plus** the log-volume of g, also through z where that is attached, and is
    unbiased as far as uₖ is solved: with rounds left out, the directions that g squeezes lose their
    share of it. Its value is mean ‖vₖ‖²/2, about half the latent size, after *any* number of rounds
    (residuals are orthogonal to vₖ) and so tells nothing: watch the residual.

    Args:
        decode: ``(batch, latent) -> (batch, *data)``, each sample on its own.
        z: ``(batch, latent)``.
        condition: ``(batch, …)`` or nothing.
        num_probes: K; all systems are solved side by side.
        kind: distribution of the probes, see :func:`companion.probes.sample`.
        tolerance: relative residual at which a system is solved.
        max_iterations: most products with JᵀJ; by default the latent size, which suffices in exact
            arithmetic. Badly conditioned decoders need more.
        stop_early: look at the residuals and stop when all systems are solved. Without it exactly
            ``max_iterations`` rounds run, as ``vmap`` and ``torch.compile(fullgraph=True)`` need;
            solved systems rest, so that the numbers are the same.
        probes: ``(probe, batch, latent)`` drawn outside; overrides ``num_probes`` and ``kind``.
        generator: where chance comes from when probes are not given.

    Returns:
        ``Conjugate(x_hat, surrogate, iterations, residual)``; a residual above the tolerance says
        that a system was not solved, be it for want of iterations or for a singular Jacobian.

    Raises:
        ValueError: for a negative tolerance, less than one iteration, probes of a wrong shape, and
            for ``stop_early`` under ``vmap``.

    Source: MLAE eqs 5–7, after Caterini et al. (2021), "Rectangular flows for manifold learning".

    >>> decode = lambda z: z @ torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    >>> out = conjugate(decode, torch.ones(4, 2), num_probes=2, kind="basis")
    >>> out.surrogate, out.iterations  # ½ tr((JᵀJ)⁻¹ JᵀJ) = 1
    (tensor([1., 1., 1., 1.]), tensor([1, 1, 1, 1]))
    """
    if probes is None:
        v = _probes.sample(kind, num_probes, z, generator, call="volume.conjugate")
    elif probes.shape[1:] != z.shape:
        raise ValueError(
            f"volume.conjugate: probes must be (probe, {', '.join(map(str, z.shape))}), "
            f"got {tuple(probes.shape)}"
        )
    else:
        v = probes.to(z.dtype)
    decode = bind(decode, condition, "volume.conjugate: the decoder")
    with torch.no_grad():
        limit = z.shape[-1] if max_iterations is None else max_iterations
        gram = gram_product(decode, z.detach())
        solved = solve(gram, v, tolerance, limit, stop_early, call="volume.conjugate")
    both = torch.cat([solved.x, v])  # (2·probe, batch, latent)
    x_hat, pushed = over(lambda one: jvp(decode, z, one, name="decoder"), both, name="decoder")
    ju, jv = pushed.chunk(2)
    surrogate = 0.5 * (ju * jv).flatten(2).sum(-1).mean(0)  # (probe, batch, …) -> (batch,)
    return Conjugate(x_hat[0], surrogate, solved.iterations.amax(0), solved.residual.amax(0))


def gram_product(decode: Map, z: Tensor) -> Callable[[Tensor], Tensor]:
    """The product v ↦ JᵀJv with J = g'(z), for ``(probe, batch, latent)`` and without a graph.

    The decoder runs once: wᵀJ is linear in w, and its own backward pass is v ↦ Jv. So a product
    costs two passes over the decoder.

    >>> gram_product(lambda z: 3 * z, torch.zeros(1, 2))(torch.ones(1, 1, 2))
    tensor([[[9., 9.]]])
    """
    x_hat, pull = vjp(decode, z, "decoder")
    _, push = vjp(pull, torch.zeros_like(x_hat), "decoder")

    def product(v: Tensor) -> Tensor:
        return pull(push(v))

    return lambda v: product(v[0]).unsqueeze(0) if len(v) == 1 else over(product, v)


def solve(
    product: Callable[[Tensor], Tensor],
    b: Tensor,
    tolerance: float = 1e-4,
    max_iterations: int = 100,
    stop_early: bool = True,
    call: str = "conjugate.solve",
) -> Solution:
    """Solve A x = b by conjugate gradients from x = 0, for many right-hand sides at once.

    A system rests as soon as ‖b − Ax‖ ≤ tolerance·‖b‖, and also where pᵀAp is below the number
    format's resolution of the largest curvature met: A is singular there, or as good as.
    The residual may rise before it falls; what falls in each round is (x − x*)ᵀA(x − x*).

    Args:
        product: x ↦ A x on ``(…, size)``, A symmetric and positive semi-definite; it may differ
            between systems.
        b: ``(…, size)``.
        tolerance: relative.
        max_iterations: most rounds.
        stop_early: stop when all systems rest; see :func:`conjugate`.
        call: the name that errors blame.

    Returns:
        The :class:`Solution`.

    Raises:
        ValueError: for a negative tolerance, less than one iteration, and ``stop_early`` under
            ``vmap``.

    >>> A = torch.tensor([[4.0, 1.0], [1.0, 3.0]])
    >>> solve(lambda x: x @ A, torch.tensor([[1.0, 2.0]]), max_iterations=2).x
    tensor([[0.0909, 0.6364]])
    """
    if not tolerance >= 0:
        raise ValueError(f"{call}: tolerance must not be negative, got {tolerance}")
    if max_iterations < 1:
        raise ValueError(f"{call}: max_iterations must be at least 1, got {max_iterations}")
    x, r, p = torch.zeros_like(b), b, b
    start = error = _dot(r, r)  # (…) squared residuals
    active = error > tolerance**2 * start
    largest, iterations = torch.zeros_like(error), torch.zeros_like(error, dtype=torch.int64)
    for _ in range(max_iterations):
        if stop_early and _all_rest(active, call):
            break
        q = product(p)
        length, curvature = _dot(p, p), _dot(p, q)
        largest = torch.maximum(largest, curvature / length.clamp_min(torch.finfo(b.dtype).tiny))
        active = active & (curvature > torch.finfo(b.dtype).eps * largest * length)
        step = torch.where(active, error / torch.where(active, curvature, 1.0), 0.0).unsqueeze(-1)
        x, r = x + step * p, r - step * torch.where(active.unsqueeze(-1), q, 0.0)
        before, error = error, _dot(r, r)
        keep = (error / torch.where(active, before, 1.0)).unsqueeze(-1)
        p = torch.where(active.unsqueeze(-1), r + keep * p, p)
        iterations = iterations + active
        active = active & (error > tolerance**2 * start)
    residual = (error / torch.where(start > 0, start, 1.0)).sqrt()
    return Solution(x, iterations, residual)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def _all_rest(active: Tensor, call: str) -> bool:
    try:
        return not bool(active.any())
    except RuntimeError as error:
        raise ValueError(
            f"{call}: stopping early looks at the residuals, which vmap forbids; pass "
            "stop_early=False and the number of max_iterations to run"
        ) from error
