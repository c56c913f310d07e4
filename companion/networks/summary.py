"""The layer table of a network, as the papers print theirs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from companion.networks.table import TableRow


def count(*modules: nn.Module) -> int:
    """The number of parameters of some networks together.

    >>> count(nn.Linear(3, 2), nn.Linear(2, 3))
    17
    """
    return sum(p.numel() for module in modules for p in module.parameters())


def summary(module: nn.Module, *shapes: Sequence[int]) -> str:
    """The layer table of a network: row, layers, output shape, parameters.

    Args:
        module: any network; rows of a table are shown as such, other modules by their leaves.
        shapes: shape of one input sample and, if there is one, of one condition.

    >>> from companion.networks import MLP
    >>> print(summary(MLP(2, 1, [8]), (2,)))
    body.0  Linear  8  24
    body.1  SiLU    8   0
    body.2  Linear  1   9
    #Parameters        33
    """
    rows = [(n, m) for n, m in module.named_modules() if isinstance(m, TableRow)]
    rows = rows or [(n, m) for n, m in module.named_modules() if not list(m.children())]
    sizes: dict[nn.Module, str] = {}

    def note_size(layer: nn.Module, _, out: Tensor) -> None:
        sizes[layer] = " × ".join(map(str, out.shape[1:]))

    hooks = [layer.register_forward_hook(note_size) for _, layer in rows]
    like = next(module.parameters())
    try:
        with torch.no_grad():  # two samples, for layers that normalise over them
            torch.func.functional_call(
                module,
                {name: tensor.clone() for name, tensor in module.named_buffers()},
                tuple(like.new_zeros(2, *shape) for shape in shapes),
            )
    finally:
        for hook in hooks:
            hook.remove()
    cells = [
        (_place(name), getattr(m, "label", type(m).__name__), sizes.get(m, ""), f"{count(m):,}")
        for name, m in rows
    ]
    a, b, c, d = (max(map(len, column)) for column in zip(*cells, strict=True))
    total = f"{count(module):,}"
    d = max(d, len("#Parameters  ") + len(total) - a - b - c - 6)
    lines = [f"{i:<{a}}  {j:<{b}}  {k:<{c}}  {n:>{d}}" for i, j, k, n in cells]
    return "\n".join([*lines, "#Parameters" + total.rjust(a + b + c + d + 6 - len("#Parameters"))])


def _place(name: str) -> str:
    return f"Layer {int(name.rpartition('.')[2]) + 1}" if name.startswith("rows.") else name
