"""What may be trained on: tensors, NumPy arrays, memory maps and datasets, each as one tensor."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from companion.models.base import Model
from companion.training.memory import free, megabytes

Samples = Tensor | np.ndarray | Dataset
SHARE = 0.5  # of the free memory that a gathered dataset may take
BLOCK = 2**24  # numbers that are looked at together


def as_tensor(call: str, data: Samples, limit: int | None = None) -> Tensor:
    """Data of any form as one tensor, where they are: arrays and memory maps are not copied.

    The items of a dataset are gathered in memory, once. Of items that are tuples, say
    ``(image, label)``, the first is taken, and a warning says how labels become a condition.

    Args:
        call: the name that errors blame.
        data: a tensor, a NumPy array or memory map, or a map-style ``torch.utils.data.Dataset``.
        limit: at most so many samples, from the first.

    Raises:
        ValueError: for anything else, and for a dataset that does not fit into half of the free
            memory, with the cure.

    >>> as_tensor("fit", np.zeros((3, 2), np.float32)).shape
    torch.Size([3, 2])
    """
    if isinstance(data, TensorDataset):
        _say_labels(call, len(data.tensors) > 1)
        data = data.tensors[0]
    if isinstance(data, Dataset):
        return _gathered(call, data, limit)
    if isinstance(data, np.ndarray):
        data = _from_array(call, data)
    if not isinstance(data, Tensor):
        loader = isinstance(data, DataLoader)
        cure = "; pass its .dataset" if loader else "; np.stack or torch.stack makes one of a list"
        raise ValueError(
            f"{call}: data must be a tensor, a NumPy array or a torch Dataset, got "
            f"{type(data).__name__}{cure}"
        )
    if data.dim() == 0 or data.layout != torch.strided:
        kind = "one number" if data.dim() == 0 else f"layout {data.layout}"
        raise ValueError(f"{call}: data must be a dense tensor (n, …), got {kind}")
    return data.detach()[:limit]


def as_tensors(call: str, sets: Sequence[Samples] | None) -> list[Tensor] | None:
    """Each of some data sets as a tensor; one that stands there several times is read once."""
    if sets is None:
        return None
    found = {id(data): data for data in sets}
    found = {key: as_tensor(call, data) for key, data in found.items()}
    return [found[id(data)] for data in sets]


def _from_array(call: str, data: np.ndarray) -> Tensor:
    """An array's memory as a tensor; it is only read, so it may be a map that cannot be written."""
    if isinstance(data, np.ma.MaskedArray):
        raise ValueError(f"{call}: data must have no mask; fill or drop what is missing")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writ")
        try:
            return torch.from_numpy(data)
        except (TypeError, ValueError) as error:
            reason = str(error).partition(". ")[0]
            raise ValueError(
                f"{call}: an array of {data.dtype} is no tensor ({reason}); "
                "np.ascontiguousarray(data, np.float32) makes one"
            ) from error


def _gathered(call: str, data: Dataset, limit: int | None) -> Tensor:
    if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
        raise ValueError(
            f"{call}: {type(data).__name__} has no length; write its samples into an array first"
        )
    n = len(data) if limit is None else min(limit, len(data))
    if n == 0:
        raise ValueError(f"{call}: the dataset is empty")
    first = _sample(call, data[0])
    need, there = n * first.numel() * first.element_size(), SHARE * free(torch.device("cpu"))
    if need > there:
        raise ValueError(
            f"{call}: the dataset takes {megabytes(need)} in memory, of which at most "
            f"{megabytes(there)} may be used; write it into a np.lib.format.open_memmap and pass it"
        )
    _say_labels(call, isinstance(data[0], tuple | list) and len(data[0]) > 1)
    found = torch.empty(n, *first.shape, dtype=first.dtype)
    for i in range(n):
        sample = _sample(call, data[i])
        if sample.shape != first.shape:
            raise ValueError(
                f"{call}: samples must have one shape, sample 0 of the dataset has "
                f"{tuple(first.shape)}, sample {i} {tuple(sample.shape)}"
            )
        found[i] = sample
    return found


def _sample(call: str, item: Any) -> Tensor:
    """The data of one item of a dataset."""
    item = item[0] if isinstance(item, tuple | list) and len(item) else item
    if not isinstance(item, Tensor | np.ndarray):
        raise ValueError(
            f"{call}: a dataset must give tensors or arrays, or tuples that begin with one, got "
            f"{type(item).__name__}; a transform such as torchvision's ToTensor() makes them"
        )
    return torch.as_tensor(item).detach()


def _say_labels(call: str, there: bool) -> None:
    if there:
        warnings.warn(
            f"{call}: of the dataset's tuples only the first part is used; where the rest are "
            "labels that the networks shall see, pass "
            "condition=torch.nn.functional.one_hot(labels, k).float()",
            stacklevel=4,
        )


def as_data(
    call: str, model: Model, data: Any, condition: Any = None, limit: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Data and their condition as tensors, at most so many samples of them, checked for a model.

    Raises:
        ValueError: as :func:`as_tensor` and :func:`check_data`.
    """
    x = as_tensor(call, data, limit)
    if condition is not None:
        condition = as_tensor(call, condition)
        condition = condition[:limit] if len(condition) == len(data) else condition
    check_data(call, model, x, condition)
    return x, condition


def check_data(call: str, model: Model, x: Tensor, condition: Tensor | None = None) -> None:
    """Refuse data of the wrong shape, non-finite data, and a condition that does not go with them.

    Raises:
        ValueError: naming the call, what came and what was expected.
    """
    if len(x) == 0 or tuple(x.shape[1:]) != model.data_shape:
        raise ValueError(
            f"{call}: training data must be (n, {', '.join(map(str, model.data_shape))}) "
            f"with n > 0, got {tuple(x.shape)}"
        )
    for what in (x, condition):
        if what is not None:
            check_finite(call, "data", what)
    if not x.is_floating_point() and x.dtype != torch.uint8:
        raise ValueError(
            f"{call}: training data must be floating point or uint8, got {x.dtype}; x.float() "
            "keeps the values, x.to(torch.uint8) makes bytes, which are divided by 255"
        )
    if condition is not None and len(condition) != len(x):
        raise ValueError(
            f"{call}: expected a condition for each of {len(x)} samples, got {len(condition)}"
        )
    if condition is not None and condition.dim() == 1 and not model.takes_labels:
        cure = (
            "condition[:, None] makes one"
            if condition.is_floating_point()
            else "of labels, torch.nn.functional.one_hot(labels, k).float() makes one, or "
            "labels[:, None] for networks that embed them"
        )
        got = f"got {tuple(condition.shape)}"
        raise ValueError(f"{call}: condition must be (n, size), {got}; {cure}")


def check_finite(call: str, what: str, x: Tensor) -> None:
    """Refuse rows with NaN or infinity, before a decomposition does in its own words.

    They are counted block by block: a memory map is never all in memory.

    Raises:
        ValueError: naming the call, what is meant and how many rows.

    >>> check_finite("gaussian_w2", "features", torch.tensor([[0.0], [torch.nan]]))
    Traceback (most recent call last):
    ValueError: gaussian_w2: features must be finite, got 1 rows with NaN or infinity
    """
    if not x.is_floating_point() or len(x) == 0:
        return
    rows = max(1, BLOCK // max(1, x[0].numel()))
    bad = sum(int((~part.reshape(len(part), -1).isfinite().all(1)).sum()) for part in x.split(rows))
    if bad:
        raise ValueError(f"{call}: {what} must be finite, got {bad} rows with NaN or infinity")
