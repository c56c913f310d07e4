"""Log-likelihoods of a decoder that is linearised at the posterior's mean: no code is sampled.

A decoder g that is linear around the posterior's mean μ turns z = μ + Sε into x ~ N(x̂, cI + UUᵀ)
with x̂ = g(μ), U = g'(μ) S: (n, latent), n the numbers of one sample and c the observation variance.
With n > latent nothing of size n × n is formed: Woodbury's identity and the determinant lemma leave
matrices of size latent × latent (SFVAE eqs 12 to 19).
"""

from math import log, pi
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from companion.contracts import Map, bind
from companion.models.gaussian import Posterior, gaussian_log_likelihood
from companion.passes import jvp, over

Tangents = Literal["all", "two", "one"]


class Linearised(NamedTuple):
    """A decoder at the posterior's mean: its value and how far directions ε move it."""

    x_hat: Tensor  # (batch, *data)
    tangents: Tensor  # (probe, batch, n) the U bₖ


def linearise(
    decode: Map, q: Posterior, directions: Tensor | None = None, detach: bool = False
) -> Linearised:
    """x̂ = g(μ) and U bₖ = g'(μ) S bₖ, in one vmapped forward-mode pass.

    Args:
        decode: ``(batch, latent) -> (batch, *data)``.
        q: mean μ and scale S of the posterior.
        directions: the bₖ, ``(probe, batch, latent)``; by default all unit vectors, which gives
            the columns of U one after the other.
        detach: the tangents need no gradient.

    Source: SFVAE eqs 10 and 12.

    >>> q = Posterior(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]))
    >>> linearise(lambda z: 2 * z, q).tangents[:, 0]
    tensor([[2., 0.],
            [0., 6.]])
    """
    if directions is None:
        eye = torch.eye(q.mean.shape[1], dtype=q.mean.dtype, device=q.mean.device)
        directions = eye.unsqueeze(1).expand(-1, *q.mean.shape)  # (latent, batch, latent)
    mean = q.mean.contiguous()  # a tangent is laid out like its primal: a view's would be copied
    values = []  # the value is the same for all directions: an output of vmap would be copied

    def push(v: Tensor) -> Tensor:
        value, tangent = jvp(decode, mean, v, detach, "decoder")
        values.append(value)
        return tangent

    tangents = over(push, spread(q.scale, directions), name="decoder")
    return Linearised(values[0], tangents.flatten(2))


def spread(scale: Tensor, noise: Tensor) -> Tensor:
    """Sε for a diagonal or full S and ε ``(…, batch, latent)``."""
    full = scale.dim() == 3
    return torch.einsum("bij,...bj->...bi", scale, noise) if full else scale * noise


class Woodbury(NamedTuple):
    """The linearised marginal, from matrices of the smaller side of U, latent or n."""

    log_likelihood: Tensor  # (batch,) in nats
    y: Tensor  # (batch, latent) N Uᵀr, N = (cI + UᵀU)⁻¹: where the residual says the code should go
    explained: Tensor  # (batch, n) Uy, what of the residual that step explains
    cholesky: Tensor  # (batch, k, k) lower factor of cI + UᵀU, or of cI + UUᵀ where n is smaller


def woodbury(
    residual: Tensor, factor: Tensor, variance: float | Tensor, taylor_weight: float | Tensor = 1.0
) -> Woodbury:
    """log N(r; 0, cI + UUᵀ) with its Woodbury correction weighted by w.

    −(n/2) log 2πc − ½ log det(I + UᵀU/c) − ‖r‖²/(2c) + (w/2c) rᵀU(cI + UᵀU)⁻¹Uᵀr

    Args:
        residual: r = x̂ − x, ``(batch, n)``.
        factor: Uᵀ, ``(batch, latent, n)``.
        variance: c.
        taylor_weight: w in [0, 1], the paper's γ; it leaves the determinant alone.

    Source: SFVAE eqs 16, 18, 19 and 21.

    >>> r, U = torch.ones(1, 2), torch.zeros(1, 1, 2)
    >>> woodbury(r, U, 0.5).log_likelihood  # U = 0: −log π − 2
    tensor([-3.1447])
    """
    n, wide = factor.shape[2], _wide(factor)
    rows = factor.mT if wide else factor  # (batch, k, ·)
    c = torch.as_tensor(variance, dtype=residual.dtype, device=residual.device)
    eye = torch.eye(rows.shape[1], dtype=residual.dtype, device=residual.device)
    cholesky = torch.linalg.cholesky_ex(rows @ rows.mT + c * eye).L  # (batch, k, k)
    down = (factor @ _solve(residual, cholesky, wide).unsqueeze(2)).squeeze(2)
    y = _solve(down, cholesky, not wide)  # N Uᵀ = Uᵀ(cI + UUᵀ)⁻¹
    explained = _times(factor, y)
    log_det = 2 * cholesky.diagonal(dim1=1, dim2=2).log().sum(1) + (n - len(eye)) * c.log()
    square = residual.square().sum(1) - taylor_weight * (residual * explained).sum(1)
    log_likelihood = -0.5 * (n * log(2 * pi) + log_det + square / c)
    return Woodbury(log_likelihood, y, explained, cholesky)


def _wide(factor: Tensor) -> bool:
    return factor.shape[1] > factor.shape[2]


def _times(factor: Tensor, b: Tensor) -> Tensor:
    """Ub: (batch, n)."""
    return (b.unsqueeze(1) @ factor).squeeze(1)


def _solve(b: Tensor, cholesky: Tensor, really: bool) -> Tensor:
    return _cholesky_solve(b.unsqueeze(2), cholesky).squeeze(2) if really else b


def _cholesky_solve(b: Tensor, cholesky: Tensor) -> Tensor:
    """(LLᵀ)⁻¹B: (batch, k, ·); torch's own on CUDA takes memory, which no CUDA graph allows."""
    if not cholesky.is_cuda:
        return torch.cholesky_solve(b, cholesky)
    half = torch.linalg.solve_triangular(cholesky, b, upper=False)
    return torch.linalg.solve_triangular(cholesky.mT, half, upper=True)


def bound_log_likelihood(
    x: Tensor,
    decode: Map,
    q: Posterior,
    variance: float | Tensor,
    taylor_weight: float | Tensor = 1.0,
    tangents: Tangents = "all",
    probe: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """log E_q p(x | z) under the linearised decoder, the paper's objective; and x̂.

    By Jensen an **upper** bound of the E_q log p(x | z) that an evidence lower bound holds.

    With N = (cI + UᵀU)⁻¹ and y = N Uᵀr, its gradient in U is (w/c)(r − Uy)yᵀ − UN. ``all`` keeps
    the graph of every tangent for it. The others compute U without a graph and need

    =======  =============================================  ===================================
    ``two``  (w/c) sg(r − Uy)ᵀ dU y − sg(UNε)ᵀ dU ε         exact square, unbiased determinant
    ``one``  sg((w/cκ)(r − Uy) − UNε)ᵀ dU (κy + ε)          unbiased: cross terms are odd in ε
    =======  =============================================  ===================================

    with κ chosen to keep the cross terms small. The value is the same in all three, and so are the
    gradients in x̂ and c. In matrix products a step costs 1 + m/2, 1 + (m + 7)/6 or 1 + (m + 4)/6 of
    a VAE's, m the latent size.

    Args:
        x: ``(batch, *data)``.
        decode: ``(batch, latent) -> (batch, *data)``.
        q: the posterior.
        variance: c.
        taylor_weight: w in [0, 1].
        tangents: ``all``, ``two`` or ``one``.
        probe: ε of the latter two, ``(batch, latent)``, symmetric with E[εεᵀ] = I.

    Returns:
        Log-likelihoods ``(batch,)``, differentiable once, and x̂ ``(batch, *data)``.

    Source: SFVAE eqs 14, 19 and 21; the cheaper gradients are ours, after MLAE eq. 11.

    >>> x, q = torch.tensor([[1.0]]), Posterior(torch.zeros(1, 1), torch.ones(1, 1))
    >>> bound_log_likelihood(x, lambda z: z, q, 1.0)[0]  # log N(1; 0, 2)
    tensor([-1.5155])
    """
    decode = bind(decode, None, "bound_log_likelihood: the decoder", x.shape[1:])
    with torch.set_grad_enabled(tangents == "all" and torch.is_grad_enabled()):
        x_hat, pushed = linearise(decode, q, detach=tangents != "all")
    residual = (x_hat - x).detach().flatten(1)  # (batch, n)
    factor = pushed.detach().transpose(0, 1)  # (batch, latent, n)
    out = woodbury(residual, factor, variance, taylor_weight)
    with torch.no_grad():
        pairs = _pairs(residual, factor, out, taylor_weight / variance, tangents, probe)
        pull = (taylor_weight * out.explained - residual) / variance  # the gradient in x̂
    if tangents != "all":
        x_hat, pushed = linearise(decode, q, pairs.right)
    known = pushed, pairs.left, x_hat.flatten(1), pull
    return _WithGradients.apply(out.log_likelihood, *known), x_hat


class _WithGradients(torch.autograd.Function):
    """A value ``(batch,)`` whose gradients in tangents and reconstruction are given with it.

    The same as adding Σ left·tangents + pull·x̂ less its own value, without computing that sum.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(value, tangents, left, x_hat, pull):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, _, left, _, pull = inputs
        ctx.save_for_backward(left, pull)

    @staticmethod
    def backward(ctx, gradient):
        left, pull = ctx.saved_tensors
        column = gradient.unsqueeze(1)  # (batch, 1)
        return gradient, left * column, None, pull * column, None


class Pairs(NamedTuple):
    """Σₖ leftₖᵀ dU rightₖ is the gradient in U, or is so on average over the probe."""

    left: Tensor  # (probe, batch, n)
    right: Tensor | None  # (probe, batch, latent), or nothing for all unit vectors


def _pairs(
    residual: Tensor, factor: Tensor, out: Woodbury, ratio, tangents: str, probe: Tensor | None
) -> Pairs:
    wide, square = _wide(factor), ratio * (residual - out.explained)  # (w/c)(r − Uy)
    if tangents == "all":
        inverse = _inverse(out.cholesky)
        ends = (factor, inverse) if wide else (inverse, factor)  # their product is (UN)ᵀ
        outer = out.y.unsqueeze(2) * square.unsqueeze(1)  # (batch, latent, n)
        return Pairs(torch.baddbmm(outer, *ends, alpha=-1).transpose(0, 1), None)
    det = _times(factor, _solve(probe, out.cholesky, not wide))
    det = _solve(det, out.cholesky, wide)  # UNε
    if tangents == "two":
        return Pairs(torch.stack([square, -det]), torch.stack([out.y, probe]))
    kappa = (_ratio(square, det) * _ratio(probe, out.y)).sqrt()
    left, right = square / kappa - det, kappa * out.y + probe
    return Pairs(left.unsqueeze(0), right.unsqueeze(0))


def _inverse(cholesky: Tensor) -> Tensor:
    if not cholesky.is_cuda:
        return torch.cholesky_inverse(cholesky)
    eye = torch.eye(cholesky.shape[-1], dtype=cholesky.dtype, device=cholesky.device)
    return _cholesky_solve(eye.expand_as(cholesky), cholesky)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    tiny = torch.finfo(a.dtype).tiny ** 0.5
    return (a.norm(dim=1, keepdim=True) + tiny) / (b.norm(dim=1, keepdim=True) + tiny)


def exact_log_likelihood(
    x: Tensor,
    decode: Map,
    q: Posterior,
    variance: float | Tensor,
    tangents: Tangents = "all",
    probe: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """E_q log p(x | z) under the linearised decoder, which an ELBO needs; and x̂.

    −(‖r‖² + ‖U‖²)/(2c) − (n/2) log 2πc with ‖U‖² = tr(g'SSᵀg'ᵀ) from all tangents, or unbiased from
    one, E‖Uε‖² = ‖U‖², at 1.5 times a VAE step whatever the latent size.

    Arguments and returns are those of :func:`bound_log_likelihood` without a weight.

    Source: 2SVAE eq. 81.

    >>> x, q = torch.tensor([[1.0]]), Posterior(torch.zeros(1, 1), torch.ones(1, 1))
    >>> exact_log_likelihood(x, lambda z: z, q, 1.0)[0]  # below the bound's -1.5155
    tensor([-1.9189])
    """
    decode = bind(decode, None, "exact_log_likelihood: the decoder", x.shape[1:])
    x_hat, pushed = linearise(decode, q, None if tangents == "all" else probe.unsqueeze(0))
    norm = pushed.square().sum((0, 2))  # (batch,) ‖U‖²
    return gaussian_log_likelihood(x, x_hat, variance) - norm / (2 * variance), x_hat
