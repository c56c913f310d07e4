"""MLAE as its authors' public code goes about it (App. D): what one pass is up against.

One batched QR, which costs next to nothing; a loop over the probes, each with a pass of its own
through the decoder; forward mode with the zero tangent of every weight, and with a graph.
"""

import torch
from torch.autograd import forward_ad


def loss(x, encoder, decoder, beta, num_probes):
    """The mean loss of a batch; the stopped factor is detached last, its graph is recorded."""
    x = x.detach().requires_grad_()
    z = encoder(x)
    normal = torch.randn(len(x), z.shape[1], num_probes)
    q = torch.linalg.qr(normal).Q * z.shape[1] ** 0.5
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
