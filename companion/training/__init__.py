"""Training: one visible loop, its settings, what it keeps and what it costs."""

from companion.training.checkpoint import CheckpointError, load_weights
from companion.training.config import TrainConfig
from companion.training.history import History, NonFiniteLossError
from companion.training.loop import Callback, fit, make_optimizer, make_scheduler, validate
from companion.training.memory import Budget, memory_budget
from companion.training.stream import Step, Stream, check_data

__all__ = [
    "Budget",
    "Callback",
    "CheckpointError",
    "History",
    "NonFiniteLossError",
    "Step",
    "Stream",
    "TrainConfig",
    "check_data",
    "fit",
    "load_weights",
    "make_optimizer",
    "make_scheduler",
    "memory_budget",
    "validate",
]
