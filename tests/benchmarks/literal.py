"""MLAE as its authors describe it (App. D), taken literally: what one pass is up against."""

import torch
from torch.autograd import forward_ad


def loss(x, encoder, decoder, beta, num_probes):
    """Per-sample QR of Gaussian probes, a Python loop over them, a graph kept for the tangent."""
    x = x.detach().requires_grad_()
    z = encoder(x)
    normal = torch.randn(len(x), z.shape[1], num_probes)
    q = torch.stack([torch.linalg.qr(one).Q for one in normal]) * z.shape[1] ** 0.5
    surrogate = 0.0
    for k in range(num_probes):
        v = q[:, :, k]
        (left,) = torch.autograd.grad(z, x, v, create_graph=True)
        with forward_ad.dual_level():
            out = decoder(forward_ad.make_dual(z, v))
            x_hat, right = forward_ad.unpack_dual(out)
        surrogate = surrogate + (left * right.detach()).sum(1) / num_probes
    error = (x_hat - x).square().sum(1)
    return (0.5 * z.square().sum(1) - surrogate + beta * error).mean()
