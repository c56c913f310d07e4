"""What a training run depends on besides model and data."""

from dataclasses import asdict, dataclass
from typing import Literal


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
        strategy: of Lightning Fabric: ``auto``, ``ddp``, ``ddp_find_unused_parameters_true``, ….
        validate_every: epochs between validations.
        validate_on: at most so many validation samples get an exact NLL.
        monitor: the logged number of which the smallest marks the best weights, and that
            ``plateau`` and ``early_stop`` watch; the loss where it is not logged. By default the
            loss on validation data: of what is logged it alone falls while any model learns. The
            NLL of a model of a manifold is smallest where its map has collapsed, often before the
            first epoch's end, and warns; where a weight is scheduled, losses of different epochs do
            not compare and ``valid_reconstruction`` does.
        early_stop: stop after so many epochs without a new best, or never.
        log_defect: also log the pseudo-inverse defect and the cosine between the surrogate's and
            the exact gradient, on ``defect_on`` validation samples.
        defect_on: see ``log_defect``.
        checkpoint_every: steps between checkpoints, if there is a directory; by default an epoch's.

    Raises:
        ValueError: for an unknown schedule or a number out of range.
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
    precision: str = "32-true"
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    validate_every: int = 1
    validate_on: int = 256
    monitor: str = "valid_loss"
    early_stop: int | None = None
    log_defect: bool = False
    defect_on: int = 32
    checkpoint_every: int | None = None

    def __post_init__(self):
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"TrainConfig: schedule must be {', '.join(SCHEDULES[:-1])} or {SCHEDULES[-1]}, "
                f"got {self.schedule!r}"
            )
        for name in POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"TrainConfig: {name} must be positive, got {value}")
        for name in ("weight_decay", "noise", "patience"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"TrainConfig: {name} must not be negative, got {getattr(self, name)}"
                )

    @property
    def decisive(self) -> dict:
        """The settings on which the result depends: all but where and how fast it is computed."""
        return {name: value for name, value in asdict(self).items() if name not in PRACTICAL}


SCHEDULES = ("one-cycle", "plateau", "steps", "constant")
POSITIVE = (
    "epochs batch_size learning_rate validate_every validate_on defect_on halve_every devices "
    "nodes clip early_stop checkpoint_every".split()
)
PRACTICAL = ("compile", "replay", "device", "devices", "nodes", "strategy", "checkpoint_every")
