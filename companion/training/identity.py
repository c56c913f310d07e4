"""What a run's numbers depend on, in plain values: two runs are one where these agree."""

import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from companion.models.base import Model
from companion.models.weight_schedules import Schedule
from companion.training.checkpoint import BEST, CheckpointError, check_settings
from companion.training.config import TrainConfig

WHOLE = 2**26  # bytes; of larger data some rows stand for all
ROWS = 1024
PLAIN = (bool, int, float, str, type(None))
STATE = ("training", "at_floor")  # what changes in a run
SHARES = 16  # of a run, at which a schedule is looked at besides its epochs


def identity(
    model: nn.Module,
    config: TrainConfig,
    data: dict[str, Tensor | None],
) -> dict[str, Any]:
    """Everything that a run's numbers depend on: config, data, and the model as it starts.

    Args:
        model: before its first step.
        config: its decisive settings count.
        data: training and validation samples and their conditions, by name; nothing where there
            are none.

    Returns:
        Plain values by name, such as ``"beta": 10.0``, of which a checkpoint's and a run's must be
        the same (:func:`check_identity`).

    >>> from companion.networks import MLP
    >>> found = identity(MLP(2, 1, [4]), TrainConfig(), {"data": torch.zeros(8, 2)})
    >>> found["data"], found["model"], found["epochs"]
    ([8, 2], 'MLP', 50)
    """
    found: dict[str, Any] = {"identity": 1} | config.decisive
    for name, x in data.items():
        found[name] = None if x is None else [*x.shape]
        if x is not None:
            found[f"{name}_type"] = str(x.dtype)
            found |= {f"{name}_crc": crc(x[:64]), f"{name}_sum": fingerprint(x)}
    return found | describe(model, config.epochs) | start_of(model.state_dict())


def identities(
    models: Sequence[nn.Module],
    train: Sequence[Tensor],
    configs: Sequence[TrainConfig],
    conditions: Sequence[Tensor] | None,
) -> dict[str, Any]:
    """The :func:`identity` of each run of a sweep: the first's, and where others differ from it."""
    given = [None] * len(models) if conditions is None else conditions
    found: dict[str, Any] = {}
    for run, (model, x, c, config) in enumerate(zip(models, train, given, configs, strict=True)):
        one = identity(model, config, {"data": x, "condition": c})
        found = found or one
        own = {name: value for name, value in one.items() if found.get(name) != value}
        found |= {f"run {run}, {name}": value for name, value in own.items()}
    return found


def as_once(
    models: Sequence[nn.Module], train: Sequence[Tensor], configs: Sequence[TrainConfig]
) -> dict[str, Any]:
    """What earlier versions kept of each run of a sweep, for their checkpoints."""
    found = {}
    for run, (model, x, config) in enumerate(zip(models, train, configs, strict=True)):
        found[f"run {run}, seed and noise"] = [config.seed, config.noise]
        found[f"run {run}, data_crc"] = crc(x[:64])
        found[f"run {run}, model_crc"] = crc(*model.state_dict().values())
    return found


def fingerprint(x: Tensor) -> int:
    """One number for data: of all, or of the head, the tail and rows in between where it is large.

    >>> fingerprint(torch.zeros(3, 2)) == fingerprint(torch.tensor([[0.0, 0], [0, 0], [0, 1]]))
    False
    """
    if x.numel() * x.element_size() > WHOLE:
        x = x[torch.linspace(0, len(x) - 1, ROWS, dtype=torch.float64).long().to(x.device)]
    return crc(x)


def crc(*tensors: Tensor) -> int:
    """One number by which other data, or other weights, are told from these.

    >>> crc(torch.zeros(3)) == crc(torch.zeros(3)), crc(torch.zeros(3)) == crc(torch.ones(3))
    (True, False)
    """
    code = 0
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        code = zlib.crc32(flat.view(torch.uint8).numpy(), code)
    return code


def start_of(state: dict[str, Tensor]) -> dict[str, Any]:
    """The weights and buffers of a ``state_dict``: single numbers by name, all others in one crc.

    >>> start_of({"beta": torch.tensor(10.0), "weight": torch.zeros(1, 1)})["beta"]
    10.0
    """
    single = {name: t.item() for name, t in state.items() if t.dim() == 0}
    return single | {"weights_crc": crc(*(t for t in state.values() if t.dim() > 0))}


def describe(model: nn.Module, epochs: int) -> dict[str, Any]:
    """Class and options of a model and of all modules in it; a schedule by its values.

    >>> describe(nn.Dropout(0.3), 1)
    {'model': 'Dropout', 'model.p': 0.3, 'model.inplace': False}
    """
    found: dict[str, Any] = {}
    for path, module in model.named_modules():
        name = f"model.{path}".removesuffix(".")
        found[name] = type(module).__name__
        for key, value in vars(module).items():
            if key in ("schedule", "schedules") and isinstance(module, Model):
                several = value if isinstance(value, dict) else {"": value}
                for of, one in several.items():
                    found[f"{name}.{key}.{of}".removesuffix(".")] = _values(one, epochs)
            elif not key.startswith("_") and key not in STATE:
                found |= _flat(f"{name}.{key}", value)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    return found | ({"frozen": ", ".join(frozen)} if frozen else {})


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"{name}.{key}": _plain(one) for key, one in value.items()}
    return {name: _plain(value)}


def _plain(value: Any) -> Any:
    """A value that a safe file can hold and that is the same in another process."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Tensor):
        return f"a tensor, crc {crc(value)}"
    if isinstance(value, tuple | list):
        return str([_plain(one) for one in value])
    return getattr(value, "__qualname__", type(value).__name__)


def _values(schedule: Schedule, epochs: int) -> float | str:
    """A schedule by what it gives in a run: its one value, or the first, the last, a crc of all."""
    shares = range(SHARES + 1)
    places = [(k / epochs, k) for k in range(epochs)] + [(k / SHARES, 0) for k in shares]
    values = torch.tensor([float(schedule(*place)) for place in places], dtype=torch.float64)
    if (values == values[0]).all():
        return float(values[0])
    return f"{values[0]:g} to {values[epochs - 1]:g}, crc {crc(values)}"


def settings_of(state: dict, path: Path) -> dict[str, Any]:
    """The identity that a checkpoint holds.

    Raises:
        CheckpointError: when it is another kind of file.
    """
    if not isinstance(state.get("settings"), dict):
        raise CheckpointError(f"training: {path} holds no run to go on with; is it {BEST}?")
    return state["settings"]


def check_identity(ours: dict, state: dict, path: Path) -> None:
    """Refuse to go on with another run's checkpoint.

    A model that is already where the checkpoint is may go on from there, however it started. A
    checkpoint of a version that kept less is compared by what it kept, with a warning.

    Args:
        ours: :func:`identity` of the run at hand.
        state: the checkpoint's.
        path: named in errors.

    Raises:
        CheckpointError: with the names that differ, what they are there, and what here.
    """
    theirs = settings_of(state, path)
    if "identity" not in theirs:
        warnings.warn(
            f"training: {path} was written by a version that did not keep the model's options; "
            "make sure that they are the same",
            stacklevel=3,
        )
        ours = {name: value for name, value in ours.items() if name in theirs}
    there = start_of(state["model"]) if "model" in state else {None: None}
    if there.items() <= ours.items():
        ours, theirs = ({n: v for n, v in d.items() if n not in there} for d in (ours, theirs))
    check_settings(ours, theirs, path)
