"""Fully connected networks: the encoders and decoders of the toys, tables and small digits."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from companion.contracts import check_condition

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh, "softplus": nn.Softplus}


class MLP(nn.Module):
    """A fully connected network from one shape to another, with an optional condition.

    Input and condition are flattened and concatenated. With ``residual`` a linear map of the input
    is added to the output: one residual block whose skip also changes the width.

    Args:
        in_shape: shape of one input sample, or its size.
        out_shape: shape of one output sample, or its size.
        hidden: widths of the hidden layers.
        condition_dim: size of the condition; 0 for none.
        activation: ``silu``, ``relu``, ``tanh`` or ``softplus``.
        residual: add a linear skip from input to output.

    Raises:
        ValueError: for an unknown activation, and when a condition is missing or not expected.

    >>> _ = torch.manual_seed(0)
    >>> MLP((1, 8, 8), 4, hidden=[32])(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        in_shape: int | Sequence[int],
        out_shape: int | Sequence[int],
        hidden: Sequence[int] = (64, 64),
        condition_dim: int = 0,
        activation: str = "silu",
        residual: bool = False,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"MLP: activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        self.out_shape = (out_shape,) if isinstance(out_shape, int) else tuple(out_shape)
        self.condition_dim = condition_dim
        in_size = in_shape if isinstance(in_shape, int) else prod(in_shape)
        widths = [in_size + condition_dim, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
        self.body = nn.Sequential(*layers, nn.Linear(widths[-1], prod(self.out_shape)))
        self.skip = nn.Linear(widths[0], prod(self.out_shape), bias=False) if residual else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = with_condition(x.flatten(1), condition, self.condition_dim, "MLP")
        y = self.body(h) if self.skip is None else self.body(h) + self.skip(h)
        return y.reshape(len(y), *self.out_shape)  # (batch, *out_shape)


def with_condition(flat: Tensor, condition: Tensor | None, size: int, name: str) -> Tensor:
    """Concatenate a flat input and its condition, or say which of the two is wrong."""
    if condition is None or size == 0:
        got = 0 if condition is None else condition.shape[-1]
        if got != size:
            raise ValueError(f"{name}: expected a condition of size {size}, got one of size {got}")
        return flat
    check_condition(condition, len(flat), name, size)
    return torch.cat([flat, condition], dim=1)
