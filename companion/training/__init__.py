"""Training: one visible loop, its settings, what it keeps and what it costs.

On several GPUs of one machine, ``TrainConfig(devices=8)`` in a program is enough: Fabric starts the
other seven processes with the same command line. Over machines, start the program on each with
torchrun, which finds the others at one of them::

    torchrun --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 PROGRAM

with ``TrainConfig(devices=8, nodes=2)`` in it.

Batches, their order and their chance are those of one process, each process takes its share of
every batch, and torch's DDP averages the gradients. The first process alone writes, so machines
need a common directory only to resume; a run may go on with another number of processes.
"""

from companion.training.checkpoint import CheckpointError, load_weights
from companion.training.config import TrainConfig
from companion.training.inputs import as_tensor, check_data
from companion.training.loop import Callback, fit, make_optimizer, make_scheduler, validate
from companion.training.memory import Budget, memory_budget
from companion.training.run import History, NonFiniteLossError
from companion.training.stream import Step, Stream
from companion.training.sweeps import grid, sweep

__all__ = [
    "Budget",
    "Callback",
    "CheckpointError",
    "History",
    "NonFiniteLossError",
    "Step",
    "Stream",
    "TrainConfig",
    "as_tensor",
    "check_data",
    "fit",
    "grid",
    "load_weights",
    "make_optimizer",
    "make_scheduler",
    "memory_budget",
    "sweep",
    "validate",
]
