"""Variances of trace estimators (MLAE App. D), for any square matrix.

The estimator is (1/K) Σ vₖᵀ A vₖ. Only the symmetric part S = (A + Aᵀ)/2 matters, since the skew
part contributes vᵀBv = 0 for every v. σ²(λ) is the population variance of the eigenvalues of S.
"""

import torch
from torch import Tensor

from companion.probes import KINDS

UNIT = ("sphere", "orthogonal", "batch-orthogonal")  # probes of fixed length: signs at size 1


def trace_variance(A: Tensor, kind: str, num_probes: int = 1) -> Tensor:
    """Var[(1/K) Σ vₖᵀ A vₖ] for the probes of :func:`companion.probes.sample`.

    =====================  =============================================  =======================
    kind                    variance, d = size of A                       source in MLAE
    =====================  =============================================  =======================
    ``rademacher``          2 Σ_{i≠j} S²ᵢⱼ / K                            eq. 93
    ``gaussian``            2 ‖S‖²_F / K                                  eq. 94
    ``sphere``              2d²/(d+2) · σ²(λ) / K                         eqs 98, 115
    ``orthogonal``          2d²(d−K)/(K(d−1)(d+2)) · σ²(λ); 0 at d = 1    eq. 114
    ``batch-orthogonal``    that of ``sphere``, sample by sample
    ``basis``               0: it is the exact trace                      eq. 102
    =====================  =============================================  =======================

    Args:
        A: ``(size, size)``, with a batch in front if wanted.
        kind: one of the kinds of probes.
        num_probes: K.

    Returns:
        A scalar, or one for each matrix.

    Raises:
        ValueError: for an unknown kind, a matrix that is not square, or a K that the kind forbids.

    >>> A = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    >>> trace_variance(A, "rademacher"), trace_variance(A, "orthogonal", 2)
    (tensor(4.), tensor(0.))
    """
    size = A.shape[-1]
    _check(A, kind, num_probes)
    S = (A + A.mT) / 2
    squared = S.square().sum((-2, -1))
    if kind == "basis" or size == 1 and kind in UNIT:
        return torch.zeros_like(squared)
    if kind == "rademacher":
        return 2 * (squared - S.diagonal(dim1=-2, dim2=-1).square().sum(-1)) / num_probes
    if kind == "gaussian":
        return 2 * squared / num_probes
    trace = S.diagonal(dim1=-2, dim2=-1).sum(-1)
    spread = (squared / size - (trace / size).square()).clamp(min=0)  # σ²(λ) without eigenvalues
    one = 2 * size**2 / (size + 2) * spread
    share = (size - num_probes) / (size - 1) if kind == "orthogonal" else 1.0
    return one * share / num_probes


def mean_trace_variance(A: Tensor, kind: str, num_probes: int = 1) -> Tensor:
    """Var[(1/BK) Σᵢₖ vᵢₖᵀ Aᵢ vᵢₖ], of the mean of the trace estimates of a batch of B matrices.

    Where samples have probes of their own it is the mean of :func:`trace_variance`, over B. Two
    orthogonal probes u, w, each uniform on the sphere, have

    Cov[uᵀAu, wᵀBw] = −2d/((d−1)(d+2)) · tr(ST),

    S and T being the traceless symmetric parts of A and B, so that a block of d samples whose
    probes are orthogonal has 2d²/((d−1)(d+2)) · Σᵢ ‖Sᵢ − S̄‖² / B² for independent probes'
    2d/(d+2) · Σᵢ ‖Sᵢ‖² / B²: noise is what the samples do *not* share, and where they all have the
    same matrix there is none. (Proof: the d probes of a block are an orthogonal basis, and
    Σ_w wᵀTw = d tr T = 0 over it; hence the covariance is that of u with itself, over −(d−1).)

    Args:
        A: ``(batch, size, size)``.
        kind: one of the kinds of probes.
        num_probes: K.

    Returns:
        A scalar.

    Raises:
        ValueError: for what :func:`trace_variance` refuses, and for A without a batch.

    >>> same = torch.tensor([[1.0, 2.0], [0.0, 3.0]]).expand(4, 2, 2)
    >>> mean_trace_variance(same, "sphere"), mean_trace_variance(same, "batch-orthogonal")
    (tensor(1.), tensor(0.))
    """
    if A.dim() != 3:
        raise ValueError(f"mean_trace_variance: expected (batch, size, size), got {tuple(A.shape)}")
    alone = trace_variance(A, kind, num_probes).sum()
    batch, size = A.shape[:2]
    if kind == "batch-orthogonal" and size > 1:
        S = (A + A.mT) / 2
        S = S - S.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(size).to(S)
        blocks = S.split(size)
        pairs = sum(b.sum(0).square().sum() - b.square().sum() for b in blocks)  # Σ_{i≠j} tr SᵢSⱼ
        shared = 2 * size / ((size - 1) * (size + 2)) * pairs / num_probes
        alone = (alone - shared).clamp(min=0)
    return alone / batch**2


def product_norms(dim: int, latent: int) -> tuple[int, int]:
    """E‖AᵀB‖²_F = Dd² and E‖BAᵀ‖²_F = D²d for D×d matrices of standard normals: why latent space.

    The variance of a trace estimate follows the squared Frobenius norm, so that the trace of f'g'
    (d×d) is cheaper to estimate than the equal trace of g'f' (D×D).

    Source: MLAE Theorem D.1.

    >>> product_norms(dim=784, latent=16)
    (200704, 9834496)
    """
    return dim * latent**2, dim**2 * latent


def _check(A: Tensor, kind: str, num_probes: int) -> None:
    size = A.shape[-1]
    if A.dim() < 2 or A.shape[-2] != size:
        raise ValueError(f"trace_variance: expected a square matrix, got {tuple(A.shape)}")
    if kind not in KINDS:
        raise ValueError(f"trace_variance: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    limit = size if kind in ("orthogonal", "basis") else num_probes
    if not 1 <= num_probes <= limit or kind == "basis" and num_probes != size:
        raise ValueError(
            f"trace_variance: {kind} probes of size {size} cannot be {num_probes} in number"
        )
