"""What some layers run as inside a differentiated pass: operations with the derivatives it needs.

Values are torch's own. ``INSTEAD`` has layers whose kernels lack a derivative, ``PLAIN_NORMS``
those that cannot be compiled inside forward mode; :func:`silu` has a second derivative that is
faster than torch's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

LARGE = 2**16  # numbers; below, starting a Function costs more than the kernels that it saves


def silu(x: Tensor) -> Tensor:
    """x σ(x), whose slope torch computes in seven kernels wherever it may be differentiated.

    >>> silu(torch.zeros(2))
    tensor([0., 0.])
    """
    return _SiLU.apply(x) if x.numel() >= LARGE else F.silu(x)


def silu_slope(w: Tensor, x: Tensor) -> Tensor:
    """w s'(x), in one kernel, without a derivative of its own.

    >>> silu_slope(torch.ones(1), torch.zeros(1))
    tensor([0.5000])
    """
    with torch.no_grad():
        return torch.ops.aten.silu_backward(w, x)


class _OfInputs(torch.autograd.Function):
    """Its derivatives need its inputs."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _SiLU(_OfInputs):
    """x σ(x), with one kernel for its slope and seven for the slope's."""

    @staticmethod
    def forward(x):
        return F.silu(x)

    @staticmethod
    def backward(ctx, w):
        return _SiLUSlope.apply(w, *ctx.saved_tensors)

    @staticmethod
    def jvp(ctx, u):
        return _SiLUSlope.apply(u, *ctx.saved_tensors)


class _SiLUSlope(_OfInputs):
    """w s'(x) with s' = σ + x σ(1 − σ), and so s'' = σ(1 − σ)(2 + x − 2xσ)."""

    @staticmethod
    def forward(w, x):
        return silu_slope(w, x)

    @staticmethod
    def backward(ctx, u):
        w, x = ctx.saved_tensors
        return _SiLUSlope.apply(u, x), _silu_bend(w * u, x)

    @staticmethod
    def jvp(ctx, w_dot, x_dot):
        w, x = ctx.saved_tensors
        return _SiLUSlope.apply(w_dot, x) + _silu_bend(w * x_dot, x)


def _silu_bend(w, x):
    sigmoid = torch.sigmoid(x)
    bend = torch.addcmul(x + 2, x, sigmoid, value=-2)
    return torch.ops.aten.sigmoid_backward(w, sigmoid) * bend


def _attention(*args, **kwargs):
    """The fused kernels have no forward derivative, and no second one."""
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(*args, **kwargs)


def _heads(*args, **kwargs):
    with sdpa_kernel(SDPBackend.MATH):
        return F.multi_head_attention_forward(*args, **kwargs)


def _lstm(*args, **kwargs):
    """oneDNN's and cuDNN's cells have a first derivative only, in backward mode."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)  # the public context manager also warns, of Intel's GPUs
    try:
        with torch.backends.cudnn.flags(enabled=False):
            return torch.lstm(*args, **kwargs)
    finally:
        torch._C._set_mkldnn_enabled(before)


def _rrelu(x, lower=1 / 8, upper=1 / 3, training=False, inplace=False):
    """Torch's own has no rule for ``vmap``."""
    slope = (lower + upper) / 2
    if training:
        slope = lower + (upper - lower) * torch.rand_like(x.detach())
    return torch.where(x >= 0, x, slope * x)


def _cdist(a, b, p=2.0, compute_mode=None):
    """Torch's own has one derivative, in backward mode."""
    return torch.linalg.vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), p, dim=-1)


INSTEAD = {
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _heads,
    torch.lstm: _lstm,
    F.rrelu: _rrelu,
    torch.rrelu: _rrelu,
    torch.cdist: _cdist,
}


def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = _standardise(x, tuple(range(-len(normalized_shape), 0)), eps)
    return _affine(y, weight, bias, normalized_shape)


def _group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    y = _standardise(x.reshape(len(x), num_groups, -1), (2,), eps).reshape(x.shape)
    return _affine(y, weight, bias, _channels(x))


def _batch_norm(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if not training:
        y = x - running_mean.reshape(_channels(x))
        y = y * (running_var.reshape(_channels(x)) + eps).rsqrt()
    else:
        y = _standardise(x, (0, *range(2, x.dim())), eps)
        if running_mean is not None:  # torch's own moves it, as a transform permits to no other
            F.batch_norm(x.detach(), running_mean, running_var, None, None, True, momentum, eps)
    return _affine(y, weight, bias, _channels(x))


def _standardise(x, dims, eps):
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) * (variance + eps).rsqrt()


def _channels(x):
    return (1, -1, *[1] * (x.dim() - 2))


def _affine(y, weight, bias, shape):
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


# torch cannot compile its own inside forward mode; eagerly they are faster than these
PLAIN_NORMS = {
    F.layer_norm: _layer_norm,
    F.group_norm: _group_norm,
    F.batch_norm: _batch_norm,
}
