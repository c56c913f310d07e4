"""The processes of a run: as many as there may be, all of one mind, and none left behind."""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor, distributed

from companion.choices import present
from companion.training.config import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# seconds that processes wait for each other before they say so, and after that before they end
NOTICE, PATIENCE = 30.0, 1200.0
PARENT = "COMPANION_PARENT"  # the process that started the others of this machine


def check_processes(config: TrainConfig) -> None:
    """Refuse more processes than the machine has devices, and an environment of other processes.

    Torchrun, a cluster, and Lightning Fabric for the processes that it starts, say in
    ``WORLD_SIZE``, ``RANK`` and ``LOCAL_RANK`` how many there are and which of them this is. Left
    over from elsewhere they make a run wait for others that never come, or keep nothing.

    Raises:
        ValueError: saying what does not fit, and what to do.

    >>> check_processes(TrainConfig(device="cpu"))
    """
    if not present(config.device):
        raise ValueError(f"fit: this machine has no device {config.device!r}")
    most, what = _devices(config.device)
    if config.devices > most:
        raise ValueError(
            f"fit: devices must be at most {most}, the {what} of this machine, got {config.devices}"
        )
    if distributed.is_available() and distributed.is_initialized():
        return  # they run and have found each other
    given = {name: _whole(name) for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    given = {name: value for name, value in given.items() if value is not None}
    world = config.devices * config.nodes
    sizes = {"WORLD_SIZE": world + 1, "RANK": world, "LOCAL_RANK": config.devices}
    fits = all(0 <= value < sizes[name] for name, value in given.items())
    if not fits or given.get("WORLD_SIZE", world) != world or _lone(given, world):
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(
            f"fit: the environment's {said} does not fit devices={config.devices} and "
            f"nodes={config.nodes}; where torchrun set it, ask for as many processes as it starts, "
            f"elsewhere unset {', '.join(given)}"
        )
    if world > 1 and "LOCAL_RANK" not in given and "SLURM_NTASKS" not in os.environ:
        _check_can_start(config)


def rank(config: TrainConfig) -> int:
    """Which of a run's processes this is, before they have found each other; the first writes.

    >>> rank(TrainConfig())
    0
    """
    if config.devices * config.nodes == 1:
        return 0
    node = _whole("NODE_RANK") or _whole("GROUP_RANK") or 0
    known = _whole("RANK"), _whole("LOCAL_RANK"), _whole("SLURM_PROCID")
    if known[0] is None and known[1] is not None:
        return node * config.devices + known[1]
    return next((one for one in known if one is not None), 0)


def device_of(config: TrainConfig) -> torch.device:
    """Where one process trains: the device that was asked for, or the best that is here.

    >>> device_of(TrainConfig(device="cpu"))
    device(type='cpu')
    """
    best = next(filter(present, ("cuda", "mps", "cpu")))
    name = best if config.device == "auto" else config.device
    return torch.device(name) if name == "cpu" else torch.device(name, 0)


def launch(fabric: "Fabric") -> None:
    """Start the other processes of this machine, if nobody has, and wait until all are there.

    Processes that Fabric starts end when this one does, however it ends.
    """
    mine, parent = str(os.getpid()), os.environ.get(PARENT)
    if "LOCAL_RANK" not in os.environ:
        os.environ[PARENT] = mine
    elif parent not in (None, mine) and not distributed.is_initialized():
        threading.Thread(target=_follow, args=(int(parent),), daemon=True).start()
    met = threading.Event()
    threading.Thread(target=_wait, args=(met,), daemon=True).start()
    try:
        fabric.launch()
    finally:
        met.set()


def mean_over_processes(fabric: "Fabric", sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sums of one epoch's terms as one process would have them."""
    if fabric.world_size == 1:
        return sums
    return {n: fabric.all_reduce(t.clone(), reduce_op="mean") for n, t in sums.items()}


def agree(
    fabric: "Fabric", row: dict[str, float], callback: Callable[[dict], bool | None] | None
) -> tuple[dict[str, float], bool]:
    """The first process's row and its callback's decision to stop, for all processes."""
    stop = bool(callback(row)) if callback and fabric.is_global_zero else False
    return fabric.broadcast((row, stop))


def _follow(parent: int) -> None:
    """End this process when its parent has ended; it may be stuck waiting for it."""
    try:
        process = psutil.Process(parent)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1.0)
    except psutil.NoSuchProcess:
        pass
    os._exit(1)


def _wait(met: threading.Event) -> None:
    """Say what this process waits for, and end it where nobody comes: torch waits in silence."""
    if met.wait(NOTICE):
        return
    where = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
    _say(f"waiting for the other processes at {where} (MASTER_ADDR:MASTER_PORT)")
    if not met.wait(PATIENCE):
        _say(
            f"the other processes did not come to {where} within {PATIENCE:g} s; start all of "
            "them, or unset MASTER_ADDR and MASTER_PORT where they are left over"
        )
        os._exit(1)


def _say(message: str) -> None:
    print(f"fit: {message}", file=sys.stderr, flush=True)


def _devices(name: str) -> tuple[int, str]:
    """How many devices of a kind this machine has, and what they are called."""
    if name == "cuda" or name == "auto" and torch.cuda.is_available():
        return torch.cuda.device_count(), "CUDA devices"
    if name == "mps" or name == "auto" and torch.backends.mps.is_available():
        return 1, "MPS device"
    return os.cpu_count() or 1, "cores"


def _whole(name: str) -> int | None:
    """A whole number of the environment, or nothing.

    Raises:
        ValueError: when it is something else.
    """
    text = os.environ.get(name)
    if text is not None and not text.strip().isdecimal():
        raise ValueError(f"fit: the environment's {name} must be a whole number, got {text!r}")
    return None if text is None else int(text)


def _lone(given: dict[str, int], world: int) -> bool:
    """Whether a process says which it is, without what it takes to find the others."""
    if world == 1:
        return False
    needed = ["WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] * ("LOCAL_RANK" in given)
    needed += ["LOCAL_RANK"] * ("RANK" in given)
    return any(name not in os.environ for name in needed)


def _check_can_start(config: TrainConfig) -> None:
    """Refuse to start processes over machines, or without a program that they could run.

    Raises:
        ValueError: saying how to start them instead.
    """
    n = config.devices
    if config.nodes > 1:
        raise ValueError(
            f"fit: nodes={config.nodes} needs torchrun on each machine: torchrun "
            f"--nnodes={config.nodes} --nproc_per_node={n} --rdzv_backend=c10d "
            "--rdzv_endpoint=HOST:29500 PROGRAM"
        )
    program = getattr(sys.modules["__main__"], "__file__", None) or "<none>"
    if hasattr(sys, "ps1") or program.startswith("<"):
        raise ValueError(
            f"fit: devices={n} starts the same program {n} times, and a notebook or a prompt is "
            "none: put the training into a file and run `python FILE`, use `companion train "
            f"--devices {n}`, or train here with devices=1"
        )
