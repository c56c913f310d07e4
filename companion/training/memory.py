"""How many bytes a run holds on its device, before it starts."""

from typing import NamedTuple

import psutil
import torch
from torch import Tensor, nn


class Budget(NamedTuple):
    """Bytes that stay on the device throughout a run; activations come on top."""

    parameters: int  # with the buffers
    gradients: int
    optimizer: int  # Adam's two moments
    safeguard: int  # the copy of the last good state
    data: int  # training and validation, where they are resident

    @property
    def total(self) -> int:
        """The sum of all."""
        return sum(self)

    def __str__(self) -> str:
        parts = [f"{name} {megabytes(n)}" for name, n in self._asdict().items()]
        return f"{megabytes(self.total)}: " + ", ".join(parts)


def memory_budget(model: nn.Module, *data: Tensor | None) -> Budget:
    """Bytes of parameters, gradients, Adam's moments, the last good state, and data.

    >>> print(memory_budget(nn.Linear(1023, 1000), torch.zeros(60_000, 784, dtype=torch.uint8)))
    67.5 MB: parameters 4.1 MB, gradients 4.1 MB, optimizer 8.2 MB, safeguard 4.1 MB, data 47.0 MB
    """
    trained = size_of(*(p for p in model.parameters() if p.requires_grad))
    state = size_of(*model.parameters(), *model.buffers())
    return Budget(state, trained, 2 * trained, state, size_of(*data))


def size_of(*tensors: Tensor | None) -> int:
    """Bytes of some tensors together.

    >>> size_of(torch.zeros(3), None, torch.zeros(2, dtype=torch.uint8))
    14
    """
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


def fits(data: Tensor, device: torch.device, share: float = 0.6) -> bool:
    """Whether data may live on the device; always where it has no memory of its own."""
    if device.type != "cuda":
        return True
    return size_of(data) < share * free(device)


def free(device: torch.device) -> int:
    """Bytes that are free on a device; on a CPU those of the machine.

    >>> free(torch.device("cpu")) > 0
    True
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def megabytes(n: int) -> str:
    """Bytes for a reader.

    >>> megabytes(2_500_000)
    '2.5 MB'
    """
    return f"{n / 1e6:,.1f} MB"
