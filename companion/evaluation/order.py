"""What a one-dimensional code follows: the curve, or the noise around it."""

from scipy.stats import spearmanr
from torch import Tensor

from companion import jacobians
from companion.contracts import Map, exact


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two samples ``(n,)``, in [−1, 1]; NaN if one is constant.

    Raises:
        ValueError: when the lengths differ or are below two.

    >>> import torch
    >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 8.0, 27.0]))
    1.0
    """
    if a.shape != b.shape or a.dim() != 1 or len(a) < 2:
        raise ValueError(
            "rank_correlation: expected two (n,) with n ≥ 2, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    if min(float(t.max() - t.min()) for t in (a, b)) == 0:
        return float("nan")
    return float(spearmanr(exact(a).numpy(), exact(b).numpy()).statistic)


def normal_alignment(encode: Map, x: Tensor, normal: Tensor) -> float:
    """Mean cos² between the gradient of a one-dimensional code and a curve's normal.

    Zero when the code changes only along the curve, one when it changes only across it: the order
    parameter of the sinusoid. Global rank correlations mislead where the code folds.

    Args:
        encode: ``(batch, 2) -> (batch, 1)``.
        x: ``(batch, 2)`` data.
        normal: ``(batch, 2)`` unit normals of the curve at the point nearest to each ``x``.

    Raises:
        ValueError: when ``x`` and ``normal`` differ in shape.

    >>> import torch
    >>> normal_alignment(lambda x: x[:, :1], torch.zeros(4, 2), torch.tensor([[0.0, 1.0]] * 4))
    0.0
    """
    if x.shape != normal.shape:
        raise ValueError(
            "normal_alignment: x and normal must have one shape, got "
            f"{tuple(x.shape)} and {tuple(normal.shape)}"
        )
    gradient = jacobians.jacobian(encode, x)[:, 0]  # (batch, 2)
    cosine = (gradient * normal).sum(-1) / gradient.norm(dim=-1).clamp(min=1e-12)
    return float(cosine.square().mean())
