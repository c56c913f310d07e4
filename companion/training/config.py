"""What a training run depends on besides model and data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from reprlib import repr as shown
from sys import float_info
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

MANY, LARGEST = 10**9, float_info.max
SEEDS = 2**32  # a seed above would repeat another seed's second stream
FROM_ZERO = ("seed", "patience", "weight_decay", "noise", "temperature")  # others are above it


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training run depends on besides model and data.

    Args:
        epochs: passes over the training data; the last, incomplete batch of a pass is left out.
        batch_size: samples per step, over all processes together.
        learning_rate: the largest one.
        schedule: ``one-cycle`` (up and down once), ``plateau`` (halved when the monitored number
            stalls, MLAE App. E.4), ``steps`` (halved every ``halve_every`` epochs, 2SVAE App. D)
            or ``constant``.
        patience: epochs that ``plateau`` waits.
        halve_every: epochs between the halvings of ``steps``.
        weight_decay: of Adam.
        clip: largest norm of the gradient, or none.
        noise: standard deviation of fresh Gaussian noise on every training batch.
        flip: mirror each training image, left to right, half the time.
        seed: of data order, noise and probes; the weights are the model's own.
        compile: compile the loss; without a working C++ compiler it falls back with a warning.
        replay: on one CUDA device, record a step's forward and backward pass once and replay it,
            where the loss needs no value on the host. Python in the loss (hooks, prints) then runs
            until the recording only, and tensors that it reads may change in place only.
        precision: of Lightning Fabric: ``32-true``, ``64-true`` or ``bf16-mixed``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: processes on this machine, one for each device; each takes its share of every
            batch.
        nodes: machines.
        strategy: of Lightning Fabric: ``auto``, ``ddp`` or ``ddp_find_unused_parameters_true``.
        validate_every: epochs between validations; the last epoch has one too.
        validate_on: at most so many validation samples get an exact NLL and a reconstruction; the
            loss is that of all of them.
        monitor: the logged number of which the smallest marks the best weights, and that
            ``plateau`` and ``early_stop`` watch; an epoch without it is passed over, and without
            validation data it is the training loss. By default the loss on validation data: of what
            is logged it alone falls while any model learns. The NLL of a model of a manifold is
            smallest where its map has collapsed, often before the first epoch's end, and warns;
            where a weight is scheduled, losses of different epochs do not compare and
            ``valid_reconstruction`` does.
        early_stop: stop after so many epochs without a new best, or never.
        log_defect: also log the pseudo-inverse defect and the cosine between the surrogate's and
            the exact gradient, on ``defect_on`` validation samples.
        defect_on: see ``log_defect``.
        checkpoint_every: steps between checkpoints, if there is a directory; by default an epoch's.

    Raises:
        ValueError: naming the setting whose value is of another type than annotated (a bool is no
            number, and 2.0 is no whole number), unknown, or out of range.

    >>> TrainConfig(epochs=2.0)
    Traceback (most recent call last):
    ValueError: TrainConfig: epochs must be a whole number from 1 to 1,000,000,000, got 2.0
    """

    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3
    schedule: Literal["one-cycle", "plateau", "steps", "constant"] = "one-cycle"
    patience: int = 10
    halve_every: int = 100
    weight_decay: float = 0.0
    clip: float | None = None
    noise: float = 0.0
    flip: bool = False
    seed: int = 0
    compile: bool = False
    replay: bool = True
    precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    validate_every: int = 1
    validate_on: int = 256
    monitor: str = "valid_loss"
    early_stop: int | None = None
    log_defect: bool = False
    defect_on: int = 32
    checkpoint_every: int | None = None

    def __post_init__(self):
        check_fields(self)

    @property
    def decisive(self) -> dict:
        """The settings on which the result depends: all but where and how fast it is computed."""
        return {name: value for name, value in asdict(self).items() if name not in PRACTICAL}


PRACTICAL = ("compile", "replay", "device", "devices", "nodes", "strategy", "checkpoint_every")


def check_fields(made: Any) -> None:
    """Hold every field of a frozen dataclass to its annotation, and numbers to their bounds.

    Numbers of NumPy become Python's, which every file can hold.

    Raises:
        ValueError: naming the class, the field, what it must be and what came.
    """
    for name, kind in get_type_hints(type(made)).items():
        kinds = get_args(kind) if NoneType in get_args(kind) else (kind,)
        given = getattr(made, name)
        if given is None and NoneType in kinds:
            continue
        expected, value = _plain(name, kinds[0], given)
        if value is None:
            expected += " or None" * (NoneType in kinds)
            call = type(made).__name__
            raise ValueError(f"{call}: {name} must be {expected}, got {shown(given)}")
        object.__setattr__(made, name, value)


def _plain(name: str, kind: Any, value: Any) -> tuple[str, Any]:
    """What a field must be, in words; and its value as plain Python, or nothing if it is not."""
    value = value.item() if isinstance(value, np.generic) else value
    if get_origin(kind) is Literal:
        *some, last = words = get_args(kind)
        known = isinstance(value, str) and value in words
        return f"{', '.join(some)} or {last}", str(value) if known else None
    if kind is bool:
        return "True or False", value if isinstance(value, bool) else None
    if kind is int:
        low, high = int(name not in FROM_ZERO), SEEDS - 1 if name == "seed" else MANY
        fits = _is(value, Integral) and low <= value <= high
        return f"a whole number from {low} to {high:,}", int(value) if fits else None
    if kind is float:
        zero = name in FROM_ZERO
        fits = _is(value, Real) and (0 < value <= LARGEST or zero and value == 0)
        return f"a finite number {'from' if zero else 'above'} 0", float(value) if fits else None
    if kind is str:
        return "a name", str(value) if isinstance(value, str) and value else None
    if get_origin(kind) is Mapping:
        return "a table of names and values", value if isinstance(value, Mapping) else None
    return f"a {kind.__name__}", value if isinstance(value, kind) else None


def _is(value: Any, kind: type) -> bool:
    """Whether a value is such a number; a bool is none."""
    return isinstance(value, kind) and not isinstance(value, bool)
